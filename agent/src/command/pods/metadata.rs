//! Labels and owners of servers' pods.

use crate::config;
use crate::export::otlp::environment;
use crate::host::inquiry::{Inquiry, Rhythm, Turn};
use crate::host::metadata::Metadata;
use crate::host::metadata::source::{Refusal, Source};
use crate::issue::Issue;
use crate::metric::Metrics;
use crate::servers::ServerState;
use crate::service::Workload;
use crate::status;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What was said of a pod holds until something else is said: its owner never changes, its labels seldom, and a pod that is
/// gone has no servers.
const BELIEF: Duration = Duration::MAX;

/// The thread that asks, and what it has to say.
pub(super) struct Descriptions {
    inquiry: Option<Inquiry>,
    metrics: Arc<Metrics>,
    seen: Arc<Mutex<status::Metadata>>,
}

impl Descriptions {
    /// Starts it, where the configuration names somebody to ask.
    pub(super) fn start(config: &config::Metadata, metrics: Arc<Metrics>) -> anyhow::Result<Descriptions> {
        let seen = Arc::new(Mutex::new(status::Metadata::default()));
        let Some(source) = Source::new(config, environment::process)? else {
            return Ok(Descriptions { inquiry: None, metrics, seen });
        };
        *seen.lock().unwrap_or_else(PoisonError::into_inner) =
            status::Metadata { state: "pending", ..status::Metadata::default() };
        let (told, sink) = (Arc::clone(&seen), Arc::clone(&metrics));
        let interval = Duration::from_secs(u64::from(config.interval_seconds));
        let rhythm = Rhythm { interval, belief: BELIEF };
        let inquiry = Inquiry::start("metadata", source, rhythm, move |turn| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let now = take(turn, &sink, told.pods);
            say(&told, &now);
            *told = now;
        })?;
        Ok(Descriptions { inquiry: Some(inquiry), metrics, seen })
    }

    /// A container is new.
    pub(super) fn prompt(&self) {
        self.inquiry.iter().for_each(Inquiry::prompt);
    }

    /// These servers are there now.
    pub(super) fn refresh(&self, known: &[ServerState]) {
        if self.inquiry.is_none() {
            return;
        }
        let pod = |server: &ServerState| match server.service.workload.as_deref()? {
            Workload::Pod(pod) => Some((pod.clone(), server.identity.enclosed.pod.clone())),
            Workload::Container(_) => None,
        };
        self.metrics.pods(&known.iter().filter_map(pod).collect::<Vec<_>>());
    }

    /// What is known by now.
    pub(super) fn status(&self) -> status::Metadata {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn take(turn: Turn<Metadata, Refusal>, metrics: &Metrics, pods: usize) -> status::Metadata {
    match turn {
        Turn::Known(metadata) => {
            let pods = metadata.len();
            metrics.described(Arc::new(metadata));
            status::Metadata { state: "working", problem: None, pods }
        }
        Turn::Silent(refusal) | Turn::Unknown(refusal) => {
            metrics.issue(Issue::PodMetadataUnread);
            status::Metadata { state: "failing", problem: Some(refusal.to_string()), pods }
        }
    }
}

/// Says what is new.
fn say(before: &status::Metadata, now: &status::Metadata) {
    if (before.state, &before.problem) == (now.state, &now.problem) {
        return;
    }
    match &now.problem {
        None => tracing::info!(pods = now.pods, "labels and owners of pods are known"),
        Some(problem) => tracing::warn!("labels and owners of pods are not told: {problem}"),
    }
}
