//! How well the agent's gauges of the scheduler agree with vLLM's own while a load runs.
//!
//! Two pages cannot be read at the same instant: the agent's is read before and behind vLLM's, and vLLM's value is to be one
//! that the agent has passed through, or near it.

use inferscope::crosscheck::exposition::Exposition;
use inferscope::crosscheck::page;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two readings.
const PAUSE: Duration = Duration::from_millis(500);

/// The same gauge of both sides.
pub struct Gauge {
    /// The agent's name for it.
    pub agent: &'static str,
    /// vLLM's.
    pub server: &'static str,
}

/// What is read.
pub const GAUGES: [Gauge; 2] = [
    Gauge { agent: "llm_requests_running", server: "vllm:num_requests_running" },
    Gauge { agent: "llm_queue_depth", server: "vllm:num_requests_waiting" },
];

/// One gauge at one time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    before: f64,
    server: f64,
    behind: f64,
}

/// All readings of one gauge.
pub struct Track {
    name: &'static str,
    readings: Vec<Reading>,
}

/// Reads while `load` runs; `service` is what the agent calls the server.
pub fn during<T>(agent: SocketAddr, server: SocketAddr, service: &str, load: impl FnOnce() -> T) -> (T, Vec<Track>) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| watch(agent, server, service, &over));
        let result = load();
        over.store(true, Ordering::Relaxed);
        (result, watch.join().expect("the pages are read"))
    })
}

fn watch(agent: SocketAddr, server: SocketAddr, service: &str, over: &AtomicBool) -> Vec<Track> {
    let mut tracks: Vec<_> = GAUGES.iter().map(|gauge| Track { name: gauge.agent, readings: Vec::new() }).collect();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(PAUSE);
        let [before, own, behind] = [agent, server, agent]
            .map(|address| Exposition::parse(&page::read(address, "/metrics").expect("a page of metrics")));
        for (gauge, track) in GAUGES.iter().zip(&mut tracks) {
            let agents = |page: &Exposition| page.sum(gauge.agent, &[("source", "engine"), ("service", service)]);
            let values = (agents(&before), own.sum(gauge.server, &[]), agents(&behind));
            if let (Some(before), Some(server), Some(behind)) = values {
                track.readings.push(Reading { before, server, behind });
            }
        }
    }
    tracks
}

impl Reading {
    /// How far the server's value is from all that the agent's may have been.
    fn distance(&self) -> f64 {
        let (least, most) = (self.before.min(self.behind), self.before.max(self.behind));
        (self.server - self.server.clamp(least, most)).abs()
    }
}

impl Track {
    /// How many readings.
    pub fn len(&self) -> usize {
        self.readings.len()
    }

    /// Share of the readings that are no further away than `bound`.
    #[allow(clippy::cast_precision_loss)]
    pub fn within(&self, bound: f64) -> f64 {
        let within = self.readings.iter().filter(|reading| reading.distance() <= bound).count();
        within as f64 / self.readings.len().max(1) as f64
    }

    fn largest(&self) -> f64 {
        self.readings.iter().map(Reading::distance).fold(0.0, f64::max)
    }
}

impl fmt::Display for Track {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (equal, near, largest) = (self.within(0.0) * 100.0, self.within(1.0) * 100.0, self.largest());
        let highest = self.readings.iter().map(|reading| reading.server).fold(0.0, f64::max);
        write!(
            to,
            "{}: {} scrapes, equal {equal:.1} %, within 1 {near:.1} %, largest distance {largest}, highest value {highest}",
            self.name,
            self.len()
        )
    }
}
