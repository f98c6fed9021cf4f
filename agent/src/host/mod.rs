//! Who runs on this host.

pub mod clock;
pub mod discover;
pub mod process;
pub mod procfs;
pub mod sockets;
