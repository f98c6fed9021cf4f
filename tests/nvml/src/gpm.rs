//! Performance monitoring of Hopper and later: samples, and metrics between two of them.

use crate::state::{
    ARGUMENT_VERSION_MISMATCH, Code, Handle, INVALID_ARGUMENT, NOT_SUPPORTED, Named, SUCCESS, on_device, put,
};
use crate::system::exports;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_uint};

/// nvmlGpmSupport_t
#[repr(C)]
pub struct Support {
    version: c_uint,
    supported: c_uint,
}

/// nvmlGpmSample_t points to one; empty before it was taken.
pub struct Sample(Option<BTreeMap<u32, f64>>);

/// nvmlGpmMetric_t
#[repr(C)]
pub struct Metric {
    id: c_uint,
    code: Code,
    value: f64,
    names: [*mut c_char; 3],
}

const _: () = assert!(size_of::<Metric>() == 40);

/// nvmlGpmMetricsGet_t. How many metrics follow depends on the caller's header, so none beyond `count` is touched.
#[repr(C)]
pub struct MetricsGet {
    version: c_uint,
    count: c_uint,
    first: *mut Sample,
    second: *mut Sample,
    metrics: [Metric; 0],
}

const _: () = assert!(size_of::<MetricsGet>() == 24);

exports! {
    nvmlGpmQueryDeviceSupport(device: Handle, support: *mut Support) {
        on_device("nvmlGpmQueryDeviceSupport", device, |_, named| {
            if support.is_null() {
                return Err(INVALID_ARGUMENT);
            }
            // SAFETY: not null; the structure begins with its version.
            let version = unsafe { (&raw const (*support).version).read() };
            if version != 1 {
                return Err(ARGUMENT_VERSION_MISMATCH);
            }
            let (Named::Whole(device) | Named::Part(device, _)) = &named;
            // SAFETY: as nvml.h.
            unsafe { put(support, Support { version, supported: c_uint::from(device.gpm.is_some()) }) }
        })
    }

    nvmlGpmSampleAlloc(sample: *mut *mut Sample) {
        // SAFETY: as nvml.h.
        unsafe { put(sample, Box::into_raw(Box::new(Sample(None)))) }.err().unwrap_or(SUCCESS)
    }

    nvmlGpmSampleFree(sample: *mut Sample) {
        if sample.is_null() {
            return INVALID_ARGUMENT;
        }
        // SAFETY: made by nvmlGpmSampleAlloc and freed once, as nvml.h asks.
        drop(unsafe { Box::from_raw(sample) });
        SUCCESS
    }

    nvmlGpmSampleGet(device: Handle, sample: *mut Sample) {
        on_device("nvmlGpmSampleGet", device, |_, named| {
            let Named::Whole(device) = named else { return Err(NOT_SUPPORTED) };
            let taken = device.gpm.clone().ok_or(NOT_SUPPORTED)?;
            // SAFETY: as nvml.h; the old value is dropped.
            unsafe { sample.as_mut() }.ok_or(INVALID_ARGUMENT)?.0 = Some(taken);
            Ok(())
        })
    }

    nvmlGpmMigSampleGet(device: Handle, gpu_instance: c_uint, sample: *mut Sample) {
        on_device("nvmlGpmMigSampleGet", device, |_, named| {
            let Named::Whole(device) = named else { return Err(INVALID_ARGUMENT) };
            let mut instances = device.mig.iter().flat_map(BTreeMap::values);
            let instance = instances.find(|instance| instance.gi == gpu_instance).ok_or(INVALID_ARGUMENT)?;
            let taken = instance.gpm.clone().ok_or(NOT_SUPPORTED)?;
            // SAFETY: as nvml.h; the old value is dropped.
            unsafe { sample.as_mut() }.ok_or(INVALID_ARGUMENT)?.0 = Some(taken);
            Ok(())
        })
    }

    nvmlGpmMetricsGet(request: *mut MetricsGet) {
        // SAFETY: null, or a request whose first `count` metrics are there, with two samples, as nvml.h asks.
        let (request, metrics, first, second) = unsafe {
            let Some(request) = request.as_mut() else { return INVALID_ARGUMENT };
            if request.version != 1 {
                return ARGUMENT_VERSION_MISMATCH;
            }
            let (Some(first), Some(second)) = (request.first.as_ref(), request.second.as_ref()) else {
                return INVALID_ARGUMENT;
            };
            let begin = (&raw mut *request).byte_add(size_of::<MetricsGet>()).cast::<Metric>();
            (request.count, begin, first, second)
        };
        let (Some(_), Some(now)) = (&first.0, &second.0) else { return INVALID_ARGUMENT };
        for at in 0..request as usize {
            // SAFETY: among the first `count`.
            let metric = unsafe { &mut *metrics.add(at) };
            match now.get(&metric.id) {
                Some(value) => (metric.code, metric.value) = (SUCCESS, *value),
                None => metric.code = NOT_SUPPORTED,
            }
        }
        SUCCESS
    }
}
