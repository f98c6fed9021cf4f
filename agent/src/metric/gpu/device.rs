//! The families of devices and MIG instances.

use super::label::{About, ByErrorType, ByXid, Gpu, Holder, OfGpu, Slowed};
use super::{Number, Total, number, total};
use crate::host::allotment::Allotments;
use crate::host::gpu::Quantity;
use crate::host::gpu::quantity::Readings;
use crate::host::gpu::view::{Device, GpuView, Instance, SourceState};
use crate::metric::catalog::{self, Metric};
use crate::metric::family::{Book, Family};
use prometheus_client::metrics::gauge::Gauge;
use std::collections::BTreeMap;
use std::sync::Arc;

const GAUGES: [(Quantity, &Metric); 21] = [
    (Quantity::Utilization, &catalog::GPU_UTILIZATION),
    (Quantity::MemoryUsed, &catalog::GPU_MEMORY_USED),
    (Quantity::MemoryTotal, &catalog::GPU_MEMORY_TOTAL),
    (Quantity::MemoryFree, &catalog::GPU_MEMORY_FREE),
    (Quantity::MemoryBusy, &catalog::GPU_MEMORY_BUSY),
    (Quantity::Temperature, &catalog::GPU_TEMPERATURE),
    (Quantity::MemoryTemperature, &catalog::GPU_MEMORY_TEMPERATURE),
    (Quantity::Power, &catalog::GPU_POWER),
    (Quantity::PowerLimit, &catalog::GPU_POWER_LIMIT),
    (Quantity::SmClock, &catalog::GPU_SM_CLOCK),
    (Quantity::MemoryClock, &catalog::GPU_MEMORY_CLOCK),
    (Quantity::PcieTx, &catalog::GPU_PCIE_TX),
    (Quantity::PcieRx, &catalog::GPU_PCIE_RX),
    (Quantity::Encoder, &catalog::GPU_ENCODER),
    (Quantity::Decoder, &catalog::GPU_DECODER),
    (Quantity::Fan, &catalog::GPU_FAN),
    (Quantity::GraphicsActive, &catalog::GPU_GRAPHICS_ACTIVE),
    (Quantity::SmActive, &catalog::GPU_SM_ACTIVE),
    (Quantity::SmOccupancy, &catalog::GPU_SM_OCCUPANCY),
    (Quantity::TensorActive, &catalog::GPU_TENSOR_ACTIVE),
    (Quantity::DramActive, &catalog::GPU_DRAM_ACTIVE),
];
const COUNTERS: [(Quantity, &Metric); 5] = [
    (Quantity::Energy, &catalog::GPU_ENERGY),
    (Quantity::NvlinkTx, &catalog::GPU_NVLINK_TX),
    (Quantity::NvlinkRx, &catalog::GPU_NVLINK_RX),
    (Quantity::RetiredPages, &catalog::GPU_RETIRED_PAGES),
    (Quantity::RemappedRows, &catalog::GPU_REMAPPED_ROWS),
];
const ECC: [(Quantity, &str); 2] = [(Quantity::EccCorrected, "corrected"), (Quantity::EccUncorrected, "uncorrected")];

pub(super) struct Devices {
    info: Family<About, Gauge>,
    gauges: Vec<(Quantity, Family<OfGpu, Number>)>,
    counters: Vec<(Quantity, Family<OfGpu, Total>)>,
    memory_utilization: Family<OfGpu, Number>,
    throttle: Family<Slowed, Gauge>,
    xids: Family<ByXid, Total>,
    ecc: Family<ByErrorType, Total>,
}

impl Devices {
    pub fn new(book: &mut Book) -> Devices {
        Devices {
            info: book.add(&catalog::GPU_INFO, 1, Gauge::default),
            gauges: GAUGES.map(|(quantity, row)| (quantity, book.add(row, 1, Number::default))).into(),
            counters: COUNTERS.map(|(quantity, row)| (quantity, book.add(row, 1, Total::default))).into(),
            memory_utilization: book.add(&catalog::GPU_MEMORY_UTILIZATION, 1, Number::default),
            throttle: book.add(&catalog::GPU_THROTTLE, 1, Gauge::default),
            xids: book.add(&catalog::GPU_XID_ERRORS, 1, Total::default),
            ecc: book.add(&catalog::GPU_ECC_ERRORS, 1, Total::default),
        }
    }

