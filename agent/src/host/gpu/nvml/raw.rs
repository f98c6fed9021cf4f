//! Four calls of NVML that nvml-wrapper lacks, or makes in a way that does not do here. The only file about GPUs with
//! `unsafe` in it.
//!
//! - the ids of a MIG device's instances are not wrapped;
//! - field values are wrapped without a scope, and NVLink's totals need the scope "all links";
//! - performance metrics are wrapped with room for 98 of them. Newer headers have 210 and 477 under the same version
//!   number, so a driver cannot tell how much room there is: it is given the most.

#![allow(unsafe_code)] // a C interface, at four calls; each block has its SAFETY

use super::super::view::InstanceId;
use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper::{Device, GpmSample};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

/// Scope of a field that is a sum over all links.
pub const ALL_LINKS: u32 = u32::MAX;
/// More metrics than any header has (477 in NVML 13.5).
const METRICS: usize = 1024;
const METRICS_VERSION: c_uint = 1;

/// `nvmlDevice_t` and `nvmlGpmSample_t`, whatever they point to.
type Handle = *mut c_void;
type GetId = unsafe extern "C" fn(Handle, *mut c_uint) -> c_uint;
type GetFields = unsafe extern "C" fn(Handle, c_int, *mut FieldValue) -> c_uint;
type GetMetrics = unsafe extern "C" fn(*mut MetricsGet) -> c_uint;

/// The library, loaded already by nvml-wrapper, and the four functions of it that are there.
#[derive(Debug)]
pub struct Raw {
    handle: *mut c_void,
    gpu_instance: Option<GetId>,
    compute_instance: Option<GetId>,
    field_values: Option<GetFields>,
    gpm_metrics: Option<GetMetrics>,
}

/// A field and its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// NVML_FI_…
    pub id: u32,
    /// What of the device; 0 for most.
    pub scope: u32,
}

/// nvmlFieldValue_t
#[repr(C)]
#[derive(Clone, Copy)]
struct FieldValue {
    field: c_uint,
    scope: c_uint,
    timestamp: i64,
    latency_micros: i64,
    kind: c_uint,
    code: c_uint,
    /// nvmlValue_t: a union of numbers, kept as its bytes.
    value: [u8; 8],
}

/// nvmlGpmMetric_t
#[repr(C)]
#[derive(Clone, Copy)]
struct Metric {
    id: c_uint,
    code: c_uint,
    value: f64,
    names: [*mut c_char; 3],
}

/// nvmlGpmMetricsGet_t
#[repr(C)]
struct MetricsGet {
    version: c_uint,
    count: c_uint,
    first: Handle,
    second: Handle,
    metrics: [Metric; METRICS],
}

impl Raw {
    /// The functions of the library that is loaded under this path or name.
    pub fn of_loaded(library: &Path) -> Option<Raw> {
        let path = CString::new(library.as_os_str().as_bytes()).ok()?;
        // SAFETY: a terminated path; with RTLD_NOLOAD nothing is loaded and no code of the library runs.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        if handle.is_null() {
            return None;
        }
        // SAFETY: the functions' types are those of nvml.h, and the handle is open until this is dropped.
        unsafe {
            Some(Raw {
                handle,
                gpu_instance: function(handle, c"nvmlDeviceGetGpuInstanceId"),
                compute_instance: function(handle, c"nvmlDeviceGetComputeInstanceId"),
                field_values: function(handle, c"nvmlDeviceGetFieldValues"),
                gpm_metrics: function(handle, c"nvmlGpmMetricsGet"),
            })
        }
    }

    /// The file that the library was loaded from.
    pub fn path(&self) -> Option<PathBuf> {
        // SAFETY: looks up a name in an open library; writes one Dl_info, whose name lives as long as the library.
        unsafe {
            let symbol = libc::dlsym(self.handle, c"nvmlInit_v2".as_ptr());
            let mut info = std::mem::zeroed::<libc::Dl_info>();
            if symbol.is_null() || libc::dladdr(symbol, &raw mut info) == 0 || info.dli_fname.is_null() {
                return None;
            }
            let name = CStr::from_ptr(info.dli_fname).to_bytes();
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(name)))
        }
    }

    /// Which instances a MIG device is.
    pub fn instance(&self, device: &Device<'_>) -> Result<InstanceId, NvmlError> {
        Ok(InstanceId { gpu: id(self.gpu_instance, device)?, compute: id(self.compute_instance, device)? })
    }

    /// Values of fields, each of which may be missing on its own.
    pub fn fields<const N: usize>(
        &self,
        device: &Device<'_>,
        fields: [Field; N],
    ) -> Result<[Result<f64, NvmlError>; N], NvmlError> {
        let call = self.field_values.ok_or(NvmlError::FunctionNotFound)?;
        let mut values = fields.map(|Field { id, scope }| FieldValue {
            field: id,
            scope,
            timestamp: 0,
            latency_micros: 0,
            kind: 0,
            code: 0,
            value: [0; 8],
        });
        let count = c_int::try_from(N).map_err(|_| NvmlError::InvalidArg)?;
        // SAFETY: a live device handle, and `count` values to write into.
        nvml_try(unsafe { call(device.handle().cast(), count, values.as_mut_ptr()) })?;
        Ok(values.map(|value| value.read()))
    }

    /// Metrics between two samples, each of which may be missing on its own.
    pub fn metrics<const N: usize>(
        &self,
        first: &GpmSample<'_>,
        second: &GpmSample<'_>,
        ids: [u32; N],
    ) -> Result<[Result<f64, NvmlError>; N], NvmlError> {
        const { assert!(N <= METRICS) };
        let call = self.gpm_metrics.ok_or(NvmlError::FunctionNotFound)?;
        let none = Metric { id: 0, code: 0, value: 0.0, names: [ptr::null_mut(); 3] };
        let mut request = Box::new(MetricsGet {
            version: METRICS_VERSION,
            count: c_uint::try_from(N).map_err(|_| NvmlError::InvalidArg)?,
            // SAFETY: borrowed for this call only.
            first: unsafe { first.handle() }.cast(),
            // SAFETY: the same.
            second: unsafe { second.handle() }.cast(),
            metrics: [none; METRICS],
        });
        for (metric, id) in request.metrics.iter_mut().zip(ids) {
            metric.id = id;
        }
        // SAFETY: two live samples, and more room than any version of the structure has.
        nvml_try(unsafe { call(&raw mut *request) })?;
        let mut answers = request.metrics.iter().map(|metric| nvml_try(metric.code).map(|()| metric.value));
        Ok(std::array::from_fn(|_| answers.next().unwrap_or(Err(NvmlError::Unknown))))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: opened by `of_loaded`, and no function of it is called afterwards.
        unsafe {
            libc::dlclose(self.handle);
        }
    }
}

