//! The cross-check of the running agent: a thread that reads both sides now and then, and keeps what it began with.
//!
//! What was under way at the first reading is counted by one side only, so counts stay apart by so much; means do not.

use super::Row;
use super::reading::{self, Places, Reading, Sides, Subject};
use crate::config::Config;
use crate::live;
use crate::metric::Metrics;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Between two readings.
const PAUSE: Duration = Duration::from_secs(15);

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    _stop: Sender<()>,
}

/// What the first readings were.
#[derive(Debug, Default)]
struct Beginnings {
    sides: BTreeMap<Subject, Sides>,
}

impl Watch {
    /// Starts it. `own` is where the agent's metrics are.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(config: &Config, own: SocketAddr, metrics: Arc<Metrics>) -> io::Result<Watch> {
        let mut discovery = live::discovery(config);
        let (stop, stopped) = mpsc::channel::<()>();
        let watch = move || {
            let mut beginnings = Beginnings::default();
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                discovery.turn(Instant::now());
                let (places, unreachable) = reading::places(discovery.servers());
                step(own, &places, unreachable, &mut beginnings, &metrics);
            }
        };
        thread::Builder::new().name("cross-check".to_owned()).spawn(watch)?;
        Ok(Watch { _stop: stop })
    }
}

fn step(own: SocketAddr, places: &Places, unreachable: Vec<String>, beginnings: &mut Beginnings, metrics: &Metrics) {
    let reading = reading::read(own, places);
    for problem in unreachable.iter().chain(&reading.problems) {
        tracing::debug!("not compared: {problem}");
    }
    let failures = unreachable.len().saturating_add(reading.problems.len());
    metrics.compared(beginnings.since(reading), failures);
}

impl Beginnings {
    /// The rows of what came behind the first reading of each subject.
    fn since(&mut self, reading: Reading) -> Vec<(Subject, Vec<Row>)> {
        let rows = |(subject, sides): (Subject, Sides)| {
            let beginning = self.sides.entry(subject.clone()).or_insert_with(|| sides.clone());
            if sides.began_anew(beginning) {
                *beginning = sides.clone();
            }
            (subject, sides.since(beginning).rows())
        };
        reading.sides.into_iter().map(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::crosscheck::exposition::Total;
    use crate::crosscheck::{Figures, Quantity};

    fn reading(agent: f64, server: f64) -> Reading {
        let figures = |count| Figures::of([(Quantity::GeneratedTokens, Total::counted(count))]);
        let subject = Subject { engine: "vllm", service: "s".into(), model: "m".into() };
        let sides = Sides { agent: figures(agent), server: figures(server) };
        Reading { sides: BTreeMap::from([(subject, sides)]), problems: Vec::new() }
    }

    #[test]
    fn what_was_before_the_first_reading_is_nobodys_difference() {
        let mut beginnings = Beginnings::default();
        let mut difference = |agent, server| beginnings.since(reading(agent, server))[0].1[0].difference().unwrap();
        assert_eq!(difference(10.0, 500.0), 0.0);
        assert_eq!(difference(20.0, 511.0), -1.0);
        assert_eq!(difference(20.0, 5.0), 0.0, "the server was restarted");
        assert_eq!(difference(27.0, 10.0), 2.0);
    }
}
