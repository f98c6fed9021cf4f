//! The processes on a device: NVML's three lists of them made one, with their share of the device's time.

use super::reading;
use crate::event::{Nanos, Tgid};
use crate::host::gpu::lineage::Lineages;
use crate::host::gpu::view::{Absence, InstanceId, Kind, Process, Reading};
use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use std::collections::{BTreeMap, BTreeSet};

/// The list that everything is in; the other two may be unsupported.
type Listing = Reading<Vec<(Kind, ProcessInfo)>>;

/// Remembers up to when samples of processes were read.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// In microseconds of the driver's clock; `None` before the first reading.
    seen: Option<u64>,
}

/// Whether a device is cut into instances.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut<'s, 'l> {
    /// It is whole: processes are sampled.
    Whole,
    /// It is cut into these.
    Into(&'s [(InstanceId, Device<'l>)]),
}

/// All processes on a device, each once for each instance that it runs in.
pub(super) fn read(
    device: &Device<'_>,
    cut: Cut<'_, '_>,
    samples: &mut Samples,
    lineages: &mut Lineages,
    now: Nanos,
) -> Reading<Vec<Process>> {
    let listed = match cut {
        Cut::Whole => listed(device)?,
        // The device tells of all its instances, but only to the privileged.
        Cut::Into(instances) => listed(device).or_else(|_| of_instances(instances))?,
    };
    let mut found: BTreeMap<(Tgid, Option<InstanceId>), Process> = BTreeMap::new();
    for (kind, info) in listed {
        let (tgid, instance) = (Tgid(info.pid), instance(&info));
        let process = found.entry((tgid, instance)).or_insert_with(|| {
            let (comm, ancestors) = lineages.of(tgid, now);
            let memory = Err(Absence::Unsupported);
            let sm = Err(Absence::WholeDeviceOnly);
            Process { tgid, kinds: BTreeSet::new(), instance, memory, sm, comm, ancestors }
        });
        process.kinds.insert(kind);
        // A process with two contexts is listed twice, each time with all that it holds.
        if let UsedGpuMemory::Used(bytes) = info.used_gpu_memory {
            process.memory = Ok(process.memory.clone().unwrap_or(0).max(bytes));
        }
    }
    if let Cut::Whole = cut {
        let shares = samples.read(device);
        for process in found.values_mut() {
            process.sm = shares.clone().map(|shares| shares.get(&process.tgid).copied().unwrap_or(0.0));
        }
    }
    Ok(found.into_values().collect())
}

fn listed(device: &Device<'_>) -> Listing {
    let mut all: Vec<_> = of(Kind::Compute, reading(device.running_compute_processes())?).collect();
    all.extend(of(Kind::Graphics, device.running_graphics_processes().unwrap_or_default()));
    all.extend(of(Kind::Mps, device.mps_running_compute_processes().unwrap_or_default()));
    Ok(all)
}

fn of_instances(instances: &[(InstanceId, Device<'_>)]) -> Listing {
    let mut all = Vec::new();
    for (id, device) in instances {
        let own = listed(device)?.into_iter().map(|(kind, info)| {
            let (gpu_instance_id, compute_instance_id) = (Some(id.gpu), Some(id.compute));
            (kind, ProcessInfo { gpu_instance_id, compute_instance_id, ..info })
        });
        all.extend(own);
    }
    Ok(all)
}

fn of(kind: Kind, list: Vec<ProcessInfo>) -> impl Iterator<Item = (Kind, ProcessInfo)> {
    list.into_iter().map(move |info| (kind, info))
}

fn instance(info: &ProcessInfo) -> Option<InstanceId> {
    Some(InstanceId { gpu: info.gpu_instance_id?, compute: info.compute_instance_id? })
}

impl Samples {
    /// Percent of the device's time since the last reading, of every process that had any. A process that is not there
    /// had none: the driver lists those only that had.
    fn read(&mut self, device: &Device<'_>) -> Reading<BTreeMap<Tgid, f64>> {
        let samples = match device.process_utilization_stats(self.seen.unwrap_or(0)) {
            Ok(samples) => samples,
            Err(NvmlError::NotFound) => Vec::new(),
            Err(error) => return reading(Err(error)),
        };
        let first = self.seen.is_none();
        let latest = samples.iter().map(|sample| sample.timestamp).max();
        self.seen = Some(latest.unwrap_or(0).max(self.seen.unwrap_or(0)));
        if first {
            // The driver's buffer may be minutes old.
            return Err(Absence::NotYet);
        }
        let mut sums: BTreeMap<Tgid, (f64, f64)> = BTreeMap::new();
        for sample in samples {
            let (sum, count) = sums.entry(Tgid(sample.pid)).or_default();
            *sum += f64::from(sample.sm_util);
            *count += 1.0;
        }
        Ok(sums.into_iter().map(|(tgid, (sum, count))| (tgid, sum / count)).collect())
    }
}
