//! Which pod's container a GPU or MIG instance was given to, as the kubelet says. Pure: [`kubelet`] asks.
//!
//! A device that several containers have (time slicing, MPS) is nobody's here. Devices that are given by dynamic resource
//! allocation go by names that only the API server can turn into devices, so they are nobody's, too.

pub mod kubelet;
#[cfg(test)]
mod tests;

use super::gpu::view::{Device, Instance};
use crate::service::{Pod, Workload};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// The containers that have devices, by the device plugins' names of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allotments {
    by_name: BTreeMap<String, Holder>,
}

/// Who has a device.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holder {
    One(Arc<Workload>),
    Several,
}

impl Allotments {
    /// What the kubelet's answer says.
    #[must_use]
    pub fn of(list: &kubelet::List) -> Allotments {
        let mut allotments = Allotments::default();
        for pod in &list.pods {
            for container in pod.containers.iter().filter(|container| !container.devices.is_empty()) {
                let (namespace, name) = (pod.namespace.as_str().into(), pod.name.as_str().into());
                let pod = Pod { namespace, name, container: container.name.as_str().into() };
                let workload = Arc::new(Workload::Pod(pod));
                for id in container.devices.iter().flat_map(|devices| &devices.ids) {
                    allotments.add(device(id), &workload);
                }
            }
        }
        allotments
    }

    fn add(&mut self, device: &str, workload: &Arc<Workload>) {
        match self.by_name.entry(device.to_owned()) {
            Entry::Vacant(entry) => drop(entry.insert(Holder::One(Arc::clone(workload)))),
            Entry::Occupied(mut entry) => {
                if *entry.get() != Holder::One(Arc::clone(workload)) {
                    entry.insert(Holder::Several);
                }
            }
        }
    }

    /// How many devices were given to containers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether no device was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The containers that have a device, or a part of one, alone.
    pub fn holders(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.by_name.values().filter_map(|holder| match holder {
            Holder::One(workload) => Some(workload),
            Holder::Several => None,
        })
    }

    /// The only container that has a whole device. Plugins name it by its UUID, GKE's by its number, AMD's by its place on
    /// the bus.
    #[must_use]
    pub fn of_device(&self, device: &Device) -> Option<&Arc<Workload>> {
        self.only([&*device.uuid, &format!("nvidia{}", device.index), &*device.pci])
    }

    /// The only container that has a MIG instance. Plugins name it by its UUID, those before drivers of 2021 by its place in
    /// its device, GKE's by numbers.
    #[must_use]
    pub fn of_instance(&self, device: &Device, instance: &Instance) -> Option<&Arc<Workload>> {
        let (gpu, compute) = (instance.id.gpu, instance.id.compute);
        let old = format!("MIG-{}/{gpu}/{compute}", device.uuid);
        self.only([&*instance.uuid, &old, &format!("nvidia{}/gi{gpu}", device.index)])
    }

    fn only(&self, names: [&str; 3]) -> Option<&Arc<Workload>> {
        match names.iter().find_map(|name| self.by_name.get(*name))? {
            Holder::One(workload) => Some(workload),
            Holder::Several => None,
        }
    }
}

/// The device of a share of it: `GPU-…::3`, or `nvidia0/vgpu3` on GKE.
fn device(id: &str) -> &str {
    let whole = id.split("::").next().unwrap_or(id);
    whole.split("/vgpu").next().unwrap_or(whole)
}
