//! What the library holds: the scenario, whether it is initialised, and what each event set was told.
//!
//! Handles of devices are numbers, never followed: a stranger's handle is an invalid argument, not a crash.

use crate::scenario::{Device, FILE, Mig, Scenario, Signal};
use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// nvmlReturn_t
pub type Code = c_uint;
/// nvmlDevice_t
pub type Handle = *mut c_void;

pub const SUCCESS: Code = 0;
pub const UNINITIALIZED: Code = 1;
pub const INVALID_ARGUMENT: Code = 2;
pub const NOT_SUPPORTED: Code = 3;
pub const NOT_FOUND: Code = 6;
pub const INSUFFICIENT_SIZE: Code = 7;
pub const DRIVER_NOT_LOADED: Code = 9;
pub const TIMEOUT: Code = 10;
pub const GPU_IS_LOST: Code = 15;
pub const ARGUMENT_VERSION_MISMATCH: Code = 25;

/// Everything.
#[derive(Default)]
pub struct State {
    pub scenario: Scenario,
    /// nvmlInit counts.
    pub initialised: u32,
    loaded: Option<Instant>,
    /// Device and inode and time of the scenario's file.
    seen: Option<(u64, u64, i64)>,
    pub sets: BTreeMap<usize, EventSet>,
    pub next_set: usize,
}

/// nvmlEventSet_t
#[derive(Default)]
pub struct EventSet {
    /// Registered devices, with the last event that each was told.
    pub devices: BTreeMap<usize, u64>,
}

/// What a handle names.
pub enum Named<'s> {
    Whole(&'s Device),
    Part(&'s Device, &'s Mig),
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Runs with the state.
pub fn with<T>(run: impl FnOnce(&mut State) -> T) -> T {
    let mut state: MutexGuard<'_, Option<State>> = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    run(state.get_or_insert_default())
}

/// Runs a call on a device that has not failed otherwise.
pub fn on_device(function: &str, handle: Handle, run: impl FnOnce(&State, Named<'_>) -> Result<(), Code>) -> Code {
    with(|state| {
        if state.initialised == 0 {
            return UNINITIALIZED;
        }
        if let Some(code) = state.scenario.failures.get(function) {
            return *code;
        }
        let Some(named) = state.named(handle) else { return INVALID_ARGUMENT };
        let (Named::Whole(device) | Named::Part(device, _)) = &named;
        if device.lost {
            return GPU_IS_LOST;
        }
        if let Some(code) = device.failures.get(function) {
            return *code;
        }
        run(state, named).err().unwrap_or(SUCCESS)
    })
}

impl State {
    /// Reads the scenario where it is another than before.
    pub fn refresh(&mut self) -> Result<(), Code> {
        let path = path().ok_or(DRIVER_NOT_LOADED)?;
        let metadata = std::fs::metadata(&path).map_err(|_| DRIVER_NOT_LOADED)?;
        let seen = Some((metadata.ino(), metadata.mtime().unsigned_abs(), metadata.mtime_nsec()));
        if seen != self.seen {
            let text = std::fs::read_to_string(&path).map_err(|_| DRIVER_NOT_LOADED)?;
            self.scenario = serde_json::from_str(&text).unwrap_or_else(|error| {
                eprintln!("{}: {error}", path.display());
                Scenario::default()
            });
            self.seen = seen;
        }
        self.loaded.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// The value of a signal now.
    pub fn at(&self, signal: Signal) -> f64 {
        let elapsed = self.loaded.map_or(0.0, |loaded| loaded.elapsed().as_secs_f64());
        match signal {
            Signal::Constant(value) => value,
            Signal::Ramp { start, per_second } => start + per_second * elapsed,
        }
    }

    /// What a handle names.
    pub fn named(&self, handle: Handle) -> Option<Named<'_>> {
        let (device, part) = split(handle)?;
        let device = self.scenario.devices.get(device)?;
        match part {
            None => Some(Named::Whole(device)),
            Some(part) => Some(Named::Part(device, device.mig.as_ref()?.get(&part)?)),
        }
    }
}

/// The handle of a device, or of one of its MIG instances.
pub fn handle(device: usize, part: Option<u32>) -> Handle {
    let part = part.map_or(0, |part| part as usize + 1);
    (((device + 1) << 8) | part) as Handle
}

/// The device and MIG instance of a handle.
pub fn split(handle: Handle) -> Option<(usize, Option<u32>)> {
    let number = handle as usize;
    let device = (number >> 8).checked_sub(1)?;
    let part = u32::try_from(number & 0xff).ok()?.checked_sub(1);
    Some((device, part))
}

/// The scenario beside this library.
fn path() -> Option<PathBuf> {
    // SAFETY: asks which file this very function was loaded from; the name lives as long as the library.
    unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        let own = path as *const c_void;
        if libc::dladdr(own, &raw mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        let library = Path::new(OsStr::from_bytes(CStr::from_ptr(info.dli_fname).to_bytes()));
        Some(library.parent()?.join(FILE))
    }
}

/// Writes through a caller's pointer.
///
/// # Safety
/// `place` is null or points to a `T`, as nvml.h asks of callers.
pub unsafe fn put<T>(place: *mut T, value: T) -> Result<(), Code> {
    if place.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null, and a `T` by this function's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Writes a string and its NUL into a caller's buffer.
///
/// # Safety
/// `place` is null or has room for `length` bytes.
pub unsafe fn put_string(place: *mut std::ffi::c_char, length: c_uint, text: &str) -> Result<(), Code> {
    if place.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    if (length as usize) <= text.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    // SAFETY: room for the text and a NUL was just made sure of.
    unsafe {
        place.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        place.add(text.len()).write(0);
    }
    Ok(())
}

/// Writes a list into a caller's buffer that has room for `*count`, and the number of items into `count`.
///
/// # Safety
/// `count` is null or a count, and `place` is null or has room for so many.
pub unsafe fn put_list<T: Copy>(count: *mut c_uint, place: *mut T, items: &[T]) -> Result<(), Code> {
    if count.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: a count by this function's contract.
    let room = unsafe { count.replace(c_uint::try_from(items.len()).unwrap_or(c_uint::MAX)) };
    if (room as usize) < items.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    if items.is_empty() {
        return Ok(());
    }
    if place.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: room for `room` items, which are at least as many.
    unsafe { place.copy_from_nonoverlapping(items.as_ptr(), items.len()) };
    Ok(())
}
