//! The GPUs of this host: what each does, its MIG instances, and the processes on it.
//!
//! [`view`] is what is known of them at one moment, plain data that tests write by hand. [`nvml`] reads it from NVIDIA's
//! library, [`drm`] from the kernel's drivers for others, and [`watch`] is the one thread that does so again and again. Which server a process belongs to is not
//! known here: [`crate::correlate`] joins the two.

pub mod drm;
pub mod lineage;
pub mod nvml;
pub mod quantity;
pub mod rhythm;
pub mod view;
pub mod watch;

pub use quantity::Quantity;
pub use view::{Absence, Device, GpuView, Instance, Process, Reading};
