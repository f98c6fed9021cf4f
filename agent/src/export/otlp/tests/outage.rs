//! A long time with nobody there, replayed from a tape as fast as it goes: memory stays flat. A minute at 200 requests a
//! second, or ten where the number of requests is given: `OUTAGE_REQUESTS=120000`.

use super::*;
use crate::core::Options;
use crate::host::self_usage;
use crate::pipeline::Pipeline;
use crate::tape::Reader;
use std::fs::File;
use std::io::BufReader;

/// 60 s at 200 requests a second.
const REQUESTS: u64 = 12_000;
/// What may still be added between a fifth and the end: nothing but the allocator's and the other tests' own.
const GROWTH: u64 = 16 << 20;

#[test]
fn memory_stays_flat_through_a_long_outage() {
    let config = config(
        "{destinations: [{endpoint: \"http://127.0.0.1:1\"}, {endpoint: \"http://127.0.0.1:1\", protocol: http/protobuf}], spans: {queue: 1024}}",
    );
    let Export { otlp, spans, metrics } = export(&config, Duration::from_millis(500));
    let wanted = std::env::var("OUTAGE_REQUESTS").map_or(REQUESTS, |requests| requests.parse().unwrap());
    let mut pipeline = Pipeline::new(Options::default(), Arc::clone(&metrics), None);
    pipeline.set_spans(spans);
    let tape = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/replay/vllm-whole.tape");
    let inputs: Vec<_> =
        Reader::new(BufReader::new(File::open(tape).unwrap())).unwrap().map(|input| input.unwrap()).collect();
    let (mut requests, mut early) = (0, 0);
    while requests < wanted {
        for _ in 0..20 {
            inputs.iter().for_each(|input| pipeline.step(input.clone(), &mut |_, _, _| {}));
            pipeline.finish();
        }
        requests = finished(&metrics);
        if early == 0 && requests > wanted / 5 {
            early = self_usage::read().unwrap().resident_bytes;
        }
    }
    let late = self_usage::read().unwrap().resident_bytes;
    println!("{requests} requests: {early} bytes after a fifth, {late} at the end");
    assert!(late < early + GROWTH, "{early} bytes became {late}");
    otlp.wait();
}

fn finished(metrics: &Metrics) -> u64 {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    let lines = out.lines().filter(|line| line.starts_with("llm_request_total{"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}
