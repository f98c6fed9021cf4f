//! GPUs, the processes on them, and what of them belongs to servers and requests.
//!
//! Everything about devices is what the last view says: a device or process that is gone has no series. Fed by the thread
//! that reads the GPUs, never by the pipeline, which only leaves the requests that ended here.

mod dcgm;
mod device;
mod label;
mod server;
#[cfg(test)]
pub(super) mod tests;

use self::dcgm::Aliases;
use self::device::Devices;
use self::label::{Share, Tenant};
use self::server::OfServers;
pub(super) use self::server::Taken;
use super::catalog;
use super::family::{Book, Family};
use super::label::{Server, labelled, sanitised};
use super::sink::Metrics;
use crate::config;
use crate::correlate::circumstance::Circumstances;
use crate::correlate::{self, Attribution, Joined, Owner, ServerProcess, Tenancy};
use crate::event::Nanos;
use crate::host::allotment::Allotments;
use crate::host::gpu::Quantity;
use crate::host::gpu::view::{Device, GpuView, InstanceId, Process};
use crate::service::{Service, Workload};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) type Number = Gauge<f64, AtomicU64>;
pub(super) type Total = Counter<f64, AtomicU64>;

/// The families about GPUs.
pub(super) struct Gpus {
    devices: Devices,
    aliases: Option<Aliases>,
    memory: Family<Tenant, Number>,
    sm: Family<Share, Number>,
    pids: Pids,
    allotments: Mutex<Arc<Allotments>>,
    pub(super) servers: OfServers,
}

/// Whether processes have series of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pids {
    Shown,
    Hidden,
}

impl Gpus {
    pub fn new(book: &mut Book, config: &config::Gpu) -> Gpus {
        Gpus {
            devices: Devices::new(book),
            aliases: config.dcgm_names.then(|| Aliases::new(book)),
            memory: book.add(&catalog::GPU_PROCESS_MEMORY, 1, Number::default),
            sm: book.add(&catalog::GPU_PROCESS_SM, 1, Number::default),
            pids: if config.process_ids { Pids::Shown } else { Pids::Hidden },
            allotments: Mutex::default(),
            servers: OfServers::new(book),
        }
    }

    fn processes(&self, view: &GpuView, joined: &Joined, labels: &dyn Fn(&Owner) -> Server) {
        let (mut memory, mut shares) = (BTreeMap::new(), BTreeMap::new());
        for device in &view.devices {
            for process in device.processes.iter().flatten() {
                let tenant = self.tenant(device, process, joined, labels);
                if let Ok(bytes) = process.memory {
                    *memory.entry(tenant.clone()).or_default() += bytes as f64;
                }
                if let Ok(percent) = process.sm {
                    let share = Share { tenant, attribution: Attribution::Sampled.name() };
                    *shares.entry(share).or_default() += percent;
                }
            }
            self.alone(device, joined, labels, &mut shares);
        }
        self.memory.replace(memory.into_iter().map(|(tenant, bytes)| (tenant, number(bytes))).collect());
        self.sm.replace(shares.into_iter().map(|(share, percent)| (share, number(percent))).collect());
    }

    /// What is monitored of a device or an instance, and not sampled by process, is its only tenant's.
    fn alone(
        &self,
        device: &Device,
        joined: &Joined,
        labels: &dyn Fn(&Owner) -> Server,
        shares: &mut BTreeMap<Share, f64>,
    ) {
        for (instance, active) in monitored(device) {
            let tenancy = instance.map_or_else(|| joined.of_device(device), |id| joined.of_instance(device, id));
            let Tenancy::Exclusive(_) = tenancy else { continue };
            let there = device.processes.iter().flatten().filter(|process| process.instance == instance);
            let owned = there.filter(|process| joined.owner(process.tgid).is_some());
            let tenants: BTreeSet<Tenant> = owned.map(|process| self.tenant(device, process, joined, labels)).collect();
            // Of several processes with series of their own, each has a part that nobody knows.
            if tenants.len() != 1 {
                continue;
            }
            for tenant in tenants {
                shares.insert(Share { tenant, attribution: Attribution::Exclusive.name() }, active * 100.0);
            }
        }
    }

