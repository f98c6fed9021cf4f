//! /metrics, /healthz and /status over HTTP. Only answers; what it shows, others put into [`Exposed`].

mod format;
mod server;
#[cfg(test)]
mod tests;

pub use format::{Format, encode};
pub use server::{BindError, bind, serve};

use crate::metric::Metrics;
use crate::status::Status;
use std::sync::{Arc, Mutex, PoisonError};

/// What the server shows.
pub struct Exposed {
    metrics: Arc<Metrics>,
    status: Mutex<Status>,
    health: Mutex<Health>,
}

/// Whether the agent does its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Working,
    /// It does not, and this sentence says why.
    Failing(String),
}

impl Exposed {
    /// Shows these metrics, no status yet, and "starting" as health until told otherwise.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Exposed {
        let health = Health::Failing("The agent is starting.".to_owned());
        Exposed { metrics, status: Mutex::default(), health: Mutex::new(health) }
    }

    /// Replaces what /status says.
    pub fn set_status(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    /// Replaces what /healthz says.
    pub fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
