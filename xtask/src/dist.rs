//! `cargo xtask dist`: a release as users get it: a tarball with install.sh, a deb, an rpm, and their checksums.
//!
//! The folder `inferscope-VERSION-ARCH-linux` is what the tarball holds and what both packages are made from. Everything
//! in it has the time of the commit, so the same commit, built by the same compiler, gives the same files.

use crate::setup::deploy;
use crate::workspace::{self, Profile};
use crate::{build, setup, step};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of a release, beside the binary: where they are in the repository. All of them lie flat.
const FILES: &[&str] = &[
    "config/inferscope.yaml",
    "deploy/install.sh",
    "deploy/systemd/inferscope.service",
    "docs/install.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];
/// The packages, as nfpm calls their kinds.
const PACKAGES: &[&str] = &["deb", "rpm"];
const SUMS: &str = "SHA256SUMS";

/// Options of `dist`.
#[derive(clap::Args)]
pub struct Arguments {
    /// From the unoptimised agent, as the tests of the installation use it
    #[arg(long)]
    debug: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::bpf()?;
    let folder = make(if arguments.debug { Profile::Dev } else { Profile::Release })?;
    println!("{}", folder.display());
    Ok(())
}

/// Makes the release and says in which folder it lies.
pub fn make(profile: Profile) -> Result<PathBuf> {
    let nfpm = deploy::nfpm()?;
    let agent = build::agent(profile)?;
    let folder = agent.with_file_name("dist");
    // What another version left would get into the checksums.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let name = format!("inferscope-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let stage = folder.join(&name);
    fs::create_dir_all(&stage)?;
    fill(&stage, &agent)?;
    let time = commit_time()?;
    tar(&folder, &name, &time)?;
    for kind in PACKAGES {
        package(&nfpm, kind, &stage, &time)?;
    }
    sums(&folder)?;
    Ok(folder)
}

/// The folder of a release.
fn fill(stage: &Path, agent: &Path) -> Result<()> {
    // Symbols stay, for backtraces; line tables are three quarters of the file.
    step::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(stage.join("inferscope")).arg(agent))?;
    for file in FILES {
        let source = workspace::root().join(file);
        let name = source.file_name().context("a file of the release has no name")?;
        fs::copy(&source, stage.join(name)).with_context(|| (*file).to_owned())?;
    }
    sums(stage)
}

/// Checksums of every file of a folder, in one of its own that `sha256sum --check` reads.
fn sums(folder: &Path) -> Result<()> {
    let files = fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_file());
    let mut names: Vec<_> = files.map(|entry| entry.file_name()).collect();
    names.sort();
    let mut sum = Command::new("sha256sum");
    sum.args(&names).current_dir(folder).stdout(File::create(folder.join(SUMS))?);
    step::run(&mut sum)
}

fn tar(folder: &Path, name: &str, time: &str) -> Result<()> {
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", &format!("--mtime=@{time}")]);
    // No time in gzip's head either.
    tar.args(["--use-compress-program=gzip --no-name", "--create", "--file"]).arg(format!("{name}.tar.gz"));
    step::run(tar.arg(name).current_dir(folder))
}

fn package(nfpm: &Path, kind: &str, stage: &Path, time: &str) -> Result<()> {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut nfpm = Command::new(nfpm);
    nfpm.args(["package", "--config", "deploy/packages/nfpm.yaml", "--packager", kind, "--target"]);
    nfpm.arg(stage.parent().unwrap_or(stage));
    nfpm.env("STAGE", stage).env("ARCH", arch).env("VERSION", env!("CARGO_PKG_VERSION"));
    nfpm.env("SOURCE_DATE_EPOCH", time);
    step::run_quietly(nfpm.current_dir(workspace::root()))
}

/// When the commit was made, in seconds since 1970.
fn commit_time() -> Result<String> {
    let mut log = Command::new("git");
    let output = log.args(["log", "-1", "--format=%ct"]).current_dir(workspace::root()).output().context("git log")?;
    ensure!(output.status.success(), "git log: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}