    /// These devices are all there are.
    pub fn show(&self, view: &GpuView, allotments: &Allotments) {
        let parts: Vec<(OfGpu, &Readings)> = view.devices.iter().flat_map(|device| parts(device, allotments)).collect();
        for (quantity, family) in &self.gauges {
            family.replace(each(&parts, |readings| Some(number(readings.value(*quantity)?))));
        }
        for (quantity, family) in &self.counters {
            family.replace(each(&parts, |readings| Some(total(readings.value(*quantity)?))));
        }
        self.memory_utilization.replace(each(&parts, |readings| {
            let all = readings.value(Quantity::MemoryTotal).filter(|all| *all > 0.0)?;
            Some(number(readings.value(Quantity::MemoryUsed)? / all * 100.0))
        }));
        self.ecc.replace(ecc(&parts));
        let whole = || view.devices.iter().map(|device| (device, of(device, allotments)));
        self.info.replace(whole().map(|(device, gpu)| (about(view, device, gpu), one(true))).collect());
        self.throttle.replace(whole().flat_map(|(device, gpu)| slowed(device, &gpu)).collect());
        self.xids.replace(whole().flat_map(|(device, gpu)| xids(device, &gpu)).collect());
    }
}

/// A device and its instances, each with its labels.
fn parts<'d>(device: &'d Device, allotments: &Allotments) -> impl Iterator<Item = (OfGpu, &'d Readings)> {
    let whole = of(device, allotments);
    let part = {
        let whole = whole.clone();
        move |instance: &Instance| {
            let Instance { uuid, profile, id, .. } = instance;
            OfGpu(Arc::new(Gpu {
                mig_device: Arc::clone(uuid),
                mig_profile: Arc::clone(profile),
                gi: Some(id.gpu),
                ci: Some(id.compute),
                holder: Holder(allotments.of_instance(device, instance).cloned()),
                ..(*whole.0).clone()
            }))
        }
    };
    let instances = device.instances.iter().map(move |instance| (part(instance), &instance.readings));
    std::iter::once((whole, &device.readings)).chain(instances)
}

fn of(device: &Device, allotments: &Allotments) -> OfGpu {
    OfGpu(Arc::new(Gpu {
        device: Arc::clone(&device.index),
        name: Arc::clone(&device.name),
        uuid: Arc::clone(&device.uuid),
        vendor: device.vendor.name(),
        holder: Holder(allotments.of_device(device).cloned()),
        ..Gpu::default()
    }))
}

fn each<M>(parts: &[(OfGpu, &Readings)], read: impl Fn(&Readings) -> Option<M>) -> BTreeMap<OfGpu, M> {
    parts.iter().filter_map(|(gpu, readings)| Some((gpu.clone(), read(readings)?))).collect()
}

fn ecc(parts: &[(OfGpu, &Readings)]) -> BTreeMap<ByErrorType, Total> {
    let of_type = |(quantity, r#type): (Quantity, &'static str)| {
        let counted = move |(gpu, readings): &(OfGpu, &Readings)| {
            Some((ByErrorType { gpu: gpu.clone(), r#type }, total(readings.value(quantity)?)))
        };
        parts.iter().filter_map(counted)
    };
    ECC.into_iter().flat_map(of_type).collect()
}

fn about(view: &GpuView, device: &Device, gpu: OfGpu) -> About {
    let driver = view.sources.iter().find_map(|source| match &source.state {
        SourceState::Working { driver, .. } if source.name == device.source => driver.clone(),
        _ => None,
    });
    About { gpu, pci_bus_id: Arc::clone(&device.pci), driver_version: driver.unwrap_or_default() }
}

fn slowed(device: &Device, gpu: &OfGpu) -> Vec<(Slowed, Gauge)> {
    let told = device.throttle.iter().flatten();
    told.map(|(throttle, active)| (Slowed { gpu: gpu.clone(), reason: throttle.name() }, one(*active))).collect()
}

fn xids(device: &Device, gpu: &OfGpu) -> Vec<(ByXid, Total)> {
    let counted = device.xids.iter();
    counted.map(|(xid, times)| (ByXid { gpu: gpu.clone(), xid: *xid }, total(times.count as f64))).collect()
}

fn one(active: bool) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(i64::from(active));
    gauge
}
