//! What each collector's tasks do: metrics at every interval, spans as they come, and a last time of each at the end.

use super::client::Request;
use super::points::{Parcel, Taste, parcels};
use super::queue::{self, Item, Queue};
use super::reading::Reading;
use super::resource::Resources;
use super::sender::{Sender, Sent};
use super::series::{Book, Key};
use crate::metric::Metrics;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prometheus_client::encoding::prometheus_protobuf::encode;
use prost::Message;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

/// Bytes of one request; collectors take at least 4 MiB.
const REQUEST_BYTES: usize = 2 << 20;
/// Requests and spans of one batch.
const BATCH: (usize, u64) = (512, 4096);
/// Spans wait so long for company.
const GATHER: Duration = Duration::from_millis(500);

/// Becomes true when the agent ends.
pub type Stop = watch::Receiver<bool>;

/// Waits for the end.
pub async fn stopped(stop: &mut Stop) {
    // Fails where the agent is gone without a word, which is the same.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Sends metrics to one collector.
pub struct MetricsTask {
    /// To it.
    pub sender: Sender,
    /// What it wants.
    pub taste: Taste,
    /// Between two exports.
    pub interval: Duration,
    /// What it was told.
    pub book: Book,
    /// What there is to tell.
    pub metrics: Arc<Metrics>,
    /// Of whom.
    pub resources: Arc<Mutex<Resources>>,
    /// The collector wants to be left alone until then.
    pub not_before: Instant,
}

/// Series and the values that count as told once they have arrived.
type Told = Vec<(Key, Reading)>;

/// A request and what it tells.
struct Load {
    /// When its values were taken.
    at: u64,
    request: Request,
    told: Told,
}

impl MetricsTask {
    /// Until the end.
    pub async fn run(mut self, mut stop: Stop) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let at = tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                at = ticks.tick() => at,
            };
            // An attempt under way is not broken off: its collector may have taken it already.
            self.turn(at + self.interval, &mut stop).await;
        }
        for load in self.loads(unix_nanos()) {
            if let Sent::Later(_) = self.tell(&load).await {
                return;
            }
        }
    }

    /// Tells all that is known now; tries again until the deadline.
    async fn turn(&mut self, deadline: Instant, stop: &mut Stop) {
        if !self.wait(deadline, stop).await {
            return;
        }
        for load in self.loads(unix_nanos()) {
            while let Sent::Later(pause) = self.tell(&load).await {
                self.not_before = Instant::now() + pause;
                if !self.wait(deadline, stop).await {
                    // The next turn has newer numbers, and they hold these.
                    return;
                }
            }
        }
    }

    /// Waits until the collector may be asked; false where that is not before the deadline, or the agent ends.
    async fn wait(&self, deadline: Instant, stop: &mut Stop) -> bool {
        if self.not_before >= deadline {
            return false;
        }
        tokio::select! {
            biased;
            () = stopped(stop) => false,
            () = sleep_until(self.not_before) => true,
        }
    }

    /// One attempt.
    async fn tell(&mut self, load: &Load) -> Sent {
        let sent = self.sender.attempt(&load.request).await;
        if let Sent::Arrived(_) = sent {
            self.book.arrived(load.at, &load.told);
        }
        sent
    }

    fn loads(&mut self, now: u64) -> Vec<Load> {
        // Writing to memory does not fail, and every registered metric can be written.
        let Ok(families) = encode(self.metrics.scrape()) else { return Vec::new() };
        // A copy, because the pipeline asks for it with every span.
        let resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pack(parcels(&families, &resources, self.taste, &mut self.book, now), now)
    }
}

/// As few requests as the limit allows; parcels of one resource become one.
fn pack(parcels: Vec<Parcel>, at: u64) -> Vec<Load> {
    let mut loads: Vec<(Vec<ResourceMetrics>, Told)> = Vec::new();
    let mut bytes = REQUEST_BYTES;
    for Parcel { metrics, told } in parcels {
        let more = metrics.encoded_len();
        bytes = bytes.saturating_add(more);
        if bytes > REQUEST_BYTES {
            loads.push((Vec::new(), Vec::new()));
            bytes = more;
        }
        let Some((load, all_told)) = loads.last_mut() else { continue };
        all_told.extend(told);
        match load.last_mut().filter(|last| last.resource == metrics.resource) {
            Some(last) => add_metrics(last, metrics),
            None => load.push(metrics),
        }
    }
    let load = |(resource_metrics, told)| Load {
        at,
        request: Request::Metrics(ExportMetricsServiceRequest { resource_metrics }),
        told,
    };
    loads.into_iter().map(load).collect()
}

fn add_metrics(to: &mut ResourceMetrics, from: ResourceMetrics) {
    let more = from.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
    if let Some(scope) = to.scope_metrics.last_mut() {
        scope.metrics.extend(more);
    }
}

/// Sends spans to one collector.
pub struct SpansTask {
    /// To it.
    pub sender: Sender,
    /// What waits for it.
    pub queue: Arc<Queue>,
    /// Where they are counted.
    pub metrics: Arc<Metrics>,
}

impl SpansTask {
    /// Until the end.
    pub async fn run(mut self, mut stop: Stop) {
        loop {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = self.gathered() => {}
            }
            // An attempt under way is not broken off: its collector may have taken it already.
            let Sent::Later(pause) = self.ship().await else { continue };
            tokio::select! {
                biased;
                () = stopped(&mut stop) => break,
                () = sleep(pause) => {}
            }
        }
        while !self.queue.is_empty() {
            if let Sent::Later(_) = self.ship().await {
                let left = self.queue.len();
                tracing::warn!("the spans of {left} requests do not get to {} any more", self.sender.name());
                return;
            }
        }
    }

    /// Waits for spans, and a little for more.
    async fn gathered(&self) {
        self.queue.filled().await;
        if self.queue.len() < BATCH.0 {
            sleep(GATHER).await;
        }
    }

    async fn ship(&mut self) -> Sent {
        let batch = self.queue.batch(BATCH.0, BATCH.1);
        let request = Request::Spans(ExportTraceServiceRequest { resource_spans: merged(&batch.items) });
        let sent = self.sender.attempt(&request).await;
        let rejected = match &sent {
            Sent::Later(_) => return sent,
            Sent::Arrived(accepted) => accepted.rejected,
            Sent::Never => u64::MAX,
        };
        let all = self.queue.done(&batch).iter().map(|item| queue::spans(item)).fold(0, u64::saturating_add);
        let rejected = rejected.min(all);
        for (fate, spans) in [("sent", all - rejected), ("rejected", rejected)] {
            if spans > 0 {
                self.metrics.spans_exported(self.sender.name(), fate, spans);
            }
        }
        sent
    }
}

/// One entry for each resource.
fn merged(items: &[Item]) -> Vec<ResourceSpans> {
    let mut merged: Vec<ResourceSpans> = Vec::new();
    for item in items {
        let same = merged.iter_mut().find(|other| other.resource == item.resource);
        match same.and_then(|other| other.scope_spans.last_mut()) {
            Some(scope) => scope.spans.extend(item.scope_spans.iter().flat_map(|scope| scope.spans.iter().cloned())),
            None => merged.push(ResourceSpans::clone(item)),
        }
    }
    merged
}

/// Nanoseconds since 1970.
pub fn unix_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
