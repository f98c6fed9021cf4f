//! The agent's own log: to standard error, with a filter that can change while it runs. Prompt text never gets here,
//! because decoders keep none.

use std::io::IsTerminal;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

/// The running log.
pub struct Log(Handle<EnvFilter, Registry>);

impl Log {
    /// Starts logging. The filter has been checked by the configuration.
    #[must_use]
    pub fn start(filter: &str) -> Log {
        let (filter, handle) = reload::Layer::new(EnvFilter::new(filter));
        let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
        // Fails where a log runs already (tests): that one goes on.
        let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
        Log(handle)
    }

    /// Replaces the filter.
    pub fn set(&self, filter: &str) {
        let _ = self.0.reload(EnvFilter::new(filter));
    }
}
