//! One device: its handles, and its readings in their groups.

use super::gpm::{self, Monitor};
use super::library::Library;
use super::processes::{self, Cut, Samples};
use super::raw::{ALL_LINKS, Field};
use super::{Memory, reading};
use crate::event::Nanos;
use crate::host::gpu::quantity::{Quantity, Readings};
use crate::host::gpu::view::{self, Absence, Instance, InstanceId, Reading, Throttle, Vendor};
use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::UtilizationInfo;
use std::collections::BTreeMap;

/// NVML_FI_DEV_MEMORY_TEMP, …NVLINK_THROUGHPUT_DATA_TX and …_RX (in KiB).
const TELEMETRY: [Field; 3] =
    [Field { id: 82, scope: 0 }, Field { id: 138, scope: ALL_LINKS }, Field { id: 139, scope: ALL_LINKS }];
/// NVML_FI_DEV_RETIRED_SBE, …_DBE, …REMAPPED_COR, …_UNC.
const WEAR: [Field; 4] =
    [Field { id: 29, scope: 0 }, Field { id: 30, scope: 0 }, Field { id: 142, scope: 0 }, Field { id: 143, scope: 0 }];

const REASONS: [(ThrottleReasons, Throttle); 9] = [
    (ThrottleReasons::GPU_IDLE, Throttle::Idle),
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, Throttle::ApplicationClocks),
    (ThrottleReasons::SW_POWER_CAP, Throttle::SoftwarePowerCap),
    (ThrottleReasons::HW_SLOWDOWN, Throttle::HardwareSlowdown),
    (ThrottleReasons::SYNC_BOOST, Throttle::SyncBoost),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, Throttle::SoftwareThermal),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, Throttle::HardwareThermal),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, Throttle::PowerBrake),
    (ThrottleReasons::DISPLAY_CLOCK_SETTING, Throttle::DisplayClocks),
];

/// A device as it is held.
#[derive(Debug)]
pub(super) struct Seat<'l> {
    library: &'l Library,
    device: Device<'l>,
    /// What is known of it by now.
    pub known: view::Device,
    cut: Option<Vec<(InstanceId, Device<'l>)>>,
    /// Whether performance monitoring works there at all.
    monitoring: Reading<bool>,
    whole: Monitor<'l>,
    parts: BTreeMap<u32, Monitor<'l>>,
    samples: Samples,
}

impl<'l> Seat<'l> {
    /// The device of this number.
    pub fn take(library: &'l Library, index: u32) -> Result<Seat<'l>, NvmlError> {
        let device = library.nvml.device_by_index(index)?;
        let known = view::Device {
            vendor: Vendor::Nvidia,
            index: index.to_string().into(),
            uuid: device.uuid()?.into(),
            name: device.name().unwrap_or_default().into(),
            pci: device.pci_info().map(|pci| pci.bus_id).unwrap_or_default().into(),
            ..view::Device::default()
        };
        let mut seat = Seat {
            library,
            device,
            known,
            cut: None,
            monitoring: Err(Absence::NotYet),
            whole: Monitor::default(),
            parts: BTreeMap::new(),
            samples: Samples::default(),
        };
        seat.inventory();
        Ok(seat)
    }

    /// The handle, to register it for events.
    pub fn device(&self) -> &Device<'l> {
        &self.device
    }

    /// Whether it said that it is gone.
    pub fn is_lost(&self) -> bool {
        self.known.readings.iter().any(|(_, reading)| *reading == Err(Absence::Lost))
    }

    /// It is gone: nothing of it is known any more, and it is not asked again.
    pub fn lose(&mut self) {
        self.known.readings = Readings::all(&Absence::Lost);
        self.known.throttle = Err(Absence::Lost);
        self.known.processes = Err(Absence::Lost);
        for instance in &mut self.known.instances {
            instance.readings = Readings::all(&Absence::Lost);
        }
    }

