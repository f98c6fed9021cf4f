//! How well the agent's gauges of the scheduler agree with vLLM's own while a load runs.
//!
//! Two pages cannot be read at the same instant, and vLLM sets its gauges only when its front end gets to the step's outputs:
//! on a busy machine that is several steps behind the engine, whose message the agent has already read. So the agent's page is
//! read all along, and vLLM's value is to be one that the agent has passed through since shortly before, or near it.

use inferscope::crosscheck::exposition::Exposition;
use inferscope::crosscheck::page;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Between two readings.
const PAUSE: Duration = Duration::from_millis(400);
/// How often the agent's page is read before vLLM's, and how long apart: as far as vLLM's front end may be behind.
const LOOKS: usize = 8;
const APART: Duration = Duration::from_millis(12);

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
    /// The agent's least and most, from shortly before until behind.
    least: f64,
    most: f64,
    server: f64,
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
        let mut pages: Vec<_> = (0..LOOKS)
            .map(|_| {
                thread::sleep(APART);
                exposition(agent)
            })
            .collect();
        let own = exposition(server);
        pages.push(exposition(agent));
        for (gauge, track) in GAUGES.iter().zip(&mut tracks) {
            let labels = [("source", "engine"), ("service", service)];
            let values: Vec<_> = pages.iter().filter_map(|page| page.sum(gauge.agent, &labels)).collect();
            let Some(server) = own.sum(gauge.server, &[]) else { continue };
            let (least, most) =
                values.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), &value| (l.min(value), m.max(value)));
            if !values.is_empty() {
                track.readings.push(Reading { least, most, server });
            }
        }
    }
    tracks
}

fn exposition(address: SocketAddr) -> Exposition {
    Exposition::parse(&page::read(address, "/metrics").expect("a page of metrics"))
}

impl Reading {
    /// How far the server's value is from all that the agent's may have been.
    fn distance(&self) -> f64 {
        (self.server - self.server.clamp(self.least, self.most)).abs()
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
