//! `inferscope run`: the daemon.

use super::gpus::Gpus;
use super::pods::Pods;
use super::{failed, keep_memory, records, unusable};
use crate::cli::Run;
use crate::config::{Config, Invalid};
use crate::core::Options;
use crate::crosscheck::watch::Watch;
use crate::export::otlp::{self, Otlp};
use crate::export::prometheus::{self, Exposed, Health};
use crate::host::self_usage;
use crate::live::{Arrived, Live};
use crate::log::Log;
use crate::metric::Metrics;
use crate::pipeline::Pipeline;
use crate::servers::ServerState;
use crate::status::{self, Attachment};
use crate::supervisor::Supervisor;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Between two refreshes of /status and of gauges.
const REFRESH: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT.
pub(super) fn run(arguments: &Run) -> ExitCode {
    let config = match arguments.load() {
        Ok(config) => config,
        Err(problems) => return unusable(&problems),
    };
    let log = Log::start(&config.log);
    keep_memory();
    let records = match records(arguments.records.as_deref()) {
        Ok(records) => records,
        Err(error) => return failed(&format!("cannot write the request log: {error}")),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start: {error}")),
    };
    let metrics = Arc::new(Metrics::new(&config));
    let connections = usize::try_from(config.limits.connections).unwrap_or(usize::MAX);
    let options = Options { connections, http: config.capture.http, messages: config.capture.engine_messages };
    let pipeline = Pipeline::new(options, metrics.clone(), records);
    match runtime.block_on(Daemon::serve(arguments, config, log, metrics, pipeline)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

struct Daemon<'a> {
    arguments: &'a Run,
    config: Config,
    log: Log,
    live: Live,
    pipeline: Pipeline,
    metrics: Arc<Metrics>,
    gpus: Gpus,
    pods: Pods,
    exposed: Arc<Exposed>,
    supervisor: Supervisor,
    otlp: Option<Otlp>,
    started: Instant,
    refreshed: Option<Instant>,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Daemon<'_> {
    async fn serve(
        arguments: &Run,
        config: Config,
        log: Log,
        metrics: Arc<Metrics>,
        mut pipeline: Pipeline,
    ) -> anyhow::Result<()> {
        let signals = Signals::new()?;
        // The address first: two agents on one host would trace everything twice.
        let listener = prometheus::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let exposed = Arc::new(Exposed::new(metrics.clone()));
        let (stop_serving, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(prometheus::serve(listener, exposed.clone(), async {
            let _ = stopped.await;
        }));
        let live = Live::start(&config)?;
        let _watch = if config.cross_check { Some(Watch::start(&config, address, metrics.clone())?) } else { None };
        let otlp = otlp::start(&config, &metrics, &live.known)?.map(|(otlp, spans)| {
            pipeline.set_spans(spans);
            otlp
        });
        let gpus = Gpus::start(&config, metrics.clone(), live.known.clone())?;
        let pods = Pods::start(&config, &metrics)?;
        exposed.set_health(Health::Working);
        tracing::info!("metrics on http://{address}/metrics, state on http://{address}/status");
        let mut supervisor = Supervisor::new();
        supervisor.ready();
        let started = Instant::now();
        let mut daemon = Daemon {
            arguments,
            config,
            log,
            live,
            pipeline,
            metrics,
            gpus,
            pods,
            exposed,
            supervisor,
            otlp,
            started,
            refreshed: None,
        };
        daemon.work(signals).await;
        daemon.stop();
        let _ = stop_serving.send(());
        serving.await?;
        Ok(())
    }

    async fn work(&mut self, mut signals: Signals) {
        let mut batch = Vec::new();
        loop {
            let mut keep = |arrived| batch.push(arrived);
            tokio::select! {
                biased;
                _ = signals.terminate.recv() => return tracing::info!("SIGTERM: detaching"),
                _ = signals.interrupt.recv() => return tracing::info!("SIGINT: detaching"),
                _ = signals.hang_up.recv() => self.reload(),
                () = self.live.turn(&mut keep) => {}
            }
            for arrived in batch.drain(..) {
                take(arrived, &mut self.pipeline, &self.metrics, Some(&self.live));
            }
            if self.refreshed.is_none_or(|at| at.elapsed() >= REFRESH) {
                self.refreshed = Some(Instant::now());
                self.refresh();
            }
            self.supervisor.turned();
        }
    }

    /// What scrapes and /status show of the moment.
    fn refresh(&mut self) {
        let connections = self.pipeline.gauges();
        let counts = self.live.counts();
        self.metrics.kernel(&counts);
        if let Ok(usage) = self_usage::read() {
            self.metrics.usage(usage);
        }
        let times = self.live.run_times.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let programs: Vec<(&str, Duration)> = times.iter().map(|(name, time)| (name.as_str(), *time)).collect();
        self.metrics.programs(&programs);
        let known = self.live.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.exposed.set_health(health(&known));
        self.pods.refresh(&known);
        let uptime = self.started.elapsed();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let status = status::Status {
            version: env!("CARGO_PKG_VERSION"),
            started_unix_seconds: now.saturating_sub(uptime).as_secs(),
            uptime_seconds: uptime.as_secs(),
            connections: u64::try_from(connections).unwrap_or(u64::MAX),
            processes: known.iter().map(|server| server.process.clone()).collect(),
            hooks: known.into_iter().flat_map(|server| server.hooks).collect(),
            losses: status::Loss::of(&counts),
            gpu: self.gpus.status(),
            pods: self.pods.status(),
        };
        self.metrics.processes(&status.processes);
        let attachments = || status.processes.iter().map(|process| &process.attachment);
        self.supervisor.watches(
            attachments().filter(|attachment| matches!(attachment, Attachment::Attached)).count(),
            attachments().filter(|attachment| matches!(attachment, Attachment::Unsupported { .. })).count(),
        );
        self.exposed.set_status(status);
    }

    /// SIGHUP. The log filter takes effect at once; other settings are bound to what was built with them.
    fn reload(&mut self) {
        let new: Result<Config, Invalid> = self.arguments.load();
        let new = match new {
            Ok(new) => new,
            Err(problems) => {
                return tracing::error!("the configuration is unchanged, the new one is wrong:\n{problems}");
            }
        };
        if new == self.config {
            return tracing::info!("the configuration is unchanged");
        }
        self.log.set(&new.log);
        let only_log = Config { log: new.log.clone(), ..self.config.clone() };
        if only_log == new {
            tracing::info!("the log filter is now `{}`", new.log);
        } else {
            tracing::warn!("the new configuration is right, but takes effect with a restart; the log filter is set");
        }
        self.config.log = new.log;
    }

    /// Lets the requests under way end as truncated, so that every one of them is counted, and detaches. In this order:
    /// the kernel takes its time to detach, and a service manager may not wait for so long.
    fn stop(self) {
        let Daemon { mut live, mut pipeline, metrics, otlp, supervisor, .. } = self;
        supervisor.stopping();
        live.rest(&mut |arrived| take(arrived, &mut pipeline, &metrics, None));
        pipeline.finish();
        otlp.iter().for_each(Otlp::stop);
        live.stop();
        otlp.into_iter().for_each(Otlp::wait);
    }
}

/// A server that the operator named must be seen; one that was found by itself is only reported.
fn health(known: &[ServerState]) -> Health {
    let unseen = known.iter().filter(|server| server.named).find_map(|server| match &server.process.attachment {
        Attachment::Unsupported { explanation, .. } => Some((&server.process, explanation)),
        Attachment::Attached | Attachment::NotNeeded => None,
    });
    match unseen {
        Some((process, why)) => {
            let status::Process { service, tgid, .. } = process;
            Health::Failing(format!("The configured server {service} (process {tgid}) cannot be seen: {why}"))
        }
        None => Health::Working,
    }
}

/// Feeds the pipeline.
pub(super) fn take(arrived: Arrived, pipeline: &mut Pipeline, metrics: &Metrics, live: Option<&Live>) {
    match arrived {
        Arrived::Input(input) => pipeline.step(input, &mut |conn, direction, volume| {
            if let Some(live) = live {
                live.set_volume(conn, direction, volume);
            }
        }),
        Arrived::Issue(issue) => metrics.issue(issue),
    }
}
