//! `cargo xtask build`: the BPF programs and the agent, and on request what the kernel's verifier says of each program.

use crate::privilege::Privilege;
use crate::workspace::{self, Profile};
use crate::{setup, step};
use anyhow::Result;
use std::path::PathBuf;

/// Options of `build`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print the verified instruction count of each program (loads them, so it needs root)
    #[arg(short, long)]
    verbose: bool,
    /// Optimise the agent; the BPF programs always are
    #[arg(long)]
    release: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::bpf()?;
    let profile = if arguments.release { Profile::Release } else { Profile::Dev };
    let agent = agent(profile)?;
    println!("{}", agent.display());
    if arguments.verbose {
        // The agent loads the very object that it carries; what it prints is what will run.
        step::run(Privilege::find()?.command(&agent, &[]).args(["check", "--programs"]))?;
    }
    Ok(())
}

/// Builds the agent, whose build script builds the programs.
pub fn agent(profile: Profile) -> Result<PathBuf> {
    let what: &[&str] = match profile {
        // Beside a test: for the agent alone cargo chooses other features of what it stands on, and compiles that again.
        Profile::Dev => &["--workspace", "--bin", "inferscope", "--test", "live"],
        Profile::Release => &["--package", "inferscope"],
    };
    step::run(workspace::cargo().arg("build").args(what).args(profile.arguments()))?;
    profile.binary("inferscope")
}
