//! What the service manager is told: that the agent is ready, what it watches, that it is alive, that it ends (sd_notify).
//!
//! It is alive when the pipeline has finished a turn, and the pipeline is who says so: no timer goes on when it hangs.
//! Without a service manager (no NOTIFY_SOCKET) nothing is said.

use sd_notify::NotifyState;
use std::time::{Duration, Instant};

/// A service manager, as far as there is one.
#[derive(Debug)]
pub struct Supervisor {
    /// Between two signs of life; absent where none are asked for.
    interval: Option<Duration>,
    next: Instant,
    status: String,
}

impl Supervisor {
    /// Asks the environment whether there is a watchdog.
    #[must_use]
    pub fn new() -> Supervisor {
        // Half of what is allowed, as sd_watchdog_enabled(3) says.
        let interval = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Supervisor { interval, next: Instant::now(), status: String::new() }
    }

    /// The kernel side runs, and /metrics is answered.
    pub fn ready(&mut self) {
        say(&[NotifyState::Ready]);
    }

    /// The pipeline has finished a turn.
    pub fn turned(&mut self) {
        let Some(interval) = self.interval else { return };
        let now = Instant::now();
        if now >= self.next {
            self.next = now + interval;
            say(&[NotifyState::Watchdog]);
        }
    }

    /// How many processes are watched, for `systemctl status`. Said when it changes.
    pub fn watches(&mut self, attached: usize, unsupported: usize) {
        let status = match unsupported {
            0 => format!("{attached} processes of inference servers attached"),
            _ => format!("{attached} processes of inference servers attached, {unsupported} cannot be seen"),
        };
        if status != self.status {
            say(&[NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// Probes are being taken off, which takes some seconds where there are many.
    pub fn stopping(&self) {
        say(&[NotifyState::Stopping]);
    }
}

impl Default for Supervisor {
    fn default() -> Supervisor {
        Supervisor::new()
    }
}

fn say(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
