//! What a device or a MIG instance tells of itself.

use crate::scenario::{Device, Mig, Signal};
use crate::state::{
    ARGUMENT_VERSION_MISMATCH, Code, Handle, INVALID_ARGUMENT, NOT_SUPPORTED, Named, on_device, put, put_string,
};
use crate::system::exports;
use std::ffi::{c_char, c_int, c_uint};

/// nvmlUtilization_t
#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

/// nvmlMemory_t
#[repr(C)]
pub struct Memory {
    total: u64,
    free: u64,
    used: u64,
}

/// nvmlMemory_v2_t
#[repr(C)]
pub struct MemoryV2 {
    version: c_uint,
    total: u64,
    reserved: u64,
    free: u64,
    used: u64,
}

/// The only version of it: NVML_STRUCT_VERSION(Memory, 2).
const MEMORY_V2: c_uint = 0x0200_0028;
const _: () = assert!(size_of::<MemoryV2>() == 0x28);

/// nvmlPciInfo_t
#[repr(C)]
pub struct PciInfo {
    bus_id_legacy: [u8; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    device_id: c_uint,
    subsystem_id: c_uint,
    bus_id: [u8; 32],
}

/// nvmlDeviceAttributes_t
#[repr(C)]
pub struct Attributes {
    multiprocessors: c_uint,
    shared: [c_uint; 5],
    gpu_slices: c_uint,
    compute_slices: c_uint,
    memory_megabytes: u64,
}

/// nvmlFieldValue_t
#[repr(C)]
pub struct FieldValue {
    id: c_uint,
    scope: c_uint,
    timestamp: i64,
    latency: i64,
    kind: c_uint,
    code: Code,
    value: u64,
}

const _: () = assert!(size_of::<FieldValue>() == 40);

const DOUBLE: c_uint = 0;
const UNSIGNED_LONG_LONG: c_uint = 3;

/// A reading of the whole device, which MIG instances have not.
fn whole<T: Copy>(named: &Named<'_>, read: impl Fn(&Device) -> Option<T>) -> Result<T, Code> {
    match named {
        Named::Whole(device) => read(device).ok_or(NOT_SUPPORTED),
        Named::Part(..) => Err(NOT_SUPPORTED),
    }
}

fn memory(named: &Named<'_>) -> Result<[u64; 3], Code> {
    let memory = match named {
        Named::Whole(device) => device.memory,
        Named::Part(_, mig) => mig.memory,
    };
    memory.ok_or(NOT_SUPPORTED)
}

fn part<'s>(named: &Named<'s>) -> Result<&'s Mig, Code> {
    match named {
        Named::Whole(_) => Err(NOT_SUPPORTED),
        Named::Part(_, mig) => Ok(mig),
    }
}

fn chars<const N: usize>(text: &str) -> [u8; N] {
    let mut chars = [0; N];
    let bytes = text.as_bytes();
    // The last one stays NUL.
    for (to, from) in chars.iter_mut().take(N - 1).zip(bytes) {
        *to = *from;
    }
    chars
}

/// `00000000:1B:00.0` has its numbers in hexadecimal.
fn number(bus_id: &str, part: usize) -> c_uint {
    let digits = bus_id.split([':', '.']).nth(part).unwrap_or_default();
    c_uint::from_str_radix(digits, 16).unwrap_or(0)
}

