//! GPUs without a GPU: NVIDIA's interface as our own library answers it, read by the agent's collector into its metrics.
//!
//! Every scenario goes the whole way: scenario file, C interface, nvml-wrapper, view, join with servers, exposition.

mod bench;
mod faults;
mod layouts;
mod others;
mod thread;
