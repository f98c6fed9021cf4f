//! The image's root: the agent, the shared libraries that it and NVIDIA's library need, and what these ask of /etc.
//!
//! The libraries are this machine's, because the agent was linked against them.

use super::debian;
use crate::step;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Parts of the C library that the agent does not link, and NVIDIA's library does.
const FOR_NVML: [&str; 4] = ["libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1"];
/// Whom collectors may be trusted by.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Names in the cluster are asked of DNS.
const NSSWITCH: &str = "hosts: files dns\n";
/// What says of which system the libraries are: to scanners, and to NVIDIA's toolkit, which puts its own beside them.
const SYSTEM: [&str; 2] = ["/etc/debian_version", "/etc/os-release"];

/// Fills `root`.
pub fn lay_out(root: &Path, agent: &Path) -> Result<()> {
    let program = root.join("usr/bin/inferscope");
    create_parent(&program)?;
    step::run_quietly(Command::new("strip").arg("--strip-debug").arg("-o").arg(&program).arg(agent))?;
    let files = taken(agent)?;
    for file in &files {
        copy(file, root)?;
    }
    // Where /lib and /lib64 are links here they are there: programs name their loader by /lib64.
    for name in ["lib", "lib64"] {
        if let Ok(target) = fs::read_link(Path::new("/").join(name)) {
            symlink(target.strip_prefix("/").unwrap_or(&target), root.join(name))?;
        }
    }
    for file in SYSTEM.map(Path::new).into_iter().filter(|file| file.is_file()) {
        copy(file, root)?;
    }
    fs::write(root.join("etc/nsswitch.conf"), NSSWITCH)?;
    debian::describe(root, &files)
}

/// The files of this machine that belong in the image.
pub fn taken(agent: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut libraries = linked(agent)?;
    let c_library =
        libraries.iter().find(|path| path.ends_with("libc.so.6")).context("the agent links no libc.so.6")?;
    let folder = c_library.parent().unwrap_or(Path::new("/lib")).to_owned();
    libraries.extend(FOR_NVML.map(|name| folder.join(name)));
    libraries.insert(CERTIFICATES.into());
    Ok(libraries)
}

/// What the loader would load, itself included.
fn linked(agent: &Path) -> Result<BTreeSet<PathBuf>> {
    let output = Command::new("ldd").arg(agent).output().context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout);
    // `name => /path (0x…)`, and for the loader `/path (0x…)`; linux-vdso.so.1 has no path.
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// To where it is without links in its folder; what it is itself a link to, it becomes.
fn copy(file: &Path, root: &Path) -> Result<()> {
    let (folder, name) = (file.parent().context("a file at /")?, file.file_name().context("no file")?);
    let real = fs::canonicalize(folder)?.join(name);
    let there = root.join(real.strip_prefix("/")?);
    create_parent(&there)?;
    fs::copy(file, &there).with_context(|| format!("{}", file.display()))?;
    Ok(())
}

fn create_parent(path: &Path) -> Result<()> {
    Ok(fs::create_dir_all(path.parent().unwrap_or(path))?)
}
