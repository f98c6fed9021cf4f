//! Every metric of the product: one row each, with both of its names, unit, labels, buckets and help text.
//!
//! docs/metrics.md is generated from this folder, and a test holds the sink to it.

mod comfyui;
mod dcgm;
mod engine;
mod gpu;
mod llm;
mod own;
mod pod;
mod triton;

pub use comfyui::*;
pub use dcgm::*;
pub use engine::*;
pub use gpu::*;
pub use llm::*;
pub use own::*;
pub use pod::*;
pub use triton::*;

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name in Prometheus: complete, with unit and `_total`.
    pub name: &'static str,
    /// Name in OTLP.
    pub otlp: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// Its labels, external ones excluded.
    pub labels: &'static [&'static str],
    /// One sentence or two without the last full stop, which the exposition format adds.
    pub help: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, over these buckets.
    Histogram(BucketSet),
}

/// A list of bucket bounds in [`crate::config::Buckets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketSet {
    /// `request_duration_seconds`.
    RequestDuration,
    /// `time_to_first_token_seconds`.
    TimeToFirstToken,
    /// `inter_token_latency_seconds`.
    InterTokenLatency,
    /// `inference_duration_seconds`.
    InferenceDuration,
    /// `batch_size`.
    BatchSize,
    /// `generation_duration_seconds`.
    GenerationDuration,
    /// `step_duration_seconds`.
    StepDuration,
    /// `node_duration_seconds`.
    NodeDuration,
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes per second.
    BytesPerSecond,
    /// Hundredths of the most there can be.
    Percent,
    /// Parts of the most there can be.
    Ratio,
    /// Degrees Celsius.
    Celsius,
    /// Watts.
    Watts,
    /// Joules.
    Joules,
    /// Hertz.
    Hertz,
}

/// The sections of docs/metrics.md and their metrics, in order.
pub const SECTIONS: &[(&str, &[&Metric])] = &[
    ("LLM requests", LLM),
    ("Inside the engine", ENGINE),
    ("Triton models", TRITON),
    ("ComfyUI", COMFYUI),
    ("GPU", GPU),
    ("GPU, by DCGM's names (only with gpu.dcgm_names)", DCGM),
    ("Pods (only with pods.metadata)", PODS),
    ("The agent about itself", OWN),
];

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|(_, metrics)| metrics.iter().copied())
}

impl Metric {
    /// The name without what the exposition format adds to it: `_total` of a counter, and the unit.
    #[must_use]
    pub fn stem(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").filter(|_| self.kind == Kind::Counter).unwrap_or(self.name);
        let stem = self.unit.suffix().and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'));
        stem.unwrap_or(name)
    }
}

impl Unit {
    /// The unit as the end of a name; absent where names do not carry it.
    #[must_use]
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Unit::Seconds => Some("seconds"),
            Unit::Bytes => Some("bytes"),
            Unit::BytesPerSecond => Some("bytes_per_second"),
            Unit::Percent => Some("percent"),
            Unit::Ratio => Some("ratio"),
            Unit::Celsius => Some("celsius"),
            Unit::Watts => Some("watts"),
            Unit::Joules => Some("joules"),
            Unit::Hertz => Some("hz"),
            Unit::Count => None,
        }
    }

    /// The unit as OTLP writes it (UCUM); absent for things.
    #[must_use]
    pub const fn ucum(self) -> Option<&'static str> {
        match self {
            Unit::Seconds => Some("s"),
            Unit::Bytes => Some("By"),
            Unit::BytesPerSecond => Some("By/s"),
            Unit::Percent => Some("%"),
            Unit::Ratio => Some("1"),
            Unit::Celsius => Some("Cel"),
            Unit::Watts => Some("W"),
            Unit::Joules => Some("J"),
            Unit::Hertz => Some("Hz"),
            Unit::Count => None,
        }
    }
}
