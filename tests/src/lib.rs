//! What the tests and the demo share: a small server, load clients that time themselves, and the real servers as guards.
//!
//! All but `agent`, `agreement` and `identity` know nothing of the agent: they are the other side of what it measures. `offline`, `triton` and the
//! engine tests borrow its reader of metrics pages, and its comparison of two of them.

pub mod agent;
pub mod agreement;
pub mod client;
pub mod clock;
pub mod comfyui;
pub mod dashboard;
pub mod exchange;
pub mod flood;
pub mod identity;
pub mod load;
pub mod mixed;
pub mod offline;
pub mod openai_server;
pub mod prometheus;
pub mod recorder;
pub mod release;
pub mod replay;
pub mod server;
pub mod stopwatch;
pub mod triton;
pub mod unusual;
pub mod vllm;

#[path = "../../xtask/src/cache.rs"]
mod cache;
#[path = "../../xtask/src/process_group.rs"]
pub mod process_group;
mod serving;

use std::path::{Path, PathBuf};

/// The sum over those series of a metric, on a page of them, whose labels contain all of `labels` (`name="value"`).
#[must_use]
pub fn sum(page: &str, name: &str, labels: &[&str]) -> f64 {
    let mine = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|label| line.contains(label))
    };
    let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
    page.lines().filter(mine).map(value).sum()
}

/// A file of the repository.
#[must_use]
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Where `cargo xtask setup --gpu` puts what the GPU tests are held against.
#[must_use]
pub fn nvml_folder() -> PathBuf {
    cache::root().join("nvml")
}

/// Where `cargo xtask setup --deploy` puts what deploy/ is tested with.
#[must_use]
pub fn deploy_folder() -> PathBuf {
    cache::root().join("deploy")
}

/// Where `cargo xtask setup --kernels` puts other kernels and their Debian.
#[must_use]
pub fn kernels_folder() -> PathBuf {
    cache::root().join("kernels")
}
