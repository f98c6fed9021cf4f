//! `cargo xtask image`: the container image as an OCI folder, with its software bill of materials beside it.
//!
//! Made for the architecture of this machine. It asks no registry: the image is FROM scratch, and buildah only puts together
//! what `root` laid out. Pushing it somewhere is skopeo's business.

use crate::workspace::{self, Profile};
use crate::{build, setup, step};
use anyhow::{Context, Result, bail};
use std::env::consts;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

mod debian;
mod root;
mod sbom;

/// Options of `image`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Take the agent as tests do, not optimised
    #[arg(long)]
    dev: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::bpf()?;
    if !setup::deploy::complete() {
        setup::deploy::install()?;
    }
    let image = make(if arguments.dev { Profile::Dev } else { Profile::Release })?;
    println!("{}", image.display());
    Ok(())
}

/// Builds the agent with this profile and the image of it; returns the OCI folder.
pub fn make(profile: Profile) -> Result<PathBuf> {
    let agent = build::agent(profile)?;
    let folder = workspace::target()?.join("image").join(match profile {
        Profile::Dev => "dev",
        Profile::Release => "release",
    });
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let context = folder.join("context");
    let root = context.join(architecture()?);
    root::lay_out(&root, &agent)?;
    let bill = sbom::of(&debian::owners(&root::taken(&agent)?)?)?;
    fs::write(folder.join("sbom.cdx.json"), &bill)?;
    let documents = root.join("usr/share/doc/inferscope");
    fs::create_dir_all(&documents)?;
    fs::write(documents.join("sbom.cdx.json"), &bill)?;
    for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(workspace::root().join(license), documents.join(license))?;
    }
    assemble(&folder, &context)?;
    Ok(folder.join("oci"))
}

/// What container images call this machine's architecture.
fn architecture() -> Result<&'static str> {
    match consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("the agent does not run on {other}"),
    }
}

/// `context` becomes the image `oci` in `folder`. The same files give the same image: it has no time.
fn assemble(folder: &Path, context: &Path) -> Result<()> {
    let (storage, version) = (folder.join("storage"), env!("CARGO_PKG_VERSION"));
    let name = format!("inferscope:{version}");
    let mut build = buildah(&storage);
    build.args(["build", "--isolation", "chroot", "--timestamp", "0", "--arch", architecture()?, "--tag", &name]);
    build.arg(format!("--build-arg=VERSION={version}"));
    build.arg("--file").arg(workspace::root().join("deploy/image/Containerfile")).arg(context);
    step::run_quietly(&mut build)?;
    let mut destination = OsStr::new("oci:").to_owned();
    destination.push(folder.join("oci"));
    destination.push(format!(":{version}"));
    step::run_quietly(buildah(&storage).args(["push", &name]).arg(destination))?;
    fs::remove_dir_all(&storage).with_context(|| format!("{}", storage.display()))
}

fn buildah(storage: &Path) -> Command {
    let mut buildah = Command::new("buildah");
    buildah.args(["--storage-driver", "vfs", "--root"]).arg(storage.join("root"));
    buildah.arg("--runroot").arg(storage.join("run"));
    buildah
}
