//! Prometheus and promtool, as Debian packs them. Only unpacked: the package would start a service.

use super::Family;
use crate::setup::foreign::{Package, Suite};
use crate::step;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Of Debian 12; the libraries it needs are everywhere.
const PIN: &str = "prometheus=2.42.*";
const PACKAGE: Package<'_> = Package { name: PIN, suite: Suite::Own, component: "main" };

pub const FAMILY: Family = Family {
    name: "prometheus",
    pins: &[PIN],
    programs: &[("prometheus", "prometheus"), ("promtool", "promtool")],
    make,
};

fn make(folder: &Path) -> Result<()> {
    let scratch = folder.join("apt");
    let unpacked = PACKAGE.unpack(&scratch)?;
    for (program, path) in FAMILY.programs {
        fs::rename(unpacked.join("usr/bin").join(program), folder.join(path))?;
        step::run_quietly(Command::new(folder.join(path)).arg("--version"))?;
    }
    Ok(fs::remove_dir_all(scratch)?)
}
