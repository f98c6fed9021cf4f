//! The live source of inputs: loads the kernel side, starts the thread that finds servers, and hands out what happens
//! as [`Input`]s in their order. Shared by `run` and `record`.

use crate::config::Config;
use crate::core::Volume;
use crate::core::{Input, ProcessChange};
use crate::engine::ENGINES;
use crate::event::{ConnKey, Direction};
use crate::host::clock;
use crate::host::discover::{Discovery, Rule};
use crate::host::privilege::descriptors;
use crate::host::privilege::give_up::{self, Demand};
use crate::host::privilege::{Capability, Held, Hold};
use crate::host::workload::Names;
use crate::issue::Issue;
use crate::kernel::attach::Probes;
use crate::kernel::capture::{Capture, Captured};
use crate::kernel::load::{self, LoadError, Options};
use crate::kernel::logger::KernelLog;
use crate::kernel::trial::{self, Trial};
use crate::servers::{Ends, Known, Notice, RunTimes, Servers};
use inferscope_ebpf::{Counts, Hook};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Records handled before others on this thread (the HTTP server) get a turn.
const BATCH: usize = 4096;
/// Between two ticks.
const TICK: Duration = Duration::from_secs(1);

/// A running kernel side.
pub struct Live {
    capture: Capture,
    wake_up: AsyncFd<OwnedFd>,
    changes: Receiver<ProcessChange>,
    notices: Sender<Notice>,
    thread: Option<JoinHandle<()>>,
    log: Option<KernelLog>,
    poll: tokio::time::Interval,
    next_tick: tokio::time::Instant,
    /// What is known of the servers.
    pub known: Known,
    /// Kernel run time of the programs.
    pub run_times: RunTimes,
}

/// What a turn brought.
#[derive(Debug)]
pub enum Arrived {
    /// For the core.
    Input(Input),
    /// A record that could not be read.
    Issue(Issue),
}

impl Live {
    /// Loads and starts. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// Where the kernel refuses; nothing is left running then.
    pub fn start(config: &Config) -> Result<Live, LoadError> {
        let options = Options { ring_bytes: config.capture.ring_bytes, verbose: config.log.contains("bpf") };
        if let Err(error) = descriptors::raise_limit() {
            tracing::warn!("no more descriptors than the soft limit allows: {error}");
        }
        let mut kernel = load::load(options)?;
        keep_what_is_needed(&mut kernel.probes)?;
        let (tell, changes) = mpsc::channel();
        let (notices, heard) = mpsc::channel();
        let (known, run_times) = (Known::default(), RunTimes::default());
        let servers = Servers::new(
            discovery(config),
            kernel.probes,
            Ends { source: config.capture.source, messages: config.capture.engine_messages },
            known.clone(),
            run_times.clone(),
            move |change| {
                // Fails only when the pipeline is gone, and then nobody wants to know.
                let _ = tell.send(change);
            },
        );
        let thread = std::thread::Builder::new()
            .name("servers".to_owned())
            .spawn(move || servers.run(&heard))
            .map_err(LoadError::Thread)?;
        let wake_up = kernel.capture.wake_up().map_err(LoadError::Thread)?;
        Ok(Live {
            capture: kernel.capture,
            wake_up,
            changes,
            notices,
            thread: Some(thread),
            log: kernel.log,
            poll: tokio::time::interval(Duration::from_millis(u64::from(config.capture.poll_milliseconds))),
            next_tick: tokio::time::Instant::now(),
            known,
            run_times,
        })
    }

    /// Waits until there may be something, then hands out all there is. Safe to drop while it waits.
    pub async fn turn(&mut self, each: &mut dyn FnMut(Arrived)) {
        tokio::select! {
            _ = self.poll.tick() => {}
            ready = self.wake_up.readable() => {
                if let Ok(mut ready) = ready {
                    ready.clear_ready();
                }
            }
        }
        self.drain(BATCH, each);
        if tokio::time::Instant::now() >= self.next_tick {
            self.next_tick += TICK;
            each(Arrived::Input(Input::Tick(clock::now())));
        }
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Hands out what is left, before [`Live::stop`].
    pub fn rest(&mut self, each: &mut dyn FnMut(Arrived)) {
        self.drain(usize::MAX, each);
    }

    /// A process that starts is made known before its events, one that ends behind them.
    fn drain(&mut self, limit: usize, each: &mut dyn FnMut(Arrived)) {
        let (started, ended): (Vec<_>, Vec<_>) =
            self.changes.try_iter().partition(|change| matches!(change, ProcessChange::Started { .. }));
        for change in started {
            each(Arrived::Input(Input::Process(change)));
        }
        let mut left = limit;
        while let Some(captured) = self.capture.next() {
            match captured {
                Captured::Event(event) => each(Arrived::Input(Input::Kernel(event))),
                Captured::Process { tgid, hook, .. } => {
                    let _ = self.notices.send(Notice::Process(tgid, hook));
                }
                Captured::Unreadable => each(Arrived::Issue(Issue::RecordUnreadable)),
            }
            left -= 1;
            // What ended is said behind all that it did: never while records are left.
            if left == 0 && ended.is_empty() {
                return;
            }
            left = left.max(1);
        }
        for change in ended {
            each(Arrived::Input(Input::Process(change)));
        }
    }

    /// A volume that the core asked for.
    pub fn set_volume(&self, conn: &ConnKey, direction: Direction, volume: Volume) {
        self.capture.connections().set_volume(conn, direction, volume);
    }

    /// Totals of each hook.
    #[must_use]
    pub fn counts(&self) -> Vec<(Hook, Counts)> {
        self.capture.counts()
    }

    /// Takes every probe off, which takes the kernel some seconds where there are many.
    pub fn stop(mut self) {
        let _ = self.notices.send(Notice::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Gives up the capabilities that are not needed from here on. Before the first thread, which would keep them.
fn keep_what_is_needed(probes: &mut Probes) -> Result<(), LoadError> {
    let demand = match trial::trial(probes) {
        Trial::Works(demand) => demand,
        Trial::Refused(sentence) => return Err(LoadError::Uprobes(sentence)),
        Trial::Unknown(reason) => {
            tracing::warn!("cannot try what the kernel demands for uprobes: {reason}");
            Demand::SysAdmin
        }
    };
    match give_up::give_up(demand) {
        Ok(kept) => tracing::info!("capabilities kept: {}; all others are given up", kept.join(", ")),
        Err(error) => tracing::warn!("capabilities that are not needed could not be given up: {error}"),
    }
    let held = Held::now();
    for capability in [Capability::SysPtrace, Capability::DacReadSearch] {
        if held.hold(capability) == Hold::Missing {
            tracing::warn!("{} is missing: {}", capability.name(), capability.without());
        }
    }
    Ok(())
}

/// Finds the servers of the enabled engines and of the configured rules.
#[must_use]
pub fn discovery(config: &Config) -> Discovery {
    let enabled = ENGINES.iter().copied().filter(|engine| config.engines.enabled(engine.name())).collect();
    let rules = config.servers.0.iter().map(|rule| Rule {
        engine: rule.engine.to_owned(),
        argv: rule.argv.clone(),
        service: rule.service.clone(),
    });
    let rescan = Duration::from_secs(u64::from(config.capture.rescan_seconds));
    Discovery::new(enabled, rules.collect(), rescan, Names::new(&config.pods.links))
}
