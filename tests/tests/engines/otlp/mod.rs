//! What collectors are told of a real vLLM: one agent sends to all of them at once, over gRPC and HTTP, with TLS and without,
//! in both temporalities. Strict ones are judged against the callers' clocks and /metrics, VictoriaMetrics by what it
//! answers in PromQL.

pub mod collectors;

use collectors::{Rotel, Store, Strict, file, script};
use inferscope_tests::agent::Agent;
use inferscope_tests::vllm::VllmServer;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Our own: a name, and how they want to be spoken to.
const STRICT: [(&str, &str); 5] = [
    ("grpc", "grpc"),
    ("grpc-tls", "grpc+tls"),
    ("grpc-mtls-delta", "grpc+mtls"),
    ("http", "http"),
    ("http-tls-delta", "http+tls"),
];

/// What tells the store's delta series from its cumulative ones.
const DELTA: &str = "told=delta";

/// An agent of its own tells all of them at once.
pub fn collectors_are_told_what_happened(server: &VllmServer, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let (strict, rotel, store) = (Strict::start(&STRICT, folder), Rotel::start(folder), Store::start(folder));
    let mut agent = Agent::start(folder, &configuration(&strict, &rotel, &store)).expect("the agent starts");
    agent.attached(server.pid()).expect("the probes of the front end");

    let port = server.address().port();
    let (callers, page) = (folder.join("callers.jsonl"), folder.join("metrics.txt"));
    let mut load = script("otlp_agreement.py");
    succeed(load.args(["load", "--port", &port.to_string(), "--out"]).arg(&callers));
    agent.settle();
    fs::write(&page, agent.get("/metrics").expect("/metrics")).expect("a file");
    agent.stop().expect("the agent ends");

    let service = format!("vllm:{port}");
    let mut judge = script("otlp_agreement.py");
    judge.arg("judge").arg("--callers").arg(&callers).arg("--received").arg(&strict.received);
    judge.arg("--metrics").arg(&page).args(["--service", &service, "--collectors"]);
    succeed(judge.args(STRICT.map(|(name, _)| name)));
    rotel.was_told_of(&["gen_ai.server.time_to_first_token", "text_completion tiny-llama", "chat tiny-llama"]);
    let mut ask = script("otlp_agreement.py");
    ask.args(["store", "--url", &format!("https://localhost:{}", store.port), "--ca", &file("ca.pem")]);
    succeed(ask.arg("--metrics").arg(&page).args(["--service", &service, "--delta", DELTA]));
    said_nothing_bad(folder);
}

/// One destination for each way to each collector.
fn configuration(strict: &Strict, rotel: &Rotel, store: &Store) -> String {
    let (ca, certificate, key) = (file("ca.pem"), file("agent.pem"), file("agent.key"));
    let tls = format!("tls: {{ca: \"{ca}\"}}");
    let mutual = format!("tls: {{ca: \"{ca}\", certificate: \"{certificate}\", key: \"{key}\"}}");
    let at = |name: &str| format!("localhost:{}", strict.port(name));
    let store = format!("https://localhost:{}/opentelemetry", store.port);
    let destinations = [
        format!("endpoint: \"http://{}\"", at("grpc")),
        format!("endpoint: \"https://{}\", {tls}", at("grpc-tls")),
        format!("endpoint: \"https://{}\", {mutual}, compression: gzip, temporality: delta", at("grpc-mtls-delta")),
        format!("endpoint: \"http://{}\", protocol: http/protobuf", at("http")),
        format!(
            "endpoint: \"https://{}\", protocol: http/protobuf, {tls}, compression: gzip, temporality: delta",
            at("http-tls-delta")
        ),
        format!("endpoint: \"http://127.0.0.1:{}\", compression: gzip", rotel.grpc),
        format!("endpoint: \"http://127.0.0.1:{}\", protocol: http/protobuf", rotel.http),
        format!("endpoint: \"{store}\", protocol: http/protobuf, {tls}, spans: false, compression: gzip"),
        format!(
            "endpoint: \"{store}/v1/metrics?extra_label={DELTA}\", exact_path: true, protocol: http/protobuf, {tls}, spans: false, \
             temporality: delta"
        ),
    ];
    let lines: String = destinations.iter().map(|destination| format!("    - {{{destination}}}\n")).collect();
    format!("otlp:\n  interval_seconds: 1\n  destinations:\n{lines}")
}

/// The agent warned of nothing that has to do with collectors.
fn said_nothing_bad(folder: &Path) {
    let log = fs::read_to_string(folder.join("stderr")).expect("the agent's log");
    let bad: Vec<_> = log.lines().filter(|line| line.contains("do not get to") || line.contains("rejected")).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

fn succeed(command: &mut Command) {
    let output = command.output().expect("the script runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
