//! Who runs on this host.
pub mod process;
