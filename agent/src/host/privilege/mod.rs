//! What the kernel lets the agent do: the capabilities it uses, giving up all others, and keeping its memory to itself.
//!
//! Decides nothing about the kernel by version: whether uprobes demand CAP_SYS_ADMIN is tried (`kernel/trial.rs`).

pub mod capability;
pub mod descriptors;
pub mod give_up;
pub mod secrecy;

pub use capability::{Capability, Held, Hold};
