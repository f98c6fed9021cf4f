//! What the GPU tests are held against: NVIDIA's real library as Debian packs it (without a driver it says so, and nothing
//! else), and nvitop-exporter, which reads the same interface independently.
//!
//! Both lie under the cache and are only ever run from there.

use super::foreign::{Package, Suite, find_below};
use crate::{cache, step};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of nvitop and its exporter.
const NVITOP: &str = "1.7.2";
/// NVIDIA's library in Debian.
const PACKAGE: Package<'_> = Package { name: "libnvidia-ml1", suite: Suite::Own, component: "non-free" };

/// Where both are.
pub fn folder() -> PathBuf {
    cache::root().join("nvml")
}

/// Whether nothing is missing.
pub fn complete() -> bool {
    exporter().is_file() && library().is_file()
}

/// Installs what is missing.
pub fn install() -> Result<()> {
    let folder = folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    if !exporter().is_file() {
        step::persistently("nvitop-exporter", || make_exporter(&folder))?;
    }
    if !library().is_file() {
        step::persistently("NVIDIA's library, of Debian", || make_library(&folder))?;
    }
    println!("GPU tests: {}", folder.display());
    Ok(())
}

fn exporter() -> PathBuf {
    folder().join("venv/bin/nvitop-exporter")
}

fn library() -> PathBuf {
    folder().join("debian/libnvidia-ml.so.1")
}

fn make_exporter(folder: &Path) -> Result<()> {
    let venv = folder.join("venv");
    step::run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let packages = [format!("nvitop=={NVITOP}"), format!("nvitop-exporter=={NVITOP}")];
    step::run_quietly(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(packages))
}

fn make_library(folder: &Path) -> Result<()> {
    let (scratch, library) = (folder.join("apt"), library());
    let _ = fs::remove_dir_all(&scratch);
    let unpacked = PACKAGE.unpack(&scratch)?;
    let real = find_below(&unpacked, |name| name.starts_with("libnvidia-ml.so.") && name.len() > 20)?;
    fs::create_dir_all(library.parent().unwrap_or(folder))?;
    fs::copy(real, &library)?;
    fs::remove_dir_all(&scratch)?;
    Ok(())
}
