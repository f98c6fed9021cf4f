//! GPM, the performance monitoring of Hopper and later: ratios between two samples.

use super::raw::Raw;
use super::reading;
use crate::host::gpu::quantity::{Quantity, Readings};
use crate::host::gpu::view::{Absence, Reading};
use nvml_wrapper::GpmSample;
use nvml_wrapper::error::NvmlError;

/// NVML_GPM_METRIC_GRAPHICS_UTIL, SM_UTIL, SM_OCCUPANCY, ANY_TENSOR_UTIL and DRAM_BW_UTIL, which are percentages, in the
/// order of [`Quantity::MONITORED`].
const METRICS: [u32; 5] = [1, 2, 3, 5, 10];

/// Remembers the last sample of a device or an instance.
#[derive(Debug, Default)]
pub(super) struct Monitor<'l> {
    last: Option<GpmSample<'l>>,
}

impl<'l> Monitor<'l> {
    /// Takes a sample, and reads what was between the last one and this.
    pub fn read(&mut self, raw: &Raw, sample: Result<GpmSample<'l>, NvmlError>, readings: &mut Readings) {
        let last = self.last.take();
        let sample = match reading(sample) {
            Ok(sample) => sample,
            Err(absence) => return absent(readings, &absence),
        };
        match last {
            Some(last) => match reading(raw.metrics(&last, &sample, METRICS)) {
                Ok(values) => {
                    for (quantity, value) in Quantity::MONITORED.into_iter().zip(values) {
                        readings.set(quantity, reading(value).and_then(ratio));
                    }
                }
                Err(absence) => absent(readings, &absence),
            },
            None => absent(readings, &Absence::NotYet),
        }
        self.last = Some(sample);
    }
}

/// None of it can be read.
pub(super) fn absent(readings: &mut Readings, absence: &Absence) {
    for quantity in Quantity::MONITORED {
        readings.set(quantity, Err(absence.clone()));
    }
}

fn ratio(percent: f64) -> Reading<f64> {
    if percent.is_finite() { Ok(percent / 100.0) } else { Err(Absence::Failed("it is no number".into())) }
}
