//! Ten minutes with nobody there, at 200 requests a second, as fast as it goes: memory stays flat, and what is left arrives
//! once somebody is there. The pipeline with a tape, as fast as it goes, does not grow either.
//!
//! What is measured is the memory of a process, so each of these runs in one of its own.

use super::receiver::{Came, Receiver, Security};
use super::*;
use crate::core::Options;
use crate::host::self_usage;
use crate::pipeline::Pipeline;
use crate::tape::Reader;
use opentelemetry_proto::tonic::metrics::v1::metric;
use std::fs::File;
use std::io::BufReader;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Instant;

/// 600 s at 200 requests a second.
const REQUESTS: u64 = 120_000;
/// What each has: itself and its stages.
const SPANS: u64 = 6;
const QUEUE: u64 = 1024;
const INTERVAL: Duration = Duration::from_secs(1);
/// What may still be added behind a tenth: nothing but the allocator's own.
const GROWTH: u64 = 16 << 20;

fn resident() -> u64 {
    self_usage::read().unwrap().resident_bytes
}

/// Runs an ignored test of this file without company.
fn alone(name: &str) {
    let path = format!("export::otlp::tests::outage::{name}");
    let mut test = Command::new(std::env::current_exe().unwrap());
    let output = test.args([path.as_str(), "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{failed}");
}

#[test]
fn an_outage_costs_no_memory_and_ends() {
    alone("ten_minutes_without_a_collector");
}

#[test]
fn the_pipeline_does_not_grow_either() {
    alone("a_tape_again_and_again");
}

#[test]
#[ignore = "measures the memory of its process: an_outage_costs_no_memory_and_ends runs it"]
fn ten_minutes_without_a_collector() {
    let away = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let settings = format!(
        "{{destinations: [{{endpoint: \"http://{away}\"}}, {{endpoint: \"http://{away}/\", protocol: http/protobuf, \
         metrics: false}}], spans: {{queue: {QUEUE}}}}}"
    );
    let export = export(&config(&settings), INTERVAL);
    let (begin, mut early) = (Instant::now(), 0);
    for arrival in 0..REQUESTS {
        export.record(&chat(arrival * 5 * MS));
        if arrival == REQUESTS / 10 {
            early = resident();
        }
    }
    let (took, late) = (begin.elapsed(), resident());
    println!("{REQUESTS} requests in {took:?}: {early} bytes after a tenth, {late} at the end");
    assert!(late < early + GROWTH, "{early} bytes became {late}");
    let fate =
        |fate: &str| export.count(&format!("inferscope_export_spans_total{{destination=\"{away}\",fate=\"{fate}\"}}"));
    assert_eq!(fate("dropped"), 2 * SPANS * (REQUESTS - QUEUE), "by both of its ways");

    let receiver = Receiver::at(away, Security::Plain);
    let back = Instant::now();
    let spans = |came: &[Came]| {
        let requests = came.iter().filter_map(|came| came.spans.as_ref()).flat_map(|spans| &spans.resource_spans);
        requests.flat_map(|resource| &resource.scope_spans).map(|scope| scope.spans.len() as u64).sum::<u64>()
    };
    let resumed = |came: &[Came]| spans(came) > 0 && came.iter().any(|came| came.metrics.is_some());
    receiver.wait("spans and metrics", resumed);
    // That no pause is longer than an interval is `sender`'s to test: here a busy machine's own time would be measured.
    println!("spans and metrics came again after {:?}, the interval is {INTERVAL:?}", back.elapsed());
    let came = receiver.wait("all that waited", |came| spans(came) == 2 * SPANS * QUEUE);
    let metrics = came.iter().find_map(|came| came.metrics.as_ref()).unwrap();
    let all = metrics.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|scope| &scope.metrics);
    let duration = all.into_iter().find(|metric| metric.name == "gen_ai.server.request.duration").unwrap();
    let Some(metric::Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    assert_eq!(histogram.data_points[0].count, REQUESTS, "nothing counted was lost");
    export.otlp.wait();
}

#[test]
#[ignore = "measures the memory of its process: the_pipeline_does_not_grow_either runs it"]
fn a_tape_again_and_again() {
    let settings = "{destinations: [{endpoint: \"http://127.0.0.1:1\"}], spans: {queue: 1024}}";
    let Export { otlp, spans, metrics } = export(&config(settings), INTERVAL);
    let mut pipeline = Pipeline::new(Options::default(), Arc::clone(&metrics), None);
    pipeline.set_spans(spans);
    let tape = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/replay/vllm-whole.tape");
    let inputs: Vec<_> =
        Reader::new(BufReader::new(File::open(tape).unwrap())).unwrap().map(|input| input.unwrap()).collect();
    let mut early = 0;
    for round in 0..400 {
        inputs.iter().for_each(|input| pipeline.step(input.clone(), &mut |_, _, _| {}));
        pipeline.finish();
        if round == 200 {
            early = resident();
        }
    }
    let late = resident();
    assert!(late < early + GROWTH, "{early} bytes became {late}");
    otlp.wait();
}
