//! Pods' devices beside the running agent: what their thread hears goes straight to the metrics, never through the pipeline.

use crate::config::Config;
use crate::host::allotment::Allotments;
use crate::host::allotment::kubelet::Refusal;
use crate::host::allotment::watch::{Turn, Watch};
use crate::host::container::ContainerId;
use crate::issue::Issue;
use crate::metric::Metrics;
use crate::servers::ServerState;
use crate::status;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The thread, and what it has to say. It ends when this is dropped.
pub(super) struct Pods {
    watch: Option<Watch>,
    seen: Arc<Mutex<status::Pods>>,
    containers: BTreeSet<ContainerId>,
}

impl Pods {
    /// Starts it, unless the configuration says no.
    pub(super) fn start(config: &Config, metrics: Arc<Metrics>) -> io::Result<Pods> {
        let seen = Arc::new(Mutex::new(status::Pods::default()));
        let socket = PathBuf::from(&config.pods.resources);
        if socket.as_os_str().is_empty() {
            return Ok(Pods { watch: None, seen, containers: BTreeSet::new() });
        }
        let told = Arc::clone(&seen);
        let interval = Duration::from_secs(u64::from(config.pods.resources_seconds));
        let watch = Watch::start(socket, interval, move |turn| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let now = take(turn, &metrics, told.devices);
            say(&told, &now);
            *told = now;
        })?;
        Ok(Pods { watch: Some(watch), seen, containers: BTreeSet::new() })
    }

    /// A server in a container that was not there a moment ago may have a device.
    pub(super) fn refresh(&mut self, known: &[ServerState]) {
        let containers: BTreeSet<_> =
            known.iter().filter_map(|server| server.identity.enclosed.container.clone()).collect();
        if let Some(watch) = self.watch.as_ref().filter(|_| !containers.is_subset(&self.containers)) {
            watch.prompt();
        }
        self.containers = containers;
    }

    /// What is known by now.
    pub(super) fn status(&self) -> status::Pods {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn take(turn: Turn, metrics: &Metrics, devices: usize) -> status::Pods {
    let (refusal, devices) = match turn {
        Turn::Known(allotments) => {
            let devices = allotments.len();
            metrics.allotted(Arc::new(allotments));
            return status::Pods { resources: "working", problem: None, devices };
        }
        Turn::Silent(refusal) => (refusal, devices),
        Turn::Unknown(refusal) => {
            metrics.allotted(Arc::new(Allotments::default()));
            (refusal, 0)
        }
    };
    let resources = match &refusal {
        Refusal::NoSocket(_) => "absent",
        Refusal::Failed(_) => {
            metrics.issue(Issue::PodResourcesUnread);
            "failing"
        }
    };
    status::Pods { resources, problem: Some(refusal.to_string()), devices }
}

/// Says what is new.
fn say(before: &status::Pods, now: &status::Pods) {
    if (before.resources, &before.problem) == (now.resources, &now.problem) {
        return;
    }
    match &now.problem {
        None => tracing::info!(devices = now.devices, "the kubelet tells which pods have which devices"),
        Some(problem) if now.resources == "failing" => tracing::warn!("devices have no pods: {problem}"),
        Some(problem) => tracing::debug!("devices have no pods: {problem}"),
    }
}
