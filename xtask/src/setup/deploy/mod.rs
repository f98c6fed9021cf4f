//! What the tests of deploy/ are done with: one file for each family of tools.
//!
//! Everything is pinned and comes from the registries of npm, Python and Debian. What does not belong to the system lies
//! under the cache, a folder for each family, and `bin` has links to all programs. A family is complete or absent: its
//! pins are the last thing written.

use crate::privilege::Privilege;
use crate::{cache, step};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod compose;
mod debian;
mod grafana;
mod images;
mod kubernetes;
mod packaging;
mod prometheus;

/// All of them, in the order of their making.
const FAMILIES: &[Family] = &[
    kubernetes::FAMILY,
    images::FAMILY,
    prometheus::FAMILY,
    grafana::FAMILY,
    compose::FAMILY,
    packaging::FAMILY,
    debian::FAMILY,
];

/// Tools that are installed together.
struct Family {
    /// Its folder.
    name: &'static str,
    /// What it is made of: where one differs from what is there, all is made anew.
    pins: &'static [&'static str],
    /// Programs by name, and where they are: in the family's folder, or absolute.
    programs: &'static [(&'static str, &'static str)],
    /// Installs it into an empty folder.
    make: fn(&Path) -> Result<()>,
}

/// Where the tools are.
pub fn folder() -> PathBuf {
    cache::root().join("deploy")
}

/// Whether nothing is missing.
pub fn complete() -> bool {
    FAMILIES.iter().all(Family::is_there)
}

/// Installs what is missing.
pub fn install() -> Result<()> {
    FAMILIES.iter().try_for_each(Family::ensure)?;
    println!("Tools for deploy/: {}", folder().display());
    Ok(())
}

/// Whether Prometheus is there, which the tests with the real servers need, too.
pub fn has_prometheus() -> bool {
    prometheus::FAMILY.is_there()
}

/// Installs Prometheus alone, where it is missing.
pub fn prometheus() -> Result<()> {
    prometheus::FAMILY.ensure()
}

/// The fresh Debian, made where it is missing.
pub fn debian() -> Result<PathBuf> {
    debian::FAMILY.ensure()?;
    Ok(folder().join("debian/root"))
}

/// nfpm, installed with its family where it is missing.
pub fn nfpm() -> Result<PathBuf> {
    packaging::FAMILY.ensure()?;
    Ok(folder().join("bin/nfpm"))
}

impl Family {
    fn folder(&self) -> PathBuf {
        folder().join(self.name)
    }

    fn mark(&self) -> PathBuf {
        self.folder().join(".pins")
    }

    fn is_there(&self) -> bool {
        let made = fs::read_to_string(self.mark()).is_ok_and(|pins| pins == self.pins.join("\n"));
        made && self.programs.iter().all(|(_, place)| self.folder().join(place).is_file())
    }

    fn ensure(&self) -> Result<()> {
        if self.is_there() {
            println!("    {}: already there", self.name);
            return Ok(());
        }
        step::persistently(self.name, || self.install())
    }

    fn install(&self) -> Result<()> {
        let folder = self.folder();
        if folder.exists() {
            // Some of it may be root's.
            step::run_quietly(Privilege::find()?.command("rm", &[]).arg("-rf").arg(&folder))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
        (self.make)(&folder)?;
        self.link()?;
        Ok(fs::write(self.mark(), self.pins.join("\n"))?)
    }

    fn link(&self) -> Result<()> {
        let bin = folder().join("bin");
        fs::create_dir_all(&bin)?;
        for (name, place) in self.programs {
            let (program, link) = (self.folder().join(place), bin.join(name));
            if link.is_symlink() {
                fs::remove_file(&link)?;
            }
            symlink(&program, &link).with_context(|| format!("{}", link.display()))?;
        }
        Ok(())
    }
}

/// A Python environment `venv` in a family's folder, with these distributions (`name==version`).
fn python(folder: &Path, distributions: &[&str]) -> Result<()> {
    let venv = folder.join("venv");
    step::run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    step::run_quietly(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(distributions))
}

/// npm's packages (`name@version`) in `node_modules` of a family's folder. None of their scripts runs.
fn npm(folder: &Path, packages: &[&str]) -> Result<()> {
    let mut version = Command::new("npm");
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if !version.status().is_ok_and(|status| status.success()) {
        super::apt::install(&["npm"])?;
    }
    let mut install = Command::new("npm");
    install.args(["install", "--ignore-scripts", "--legacy-peer-deps", "--omit=peer", "--no-fund", "--no-audit"]);
    step::run_quietly(install.arg("--prefix").arg(folder).args(packages))
}
