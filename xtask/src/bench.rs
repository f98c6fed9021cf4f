//! `cargo xtask bench`: the measurements that docs/journal cites. They run as root, because they load programs.

use crate::privilege::Privilege;
use crate::workspace::{self, Profile, Target};
use crate::{build, cache, setup, step};
use anyhow::Result;

/// Package and bench target of every measurement.
const BENCHES: &[(&str, &str)] = &[("inferscope", "probe-cost"), ("inferscope-tests", "message-cost")];

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
        // Where the agent itself is measured, it is the one that users run. Root's home is another one, so the cache is named.
        let agent = build::agent(Profile::Release)?;
        let variables = [("INFERSCOPE_BIN", agent.into_os_string()), (cache::VARIABLE, cache::root().into_os_string())];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_os_str()));
        let mut run = Privilege::find()?.command(bench, &variables);
        step::run(run.arg("--bench").current_dir(workspace::root()))?;
    }
    Ok(())
}
