//! OTLP collectors to test the export against: rotel, the parts of strict ones of our own, and VictoriaMetrics, which answers
//! PromQL.

use super::{Engines, Part};
use crate::setup::foreign::{Package, Suite, find_below};
use crate::step;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

const PACKAGES: [(&str, &str); 3] = [("rotel", "0.0.1a15"), ("grpcio", "1.85.1"), ("opentelemetry-proto", "1.45.2")];

/// Debian has one that takes OTLP since after bookworm. sid holds one version at a time, so none can be pinned.
const STORE: Package = Package { name: "victoria-metrics", suite: Suite::Named("sid"), component: "main" };

/// In the order of their making.
pub(super) const PARTS: &[Part] = &[
    ("OTLP collectors (about 60 MB)", are_there, make),
    ("VictoriaMetrics (17 MB)", |engines| store(engines).is_file(), make_store),
];

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

fn store(engines: &Engines) -> PathBuf {
    engines.folder.join("victoria-metrics/victoria-metrics")
}

fn make_store(engines: &Engines) -> Result<()> {
    let (scratch, store) = (engines.folder.join("victoria-metrics.apt"), store(engines));
    let _ = fs::remove_dir_all(&scratch);
    let unpacked = STORE.unpack(&scratch)?;
    if let Some(folder) = store.parent() {
        fs::create_dir_all(folder)?;
    }
    // The file marks the part: it appears whole.
    fs::rename(find_below(&unpacked.join("usr/bin"), |name| name == STORE.name)?, &store)?;
    Ok(fs::remove_dir_all(&scratch)?)
}
