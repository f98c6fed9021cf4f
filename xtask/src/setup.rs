//! `cargo xtask setup`: makes this machine able to build the BPF programs, and on request to run the engines.
//!
//! It looks first and installs only what is missing, with pinned versions, so running it twice does nothing.

use crate::bpf_toolchain::{self, BPF_LINKER, BpfToolchain, Compiler, Missing};
use crate::{step, workspace};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

mod apt;
pub mod deploy;
pub mod engines;
mod foreign;
pub mod kernels;
pub mod nvml;

/// Debian's packages, which must be of one release: build-std compiles the source with exactly its own compiler.
const DEBIAN_PACKAGES: &[&str] =
    &["rustc-web=1.96.*", "cargo-web=1.96.*", "rust-web-src=1.96.*", "rust-web-clippy=1.96.*"];

/// Options of `setup`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Also install the real servers for the CPU (about 7 GB): vLLM with a tiny model and its Rust front end, Triton, ComfyUI
    #[arg(long)]
    engines: bool,
    /// Also install what the GPU tests are held against: NVIDIA's library without a driver, and nvitop-exporter
    #[arg(long)]
    gpu: bool,
    /// Also install what the tests of deploy/ are done with: helm, kubectl, buildah and their like
    #[arg(long)]
    deploy: bool,
    /// Also install QEMU, kernels of Debian's and a disk to boot under them
    #[arg(long)]
    kernels: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    bpf()?;
    if arguments.engines {
        engines::install()?;
    }
    if arguments.gpu {
        nvml::install()?;
    }
    if arguments.deploy {
        deploy::install()?;
    }
    if arguments.kernels {
        kernels::install(kernels::Choice::All)?;
    }
    println!("Ready: `cargo xtask test` runs the tests, `cargo xtask demo` shows the agent at work.");
    Ok(())
}

/// Finds the BPF toolchain, installing what is missing.
pub fn bpf() -> Result<BpfToolchain> {
    let compiler = match bpf_toolchain::find_compiler() {
        Some(found) => found,
        None => install_compiler()?,
    };
    let linker = match bpf_toolchain::find_linker() {
        Some(found) => found,
        None => install_linker()?,
    };
    let toolchain = BpfToolchain { compiler, linker };
    println!("BPF toolchain: {toolchain}");
    Ok(toolchain)
}

/// rustup's component where rustup can fetch it (no root, nothing of the system changes), else Debian's packages.
fn install_compiler() -> Result<Compiler> {
    let from_rustup =
        step::run_quietly(Command::new("rustup").args(["component", "add", "rust-src"]).current_dir(workspace::root()));
    match from_rustup {
        Ok(()) => println!("    rust-src: added to the rustup toolchain"),
        Err(error) if apt::is_here() => {
            println!("    rustup cannot add rust-src ({error:#}): taking Debian's toolchain instead");
            apt::install(DEBIAN_PACKAGES)?;
        }
        Err(error) => {
            return Err(
                error.context("no core source: rustup cannot add rust-src, and there is no apt-get for Debian's")
            );
        }
    }
    bpf_toolchain::find_compiler()
        .with_context(|| format!("{} is still missing after it was installed", Missing::Compiler))
}

fn install_linker() -> Result<PathBuf> {
    let root = bpf_toolchain::linker_root();
    step::persistently(&format!("bpf-linker {BPF_LINKER}: compiling (about three minutes, once)"), || {
        let mut install = workspace::cargo();
        install.args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--quiet", "--root"]).arg(&root);
        step::run_quietly(&mut install)
    })?;
    let Some(linker) = bpf_toolchain::find_linker() else {
        bail!("{} is still missing after it was installed in {}", Missing::Linker, root.display());
    };
    Ok(linker)
}
