//! Who runs on this host: its processes and their sockets, which of them are inference servers, in which containers and
//! pods, its GPUs, and what the agent itself may do and uses.

pub mod allotment;
pub mod clock;
pub mod container;
pub mod discover;
pub mod findings;
pub mod gpu;
pub mod identity;
pub mod inquiry;
pub mod machine;
pub mod maps;
pub mod metadata;
pub mod package;
pub mod privilege;
pub mod process;
pub mod procfs;
pub mod self_usage;
pub mod sockets;
pub mod workload;
