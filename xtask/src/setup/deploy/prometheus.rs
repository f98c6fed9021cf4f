//! Prometheus and promtool, as Debian packs them. Only unpacked: the package would start a service.

use super::Family;
use crate::setup::apt;
use crate::step;
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Of Debian 12; the libraries it needs are everywhere.
const PACKAGE: &str = "prometheus=2.42.*";

pub const FAMILY: Family = Family {
    name: "prometheus",
    pins: &[PACKAGE],
    programs: &[("prometheus", "usr/bin/prometheus"), ("promtool", "usr/bin/promtool")],
    make,
};

fn make(folder: &Path) -> Result<()> {
    apt::unpack(PACKAGE, folder)?;
    // Configuration and web pages of the service that nobody starts.
    for part in ["etc", "lib", "var", "usr/share"] {
        let part = folder.join(part);
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
    }
    for program in ["prometheus", "promtool"] {
        step::run_quietly(std::process::Command::new(folder.join("usr/bin").join(program)).arg("--version"))?;
    }
    Ok(())
}
