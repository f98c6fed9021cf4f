//! Where everything that is downloaded or installed for development lives.
//!
//! std only: `agent/build.rs` and the tests crate compile this file too. Nothing outside this folder is written, except
//! by apt and rustup.

use std::env;
use std::path::PathBuf;

/// Moves the cache when it is set.
pub const VARIABLE: &str = "INFERSCOPE_CACHE";

/// `$INFERSCOPE_CACHE`, else `$XDG_CACHE_HOME/inferscope`, else `~/.cache/inferscope`.
#[must_use]
pub fn root() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(VARIABLE)
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("inferscope")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/inferscope")))
        .unwrap_or_else(|| env::temp_dir().join("inferscope-cache"))
}
