//! NVIDIA's devices, through its management library. Every call may fail on its own and leaves only its own reading
//! absent; the library, the driver and the devices may go and come back.
//!
//! A [`Library`] is open for as long as nothing changes under it; a [`Session`] reads through it. What must outlive both
//! is in [`Memory`]. Knows no servers and no metrics.

mod device;
mod gpm;
mod library;
mod processes;
mod raw;
mod session;

pub use library::{Library, Place};
pub use session::{End, Session};

use super::lineage::Lineages;
use super::view::{Absence, Device, Reading, Xid};
use crate::event::Nanos;
use nvml_wrapper::error::NvmlError;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kinds of errors that are kept apart for one device; NVIDIA's list has some 170.
const XIDS: usize = 64;

/// What outlives the library.
#[derive(Debug, Default)]
pub struct Memory {
    xids: BTreeMap<Arc<str>, BTreeMap<u64, Xid>>,
    /// Devices that are gone; they stay in the view, with their errors, until they are back.
    lost: BTreeMap<Arc<str>, Device>,
    lineages: Lineages,
}

impl Memory {
    fn xid(&mut self, uuid: &Arc<str>, number: u64, now: Nanos) {
        let of_device = self.xids.entry(Arc::clone(uuid)).or_default();
        if of_device.len() >= XIDS && !of_device.contains_key(&number) {
            return;
        }
        let xid = of_device.entry(number).or_default();
        *xid = Xid { count: xid.count.saturating_add(1), last: now };
    }
}

/// What a call brought, as a reading.
fn reading<T>(result: Result<T, NvmlError>) -> Reading<T> {
    result.map_err(|error| match error {
        NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_) => {
            Absence::Unsupported
        }
        NvmlError::NoPermission => Absence::Denied,
        NvmlError::GpuLost | NvmlError::ResetRequired => Absence::Lost,
        other => Absence::Failed(other.to_string().into()),
    })
}
