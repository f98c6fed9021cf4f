//! Ten minutes at 200 requests a second with nobody there, replayed from a tape as fast as it goes: memory stays flat.

use super::*;
use crate::core::Options;
use crate::host::self_usage;
use crate::pipeline::Pipeline;
use crate::tape::Reader;
use std::fs::File;
use std::io::BufReader;

/// 600 s at 200 requests a second.
const REQUESTS: u64 = 120_000;
/// What the queue and the registry may still grow by between a tenth and the end: nothing, but for the allocator.
const GROWTH: u64 = 16 << 20;

#[test]
fn memory_stays_flat_through_a_long_outage() {
    let config = config(
        "{destinations: [{endpoint: \"http://127.0.0.1:1\"}, {endpoint: \"http://127.0.0.1:1\", protocol: http}]}",
    );
    let Export { otlp, spans, metrics } = export(&config, Duration::from_millis(500));
    let mut spans = Some(spans);
    let (mut requests, mut early) = (0, 0);
    let mut pipeline = Pipeline::new(Options::default(), Arc::clone(&metrics), None);
    pipeline.set_spans(spans.take().unwrap());
    let tape = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/replay/vllm-completions.tape");
    let inputs: Vec<_> =
        Reader::new(BufReader::new(File::open(tape).unwrap())).unwrap().map(|input| input.unwrap()).collect();
    while requests < REQUESTS {
        for input in &inputs {
            pipeline.step(input.clone(), &mut |_, _, _| {});
        }
        pipeline.finish();
        requests = finished(&metrics);
        if early == 0 && requests > REQUESTS / 10 {
            early = self_usage::read().unwrap().resident_bytes;
        }
    }
    let late = self_usage::read().unwrap().resident_bytes;
    println!("{requests} requests: {early} bytes after a tenth, {late} at the end");
    assert!(late < early + GROWTH, "{early} bytes became {late}");
    otlp.wait();
}

fn finished(metrics: &Metrics) -> u64 {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    let lines = out.lines().filter(|line| line.starts_with("llm_request_total{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}
