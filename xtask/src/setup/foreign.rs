//! Debian packages of which the system need not know: fetched with an apt of their own and unpacked, never installed.

use super::apt;
use crate::step;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package in a part of Debian that the machine's own apt may not know.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    /// Its name, perhaps with a version pattern (`name=1.2.*`).
    pub name: &'a str,
    /// Of which Debian it is.
    pub suite: Suite,
    /// "main", "non-free".
    pub component: &'static str,
}

/// A release of Debian's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// The one that this machine runs.
    Own,
    /// Another one. Where it is sid it has but one version of a package, so that none can be asked for.
    Named(&'static str),
}

impl Package<'_> {
    /// Unpacks it in `scratch`, which the caller removes when it has taken what it wants. Returns the root of its files.
    pub fn unpack(self, scratch: &Path) -> Result<PathBuf> {
        for folder in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(scratch.join(folder))?;
        }
        fs::write(scratch.join("debian.sources"), self.sources()?)?;
        apt_get(scratch, &["update"])?;
        apt_get(scratch, &["download", self.name])?;
        let begins = format!("{}_", self.name.split('=').next().unwrap_or(self.name));
        let deb = find(scratch, |name| name.starts_with(&begins) && name.ends_with(".deb"))?;
        let unpacked = scratch.join("unpacked");
        step::run_quietly(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked))?;
        Ok(unpacked)
    }

    /// From where the machine's own packages come.
    fn sources(self) -> Result<String> {
        let (uri, own) = apt::origin()?;
        let suite = match self.suite {
            Suite::Own => &own,
            Suite::Named(name) => name,
        };
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let component = self.component;
        Ok(format!("Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {component}\nSigned-By: {key}\n"))
    }
}

/// The file below a folder whose name is as wanted.
pub fn find_below(folder: &Path, is_it: impl Fn(&str) -> bool + Copy) -> Result<PathBuf> {
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

fn find(folder: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten();
    let found = entries.find(|entry| is_it(&entry.file_name().to_string_lossy()));
    Ok(found.with_context(|| format!("it is not in {}", folder.display()))?.path())
}

fn apt_get(folder: &Path, arguments: &[&str]) -> Result<()> {
    let option = |name: &str, path: &Path| format!("-oDir::{name}={}", path.display());
    let mut apt = Command::new("apt-get");
    apt.args([option("State::lists", &folder.join("lists")), option("Cache", &folder.join("cache"))]);
    apt.args([option("Etc::sourcelist", &folder.join("debian.sources")), option("Etc::sourceparts", Path::new("-"))]);
    step::run_quietly(apt.args(arguments).current_dir(folder))
}
