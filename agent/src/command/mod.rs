//! One function per subcommand. Each returns the process's exit code; errors become one sentence on standard error.

mod check;
mod gpus;
mod health;
mod pods;
mod record;
mod replay;
mod run;
mod show;

use crate::cli::{Cli, Command};
use crate::host::privilege::secrecy;
use std::process::ExitCode;

/// Arguments or configuration are wrong; nothing was started.
const UNUSABLE: u8 = 2;

/// Does what the command line says.
#[must_use]
pub fn execute(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Health(arguments) => health::health(&arguments),
        Command::Record(arguments) => record::record(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Config(arguments) => show::show(&arguments),
    }
}

/// Says on standard error why nothing was started.
fn unusable(problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{problem}");
    ExitCode::from(UNUSABLE)
}

/// Says on standard error why it ended.
fn failed(problem: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("inferscope: {problem}");
    ExitCode::FAILURE
}

/// What is read from servers' processes does not get into a core dump.
fn keep_memory() {
    if let Err(error) = secrecy::keep_memory() {
        tracing::warn!("core dumps cannot be switched off: {error}");
    }
}

/// Where `--records` goes.
fn records(path: Option<&std::path::Path>) -> std::io::Result<Option<Box<dyn std::io::Write + Send>>> {
    let Some(path) = path else { return Ok(None) };
    if path == std::path::Path::new("-") {
        return Ok(Some(Box::new(std::io::stdout())));
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(Some(Box::new(std::io::BufWriter::new(file))))
}
