//! Debian packages, installed without questions and with patience for another apt's lock.

use crate::privilege::Privilege;
use crate::step;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// Seconds to wait for another apt.
const LOCK: &str = "-oDPkg::Lock::Timeout=120";

/// Whether this is a Debian at all.
pub fn is_here() -> bool {
    Path::new("/usr/bin/apt-get").is_file()
}

/// Installs packages, each perhaps with a version pattern (`name=1.96.*`).
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    let privilege = Privilege::find().with_context(|| format!("cannot install {names} with apt"))?;
    let quiet = [("DEBIAN_FRONTEND", OsStr::new("noninteractive"))];
    let apt = |arguments: &[&str]| {
        step::run_quietly(privilege.command("apt-get", &quiet).args([LOCK, "-y", "-q"]).args(arguments))
    };
    step::persistently(&format!("apt: {names}"), || {
        apt(&["update"])?;
        apt(&[["install", "--no-install-recommends"].as_slice(), packages].concat())
    })
}

/// From where the machine's own packages come: the address, and the name of its release.
pub fn origin() -> Result<(String, String)> {
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
    of_debian.context("apt knows no repository of Debian's")
}
