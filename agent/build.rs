//! Compiles agent-ebpf for the BPF target and names the object in `INFERSCOPE_BPF_OBJECT`, for the crate to include.
//!
//! It installs nothing. Where the toolchain is missing, the build stops with one sentence that names the command that does.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "../xtask/src/cache.rs"]
mod cache;

#[allow(dead_code, reason = "xtask uses the rest")]
#[path = "../xtask/src/bpf_toolchain.rs"]
mod bpf_toolchain;

fn main() -> ExitCode {
    match compile() {
        Ok(object) => {
            println!("cargo::rustc-env=INFERSCOPE_BPF_OBJECT={}", object.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn compile() -> Result<PathBuf, Box<dyn Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let root = manifest.parent().ok_or("the agent is not inside its workspace")?;
    for source in ["agent-ebpf", "xtask/src/bpf_toolchain.rs", "xtask/src/cache.rs", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    // Not PATH: rustup's proxies lengthen it, so every nested cargo would compile the agent again.
    println!("cargo::rerun-if-env-changed={}", cache::VARIABLE);

    let toolchain = bpf_toolchain::find()
        .map_err(|missing| format!("{missing} is missing for the BPF programs: run `cargo xtask setup`"))?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let target_dir = target_root(&out).join("bpf");
    let built = toolchain.cargo(bpf_toolchain::Action::Build, root, &target_dir).output()?;
    if !built.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&built.stderr));
        return Err(format!("the BPF programs do not compile with {toolchain}; the compiler's words are below").into());
    }
    // A copy of its own: another profile's build may replace the shared one while rustc reads this.
    let object = out.join("inferscope-ebpf.o");
    fs::copy(bpf_toolchain::object(&target_dir), &object)?;
    Ok(object)
}

/// The outer target folder, which cargo marks with CACHEDIR.TAG; without the mark, the build script's own folder.
///
/// The BPF build must not share the outer folder itself: the outer cargo holds its lock while this script runs.
fn target_root(out: &Path) -> &Path {
    out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file()).unwrap_or(out)
}
