//! Which server runs on which GPU. Pure: joins the processes on devices with the processes of servers.
//!
//! The GPU work of a server is done by children of the process that talks to clients, so a process on a device belongs
//! to the nearest server among itself and its ancestors. What a device does is credited to a server only where nobody
//! else is on it, or where the driver sampled each process; otherwise it is nobody's. Holds no metrics.

pub mod circumstance;
pub mod condition;
pub mod energy;
pub mod ledger;
#[cfg(test)]
mod tests;

use crate::event::Tgid;
use crate::host::gpu::view::{Device, GpuView, InstanceId, Pids, Process};
use crate::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Serves the processes of others on a device, and does no work of its own.
const MPS_SERVER: &str = "nvidia-cuda-mps";

/// A process of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its id.
    pub tgid: Tgid,
    /// The process at the top of its server.
    pub root: Tgid,
    /// Whose it is, as far as this process tells.
    pub owner: Owner,
    /// The model that it was started for, "" where that is not known.
    pub model: Arc<str>,
}

/// A server, by its labels. Several that have the same are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Its engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
}

/// Where a server runs: a device, or an instance of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The device's UUID.
    pub device: Arc<str>,
    /// The MIG instance's.
    pub instance: Option<Arc<str>>,
}

/// How sure a share of a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribution {
    /// Nobody else is there.
    Exclusive,
    /// The driver sampled each process.
    Sampled,
}

/// Who runs on a device or a GPU instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Tenancy {
    /// Nobody.
    Vacant,
    /// One server, and nobody else.
    Exclusive(Owner),
    /// Several; these are the servers' samples, and the sum over everybody's.
    Sampled {
        /// Percent of the device's time.
        servers: BTreeMap<Owner, f64>,
        /// The same of all.
        total: f64,
    },
    /// Several, or strangers, and nothing tells them apart.
    Shared,
}

/// What a view and the servers give together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    owners: BTreeMap<Tgid, Owner>,
    places: BTreeMap<Owner, BTreeSet<Place>>,
    models: BTreeMap<Owner, Arc<str>>,
}

impl Place {
    /// The UUID that names it.
    #[must_use]
    pub fn uuid(&self) -> &Arc<str> {
        self.instance.as_ref().unwrap_or(&self.device)
    }
}

impl Attribution {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Attribution::Exclusive => "exclusive",
            Attribution::Sampled => "sampled",
        }
    }
}

/// Joins a view with the servers that run now.
#[must_use]
pub fn join(view: &GpuView, servers: &[ServerProcess]) -> Joined {
    let mut joined = Joined::default();
    // Ids of another namespace would name the wrong processes.
    if view.pids == Pids::Foreign {
        return joined;
    }
    let is_root = |server: &&ServerProcess| server.tgid == server.root;
    let roots: BTreeMap<Tgid, &Owner> =
        servers.iter().filter(is_root).map(|server| (server.root, &server.owner)).collect();
    let mut owner_of: BTreeMap<Tgid, &Owner> = BTreeMap::new();
    for server in servers {
        // Where the process at the top is not seen, the others speak for themselves.
        let owner = roots.get(&server.root).copied().unwrap_or(&server.owner);
        owner_of.insert(server.tgid, owner);
        if !server.model.is_empty() {
            joined.models.entry(owner.clone()).or_insert_with(|| Arc::clone(&server.model));
        }
    }
    for device in &view.devices {
        for process in device.processes.iter().flatten() {
            let mut line = std::iter::once(&process.tgid).chain(process.ancestors.iter());
            let Some(owner) = line.find_map(|tgid| owner_of.get(tgid)) else { continue };
            joined.owners.insert(process.tgid, (*owner).clone());
            let place = Place { device: Arc::clone(&device.uuid), instance: instance_uuid(device, process) };
            joined.places.entry((*owner).clone()).or_default().insert(place);
        }
    }
    joined
}

fn instance_uuid(device: &Device, process: &Process) -> Option<Arc<str>> {
    device.instance(process.instance?).map(|instance| Arc::clone(&instance.uuid))
}

impl Joined {
    /// The server that a process on a device belongs to.
    #[must_use]
    pub fn owner(&self, tgid: Tgid) -> Option<&Owner> {
        self.owners.get(&tgid)
    }

    /// The model that a server was started for.
    #[must_use]
    pub fn model(&self, owner: &Owner) -> Option<&Arc<str>> {
        self.models.get(owner)
    }

    /// Where each server runs.
    #[must_use]
    pub fn places(&self) -> &BTreeMap<Owner, BTreeSet<Place>> {
        &self.places
    }

    /// Who runs on a device, all of its instances together.
    #[must_use]
    pub fn of_device(&self, device: &Device) -> Tenancy {
        self.tenancy(device, |_| true)
    }

    /// Who runs in a GPU instance of a device. Its compute instances share what is monitored of it.
    #[must_use]
    pub fn of_instance(&self, device: &Device, id: InstanceId) -> Tenancy {
        self.tenancy(device, |process| process.instance.is_some_and(|of| of.gpu == id.gpu))
    }

    fn tenancy(&self, device: &Device, is_there: impl Fn(&Process) -> bool) -> Tenancy {
        // Whoever is there cannot be known, and may not be alone.
        let Ok(processes) = &device.processes else { return Tenancy::Shared };
        let works = |process: &&Process| is_there(process) && !process.comm.starts_with(MPS_SERVER);
        let working: Vec<&Process> = processes.iter().filter(works).collect();
        let owners: BTreeSet<Option<&Owner>> = working.iter().map(|process| self.owner(process.tgid)).collect();
        let mut distinct = owners.into_iter();
        match (distinct.next(), distinct.next()) {
            (None, _) => return Tenancy::Vacant,
            (Some(Some(owner)), None) => return Tenancy::Exclusive(owner.clone()),
            _ => {}
        }
        let mut servers: BTreeMap<Owner, f64> = BTreeMap::new();
        let mut total = 0.0;
        for process in working {
            let Ok(sm) = process.sm else { return Tenancy::Shared };
            total += sm;
            if let Some(owner) = self.owner(process.tgid) {
                *servers.entry(owner.clone()).or_default() += sm;
            }
        }
        Tenancy::Sampled { servers, total }
    }
}
