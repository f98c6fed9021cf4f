//! What the GPU tests are held against: NVIDIA's real library as Debian packs it (without a driver it says so, and nothing
//! else), and nvitop-exporter, which reads the same interface independently.
//!
//! Both lie under the cache and are only ever run from there.

use crate::{cache, step};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of nvitop and its exporter.
const NVITOP: &str = "1.7.2";
/// NVIDIA's library in Debian.
const PACKAGE: &str = "libnvidia-ml1";

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

/// The package is in a part of Debian that the system need not know: it is fetched with an apt of its own.
fn make_library(folder: &Path) -> Result<()> {
    let apt = folder.join("apt");
    let (unpacked, library) = (apt.join("unpacked"), library());
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(folder))?;
    }
    fs::write(apt.join("debian.sources"), sources()?)?;
    apt_get(&apt, &["update"])?;
    apt_get(&apt, &["download", PACKAGE])?;
    let deb = find(&apt, |name| name.starts_with(PACKAGE) && name.ends_with(".deb"))?;
    step::run_quietly(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked))?;
    let real = find_below(&unpacked, |name| name.starts_with("libnvidia-ml.so.") && name.len() > 20)?;
    fs::create_dir_all(library.parent().unwrap_or(folder))?;
    fs::copy(real, &library)?;
    fs::remove_dir_all(&apt)?;
    Ok(())
}

/// From where the machine's own packages come, the part that is not free.
fn sources() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(REPO_URI)|$(CODENAME)|$(LABEL)|$(COMPONENT)", "Identifier: Packages"]);
    let output = targets.output().context("apt-get: this needs a Debian")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let of_debian = text.lines().find_map(|line| {
        let mut fields = line.split('|');
        let (uri, release, label, component) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let plain = label == "Debian" && component == "main" && !release.contains('-');
        plain.then(|| (uri.to_owned(), release.to_owned()))
    });
    let Some((uri, release)) = of_debian else { bail!("apt knows no repository of Debian's") };
    let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
    Ok(format!("Types: deb\nURIs: {uri}\nSuites: {release}\nComponents: non-free\nSigned-By: {key}\n"))
}

fn apt_get(folder: &Path, arguments: &[&str]) -> Result<()> {
    let option = |name: &str, path: &Path| format!("-oDir::{name}={}", path.display());
    let mut apt = Command::new("apt-get");
    apt.args([option("State::lists", &folder.join("lists")), option("Cache", &folder.join("cache"))]);
    apt.args([option("Etc::sourcelist", &folder.join("debian.sources")), option("Etc::sourceparts", Path::new("-"))]);
    step::run_quietly(apt.args(arguments).current_dir(folder))
}

fn find(folder: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten();
    let found = entries.find(|entry| is_it(&entry.file_name().to_string_lossy()));
    Ok(found.with_context(|| format!("it is not in {}", folder.display()))?.path())
}

fn find_below(folder: &Path, is_it: impl Fn(&str) -> bool + Copy) -> Result<PathBuf> {
    if let Ok(found) = find(folder, is_it) {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_dir()) {
        if let Ok(found) = find_below(&entry.path(), is_it) {
            return Ok(found);
        }
    }
    bail!("it is not below {}", folder.display())
}
