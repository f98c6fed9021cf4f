//! Triton: the server that the wheel of PyTriton bundles, with its Python backend, and a model repository of our own.

use super::{Engines, Environment, Part, script};
use crate::step;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The release of PyTriton that the tests run against. It bundles Triton 2.51.0.
const VERSION: &str = "0.7.0";

/// In the order of their making.
pub(super) const PARTS: &[Part] = &[
    ("Triton with its Python backend (about 370 MB)", has_server, make_server),
    ("models for Triton", has_models, make_models),
];

fn environment(engines: &Engines) -> Environment {
    engines.environment("venv-triton")
}

/// The stub of the Python backend is put in its place last.
fn has_server(engines: &Engines) -> bool {
    let complete = |packages: &Path| {
        packages.join(format!("nvidia_pytriton-{VERSION}.dist-info")).is_dir() && stub(packages).is_file()
    };
    environment(engines).has(complete)
}

fn make_server(engines: &Engines) -> Result<()> {
    let environment = environment(engines);
    environment.make()?;
    step::run_quietly(environment.uv("install").arg(format!("nvidia-pytriton=={VERSION}")))?;
    // The wheel carries a stub for each Python; the backend wants its own Python's beside it.
    let python = environment.ask("import sys; print('%d.%d' % sys.version_info[:2])")?;
    let packages = environment.site_packages()?;
    let from = packages.join("pytriton/tritonserver/python_backend_stubs").join(&python).join(STUB);
    fs::copy(&from, stub(&packages)).with_context(|| format!("PyTriton {VERSION} has no {}", from.display()))?;
    Ok(())
}

const STUB: &str = "triton_python_backend_stub";

fn stub(site_packages: &Path) -> std::path::PathBuf {
    site_packages.join("pytriton/tritonserver/backends/python").join(STUB)
}

/// The script that writes them is their version: models that are older than it are made again.
fn has_models(engines: &Engines) -> bool {
    let written = fs::read(engines.folder.join("triton-models/.written-by"));
    written.ok() == fs::read(script("triton_models.py")).ok()
}

fn make_models(engines: &Engines) -> Result<()> {
    let mut make = Command::new(environment(engines).program("python"));
    step::run_quietly(make.arg(script("triton_models.py")).arg(engines.folder.join("triton-models")))
}