exports! {
    nvmlDeviceGetUUID(device: Handle, uuid: *mut c_char, length: c_uint) {
        on_device("nvmlDeviceGetUUID", device, |_, named| {
            let text = match &named {
                Named::Whole(device) => &device.uuid,
                Named::Part(_, mig) => &mig.uuid,
            };
            // SAFETY: as nvml.h.
            unsafe { put_string(uuid, length, text) }
        })
    }

    nvmlDeviceGetName(device: Handle, name: *mut c_char, length: c_uint) {
        on_device("nvmlDeviceGetName", device, |_, named| {
            let text = match &named {
                Named::Whole(device) => device.name.clone(),
                Named::Part(device, mig) => format!("{} MIG {}", device.name, mig.profile),
            };
            // SAFETY: as nvml.h.
            unsafe { put_string(name, length, &text) }
        })
    }

    nvmlDeviceGetPciInfo_v3(device: Handle, info: *mut PciInfo) {
        on_device("nvmlDeviceGetPciInfo_v3", device, |_, named| {
            let (Named::Whole(device) | Named::Part(device, _)) = &named;
            let bus_id = &device.bus_id;
            let value = PciInfo {
                bus_id_legacy: chars(bus_id.get(4..).unwrap_or_default()),
                domain: number(bus_id, 0),
                bus: number(bus_id, 1),
                device: number(bus_id, 2),
                device_id: 0x2330_10de,
                subsystem_id: 0,
                bus_id: chars(bus_id),
            };
            // SAFETY: as nvml.h.
            unsafe { put(info, value) }
        })
    }

    nvmlDeviceGetUtilizationRates(device: Handle, rates: *mut Utilization) {
        on_device("nvmlDeviceGetUtilizationRates", device, |_, named| {
            let gpu = whole(&named, |device| device.utilization)?;
            let memory = whole(&named, |device| device.memory_utilization)?;
            // SAFETY: as nvml.h.
            unsafe { put(rates, Utilization { gpu, memory }) }
        })
    }

    nvmlDeviceGetMemoryInfo(device: Handle, info: *mut Memory) {
        on_device("nvmlDeviceGetMemoryInfo", device, |_, named| {
            // The first version counts what is reserved as used.
            let [total, reserved, used] = memory(&named)?;
            let value = Memory { total, free: total - reserved - used, used: used + reserved };
            // SAFETY: as nvml.h.
            unsafe { put(info, value) }
        })
    }

    nvmlDeviceGetMemoryInfo_v2(device: Handle, info: *mut MemoryV2) {
        on_device("nvmlDeviceGetMemoryInfo_v2", device, |_, named| {
            if info.is_null() {
                return Err(INVALID_ARGUMENT);
            }
            // SAFETY: not null; every version of the structure begins with this number.
            let version = unsafe { (&raw const (*info).version).read() };
            if version != MEMORY_V2 {
                return Err(ARGUMENT_VERSION_MISMATCH);
            }
            let [total, reserved, used] = memory(&named)?;
            // SAFETY: as nvml.h.
            unsafe { put(info, MemoryV2 { version, total, reserved, free: total - reserved - used, used }) }
        })
    }

    nvmlDeviceGetEncoderUtilization(device: Handle, rate: *mut c_uint, period: *mut c_uint) {
        on_device("nvmlDeviceGetEncoderUtilization", device, |_, named| {
            let percent = whole(&named, |device| device.encoder)?;
            // SAFETY: as nvml.h.
            unsafe {
                put(rate, percent)?;
                put(period, 167_000)
            }
        })
    }

    nvmlDeviceGetDecoderUtilization(device: Handle, rate: *mut c_uint, period: *mut c_uint) {
        on_device("nvmlDeviceGetDecoderUtilization", device, |_, named| {
            let percent = whole(&named, |device| device.decoder)?;
            // SAFETY: as nvml.h.
            unsafe {
                put(rate, percent)?;
                put(period, 167_000)
            }
        })
    }

    nvmlDeviceGetTemperature(device: Handle, sensor: c_uint, celsius: *mut c_uint) {
        on_device("nvmlDeviceGetTemperature", device, |_, named| {
            if sensor != 0 {
                return Err(INVALID_ARGUMENT);
            }
            // SAFETY: as nvml.h.
            unsafe { put(celsius, whole(&named, |device| device.temperature)?) }
        })
    }

    nvmlDeviceGetPowerUsage(device: Handle, milliwatts: *mut c_uint) {
        on_device("nvmlDeviceGetPowerUsage", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(milliwatts, whole(&named, |device| device.power_milliwatts)?) }
        })
    }

    nvmlDeviceGetEnforcedPowerLimit(device: Handle, milliwatts: *mut c_uint) {
        on_device("nvmlDeviceGetEnforcedPowerLimit", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(milliwatts, whole(&named, |device| device.power_limit_milliwatts)?) }
        })
    }

    nvmlDeviceGetPowerManagementLimit(device: Handle, milliwatts: *mut c_uint) {
        on_device("nvmlDeviceGetPowerManagementLimit", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(milliwatts, whole(&named, |device| device.power_limit_milliwatts)?) }
        })
    }

    nvmlDeviceGetTotalEnergyConsumption(device: Handle, millijoules: *mut u64) {
        on_device("nvmlDeviceGetTotalEnergyConsumption", device, |state, named| {
            let signal: Signal = whole(&named, |device| device.energy_millijoules)?;
            // SAFETY: as nvml.h.
            unsafe { put(millijoules, state.at(signal) as u64) }
        })
    }

    nvmlDeviceGetClockInfo(device: Handle, clock: c_uint, megahertz: *mut c_uint) {
        on_device("nvmlDeviceGetClockInfo", device, |_, named| {
            let value = match clock {
                0 | 1 => whole(&named, |device| device.sm_clock_megahertz)?,
                2 => whole(&named, |device| device.memory_clock_megahertz)?,
                3 => return Err(NOT_SUPPORTED),
                _ => return Err(INVALID_ARGUMENT),
            };
            // SAFETY: as nvml.h.
            unsafe { put(megahertz, value) }
        })
    }

    nvmlDeviceGetPcieThroughput(device: Handle, counter: c_uint, kilobytes: *mut c_uint) {
        on_device("nvmlDeviceGetPcieThroughput", device, |_, named| {
            let rates = whole(&named, |device| device.pcie)?;
            // SAFETY: as nvml.h.
            unsafe { put(kilobytes, *rates.get(counter as usize).ok_or(INVALID_ARGUMENT)?) }
        })
    }

    nvmlDeviceGetNumFans(device: Handle, fans: *mut c_uint) {
        on_device("nvmlDeviceGetNumFans", device, |_, named| {
            let count = whole(&named, |device| device.fans.as_ref().map(Vec::len))?;
            // SAFETY: as nvml.h.
            unsafe { put(fans, c_uint::try_from(count).unwrap_or(c_uint::MAX)) }
        })
    }

    nvmlDeviceGetFanSpeed(device: Handle, percent: *mut c_uint) {
        on_device("nvmlDeviceGetFanSpeed", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(percent, whole(&named, |device| device.fans.as_ref()?.first().copied())?) }
        })
    }

    nvmlDeviceGetFanSpeed_v2(device: Handle, fan: c_uint, percent: *mut c_uint) {
        on_device("nvmlDeviceGetFanSpeed_v2", device, |_, named| {
            let speed = whole(&named, |device| Some(device.fans.as_ref()?.get(fan as usize).copied()))?;
            // SAFETY: as nvml.h.
            unsafe { put(percent, speed.ok_or(INVALID_ARGUMENT)?) }
        })
    }

    nvmlDeviceGetCurrentClocksThrottleReasons(device: Handle, reasons: *mut u64) {
        on_device("nvmlDeviceGetCurrentClocksThrottleReasons", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(reasons, whole(&named, |device| device.throttle)?) }
        })
    }

    nvmlDeviceGetSupportedClocksThrottleReasons(device: Handle, reasons: *mut u64) {
        on_device("nvmlDeviceGetSupportedClocksThrottleReasons", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(reasons, whole(&named, |device| device.throttle_supported)?) }
        })
    }

    nvmlDeviceGetTotalEccErrors(device: Handle, error: c_uint, _counter: c_uint, count: *mut u64) {
        on_device("nvmlDeviceGetTotalEccErrors", device, |_, named| {
            let counts = whole(&named, |device| device.ecc)?;
            // SAFETY: as nvml.h.
            unsafe { put(count, *counts.get(error as usize).ok_or(INVALID_ARGUMENT)?) }
        })
    }

    nvmlDeviceGetGpuInstanceId(device: Handle, id: *mut c_uint) {
        // SAFETY: as nvml.h.
        on_device("nvmlDeviceGetGpuInstanceId", device, |_, named| unsafe { put(id, part(&named)?.gi) })
    }

    nvmlDeviceGetComputeInstanceId(device: Handle, id: *mut c_uint) {
        // SAFETY: as nvml.h.
        on_device("nvmlDeviceGetComputeInstanceId", device, |_, named| unsafe { put(id, part(&named)?.ci) })
    }

    nvmlDeviceGetAttributes_v2(device: Handle, attributes: *mut Attributes) {
        on_device("nvmlDeviceGetAttributes_v2", device, |_, named| {
            let mig = part(&named)?;
            let slices = mig.profile.split('g').next().and_then(|slices| slices.parse().ok()).unwrap_or(1);
            let value = Attributes {
                multiprocessors: 16 * slices,
                shared: [slices, 0, 0, 0, 0],
                gpu_slices: slices,
                compute_slices: slices,
                memory_megabytes: mig.memory.map_or(0, |[total, ..]| total >> 20),
            };
            // SAFETY: as nvml.h.
            unsafe { put(attributes, value) }
        })
    }

    nvmlDeviceGetFieldValues(device: Handle, count: c_int, values: *mut FieldValue) {
        on_device("nvmlDeviceGetFieldValues", device, |state, named| {
            let (Ok(count @ 1..), false) = (usize::try_from(count), values.is_null()) else {
                return Err(INVALID_ARGUMENT);
            };
            // SAFETY: not null, and so many of them as nvml.h asks.
            for value in unsafe { std::slice::from_raw_parts_mut(values, count) } {
                let is_it = |field: &&crate::Field| field.id == value.id && field.scope == value.scope;
                match whole(&named, |device| device.fields.iter().find(is_it).map(|f| (f.value, f.double))) {
                    Err(code) => value.code = code,
                    Ok((signal, true)) => {
                        (value.code, value.kind, value.value) = (0, DOUBLE, state.at(signal).to_bits());
                    }
                    Ok((signal, false)) => {
                        (value.code, value.kind, value.value) = (0, UNSIGNED_LONG_LONG, state.at(signal) as u64);
                    }
                }
            }
            Ok(())
        })
    }
}
