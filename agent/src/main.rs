//! The `inferscope` command.

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    inferscope::command::execute(inferscope::cli::Cli::parse())
}
