//! Initialisation, versions, and the handles of devices.

use crate::scenario::Device;
use crate::state::{
    Code, DRIVER_NOT_LOADED, GPU_IS_LOST, Handle, INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, Named, SUCCESS, State,
    UNINITIALIZED, handle, on_device, put, put_string, split, with,
};
use std::ffi::{CStr, c_char, c_int, c_uint};

/// CUDA 13.0
const CUDA: c_int = 13_000;

fn init() -> Code {
    with(|state| {
        if let Err(code) = state.refresh() {
            return code;
        }
        if let Some(code) = state.scenario.failures.get("nvmlInit_v2") {
            return *code;
        }
        state.initialised += 1;
        SUCCESS
    })
}

/// Runs a call that is of no device.
fn of_system(function: &str, run: impl FnOnce(&mut State) -> Result<(), Code>) -> Code {
    with(|state| {
        if state.initialised == 0 {
            return UNINITIALIZED;
        }
        if let Some(code) = state.scenario.failures.get(function) {
            return *code;
        }
        run(state).err().unwrap_or(SUCCESS)
    })
}

fn find(state: &State, is_it: impl Fn(&Device) -> bool) -> Result<Handle, Code> {
    let index = state.scenario.devices.iter().position(is_it).ok_or(NOT_FOUND)?;
    taken(state, index)
}

fn taken(state: &State, index: usize) -> Result<Handle, Code> {
    let device = state.scenario.devices.get(index).ok_or(INVALID_ARGUMENT)?;
    if device.lost { Err(GPU_IS_LOST) } else { Ok(handle(index, None)) }
}

/// # Safety
/// As nvml.h.
unsafe fn text<'t>(pointer: *const c_char) -> Result<&'t str, Code> {
    if pointer.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: a terminated string, as nvml.h asks.
    unsafe { CStr::from_ptr(pointer) }.to_str().map_err(|_| INVALID_ARGUMENT)
}

/// Exports functions of nvml.h. Their callers keep to it: a pointer that is not null is valid.
macro_rules! exports {
    ($($name:ident($($arg:ident: $type:ty),*) $body:block)+) => {
        $(
            /// See nvml.h.
            ///
            /// # Safety
            /// As there.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($arg: $type),*) -> $crate::state::Code $body
        )+
    };
}
pub(crate) use exports;

