//! Requests that go well: every protocol, several models at once, streams.

use super::Scene;
use super::agreement::{Times, percent};
use inferscope_tests::triton::Asked;
use std::thread;

pub fn counts_and_sums_are_tritons_own(scene: &Scene) {
    let drive = |mode: &'static str, model: &'static str, more: &'static [&'static str]| {
        let asked = scene.server.drive(mode, model, more).expect("the client");
        assert!(asked.iter().all(|one| one.status == "ok"), "{mode} {model}: {asked:?}");
        asked
    };
    // Clients enough to fill batches and to make requests wait, on a few models at once.
    thread::scope(|scope| {
        scope.spawn(|| drive("http", "echo", &["--count", "600", "--parallel", "16"]));
        scope.spawn(|| drive("grpc", "plain", &["--count", "600", "--parallel", "16"]));
        scope.spawn(|| drive("sequence", "sequence", &["--count", "40", "--parallel", "4", "--responses", "5"]));
        scope.spawn(|| drive("http", "caller", &["--count", "100", "--parallel", "4", "--no-ids"]));
        scope.spawn(|| drive("generate", "stream", &["--count", "20", "--parallel", "2"]));
    });
    // The last requests are ones that nobody asked for from outside: those are counted latest.
    drive("http", "caller", &["--count", "20", "--parallel", "4", "--no-ids"]);
    let own = scene.totals_agree("several models, HTTP and gRPC, dynamic batching, sequences, calls between models");
    assert_eq!((own.of("plain").ok, own.of("sequence").ok, own.of("caller").ok), (600.0, 200.0, 120.0));
    assert_eq!(own.of("echo").ok, 720.0, "120 of them by `caller`");
    assert!(own.of("echo").executions < own.of("echo").executed, "requests were batched");
    let seen = scene.seen();
    for model in ["echo", "plain"] {
        let (own, seen) = (own.of(model), seen.of(model));
        let compute = |figures: super::agreement::Figures| figures.input + figures.infer + figures.output;
        assert!(percent(own.queue, seen.queue).abs() < 1.0, "queue of {model}");
        assert!(percent(compute(own), compute(seen)).abs() < 1.0, "compute of {model}");
    }
}

pub fn streams_are_timed_as_their_clients_time_them(scene: &Scene) {
    for mode in ["generate_stream", "grpc-stream"] {
        let few = drive(scene, mode, &["--count", "10", "--responses", "50"]);
        Times::compare(&few, &scene.records()).assert_close(&format!("{mode}, one at a time"));
    }
    let before = scene.metric("triton_responses_total", &[]);
    let asked = drive(scene, "generate_stream", &["--no-ids", "--count", "96", "--parallel", "8", "--responses", "50"]);
    assert_eq!(asked.iter().map(|one| one.responses.len()).sum::<usize>(), 4800);
    scene.totals_agree("and 96 streams of 50 responses, 8 at a time");
    assert_eq!(scene.metric("triton_responses_total", &[]) - before, 4800.0);
    assert_eq!(scene.metric("triton_request_total", &["status=\"ok\""]), 96.0 + 20.0);
    // A decoupled model's requests are those of a language model, too.
    assert_eq!(scene.metric("llm_request_total", &["model=\"stream\""]), 96.0 + 20.0);
    assert_eq!(scene.metric("llm_time_to_first_token_seconds_count", &["model=\"stream\""]), 96.0 + 20.0);
    assert_eq!(scene.metric("llm_inter_token_latency_seconds_count", &["model=\"stream\""]), (96.0 + 20.0) * 49.0);
    assert_eq!(scene.metric("llm_tokens_generated_total", &[]), 0.0, "a response is not a token");
    two_hits_for_each_response(scene, 4800.0 + 1000.0);
}

pub fn tls_changes_nothing(scene: &Scene) {
    for (mode, model) in [("grpc", "echo"), ("grpc-stream", "stream")] {
        let asked = scene.server.drive(mode, model, &["--count", "20", "--parallel", "2", "--responses", "5"]);
        let asked = asked.expect("the client");
        assert!(asked.iter().all(|one| one.status == "ok"), "{asked:?}");
    }
    let own = scene.totals_agree("gRPC over TLS");
    assert_eq!((own.of("echo").ok, own.of("stream").ok), (20.0, 20.0));
    assert_eq!(scene.metric("triton_responses_total", &["model=\"stream\""]), 100.0);
}

/// The steps of an ensemble are executions of their model and not requests of clients.
pub fn an_ensemble_is_one_request(scene: &Scene) {
    let asked = scene.server.drive("http", "pair", &["--count", "30"]).expect("the client");
    assert!(asked.iter().all(|one| one.status == "ok"), "{asked:?}");
    scene.settle();
    let requests = |model: &str| scene.metric("triton_request_total", &[&format!("model=\"{model}\"")]);
    assert_eq!((requests("pair"), requests("echo")), (30.0, 0.0));
    let own = scene.own();
    assert_eq!((own.of("pair").ok, own.of("echo").executed), (30.0, 60.0));
}

/// Hits are counted for the host: where another Triton runs on it, they are its as well.
fn two_hits_for_each_response(scene: &Scene, responses: f64) {
    let hits = |hook: &str| scene.host_metric("inferscope_probe_hits_total", &[&format!("hook=\"{hook}\"")]);
    let all = hits("TRITONBACKEND_ResponseNewFromFactory") + hits("TRITONBACKEND_ResponseSend");
    println!("{all} hits for {responses} responses");
    let status = scene.agent.status().expect("a status");
    let servers = status["processes"].as_array().expect("processes").iter();
    if servers.filter(|process| process["engine"] == "triton" && process["role"] == "frontend").count() == 1 {
        assert_eq!(all, 2.0 * responses, "two hits for each response");
    }
}

fn drive(scene: &Scene, mode: &str, more: &[&str]) -> Vec<Asked> {
    let asked = scene.server.drive(mode, "stream", more).expect("the client");
    assert!(asked.iter().all(|one| one.status == "ok"), "{asked:?}");
    asked
}
