//! OTLP collectors to test the export against: rotel, and the parts of a strict one of our own.

use super::{Engines, Part};
use crate::step;
use anyhow::Result;
use std::path::Path;

const PACKAGES: [(&str, &str); 3] = [("rotel", "0.0.1a15"), ("grpcio", "1.85.1"), ("opentelemetry-proto", "1.45.2")];

/// In the order of their making.
pub(super) const PARTS: &[Part] = &[("OTLP collectors (about 60 MB)", are_there, make)];

fn are_there(engines: &Engines) -> bool {
    let has = |packages: &Path, name: &str, version: &str| {
        packages.join(format!("{}-{version}.dist-info", name.replace('-', "_"))).is_dir()
    };
    engines.environment("venv-otlp").has(|site| PACKAGES.iter().all(|(name, version)| has(site, name, version)))
}

fn make(engines: &Engines) -> Result<()> {
    let environment = engines.environment("venv-otlp");
    environment.make()?;
    let packages = PACKAGES.iter().map(|(name, version)| format!("{name}=={version}"));
    step::run_quietly(environment.uv("install").args(packages))
}
