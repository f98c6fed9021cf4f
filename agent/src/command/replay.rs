//! `inferscope replay`: the same records and metrics from a tape, without privileges.

use super::{failed, records};
use crate::cli::Replay;
use crate::config::Config;
use crate::core::Options;
use crate::export::prometheus::{Format, encode};
use crate::log::Log;
use crate::metric::Metrics;
use crate::pipeline::Pipeline;
use crate::tape::{Reader, TapeError};
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;
use std::sync::Arc;

/// Replays a tape with the default settings.
pub(super) fn replay(arguments: &Replay) -> ExitCode {
    let config = Config::default();
    let _log = Log::start("warn");
    let path = arguments.tape.display();
    let file = match File::open(&arguments.tape) {
        Ok(file) => BufReader::new(file),
        Err(error) => return failed(&format!("cannot read {path}: {error}")),
    };
    let reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return failed(&format!("{path}: {error}")),
    };
    let records = match records(arguments.records.as_deref()) {
        Ok(records) => records,
        Err(error) => return failed(&format!("cannot write the records: {error}")),
    };
    let metrics = Arc::new(Metrics::new(&config));
    let mut pipeline = Pipeline::new(Options::default(), metrics.clone(), records);
    // What stands before the place where a tape was cut is as good as the rest: it is shown, and the exit code says it.
    let end: Result<(), TapeError> = reader.into_iter().try_for_each(|input| {
        pipeline.step(input?, &mut |_, _, _| {});
        Ok(())
    });
    pipeline.finish();
    if arguments.metrics {
        match encode(&metrics, Format::Text) {
            Ok(text) => print!("{text}"),
            Err(error) => return failed(&error),
        }
    }
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("{path}: {error}")),
    }
}
