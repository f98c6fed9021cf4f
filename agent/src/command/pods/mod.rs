//! Pods beside the running agent: what the threads that ask about them hear goes straight to the metrics, never through the
//! pipeline.

mod devices;
mod metadata;

use self::devices::Devices;
use self::metadata::Descriptions;
use crate::config::Config;
use crate::host::container::ContainerId;
use crate::metric::Metrics;
use crate::servers::ServerState;
use crate::status;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The threads, and what they have to say. They end when this is dropped.
pub(super) struct Pods {
    devices: Devices,
    descriptions: Descriptions,
    containers: BTreeSet<ContainerId>,
}

impl Pods {
    /// Starts them, as far as the configuration wants them.
    pub(super) fn start(config: &Config, metrics: &Arc<Metrics>) -> anyhow::Result<Pods> {
        let devices = Devices::start(config, Arc::clone(metrics))?;
        let descriptions = Descriptions::start(&config.pods.metadata, Arc::clone(metrics))?;
        Ok(Pods { devices, descriptions, containers: BTreeSet::new() })
    }

    /// A server in a container that was not there a moment ago may have a device, and its pod labels.
    pub(super) fn refresh(&mut self, known: &[ServerState]) {
        let containers: BTreeSet<_> =
            known.iter().filter_map(|server| server.identity.enclosed.container.clone()).collect();
        if !containers.is_subset(&self.containers) {
            self.devices.prompt();
            self.descriptions.prompt();
        }
        self.containers = containers;
        self.descriptions.refresh(known);
    }

    /// What is known by now.
    pub(super) fn status(&self) -> status::Pods {
        status::Pods { metadata: self.descriptions.status(), ..self.devices.status() }
    }
}
