//! Triton: each protocol, batches and streams, models that use others, and what goes wrong.

use super::{Wanted, logs, take};
use anyhow::Result;
use inferscope_tests::triton::{Asked, Options, TritonServer};
use inferscope_tests::unusual;
use serde_json::Value;
use std::collections::BTreeMap;
use std::thread;

/// A tape's name and what the clients do on it.
type Scene = (&'static str, fn(&TritonServer) -> Result<Vec<Asked>>);

const SCENES: &[Scene] = &[
    ("triton-http", |server| server.drive("http", "echo", &["--count", "12", "--parallel", "6"])),
    ("triton-grpc", |server| server.drive("grpc", "echo", &["--count", "12", "--parallel", "6"])),
    ("triton-no-ids", |server| server.drive("generate", "stream", &["--count", "2", "--no-ids"])),
    ("triton-streams", |server| {
        let several = ["--count", "4", "--parallel", "2", "--responses", "5"];
        let generated = server.drive("generate_stream", "stream", &several)?;
        Ok([generated, server.drive("grpc-stream", "stream", &several)?].concat())
    }),
    ("triton-models-of-models", |server| {
        let ensemble = server.drive("http", "pair", &["--count", "3"])?;
        Ok([ensemble, server.drive("grpc", "caller", &["--count", "3"])?].concat())
    }),
    ("triton-sequences", |server| server.drive("sequence", "sequence", &["--count", "2", "--responses", "3"])),
    ("triton-failures", failures),
    ("triton-cancelled", |server| {
        let left = server.drive("leave", "stream", &["--responses", "20"])?;
        Ok([left, server.drive("cancel", "stream", &["--responses", "20"])?].concat())
    }),
];
/// One model comes and goes.
const RELOAD: Scene = ("triton-reload", reload);

/// Records those that are wanted.
pub fn record(wanted: &Wanted) -> Result<()> {
    scenes(wanted, SCENES, &Options::default())?;
    scenes(wanted, &[RELOAD], &Options::on_demand(&["echo"]))
}

fn scenes(wanted: &Wanted, scenes: &[Scene], options: &Options) -> Result<()> {
    if !scenes.iter().any(|(name, _)| wanted.is(name)) {
        return Ok(());
    }
    let server = TritonServer::start(options, &logs())?;
    for (name, act) in scenes.iter().filter(|(name, _)| wanted.is(name)) {
        let (asked, records) = take(name, "", Some(server.pid()), || act(&server))?;
        println!("{name}: {} records, of {} requests of clients", records.len(), asked.len());
        for (status, count) in statuses(asked.iter().map(|asked| asked.status.as_str())) {
            println!("  clients: {count} {status}");
        }
        let said = |key: &'static str| move |record: &'_ Value| record[key].as_str().unwrap_or_default().to_owned();
        let ended = records.iter().map(|record| format!("{} {}", said("model")(record), said("status")(record)));
        for (status, count) in statuses(ended) {
            println!("  server: {count} {status}");
        }
    }
    Ok(())
}

fn statuses<S: Into<String>>(all: impl Iterator<Item = S>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for status in all {
        *counts.entry(status.into()).or_default() += 1;
    }
    counts
}

/// A model that answers with an error, one that raises, inputs that do not fit, and a model that is not there.
fn failures(server: &TritonServer) -> Result<Vec<Asked>> {
    let answered = server.drive("grpc", "fail", &["--count", "2", "--value=-1"])?;
    let raised = server.drive("grpc", "fail", &["--count", "2", "--value=-2"])?;
    let misfit = server.drive("http", "plain", &["--count", "2"])?;
    unusual::ask(server.http(), "/v2/models/nobody/infer", r#"{"inputs":[]}"#);
    Ok([answered, raised, misfit].concat())
}

fn reload(server: &TritonServer) -> Result<Vec<Asked>> {
    let before = server.drive("http", "echo", &["--count", "2"])?;
    server.unload("echo")?;
    server.load("echo")?;
    // The new library gets its probes within a second.
    thread::sleep(std::time::Duration::from_secs(4));
    Ok([before, server.drive("http", "echo", &["--count", "2"])?].concat())
}
