//! Sends, counts how it went, says so in the log now and then, and knows when to try again.

use super::client::answer::{Accepted, Again, Refused};
use super::client::{Client, Request};
use crate::https::short;
use crate::metric::Metrics;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Before the second attempt; each further one waits twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest wait that is our own choice.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Between two log lines about the same collector.
const SILENCE: Duration = Duration::from_secs(60);

/// What is sent: label value `exporter`, and a word for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// Metrics.
    Metrics,
    /// Spans.
    Spans,
}

/// Sends one kind of cargo to one collector.
pub struct Sender {
    client: Arc<Client>,
    cargo: Cargo,
    metrics: Arc<Metrics>,
    pause: Pause,
    voice: Voice,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It arrived.
    Arrived(Accepted),
    /// It did not; try again after so long.
    Later(Duration),
    /// It did not, and never will.
    Never,
}

impl Cargo {
    const fn label(self) -> &'static str {
        match self {
            Cargo::Metrics => "otlp_metrics",
            Cargo::Spans => "otlp_spans",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Cargo::Metrics => "metrics",
            Cargo::Spans => "spans",
        }
    }
}

impl Sender {
    /// To `client`; its own pauses are at most as long as `interval`, so that work resumes within one.
    pub fn new(client: Arc<Client>, cargo: Cargo, metrics: Arc<Metrics>, interval: Duration) -> Sender {
        let voice = Voice { name: Arc::clone(&client.name), cargo, failing: None, said: None };
        // What is added for chance must not lead beyond it.
        let most = interval.min(LONGEST_PAUSE) / 11 * 10;
        Sender { client, cargo, metrics, pause: Pause::new(most), voice }
    }

    /// Its name in metrics.
    pub fn name(&self) -> &Arc<str> {
        &self.client.name
    }

    /// One attempt.
    pub async fn attempt(&mut self, request: &Request) -> Sent {
        match self.client.send(request).await {
            Ok(accepted) => {
                let partial = accepted.rejected > 0 || !accepted.message.is_empty();
                self.count(if partial { "partial" } else { "ok" });
                self.voice.arrived(&accepted);
                self.pause.reset();
                Sent::Arrived(accepted)
            }
            Err(Refused { kind, again, why }) => {
                self.count(kind.name());
                self.voice.refused(&why);
                self.pause.after(again).map_or(Sent::Never, Sent::Later)
            }
        }
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.exported(self.cargo.label(), &self.client.name, outcome);
    }
}

/// How long to wait before the next attempt.
#[derive(Clone, Copy, Debug)]
struct Pause {
    next: Duration,
    most: Duration,
}

impl Pause {
    fn new(most: Duration) -> Pause {
        Pause { next: FIRST_PAUSE.min(most), most }
    }

    fn reset(&mut self) {
        *self = Pause::new(self.most);
    }

    fn after(&mut self, again: Again) -> Option<Duration> {
        let own = self.next;
        self.next = own.saturating_mul(2).min(self.most);
        match again {
            Again::Later => Some(jittered(own)),
            Again::After(asked) => Some(jittered(own.max(asked))),
            Again::Never => None,
        }
    }
}

/// Up to a tenth longer: the agents of many hosts must not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let thousandth = u32::try_from(RandomState::new().hash_one(()) % 100).unwrap_or(0);
    pause.saturating_add(pause / 1000 * thousandth)
}

/// Log lines: the first refusal, then one a minute, and that it is over.
struct Voice {
    name: Arc<str>,
    cargo: Cargo,
    failing: Option<Instant>,
    said: Option<Instant>,
}

impl Voice {
    fn refused(&mut self, why: &str) {
        let now = Instant::now();
        self.failing.get_or_insert(now);
        if self.speaks(now) {
            let (name, what) = (&self.name, self.cargo.word());
            tracing::warn!("{what} do not get to {name}: {why} (counted; said once a minute)");
        }
    }

    fn arrived(&mut self, accepted: &Accepted) {
        let (name, what) = (Arc::clone(&self.name), self.cargo.word());
        if let Some(since) = self.failing.take() {
            tracing::info!("{what} get to {name} again, after {:.0} s", since.elapsed().as_secs_f64());
            self.said = None;
        }
        let Accepted { rejected, message } = accepted;
        if (*rejected > 0 || !message.is_empty()) && self.speaks(Instant::now()) {
            let message = short(message);
            tracing::warn!("{name} rejected {rejected} of its {what}: {message:?} (counted; said once a minute)");
        }
    }

    fn speaks(&mut self, now: Instant) -> bool {
        let silent = self.said.is_some_and(|said| now.duration_since(said) < SILENCE);
        if !silent {
            self.said = Some(now);
        }
        !silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit_and_begin_anew() {
        let mut pause = Pause::new(Duration::from_secs(5));
        let mut seconds = |again| pause.after(again).map(|pause| pause.as_secs());
        assert_eq!([seconds(Again::Later), seconds(Again::Later), seconds(Again::Later)], [Some(1), Some(2), Some(4)]);
        assert_eq!([seconds(Again::Later), seconds(Again::Never)], [Some(5), None]);
        let asked = seconds(Again::After(Duration::from_secs(120)));
        assert!(asked.is_some_and(|asked| (120..132).contains(&asked)), "{asked:?}");
        pause.reset();
        assert_eq!(pause.after(Again::Later).map(|pause| pause.as_secs()), Some(1));
        assert!(Pause::new(Duration::from_millis(10)).after(Again::Later) < Some(Duration::from_millis(20)));
    }
}