    /// Which instances it has.
    pub fn inventory(&mut self) {
        let cut = self.device.mig_mode().is_ok_and(|mode| mode.current == 1);
        self.monitoring = reading(self.device.gpm_support());
        if !cut {
            self.cut = None;
            self.known.instances.clear();
            self.parts.clear();
            return;
        }
        let mut handles = Vec::new();
        let mut instances = Vec::new();
        // The numbers have holes, so each is asked for.
        for index in 0..self.device.mig_device_count().unwrap_or(0) {
            let Ok(device) = self.device.mig_device_by_index(index) else { continue };
            let (Ok(id), Ok(uuid)) = (self.library.raw.instance(&device), device.uuid()) else { continue };
            let profile = profile(&device.name().unwrap_or_default());
            let before = self.known.instances.iter().find(|instance| *instance.uuid == *uuid);
            let readings = before.map_or_else(Readings::default, |before| before.readings.clone());
            instances.push(Instance { uuid: uuid.into(), profile: profile.into(), id, readings });
            handles.push((id, device));
        }
        self.parts.retain(|gpu, _| handles.iter().any(|(id, _)| id.gpu == *gpu));
        self.cut = Some(handles);
        self.known.instances = instances;
    }

    /// Utilisation, memory, processes.
    pub fn activity(&mut self, memory: &mut Memory, now: Nanos) {
        let Seat { device, known, .. } = self;
        let readings = &mut known.readings;
        let rates = reading(device.utilization_rates());
        readings.set(Quantity::Utilization, rates.clone().map(|rates| f64::from(rates.gpu)));
        readings.set(Quantity::MemoryBusy, rates.map(|rates| f64::from(rates.memory)));
        held(device, readings);
        let percent = |rate: Result<UtilizationInfo, _>| reading(rate).map(|rate| f64::from(rate.utilization));
        readings.set(Quantity::Encoder, percent(device.encoder_utilization()));
        readings.set(Quantity::Decoder, percent(device.decoder_utilization()));
        self.monitor();
        for (instance, (_, device)) in self.known.instances.iter_mut().zip(self.cut.iter().flatten()) {
            held(device, &mut instance.readings);
        }
        let cut = self.cut.as_deref().map_or(Cut::Whole, Cut::Into);
        self.known.processes = processes::read(&self.device, cut, &mut self.samples, &mut memory.lineages, now);
    }

    /// Performance monitoring, of the whole and of each GPU instance.
    fn monitor(&mut self) {
        let Seat { library, device, known, monitoring, whole, parts, .. } = self;
        let there = match monitoring {
            Ok(true) => Ok(()),
            Ok(false) => Err(Absence::Unsupported),
            Err(absence) => Err(absence.clone()),
        };
        if let Err(absence) = there {
            gpm::absent(&mut known.readings, &absence);
            known.instances.iter_mut().for_each(|instance| gpm::absent(&mut instance.readings, &absence));
            return;
        }
        whole.read(&library.raw, device.gpm_sample(), &mut known.readings);
        let mut of_gpu: BTreeMap<u32, Readings> = BTreeMap::new();
        for instance in &mut known.instances {
            let gpu = instance.id.gpu;
            // Compute instances of one GPU instance share what is monitored of it.
            let monitored = of_gpu.entry(gpu).or_insert_with(|| {
                let mut readings = Readings::default();
                let sample = device.gpm_mig_sample(gpu);
                parts.entry(gpu).or_default().read(&library.raw, sample, &mut readings);
                readings
            });
            for quantity in Quantity::MONITORED {
                instance.readings.set(quantity, monitored.get(quantity));
            }
        }
    }

