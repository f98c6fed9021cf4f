//! Who runs on this host.
pub mod process;
pub mod self_usage;
