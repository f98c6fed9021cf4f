//! Everything that talks to the kernel, or prepares what is said to it. The only module that may use aya.

pub mod elf;
pub mod placement;