    /// Power, heat, clocks, links.
    pub fn telemetry(&mut self) {
        let Seat { device, known, library, .. } = self;
        let readings = &mut known.readings;
        let milli = |value: u32| f64::from(value) / 1e3;
        let mega = |value: u32| f64::from(value) * 1e6;
        let kibi = |value: u32| f64::from(value) * 1024.0;
        let joules = |millijoules: u64| millijoules as f64 / 1e3;
        readings.set(Quantity::Temperature, reading(device.temperature(TemperatureSensor::Gpu)).map(f64::from));
        readings.set(Quantity::Power, reading(device.power_usage()).map(milli));
        readings.set(Quantity::PowerLimit, reading(device.enforced_power_limit()).map(milli));
        readings.set(Quantity::Energy, reading(device.total_energy_consumption()).map(joules));
        readings.set(Quantity::SmClock, reading(device.clock_info(Clock::SM)).map(mega));
        readings.set(Quantity::MemoryClock, reading(device.clock_info(Clock::Memory)).map(mega));
        // Each of these two takes the driver 20 ms, in which it sleeps.
        readings.set(Quantity::PcieTx, reading(device.pcie_throughput(PcieUtilCounter::Send)).map(kibi));
        readings.set(Quantity::PcieRx, reading(device.pcie_throughput(PcieUtilCounter::Receive)).map(kibi));
        readings.set(Quantity::Fan, fan(device));
        let [memory, tx, rx] = fields(library, device, TELEMETRY);
        readings.set(Quantity::MemoryTemperature, memory);
        readings.set(Quantity::NvlinkTx, tx.map(|kibibytes| kibibytes * 1024.0));
        readings.set(Quantity::NvlinkRx, rx.map(|kibibytes| kibibytes * 1024.0));
        known.throttle = throttle(device);
    }

    /// Errors and wear of the memory.
    pub fn errors(&mut self) {
        let Seat { device, known, library, .. } = self;
        let ecc = |kind| reading(device.total_ecc_errors(kind, EccCounter::Volatile)).map(|count| count as f64);
        known.readings.set(Quantity::EccCorrected, ecc(MemoryError::Corrected));
        known.readings.set(Quantity::EccUncorrected, ecc(MemoryError::Uncorrected));
        let [single, double, corrected, uncorrected] = fields(library, device, WEAR);
        let sum = |a: Reading<f64>, b: Reading<f64>| Ok(a? + b?);
        known.readings.set(Quantity::RetiredPages, sum(single, double));
        known.readings.set(Quantity::RemappedRows, sum(corrected, uncorrected));
    }
}

/// Memory of a device or an instance.
fn held(device: &Device<'_>, readings: &mut Readings) {
    let memory = reading(device.memory_info());
    readings.set(Quantity::MemoryUsed, memory.clone().map(|memory| memory.used as f64));
    readings.set(Quantity::MemoryTotal, memory.clone().map(|memory| memory.total as f64));
    readings.set(Quantity::MemoryFree, memory.map(|memory| memory.free as f64));
}

fn fields<const N: usize>(library: &Library, device: &Device<'_>, fields: [Field; N]) -> [Reading<f64>; N] {
    match library.raw.fields(device, fields) {
        Ok(values) => values.map(reading),
        Err(error) => {
            let absence = reading::<f64>(Err(error));
            std::array::from_fn(|_| absence.clone())
        }
    }
}

/// The fastest: one that stands still is seen, one that turns slowly is not missed.
fn fan(device: &Device<'_>) -> Reading<f64> {
    let fans = reading(device.num_fans())?;
    let speeds = (0..fans).map(|fan| reading(device.fan_speed(fan)).map(f64::from));
    let fastest = speeds.reduce(|a, b| Ok(a?.max(b?)));
    fastest.unwrap_or(Err(Absence::Unsupported))
}

fn throttle(device: &Device<'_>) -> Reading<BTreeMap<Throttle, bool>> {
    let active = reading(device.current_throttle_reasons())?;
    let supported = device.supported_throttle_reasons().unwrap_or(ThrottleReasons::all());
    let told = REASONS.iter().filter(|(reason, _)| supported.contains(*reason));
    Ok(told.map(|(reason, throttle)| (*throttle, active.contains(*reason))).collect())
}

/// `NVIDIA H100 80GB HBM3 MIG 1g.10gb` says it last.
fn profile(name: &str) -> String {
    name.rsplit_once("MIG ").map_or(name, |(_, profile)| profile).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_the_end_of_the_name() {
        assert_eq!(profile("NVIDIA H100 80GB HBM3 MIG 1g.10gb"), "1g.10gb");
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb"), "1c.3g.20gb");
        assert_eq!(profile("MIG 1g.10gb+me"), "1g.10gb+me");
        assert_eq!(profile(""), "");
    }
}
