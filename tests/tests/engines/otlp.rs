//! What collectors are told of a real vLLM: a strict one over gRPC with TLS, whose lines are judged against the callers' clocks and
//! /metrics, and rotel over gRPC and HTTP.

use crate::folder;
use inferscope_tests::agent::Agent;
use inferscope_tests::process_group::ProcessGroup;
use inferscope_tests::vllm::{self, VllmServer, engines};
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../agent/src/export/otlp/testdata");

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn collectors_are_told_what_happened() {
    let folder = folder("engines-otlp");
    fs::create_dir_all(&folder).expect("a folder");
    let server = VllmServer::start(&vllm::Options::default(), &folder).expect("the real vLLM serves");
    let [strict, grpc, http] = [port(), port(), port()];
    let received = folder.join("received.jsonl");
    let _strict = collector(
        strict,
        &python(
            "otlp_receiver.py",
            &[
                ["--port", &strict.to_string()],
                ["--out", &text(&received)],
                ["--certificate", &format!("{TESTDATA}/collector.pem")],
                ["--key", &format!("{TESTDATA}/collector.key")],
            ],
        ),
        &folder,
    );
    let rotel_log = folder.join("rotel.log");
    let _rotel = collector(grpc, &rotel(grpc, http, &rotel_log), &folder);
    let configuration = format!(
        "otlp:\n  interval_seconds: 1\n  destinations:\n  \
         - {{endpoint: \"https://localhost:{strict}\", tls: {{ca: \"{TESTDATA}/ca.pem\"}}}}\n  \
         - {{endpoint: \"http://127.0.0.1:{grpc}\", compression: gzip}}\n  \
         - {{endpoint: \"http://127.0.0.1:{http}\", protocol: http/protobuf}}\n"
    );
    let mut agent = Agent::start(&folder, &configuration).expect("the agent starts");
    agent.attached(server.pid()).expect("the probes of the front end");

    let address = server.address();
    let (callers, page) = (folder.join("callers.jsonl"), folder.join("metrics.txt"));
    let load =
        [["load", "--port"], [&address.port().to_string(), "--out"], [&text(&callers), "--requests"], ["12", ""]];
    succeed(&python("otlp_agreement.py", &load));
    agent.settle();
    fs::write(&page, agent.get("/metrics").expect("/metrics")).expect("a file");
    for destination in [format!("localhost:{strict}"), format!("127.0.0.1:{grpc}"), format!("127.0.0.1:{http}")] {
        let to = format!("destination=\"{destination}\"");
        let sent = agent.metric("inferscope_export_spans_total", &[&to, "fate=\"sent\""]).expect("metrics");
        assert!(sent > 0.0, "no spans for {destination}:\n{}", agent.stderr());
        let metrics = agent.metric("inferscope_export_total", &[&to, "exporter=\"otlp_metrics\"", "outcome=\"ok\""]);
        assert!(metrics.expect("metrics") > 0.0, "no metrics for {destination}:\n{}", agent.stderr());
    }
    agent.stop().expect("the agent ends");

    let service = format!("vllm:{}", address.port());
    let judge = [
        ["judge", "--callers"],
        [&text(&callers), "--received"],
        [&text(&received), "--metrics"],
        [&text(&page), "--service"],
        [&service, ""],
    ];
    succeed(&python("otlp_agreement.py", &judge));
    let log = fs::read_to_string(rotel_log).expect("rotel's log");
    for name in ["gen_ai.server.time_to_first_token", "text_completion tiny-llama"] {
        assert!(log.contains(name), "rotel was not told of {name}");
    }
}

fn environment() -> PathBuf {
    engines().join("venv-otlp")
}

/// A script of tests/engines; empty arguments are left out.
fn python<const N: usize>(script: &str, arguments: &[[&str; 2]; N]) -> Vec<String> {
    let script = format!("{}/engines/{script}", env!("CARGO_MANIFEST_DIR"));
    let arguments =
        arguments.iter().flatten().filter(|argument| !argument.is_empty()).map(|argument| (*argument).to_owned());
    [text(&environment().join("bin/python")), script].into_iter().chain(arguments).collect()
}

fn rotel(grpc: u16, http: u16, log: &Path) -> Vec<String> {
    let script = "exec \"$(ls \"$0\"/lib/python3*/site-packages/rotel/rotel-agent)\" start --otlp-grpc-endpoint 127.0.0.1:$1 \
                  --otlp-http-endpoint 127.0.0.1:$2 --debug-log metrics --debug-log traces --debug-log-verbosity detailed \
                  --exporter blackhole > \"$3\" 2>&1";
    let (grpc, http) = (grpc.to_string(), http.to_string());
    ["bash", "-c", script, &text(&environment()), &grpc, &http, &text(log)].map(str::to_owned).to_vec()
}

/// A collector that listens.
fn collector(port: u16, command: &[String], folder: &Path) -> ProcessGroup {
    let log = File::options().create(true).append(true).open(folder.join("collectors.log")).expect("a log");
    let mut process = Command::new(&command[0]);
    process.args(&command[1..]).stdout(log.try_clone().expect("a log")).stderr(log).current_dir(folder);
    let group = ProcessGroup::spawn(&mut process).expect("the collector starts: cargo xtask setup --engines");
    let begin = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no collector at {port}");
        thread::sleep(Duration::from_millis(100));
    }
    group
}

fn succeed(command: &[String]) {
    let output = Command::new(&command[0]).args(&command[1..]).output().expect("the script runs");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address").port()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
