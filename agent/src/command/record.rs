//! `inferscope record`.
use crate::cli::Record;
use std::process::ExitCode;
pub(super) fn record(_: &Record) -> ExitCode { ExitCode::SUCCESS }
