//! Spans of what really happened on each engine: every tape, replayed through the whole pipeline to a collector.

use super::delivery::spans;
use super::receiver::{Came, Receiver, Security};
use super::*;
use crate::core::Options;
use crate::pipeline::Pipeline;
use crate::tape::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// All tapes, by name.
pub fn tapes() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/replay");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut tapes: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "tape")).collect();
    tapes.sort();
    tapes
}

/// What a collector is told of a tape.
pub fn told(tape: &Path) -> Vec<Came> {
    let receiver = Receiver::start(Security::Plain);
    let settings = format!("{{destinations: [{{endpoint: \"{}\"}}]}}", receiver.url("http"));
    let Export { otlp, spans, metrics } = export(&config(&settings), Duration::from_secs(600));
    let mut pipeline = Pipeline::new(Options::default(), metrics, None);
    pipeline.set_spans(spans);
    for input in Reader::new(BufReader::new(File::open(tape).unwrap())).unwrap() {
        pipeline.step(input.unwrap(), &mut |_, _, _| {});
    }
    pipeline.finish();
    otlp.wait();
    receiver.came()
}

fn name(tape: &Path) -> String {
    tape.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn each_finished_request_is_one_span_with_its_stages_inside() {
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for tape in tapes() {
        let said = name(&tape);
        let records = fs::read_to_string(tape.with_extension("records.jsonl")).unwrap().lines().count();
        let spans = spans(&told(&tape));
        let all: BTreeMap<_, _> = spans.iter().map(|span| (&span.span_id, span)).collect();
        assert_eq!(all.len(), spans.len(), "{said}: an id twice");
        let whole = spans.iter().filter(|span| span.kind == 2).count();
        assert_eq!(whole, records, "{said}");
        for span in &spans {
            let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
            assert!(0 < start && start <= end, "{said}: {}", span.name);
            let outside = |at: u64| at < start || end < at;
            assert!(!span.events.iter().any(|event| outside(event.time_unix_nano)), "{said}: {:?}", span.events);
            let Some(parent) = all.get(&span.parent_span_id) else { continue };
            assert_eq!(span.trace_id, parent.trace_id, "{said}: {}", span.name);
            // A backend may still put its outputs away when its answer has left.
            let outlives = span.name == "compute" && parent.end_time_unix_nano < end;
            let inside = parent.start_time_unix_nano <= start && (end <= parent.end_time_unix_nano || outlives);
            assert!(inside, "{said}: {} is not within {}", span.name, parent.name);
        }
        let engine = said.split('-').next().unwrap().to_owned();
        names.entry(engine).or_default().extend(spans.iter().map(|span| {
            // The operation, or the stage.
            span.name.split(' ').next().unwrap().to_owned()
        }));
    }
    for (engine, expected) in [
        ("vllm", vec!["chat", "decode", "dispatch", "frontend", "prefill", "queue", "text_completion"]),
        ("triton", vec!["infer", "queue"]),
        ("comfyui", vec!["generate_content", "queue"]),
    ] {
        let names = names.get(engine).unwrap();
        assert!(expected.iter().all(|name| names.contains(*name)), "{engine}: {names:?}");
    }
}
