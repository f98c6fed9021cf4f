//! Replays a tape through the whole pipeline, in this process and without privileges.

use anyhow::{Context, Result};
use inferscope::config::Config;
use inferscope::core::Options;
use inferscope::metric::Metrics;
use inferscope::pipeline::Pipeline;
use inferscope::tape::Reader;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The records of a tape, in the order in which the requests ended.
pub fn records(tape: &Path) -> Result<Vec<Value>> {
    lines(tape)?.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The same as the text of a request log.
pub fn lines(tape: &Path) -> Result<String> {
    let file = File::open(tape).with_context(|| tape.display().to_string())?;
    let sink = Sink::default();
    let metrics = Arc::new(Metrics::new(&Config::default()));
    let mut pipeline = Pipeline::new(Options::default(), metrics, Some(Box::new(sink.clone())));
    for input in Reader::new(BufReader::new(file))? {
        pipeline.step(input?, &mut |_, _, _| {});
    }
    pipeline.finish();
    let bytes = sink.0.lock().expect("no writer panics").clone();
    Ok(String::from_utf8(bytes)?)
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
