//! Which pods have which devices.

use crate::config::Config;
use crate::host::allotment::Allotments;
use crate::host::allotment::kubelet::{Kubelet, Refusal};
use crate::host::inquiry::{Inquiry, Rhythm, Turn};
use crate::issue::Issue;
use crate::metric::Metrics;
use crate::status;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the kubelet said is believed for so long after it fell silent: a restart takes it seconds, and pods outlive it.
const BELIEF: Duration = Duration::from_secs(60);

/// The thread that asks, and what it has to say.
pub(super) struct Devices {
    inquiry: Option<Inquiry>,
    seen: Arc<Mutex<status::Pods>>,
}

impl Devices {
    /// Starts it, unless the configuration says no.
    pub(super) fn start(config: &Config, metrics: Arc<Metrics>) -> io::Result<Devices> {
        let seen = Arc::new(Mutex::new(status::Pods::default()));
        let socket = PathBuf::from(&config.pods.resources);
        if socket.as_os_str().is_empty() {
            return Ok(Devices { inquiry: None, seen });
        }
        let told = Arc::clone(&seen);
        let interval = Duration::from_secs(u64::from(config.pods.resources_seconds));
        let inquiry = Inquiry::start("pods", Kubelet(socket), Rhythm { interval, belief: BELIEF }, move |turn| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            let now = take(turn, &metrics, told.devices);
            say(&told, &now);
            *told = now;
        })?;
        Ok(Devices { inquiry: Some(inquiry), seen })
    }

    /// A container is new.
    pub(super) fn prompt(&self) {
        self.inquiry.iter().for_each(Inquiry::prompt);
    }

    /// What is known by now.
    pub(super) fn status(&self) -> status::Pods {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn take(turn: Turn<Allotments, Refusal>, metrics: &Metrics, devices: usize) -> status::Pods {
    let (refusal, devices) = match turn {
        Turn::Known(allotments) => {
            let devices = allotments.len();
            metrics.allotted(Arc::new(allotments));
            return status::Pods { resources: "working", devices, ..status::Pods::default() };
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
    status::Pods { resources, problem: Some(refusal.to_string()), devices, ..status::Pods::default() }
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
