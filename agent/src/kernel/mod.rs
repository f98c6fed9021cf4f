//! Everything that talks to the kernel: load, place, attach, read. The only user of aya.
//!
//! [`load`](load::load) gives two halves: [`Probes`](attach::Probes) attaches and may block for as long as the kernel
//! likes; [`Capture`](capture::Capture) reads events and sets volumes, and never blocks.

pub mod attach;
pub mod capture;
pub mod connections;
pub mod elf;
pub mod load;
pub mod logger;
pub mod placement;
pub mod plan;
mod pod;
pub mod trial;
