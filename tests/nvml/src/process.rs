//! The processes on a device, and what each had of it.

use crate::scenario::{Device, Kind, Process, Sample};
use crate::state::{
    Code, Handle, INSUFFICIENT_SIZE, INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, Named, on_device, put, put_list,
};
use crate::system::exports;
use std::ffi::c_uint;
use std::time::{SystemTime, UNIX_EPOCH};

/// nvmlProcessInfo_t (v2 and v3)
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProcessInfo {
    pid: c_uint,
    used_memory: u64,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

const _: () = assert!(size_of::<ProcessInfo>() == 24);

/// nvmlProcessUtilizationSample_t
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Utilization {
    pid: c_uint,
    time: u64,
    sm: c_uint,
    memory: c_uint,
    encoder: c_uint,
    decoder: c_uint,
}

const _: () = assert!(size_of::<Utilization>() == 32);

/// What stands for "no instance", and for "not available" of memory.
const NONE: c_uint = c_uint::MAX;
/// The real library says how many it keeps at most, not how many there are.
const KEPT: c_uint = 100;

/// # Safety
/// As nvml.h.
unsafe fn list(function: &str, device: Handle, kind: Kind, count: *mut c_uint, infos: *mut ProcessInfo) -> Code {
    on_device(function, device, |_, named| {
        let found: Vec<ProcessInfo> = match named {
            Named::Whole(device) => of(device, kind).map(info).collect(),
            Named::Part(device, mig) => {
                of(device, kind).filter(|process| process.instance == Some([mig.gi, mig.ci])).map(info).collect()
            }
        };
        // SAFETY: as nvml.h.
        unsafe { put_list(count, infos, &found) }
    })
}

fn of(device: &Device, kind: Kind) -> impl Iterator<Item = &Process> {
    device.processes.iter().filter(move |process| process.is(kind))
}

fn info(process: &Process) -> ProcessInfo {
    let [gpu_instance, compute_instance] = process.instance.unwrap_or([NONE, NONE]);
    ProcessInfo { pid: process.pid, used_memory: process.memory.unwrap_or(u64::MAX), gpu_instance, compute_instance }
}

fn utilization(sample: &Sample) -> Utilization {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let time = sample.time.unwrap_or(u64::try_from(now).unwrap_or(u64::MAX));
    Utilization { pid: sample.pid, time, sm: sample.sm, memory: 0, encoder: 0, decoder: 0 }
}

exports! {
    nvmlDeviceGetComputeRunningProcesses_v3(device: Handle, count: *mut c_uint, infos: *mut ProcessInfo) {
        // SAFETY: as nvml.h.
        unsafe { list("nvmlDeviceGetComputeRunningProcesses_v3", device, Kind::Compute, count, infos) }
    }

    nvmlDeviceGetGraphicsRunningProcesses_v3(device: Handle, count: *mut c_uint, infos: *mut ProcessInfo) {
        // SAFETY: as nvml.h.
        unsafe { list("nvmlDeviceGetGraphicsRunningProcesses_v3", device, Kind::Graphics, count, infos) }
    }

    nvmlDeviceGetMPSComputeRunningProcesses_v3(device: Handle, count: *mut c_uint, infos: *mut ProcessInfo) {
        // SAFETY: as nvml.h.
        unsafe { list("nvmlDeviceGetMPSComputeRunningProcesses_v3", device, Kind::Mps, count, infos) }
    }

    nvmlDeviceGetProcessUtilization(device: Handle, samples: *mut Utilization, count: *mut c_uint, seen: u64) {
        on_device("nvmlDeviceGetProcessUtilization", device, |_, named| {
            let Named::Whole(device) = named else { return Err(NOT_SUPPORTED) };
            let all = device.samples.as_ref().filter(|_| device.mig.is_none()).ok_or(NOT_SUPPORTED)?;
            if count.is_null() {
                return Err(INVALID_ARGUMENT);
            }
            if samples.is_null() {
                // SAFETY: as nvml.h.
                unsafe { put(count, KEPT)? };
                return Err(INSUFFICIENT_SIZE);
            }
            let new: Vec<Utilization> = all.iter().map(utilization).filter(|sample| sample.time > seen).collect();
            // SAFETY: as nvml.h.
            unsafe { put_list(count, samples, &new)? };
            if new.is_empty() { Err(NOT_FOUND) } else { Ok(()) }
        })
    }
}
