//! Metrics: the catalog of every metric of the product, and the sink that counts into it.
//!
//! Knows no exporter and no clock. Unknown is absent, never zero: a series begins when there is something to say about
//! it, and ends when the server that it describes has ended.

pub mod catalog;
mod comfyui;
mod crosscheck;
mod distribution;
mod export;
mod family;
mod gpu;
mod label;
mod name;
mod pods;
mod schedule;
mod sink;
#[cfg(test)]
pub(crate) mod tests;
mod triton;

pub use distribution::Exemplar;
pub use family::Resolution;
pub use label::{labelled, sanitised};
pub use pods::{POD_LABEL, pod_label};
pub use sink::{Metrics, Running, SelfUsage};
