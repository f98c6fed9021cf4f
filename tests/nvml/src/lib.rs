//! NVIDIA's management library for machines without a GPU: the C interface of nvml.h, answered from a scenario.
//!
//! Loaded by path or as `libnvidia-ml.so.1`, it reads `scenario.json` from the folder that it lies in, and again whenever
//! that file is replaced: a test takes the next step by writing the next world. A copy of the library in another folder is
//! another library, so tests do not disturb each other.
//!
//! It does what nvml.h and the real library do at the interface: versioned names, sizes of structures, versions inside
//! structures, buffers that are too small, handles that are none, calls before initialisation. It knows nothing of
//! the agent.

pub mod cards;
mod device;
mod event;
mod gpm;
mod install;
mod process;
pub mod scenario;
mod state;
mod system;

pub use install::{LIBRARY, install};
pub use scenario::{Device, Event, Field, Fields, Mig, Process, Sample, Scenario, Signal};
