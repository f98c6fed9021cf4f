//! OTLP: metrics and request spans to any number of collectors.
//!
//! Metrics are read from the same registry as /metrics shows ([`points`], docs/adr/0007); spans are made of finished requests
//! ([`span`]). All sending happens on a thread of its own. The pipeline only puts spans into bounded queues ([`queue`]): a
//! collector that is dead, slow or lying costs bounded memory and never delays anything.

mod attribute;
mod client;
pub mod environment;
mod held;
mod identifier;
mod instrument;
mod points;
mod queue;
mod reading;
mod resource;
mod sampling;
mod sender;
mod series;
mod shipping;
mod span;
mod spans;
#[cfg(test)]
mod tests;

pub use client::ClientError;
pub use span::Traceable;
pub use spans::Spans;

use crate::config::{Config, Destination};
use crate::host::machine::Machine;
use crate::metric::Metrics;
use crate::servers::Known;
use client::Client;
use points::Taste;
use queue::Queue;
use resource::Resources;
use sender::{Cargo, Sender};
use series::Book;
use shipping::{MetricsTask, SpansTask, stopped, unix_nanos};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use std::{io, thread};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Seconds between two exports of metrics, where nothing says otherwise: the standard's.
const INTERVAL: u32 = 60;
/// How often resources learn of new servers.
const REFRESH: Duration = Duration::from_secs(1);
/// Given to the last exports when the agent ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// The running export.
pub struct Otlp {
    stop: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A destination cannot be.
    #[error("otlp.destinations[{0}]: {1}")]
    Destination(usize, #[source] ClientError),
    /// No thread, or no runtime on it.
    #[error("the export over OTLP cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// What the thread needs.
struct Plan {
    config: Config,
    metrics: Arc<Metrics>,
    known: Known,
    resources: Arc<Mutex<Resources>>,
    queues: Vec<Arc<Queue>>,
    interval: Duration,
    /// Before anything was counted.
    began: u64,
}

/// Starts sending what the configuration says; `None` where it names no destination.
///
/// # Errors
/// Where a destination cannot be. A collector that is not there is no error: it may come.
pub fn start(config: &Config, metrics: &Arc<Metrics>, known: &Known) -> Result<Option<(Otlp, Spans)>, StartError> {
    start_with(config, metrics, known, None)
}

/// The same with another interval, for tests that cannot wait.
fn start_with(
    config: &Config,
    metrics: &Arc<Metrics>,
    known: &Known,
    interval: Option<Duration>,
) -> Result<Option<(Otlp, Spans)>, StartError> {
    let destinations = &config.otlp.destinations.0;
    if destinations.is_empty() {
        return Ok(None);
    }
    let machine = Machine::read();
    let boot = machine.boot.clone();
    let resources = Arc::new(Mutex::new(Resources::new(config, machine)));
    let most = usize::try_from(config.otlp.spans.queue).unwrap_or(usize::MAX);
    let queues: Vec<_> = destinations.iter().map(|_| Arc::new(Queue::new(most))).collect();
    let configured = config.otlp.interval_seconds.unwrap_or(INTERVAL);
    let plan = Plan {
        config: config.clone(),
        metrics: Arc::clone(metrics),
        known: known.clone(),
        resources: Arc::clone(&resources),
        queues: queues.clone(),
        interval: interval.unwrap_or(Duration::from_secs(u64::from(configured))),
        began: unix_nanos(),
    };
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = mpsc::channel();
    let (tell, started) = mpsc::channel();
    thread::Builder::new().name("otlp".to_owned()).spawn(move || {
        plan.run(stopped, &tell);
        // Fails where nobody waits any more.
        let _ = end.send(());
    })?;
    let names = started.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended").into()))?;
    let wants_spans = destinations.iter().zip(names.into_iter().zip(queues)).filter(|(to, _)| to.spans);
    let outlets = wants_spans.map(|(_, outlet)| outlet).collect();
    let spans = Spans::new(&config.otlp.spans, boot, resources, outlets, Arc::clone(metrics));
    Ok(Some((Otlp { stop, ended }, spans)))
}

impl Otlp {
    /// Begins the last exports; [`Otlp::wait`] waits for them.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }

    /// Waits until the last exports are done, but not for long.
    pub fn wait(self) {
        self.stop();
        let _ = self.ended.recv_timeout(FAREWELL + Duration::from_secs(1));
    }
}

/// Names of the destinations, once all of them can be; else why not.
type Started = Result<Vec<Arc<str>>, StartError>;

impl Plan {
    fn run(self, stop: watch::Receiver<bool>, tell: &mpsc::Sender<Started>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error.into()))),
        };
        runtime.block_on(async {
            match self.clients() {
                Ok(clients) => {
                    let _ = tell.send(Ok(clients.iter().map(|client| Arc::clone(&client.name)).collect()));
                    self.work(&clients, stop).await;
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        });
        // A name that is still being looked up must not hold the end up.
        runtime.shutdown_background();
    }

    fn clients(&self) -> Result<Vec<Arc<Client>>, StartError> {
        let client = |(index, to): (usize, &Destination)| {
            Client::new(to).map(Arc::new).map_err(|error| StartError::Destination(index, error))
        };
        self.config.otlp.destinations.0.iter().enumerate().map(client).collect()
    }

    async fn work(&self, clients: &[Arc<Client>], mut stop: watch::Receiver<bool>) {
        self.refresh();
        let mut tasks = JoinSet::new();
        for ((to, client), queue) in self.config.otlp.destinations.0.iter().zip(clients).zip(&self.queues) {
            if to.metrics {
                tasks.spawn(self.metrics_task(to, client).run(stop.clone()));
            }
            if to.spans {
                let sender = self.sender(client, Cargo::Spans);
                let task = SpansTask { sender, queue: Arc::clone(queue), metrics: Arc::clone(&self.metrics) };
                tasks.spawn(task.run(stop.clone()));
            }
        }
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                () = sleep(REFRESH) => self.refresh(),
            }
        }
        let _ = timeout(FAREWELL, async { while tasks.join_next().await.is_some() {} }).await;
    }

    fn metrics_task(&self, to: &Destination, client: &Arc<Client>) -> MetricsTask {
        MetricsTask {
            sender: self.sender(client, Cargo::Metrics),
            taste: Taste { temporality: to.temporality, aggregation: to.histograms },
            interval: self.interval,
            book: Book::new(self.began),
            metrics: Arc::clone(&self.metrics),
            resources: Arc::clone(&self.resources),
            not_before: Instant::now(),
        }
    }

    fn sender(&self, client: &Arc<Client>, cargo: Cargo) -> Sender {
        Sender::new(Arc::clone(client), cargo, Arc::clone(&self.metrics), self.interval)
    }

    fn refresh(&self) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).refresh(&known, &self.metrics.metadata());
    }
}