impl FieldValue {
    /// By its nvmlValueType_t.
    fn read(self) -> Result<f64, NvmlError> {
        nvml_try(self.code)?;
        let [a, b, c, d, ..] = self.value;
        match self.kind {
            0 => Ok(f64::from_ne_bytes(self.value)),
            1 => Ok(f64::from(u32::from_ne_bytes([a, b, c, d]))),
            2 | 3 => Ok(u64::from_ne_bytes(self.value) as f64),
            4 => Ok(i64::from_ne_bytes(self.value) as f64),
            5 => Ok(f64::from(i32::from_ne_bytes([a, b, c, d]))),
            6 => Ok(f64::from(u16::from_ne_bytes([a, b]))),
            other => Err(NvmlError::UnexpectedVariant(other)),
        }
    }
}

/// Whether two handles are of one device. A device that is lost no longer tells its name.
pub fn is_same(one: &Device<'_>, other: &Device<'_>) -> bool {
    // SAFETY: compared, never followed.
    unsafe { one.handle() == other.handle() }
}

fn id(call: Option<GetId>, device: &Device<'_>) -> Result<u32, NvmlError> {
    let call = call.ok_or(NvmlError::FunctionNotFound)?;
    let mut id = 0;
    // SAFETY: a live device handle; writes one unsigned int.
    nvml_try(unsafe { call(device.handle().cast(), &raw mut id) })?;
    Ok(id)
}

/// A function of an open library.
///
/// # Safety
/// `F` must be the type of the function pointer, and it must not be called after the library is closed.
unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    /// Reads a pointer to data as one to a function.
    union Cast<F: Copy> {
        data: *mut c_void,
        function: ManuallyDrop<F>,
    }
    // SAFETY: an open library and a terminated name.
    let data = unsafe { libc::dlsym(library, name.as_ptr()) };
    if data.is_null() {
        return None;
    }
    // SAFETY: of one size, and of the right type by this function's contract.
    Some(ManuallyDrop::into_inner(unsafe { Cast { data }.function }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_sizes_of_nvml_h() {
        assert_eq!(size_of::<FieldValue>(), 40);
        assert_eq!(std::mem::offset_of!(FieldValue, value), 32);
        assert_eq!(size_of::<Metric>(), 40);
        assert_eq!(std::mem::offset_of!(MetricsGet, metrics), 24);
    }

    #[test]
    fn a_field_is_read_by_its_kind() {
        let read = |kind, value: u64| {
            let value = value.to_ne_bytes();
            FieldValue { field: 1, scope: 0, timestamp: 0, latency_micros: 0, kind, code: 0, value }.read().ok()
        };
        assert_eq!(read(0, 1.5_f64.to_bits()), Some(1.5));
        assert_eq!(read(1, 0xffff_ffff_0000_0007), Some(7.0));
        assert_eq!(read(3, 1 << 40), Some(1_099_511_627_776.0));
        assert_eq!(read(4, u64::MAX), Some(-1.0));
        assert_eq!(read(6, 0x1_0002), Some(2.0));
        assert_eq!(read(9, 0), None);
    }

    #[test]
    fn what_is_not_loaded_has_no_functions() {
        assert!(Raw::of_loaded(Path::new("libinferscope-is-not-here.so")).is_none());
    }
}