    fn tenant(&self, device: &Device, process: &Process, joined: &Joined, labels: &dyn Fn(&Owner) -> Server) -> Tenant {
        let instance = process.instance.and_then(|id| device.instance(id));
        let place = Tenant {
            uuid: Arc::clone(&device.uuid),
            mig_device: instance.map(|instance| Arc::clone(&instance.uuid)).unwrap_or_default(),
            pid: (self.pids == Pids::Shown).then_some(process.tgid.0),
            ..Tenant::default()
        };
        let Some(owner) = joined.owner(process.tgid) else { return place };
        let Server { engine, model, service, .. } = labels(owner);
        Tenant { engine, model, service, ..place }
    }
}

/// The activity of each instance that is not divided again, or of a whole device whose processes are not sampled.
fn monitored(device: &Device) -> Vec<(Option<InstanceId>, f64)> {
    let Device { instances, readings, processes, .. } = device;
    if instances.is_empty() {
        let sampled = processes.iter().flatten().any(|process| process.sm.is_ok());
        return readings
            .value(Quantity::SmActive)
            .filter(|_| !sampled)
            .map(|active| (None, active))
            .into_iter()
            .collect();
    }
    let parts = |gpu| instances.iter().filter(|other| other.id.gpu == gpu).count();
    let whole = instances.iter().filter(|instance| parts(instance.id.gpu) == 1);
    whole.filter_map(|instance| Some((Some(instance.id), instance.readings.value(Quantity::SmActive)?))).collect()
}

impl Metrics {
    /// The UUIDs of the devices and MIG instances that a server runs on.
    #[must_use]
    pub fn places(&self, engine: &'static str, service: &Service) -> Vec<String> {
        self.gpus.servers.places(engine, &labelled(service))
    }

    /// The containers that have a device of their own.
    pub(super) fn holders(&self) -> Vec<Arc<Workload>> {
        self.gpus.allotments.lock().unwrap_or_else(PoisonError::into_inner).holders().map(Arc::clone).collect()
    }

    /// This is how the kubelet gave devices to pods, from now on.
    pub fn allotted(&self, allotments: Arc<Allotments>) {
        *self.gpus.allotments.lock().unwrap_or_else(PoisonError::into_inner) = allotments;
    }

    /// How the GPUs of a server fared between two moments; none where it runs on none, or nobody looked since.
    #[must_use]
    pub fn circumstances(
        &self,
        engine: &'static str,
        service: &Service,
        from: Nanos,
        to: Nanos,
    ) -> Option<Circumstances> {
        self.gpus.servers.circumstances(engine, &labelled(service), from, to)
    }

    /// What is known of the GPUs now, and of the servers that may run on them. Called by the thread that reads them.
    pub fn gpus(&self, view: &GpuView, servers: &[ServerProcess]) {
        let servers: Vec<ServerProcess> = servers.iter().map(sanitise).collect();
        let joined = correlate::join(view, &servers);
        // With the model that metrics of its requests have: where its command line names none and its requests name
        // one only, that is it.
        let labels = |Owner { engine, service }: &Owner| {
            let owner = Owner { engine, service: service.clone() };
            let model = joined.model(&owner).cloned().or_else(|| self.only_model(engine, service));
            let gpu = self.gpus.servers.only_place(engine, service);
            Server { engine, model: model.unwrap_or_default(), service: service.clone(), gpu }
        };
        let allotments = Arc::clone(&self.gpus.allotments.lock().unwrap_or_else(PoisonError::into_inner));
        self.gpus.devices.show(view, &allotments);
        if let Some(aliases) = &self.gpus.aliases {
            aliases.show(view, &allotments);
        }
        self.gpus.processes(view, &joined, &labels);
        self.gpus.servers.show(view, &joined, &servers, &labels);
    }
}

/// As labels are.
fn sanitise(server: &ServerProcess) -> ServerProcess {
    let ServerProcess { tgid, root, owner: Owner { engine, service }, model } = server;
    let owner = Owner { engine, service: labelled(service) };
    ServerProcess { tgid: *tgid, root: *root, owner, model: sanitised(model) }
}

fn number(value: f64) -> Number {
    let number = Number::default();
    number.set(value);
    number
}

fn total(value: f64) -> Total {
    let total = Total::default();
    total.inc_by(value);
    total
}
