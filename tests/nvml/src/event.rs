//! Event sets: errors that the driver reports.

use crate::state::{
    Code, EventSet, Handle, INVALID_ARGUMENT, NOT_SUPPORTED, Named, SUCCESS, State, TIMEOUT, UNINITIALIZED, handle,
    on_device, put, split, with,
};
use crate::system::exports;
use std::ffi::{c_uint, c_void};
use std::thread;
use std::time::{Duration, Instant};

/// nvmlEventTypeXidCriticalError
const XID: u64 = 8;

/// nvmlEventSet_t
type Set = *mut c_void;

/// nvmlEventData_t
#[repr(C)]
pub struct EventData {
    device: Handle,
    kind: u64,
    data: u64,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

const _: () = assert!(size_of::<EventData>() == 32);

fn next(state: &mut State, set: Set) -> Result<EventData, Code> {
    if state.initialised == 0 {
        return Err(UNINITIALIZED);
    }
    state.refresh()?;
    if let Some(code) = state.scenario.failures.get("nvmlEventSetWait_v2") {
        return Err(*code);
    }
    let State { scenario, sets, .. } = state;
    let set = sets.get_mut(&(set as usize)).ok_or(INVALID_ARGUMENT)?;
    for (index, told) in &mut set.devices {
        let Some(device) = scenario.devices.get(*index) else { continue };
        let Some(event) = device.events.iter().find(|event| event.id > *told) else { continue };
        *told = event.id;
        let device = handle(*index, None);
        return Ok(EventData { device, kind: XID, data: event.xid, gpu_instance: !0, compute_instance: !0 });
    }
    Err(TIMEOUT)
}

exports! {
    nvmlEventSetCreate(set: *mut Set) {
        with(|state| {
            if state.initialised == 0 {
                return UNINITIALIZED;
            }
            state.next_set += 1;
            let number = state.next_set;
            state.sets.insert(number, EventSet::default());
            // SAFETY: as nvml.h.
            unsafe { put(set, number as Set) }.err().unwrap_or(SUCCESS)
        })
    }

    nvmlEventSetFree(set: Set) {
        with(|state| if state.sets.remove(&(set as usize)).is_some() { SUCCESS } else { INVALID_ARGUMENT })
    }

    nvmlDeviceGetSupportedEventTypes(device: Handle, types: *mut u64) {
        on_device("nvmlDeviceGetSupportedEventTypes", device, |_, named| {
            let Named::Whole(_) = named else { return Err(NOT_SUPPORTED) };
            // SAFETY: as nvml.h.
            unsafe { put(types, XID) }
        })
    }

    nvmlDeviceRegisterEvents(device: Handle, types: u64, set: Set) {
        let checked = on_device("nvmlDeviceRegisterEvents", device, |_, named| match named {
            Named::Whole(_) if types & !XID == 0 => Ok(()),
            _ => Err(NOT_SUPPORTED),
        });
        if checked != SUCCESS {
            return checked;
        }
        with(|state| {
            let Some((index, _)) = split(device) else { return INVALID_ARGUMENT };
            let events = state.scenario.devices.get(index).map(|device| device.events.as_slice());
            let latest = events.unwrap_or_default().iter().map(|event| event.id).max().unwrap_or(0);
            let Some(set) = state.sets.get_mut(&(set as usize)) else { return INVALID_ARGUMENT };
            set.devices.insert(index, latest);
            SUCCESS
        })
    }

    nvmlEventSetWait_v2(set: Set, data: *mut EventData, milliseconds: c_uint) {
        let deadline = Instant::now() + Duration::from_millis(u64::from(milliseconds));
        loop {
            match with(|state| next(state, set)) {
                // SAFETY: as nvml.h.
                Ok(event) => return unsafe { put(data, event) }.err().unwrap_or(SUCCESS),
                Err(TIMEOUT) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                Err(code) => return code,
            }
        }
    }
}
