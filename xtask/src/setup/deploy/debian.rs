//! A fresh Debian to install on, and what judges scripts, packages and units.
//!
//! That Debian is made once and never changed: each test puts a layer of its own over it.

use super::Family;
use crate::privilege::Privilege;
use crate::setup::apt;
use crate::step;
use anyhow::{Context, Result};
use std::path::Path;

/// What there is in Debian alone.
const PACKAGES: &[&str] = &["mmdebstrap", "rpm", "shellcheck", "systemd"];
/// What the fresh Debian has beside the essential packages: a service manager, as hosts that run the agent have one, and
/// the program of the other kind of packages.
const BESIDE: &str = "systemd,rpm";

pub const FAMILY: Family = Family {
    name: "debian",
    pins: &[BESIDE],
    programs: &[
        ("rpm", "/usr/bin/rpm"),
        ("shellcheck", "/usr/bin/shellcheck"),
        ("systemd-analyze", "/usr/bin/systemd-analyze"),
    ],
    make,
};

/// The release that this machine itself has, from where it has it.
fn make(folder: &Path) -> Result<()> {
    apt::install(PACKAGES)?;
    let (uri, release) = apt::origin()?;
    let privilege = Privilege::find().context("cannot make a Debian")?;
    let mut make = privilege.command("mmdebstrap", &[]);
    make.args(["--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", "--include", BESIDE]);
    step::run_quietly(make.arg(&release).arg(folder.join("root")).arg(&uri))
}
