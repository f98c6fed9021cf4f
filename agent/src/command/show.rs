//! `inferscope config`.

use crate::cli::Show;
use crate::config::Config;
use std::process::ExitCode;

/// Prints the configuration in effect.
pub(super) fn show(arguments: &Show) -> ExitCode {
    if arguments.default {
        print!("{}", Config::default().to_yaml());
        return ExitCode::SUCCESS;
    }
    match Config::load(arguments.config.as_deref()) {
        Ok(config) => {
            print!("{}", config.to_yaml());
            ExitCode::SUCCESS
        }
        Err(problems) => super::unusable(&problems),
    }
}
