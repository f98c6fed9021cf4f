//! What the tests and the demo share: a small server, load clients that time themselves, and the real vLLM as a guard.
//!
//! All but `agent` and `agreement` know nothing of the agent: they are the other side of what it measures. `offline` and the
//! engine tests borrow its reader of metrics pages, and its comparison of two of them.

pub mod agent;
pub mod agreement;
pub mod clock;
pub mod load;
pub mod mixed;
pub mod offline;
pub mod openai_server;
pub mod recorder;
pub mod replay;
pub mod unusual;
pub mod vllm;

#[path = "../../xtask/src/cache.rs"]
mod cache;
#[path = "../../xtask/src/process_group.rs"]
pub mod process_group;

/// Where `cargo xtask setup --gpu` puts what the GPU tests are held against.
#[must_use]
pub fn nvml_folder() -> std::path::PathBuf {
    cache::root().join("nvml")
}
