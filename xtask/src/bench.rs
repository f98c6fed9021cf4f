//! `cargo xtask bench`: the measurements that docs/journal cites. They run as root, because they load programs.

use crate::privilege::Privilege;
use crate::workspace::{self, Profile, Target};
use crate::{build, setup, step, test};
use anyhow::Result;

/// Package and bench target of every measurement.
const BENCHES: &[(&str, &str)] =
    &[("inferscope", "probe-cost"), (test::PACKAGE, "message-cost"), (test::PACKAGE, "gpu-poll")];

/// Options of `bench`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only the benches whose name contains this
    #[arg(default_value = "")]
    filter: String,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    setup::bpf()?;
    let chosen: Vec<_> = BENCHES.iter().filter(|(_, name)| name.contains(&arguments.filter)).collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no bench with `{}` in its name", arguments.filter);
    for (package, name) in chosen {
        let bench = workspace::compile(package, Target::Bench, name)?;
        let privilege = Privilege::find()?;
        let mut run = match *package {
            // It measures the agent itself: the one that users run.
            test::PACKAGE => test::with_agent(privilege, &bench, &build::agent(Profile::Release)?),
            _ => privilege.command(&bench, &[]),
        };
        step::run(run.arg("--bench").current_dir(workspace::root()))?;
    }
    Ok(())
}
