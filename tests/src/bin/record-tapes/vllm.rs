//! vLLM: both front ends, TLS, and generation without a server.

use super::{Wanted, logs, take};
use anyhow::Result;
use inferscope_tests::agreement::compare;
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Seen};
use inferscope_tests::mixed::{Mixed, Variety};
use inferscope_tests::offline::Offline;
use inferscope_tests::unusual;
use inferscope_tests::vllm::{self, Frontend, MODEL, Options, Transport, VllmServer};
use serde_json::json;
use std::thread;
use std::time::Duration;

/// A tape's name and what happens on it.
type Scene = (&'static str, fn(&VllmServer) -> Vec<Seen>);

const PYTHON: &[Scene] = &[
    ("vllm-completions", |server| load::collect(&few(server))),
    ("vllm-chat", |server| load::collect(&load::Options { endpoint: Endpoint::Chat, ..few(server) })),
    ("vllm-whole", |server| load::collect(&load::Options { delivery: Delivery::Whole, ..few(server) })),
    ("vllm-24-streams", |server| {
        load::collect(&load::Options { streams: 24, limit: Limit::Requests(1), ..few(server) })
    }),
    ("vllm-codes", codes),
    ("vllm-abort", abort),
    ("vllm-slow-reader", slow_reader),
    ("vllm-dialects", dialects),
    ("vllm-mixed", mixed),
];
const TLS: &[Scene] = &[("vllm-tls", tls)];
const RUST: &[Scene] = &[
    ("vllm-rust-completions", |server| load::collect(&few(server))),
    ("vllm-rust-chat", |server| load::collect(&load::Options { endpoint: Endpoint::Chat, ..few(server) })),
    ("vllm-rust-whole", |server| load::collect(&load::Options { delivery: Delivery::Whole, ..few(server) })),
    ("vllm-rust-mixed", mixed),
];
/// Generation without a server.
const OFFLINE: &str = "vllm-offline";

/// Records those that are wanted.
pub fn record(wanted: &Wanted) -> Result<()> {
    let plain = Options::default();
    scenes(wanted, PYTHON, &plain)?;
    scenes(wanted, TLS, &Options { transport: Transport::Tls, ..plain.clone() })?;
    scenes(wanted, RUST, &Options { frontend: Frontend::Rust, ..plain })?;
    if wanted.is(OFFLINE) { offline() } else { Ok(()) }
}

fn scenes(wanted: &Wanted, scenes: &[Scene], options: &Options) -> Result<()> {
    if !scenes.iter().any(|(name, _)| wanted.is(name)) {
        return Ok(());
    }
    let server = VllmServer::start(options, &logs())?;
    for (name, act) in scenes.iter().filter(|(name, _)| wanted.is(name)) {
        let (seen, records) = take(name, "", None, || Ok(act(&server)))?;
        println!("{name}: {} records\n{}", records.len(), compare(&seen, &records));
    }
    Ok(())
}

fn offline() -> Result<()> {
    let mut program = Offline::start(4, &logs())?;
    let (done, records) = take(OFFLINE, "", None, || program.generate())?;
    println!("{OFFLINE}: {} records of {} requests", records.len(), done.requests.len());
    Ok(())
}

/// Everything at once: streamed and not, two answers to a request, log probabilities, clients that leave.
fn mixed(server: &VllmServer) -> Vec<Seen> {
    let time = Duration::from_millis(1500);
    let (server, model) = (server.address(), MODEL.to_owned());
    let asked = Mixed { server, model, workers: 4, time, variety: Variety::Rich }.run();
    println!("{} requests were made", asked.len());
    Vec::new()
}

fn few(server: &VllmServer) -> load::Options {
    load::Options {
        streams: 2,
        limit: Limit::Requests(3),
        max_tokens: 24,
        ..load::Options::new(server.address(), MODEL)
    }
}

fn codes(server: &VllmServer) -> Vec<Seen> {
    let address = server.address();
    unusual::ask(address, "/v1/completions", r#"{"model":"no-such-model","prompt":"x","max_tokens":2}"#);
    unusual::ask(address, "/v1/completions", "{not json");
    unusual::ask(address, "/tokenize", r#"{"model":"tiny-llama","prompt":"x"}"#);
    Vec::new()
}

fn abort(server: &VllmServer) -> Vec<Seen> {
    let body = json!({"model": MODEL, "prompt": "the quick", "max_tokens": 800, "ignore_eos": true, "stream": true});
    unusual::leave_early(server.address(), "/v1/completions", &body.to_string());
    thread::sleep(Duration::from_secs(1));
    Vec::new()
}

fn slow_reader(server: &VllmServer) -> Vec<Seen> {
    let body = json!({"model": MODEL, "prompt": "the quick brown fox", "max_tokens": 400, "stream": true,
                      "ignore_eos": true, "n": 8, "stream_options": {"include_usage": true}});
    let pause = Duration::from_secs(6);
    let events = unusual::read_slowly(server.address(), "/v1/completions", &body.to_string(), pause);
    println!("the slow reader had {events} content events");
    Vec::new()
}

fn dialects(server: &VllmServer) -> Vec<Seen> {
    let responses = json!({"model": MODEL, "input": "the quick", "max_output_tokens": 8, "stream": true});
    let messages = json!({"model": MODEL, "max_tokens": 8, "stream": true,
                          "messages": [{"role": "user", "content": "the quick"}]});
    for (path, body) in [("/v1/responses", responses), ("/v1/messages", messages)] {
        unusual::ask(server.address(), path, &body.to_string());
    }
    Vec::new()
}

fn tls(server: &VllmServer) -> Vec<Seen> {
    vllm::tls_load(server, &["--streams", "2", "--requests", "3", "--max-tokens", "24"]).expect("the TLS client")
}