exports! {
    nvmlInit_v2() {
        init()
    }

    nvmlInitWithFlags(_flags: c_uint) {
        init()
    }

    nvmlShutdown() {
        with(|state| {
            if state.initialised == 0 {
                return UNINITIALIZED;
            }
            state.initialised -= 1;
            if state.initialised == 0 {
                state.sets.clear();
            }
            SUCCESS
        })
    }

    nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) {
        // SAFETY: as nvml.h.
        of_system("nvmlSystemGetDriverVersion", |state| unsafe { put_string(version, length, &state.scenario.driver) })
    }

    nvmlSystemGetNVMLVersion(version: *mut c_char, length: c_uint) {
        // SAFETY: as nvml.h.
        of_system("nvmlSystemGetNVMLVersion", |state| unsafe {
            put_string(version, length, &format!("13.{}", state.scenario.driver))
        })
    }

    nvmlSystemGetCudaDriverVersion(version: *mut c_int) {
        // SAFETY: as nvml.h.
        of_system("nvmlSystemGetCudaDriverVersion", |_| unsafe { put(version, CUDA) })
    }

    nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) {
        // SAFETY: as nvml.h.
        of_system("nvmlSystemGetCudaDriverVersion_v2", |_| unsafe { put(version, CUDA) })
    }

    nvmlDeviceGetCount_v2(count: *mut c_uint) {
        of_system("nvmlDeviceGetCount_v2", |state| {
            state.refresh()?;
            let devices = c_uint::try_from(state.scenario.devices.len()).map_err(|_| DRIVER_NOT_LOADED)?;
            // SAFETY: as nvml.h.
            unsafe { put(count, devices) }
        })
    }

    nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut Handle) {
        // SAFETY: as nvml.h.
        of_system("nvmlDeviceGetHandleByIndex_v2", |state| unsafe { put(device, taken(state, index as usize)?) })
    }

    nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut Handle) {
        // SAFETY: as nvml.h.
        of_system("nvmlDeviceGetHandleByUUID", |state| unsafe {
            let uuid = text(uuid)?;
            put(device, find(state, |device| device.uuid == uuid)?)
        })
    }

    nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, device: *mut Handle) {
        // SAFETY: as nvml.h.
        of_system("nvmlDeviceGetHandleByPciBusId_v2", |state| unsafe {
            let bus_id = text(bus_id)?;
            put(device, find(state, |device| device.bus_id == bus_id)?)
        })
    }

    nvmlDeviceGetIndex(device: Handle, index: *mut c_uint) {
        on_device("nvmlDeviceGetIndex", device, |_, _| {
            let (number, _) = split(device).ok_or(INVALID_ARGUMENT)?;
            // SAFETY: as nvml.h.
            unsafe { put(index, c_uint::try_from(number).unwrap_or(c_uint::MAX)) }
        })
    }

    nvmlDeviceGetMigMode(device: Handle, current: *mut c_uint, pending: *mut c_uint) {
        on_device("nvmlDeviceGetMigMode", device, |_, named| {
            let Named::Whole(device) = named else { return Err(NOT_SUPPORTED) };
            let mode = c_uint::from(device.mig.is_some());
            // SAFETY: as nvml.h.
            unsafe {
                put(current, mode)?;
                put(pending, mode)
            }
        })
    }

    nvmlDeviceGetMaxMigDeviceCount(device: Handle, count: *mut c_uint) {
        on_device("nvmlDeviceGetMaxMigDeviceCount", device, |_, named| {
            let Named::Whole(device) = named else { return Err(NOT_SUPPORTED) };
            // SAFETY: as nvml.h.
            unsafe { put(count, if device.mig.is_some() { 7 } else { 0 }) }
        })
    }

    nvmlDeviceGetMigDeviceHandleByIndex(device: Handle, index: c_uint, mig: *mut Handle) {
        on_device("nvmlDeviceGetMigDeviceHandleByIndex", device, |_, named| {
            let Named::Whole(whole) = named else { return Err(INVALID_ARGUMENT) };
            let (number, _) = split(device).ok_or(INVALID_ARGUMENT)?;
            let instances = whole.mig.as_ref().ok_or(NOT_SUPPORTED)?;
            instances.get(&index).ok_or(NOT_FOUND)?;
            // SAFETY: as nvml.h.
            unsafe { put(mig, handle(number, Some(index))) }
        })
    }

    nvmlDeviceIsMigDeviceHandle(device: Handle, is_mig: *mut c_uint) {
        on_device("nvmlDeviceIsMigDeviceHandle", device, |_, named| {
            // SAFETY: as nvml.h.
            unsafe { put(is_mig, c_uint::from(matches!(named, Named::Part(..)))) }
        })
    }

    nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig: Handle, device: *mut Handle) {
        on_device("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", mig, |_, _| {
            let (number, _) = split(mig).ok_or(INVALID_ARGUMENT)?;
            // SAFETY: as nvml.h.
            unsafe { put(device, handle(number, None)) }
        })
    }
}

/// See nvml.h. Never null.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: Code) -> *const c_char {
    let text = match code {
        SUCCESS => c"Success",
        UNINITIALIZED => c"Uninitialized",
        INVALID_ARGUMENT => c"Invalid Argument",
        NOT_SUPPORTED => c"Not Supported",
        NOT_FOUND => c"Not Found",
        DRIVER_NOT_LOADED => c"Driver Not Loaded",
        GPU_IS_LOST => c"GPU is lost",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}
