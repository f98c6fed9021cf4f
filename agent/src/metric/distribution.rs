//! A histogram whose buckets remember a request that fell into them, where requests become spans: an exemplar.
//!
//! `prometheus-client` has exemplars for explicit buckets only. With exponential ones there are none, rather than a
//! second count of the same.

use super::family::Resolution;
use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt;
use std::time::SystemTime;

/// Exponential buckets of one histogram; beyond it they are made wider. What OpenTelemetry's SDKs take, too.
const EXPONENTIAL_BUCKETS: usize = 160;

/// A request that became a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// Its trace.
    pub trace: [u8; 16],
    /// Its span.
    pub span: [u8; 8],
    /// When it ended.
    pub at: SystemTime,
}

/// Labels of an exemplar.
#[derive(Clone, Debug, EncodeLabelSet)]
pub struct Traced {
    trace_id: String,
    span_id: String,
}

/// A distribution of requests' times.
#[derive(Debug)]
pub enum Distribution {
    /// Over explicit buckets.
    Explicit(HistogramWithExemplars<Traced>),
    /// Over explicit and exponential buckets.
    Exponential(Histogram),
}

impl Distribution {
    /// With these explicit buckets.
    pub fn new(bounds: &[f64], resolution: Resolution) -> Distribution {
        match resolution {
            Resolution::Explicit => Distribution::Explicit(HistogramWithExemplars::new(bounds.iter().copied())),
            Resolution::Exponential => Distribution::Exponential(plain(bounds, resolution)),
        }
    }

    /// Adds a value.
    pub fn observe(&self, value: f64, exemplar: Option<&Exemplar>) {
        match self {
            Distribution::Explicit(histogram) => {
                let labels =
                    exemplar.map(|Exemplar { trace, span, .. }| Traced { trace_id: hex(trace), span_id: hex(span) });
                histogram.observe(value, labels, exemplar.map(|exemplar| exemplar.at));
            }
            Distribution::Exponential(histogram) => histogram.observe(value),
        }
    }
}

impl EncodeMetric for Distribution {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self {
            Distribution::Explicit(histogram) => histogram.encode(encoder),
            Distribution::Exponential(histogram) => histogram.encode(encoder),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl TypedMetric for Distribution {
    const TYPE: MetricType = MetricType::Histogram;
}

/// A histogram without exemplars.
pub fn plain(bounds: &[f64], resolution: Resolution) -> Histogram {
    let bounds = bounds.iter().copied();
    match resolution {
        Resolution::Explicit => Histogram::new(bounds),
        Resolution::Exponential => {
            let exponential = NativeHistogramConfig::default().max_buckets(EXPONENTIAL_BUCKETS);
            Histogram::new_classic_and_native(bounds, exponential)
        }
    }
}

/// Lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
