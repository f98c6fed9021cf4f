//! The same figures under the names, units and labels of NVIDIA's DCGM exporter, for dashboards and rules made for it.
//!
//! All of them are gauges, DCGM's counters too: a counter's name would have to end in `_total` here, and DCGM's do not.
//! `rate` and `increase` work on them alike.

use super::{Number, number};
use crate::host::allotment::Allotments;
use crate::host::gpu::Quantity;
use crate::host::gpu::quantity::Readings;
use crate::host::gpu::view::{Device, GpuView, Vendor};
use crate::metric::catalog;
use crate::metric::family::{Book, Family};
use crate::service::{Pod, Workload};
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// From a quantity's own unit.
type Scale = fn(f64) -> f64;

const SAME: Scale = |value| value;
/// Bytes in MiB.
const MEBI: Scale = |bytes| bytes / 1_048_576.0;
/// Hertz in MHz.
const MEGA: Scale = |hertz| hertz / 1e6;
/// Joules in mJ.
const MILLI: Scale = |joules| joules * 1e3;
/// Bytes in the driver's KB, which are of 1024.
const KIBI: Scale = |bytes| bytes / 1024.0;

const ROWS: [(&catalog::Metric, Quantity, Scale); 20] = [
    (&catalog::DCGM_GPU_UTIL, Quantity::Utilization, SAME),
    (&catalog::DCGM_MEM_COPY_UTIL, Quantity::MemoryBusy, SAME),
    (&catalog::DCGM_FB_USED, Quantity::MemoryUsed, MEBI),
    (&catalog::DCGM_FB_FREE, Quantity::MemoryFree, MEBI),
    (&catalog::DCGM_FB_TOTAL, Quantity::MemoryTotal, MEBI),
    (&catalog::DCGM_GPU_TEMP, Quantity::Temperature, SAME),
    (&catalog::DCGM_MEMORY_TEMP, Quantity::MemoryTemperature, SAME),
    (&catalog::DCGM_POWER_USAGE, Quantity::Power, SAME),
    (&catalog::DCGM_ENERGY, Quantity::Energy, MILLI),
    (&catalog::DCGM_SM_CLOCK, Quantity::SmClock, MEGA),
    (&catalog::DCGM_MEM_CLOCK, Quantity::MemoryClock, MEGA),
    (&catalog::DCGM_PCIE_TX, Quantity::PcieTx, KIBI),
    (&catalog::DCGM_PCIE_RX, Quantity::PcieRx, KIBI),
    (&catalog::DCGM_ECC_SBE, Quantity::EccCorrected, SAME),
    (&catalog::DCGM_ECC_DBE, Quantity::EccUncorrected, SAME),
    (&catalog::DCGM_GR_ENGINE_ACTIVE, Quantity::GraphicsActive, SAME),
    (&catalog::DCGM_SM_ACTIVE, Quantity::SmActive, SAME),
    (&catalog::DCGM_SM_OCCUPANCY, Quantity::SmOccupancy, SAME),
    (&catalog::DCGM_PIPE_TENSOR_ACTIVE, Quantity::TensorActive, SAME),
    (&catalog::DCGM_DRAM_ACTIVE, Quantity::DramActive, SAME),
];

/// DCGM's labels of a device or an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entity {
    gpu: Arc<str>,
    uuid: Arc<str>,
    device: String,
    model: Arc<str>,
    host: Arc<str>,
    instance: Option<u32>,
    profile: Arc<str>,
    holder: Option<Arc<Workload>>,
}

pub(super) struct Aliases {
    families: Vec<(Quantity, Scale, Family<Entity, Number>)>,
    nvlink: Family<Entity, Number>,
    xid: Family<Entity, Number>,
    host: Arc<str>,
}

impl EncodeLabelSet for Entity {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        let Entity { gpu, uuid, device, model, host, instance, profile, holder } = self;
        ("gpu", &**gpu).encode(encoder.encode_label())?;
        ("UUID", &**uuid).encode(encoder.encode_label())?;
        ("device", device.as_str()).encode(encoder.encode_label())?;
        ("modelName", &**model).encode(encoder.encode_label())?;
        ("Hostname", &**host).encode(encoder.encode_label())?;
        ("GPU_I_ID", *instance).encode(encoder.encode_label())?;
        ("GPU_I_PROFILE", &**profile).encode(encoder.encode_label())?;
        let Some(Workload::Pod(Pod { namespace, name, container })) = holder.as_deref() else { return Ok(()) };
        ("namespace", &**namespace).encode(encoder.encode_label())?;
        ("pod", &**name).encode(encoder.encode_label())?;
        ("container", &**container).encode(encoder.encode_label())
    }
}

impl Aliases {
    pub fn new(book: &mut Book) -> Aliases {
        let add = |(row, quantity, scale)| (quantity, scale, book.add(row, 1, Number::default));
        Aliases {
            families: ROWS.map(add).into(),
            nvlink: book.add(&catalog::DCGM_NVLINK, 1, Number::default),
            xid: book.add(&catalog::DCGM_XID_ERRORS, 1, Number::default),
            host: host().into(),
        }
    }

    /// These devices are all there are.
    pub fn show(&self, view: &GpuView, allotments: &Allotments) {
        let devices = || view.devices.iter().filter(|device| device.vendor == Vendor::Nvidia);
        let parts: Vec<_> = devices().flat_map(|device| self.parts(device, allotments)).collect();
        for (quantity, scale, family) in &self.families {
            family.replace(each(&parts, |readings| readings.value(*quantity).map(scale)));
        }
        self.nvlink.replace(each(&parts, |readings| {
            Some(MEBI(readings.value(Quantity::NvlinkTx)? + readings.value(Quantity::NvlinkRx)?))
        }));
        let last =
            |device: &Device| device.xids.iter().max_by_key(|(_, xid)| xid.last).map(|(number, _)| *number as f64);
        let xids = devices().filter_map(|device| Some((self.entity(device, allotments), number(last(device)?))));
        self.xid.replace(xids.collect());
    }

    fn parts<'d>(&self, device: &'d Device, allotments: &Allotments) -> Vec<(Entity, &'d Readings)> {
        let whole = self.entity(device, allotments);
        let instances = device.instances.iter().map(|instance| {
            let (profile, instance_id) = (Arc::clone(&instance.profile), Some(instance.id.gpu));
            let holder = allotments.of_instance(device, instance).cloned();
            (Entity { profile, instance: instance_id, holder, ..whole.clone() }, &instance.readings)
        });
        let mut parts: Vec<_> = instances.collect();
        parts.push((whole, &device.readings));
        parts
    }

    fn entity(&self, device: &Device, allotments: &Allotments) -> Entity {
        Entity {
            gpu: Arc::clone(&device.index),
            uuid: Arc::clone(&device.uuid),
            device: format!("nvidia{}", device.index),
            model: Arc::clone(&device.name),
            host: Arc::clone(&self.host),
            holder: allotments.of_device(device).cloned(),
            ..Entity::default()
        }
    }
}

fn each(parts: &[(Entity, &Readings)], read: impl Fn(&Readings) -> Option<f64>) -> BTreeMap<Entity, Number> {
    parts.iter().filter_map(|(entity, readings)| Some((entity.clone(), number(read(readings)?)))).collect()
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
