//! One real vLLM for each way to configure it. Starting one takes most of a minute, so what is tested of a configuration are
//! scenes on one server, each with an agent of its own.

use crate::messages::{self, Messages};
use crate::{dashboards, folder, gpu, otlp, python, rust, tls};
use inferscope_tests::mixed::Variety;
use inferscope_tests::stopwatch::timed;
use inferscope_tests::vllm::{Frontend, Options, Transport, VllmServer};
use std::path::PathBuf;

/// The Rust front end's process.
const RUST: &str = "vllm-rs";
/// One of several API servers.
const API_SERVER: &str = "VLLM::APIServer";

#[test]
#[ignore = "needs root and the real servers: cargo xtask test --engines"]
fn the_python_front_end() {
    let (server, folder) = start("vllm-python", &Options::default());
    // First, because vLLM's own totals are compared.
    timed("exchanges", || python::exchanges(&server, &folder.join("exchanges")));
    timed("messages", || {
        let messages = Messages::start(&server, &folder.join("messages"), "", "");
        messages.agree("Python front end", Variety::Plain);
        messages.agree("log probabilities, two answers, clients that leave", Variety::Rich);
        messages.keep_nothing_of_a_prompt();
        messages.lose_nothing();
    });
    timed("messages on the sockets", || on_the_sockets(&server, &folder.join("sockets"), ""));
    timed("collectors", || otlp::collectors_are_told_what_happened(&server, &folder.join("collectors")));
    timed("dashboards", || dashboards::every_panel_has_rows(&server, &folder.join("dashboards")));
    timed("an agent that is killed", || python::killed_under_load(&server, &folder.join("killed")));
    timed("an engine that dies", || python::an_engine_that_dies(&server, &folder.join("dies")));
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn the_rust_front_end() {
    let (server, folder) = start("vllm-rust", &Options { frontend: Frontend::Rust, ..Options::default() });
    timed("exchanges", || rust::exchanges(&server, &folder.join("exchanges"), RUST));
    timed("messages", || {
        let messages = Messages::start(&server, &folder.join("messages"), RUST, "");
        messages.agree("Rust front end", Variety::Plain);
        messages.lose_nothing();
    });
    timed("messages on the sockets", || on_the_sockets(&server, &folder.join("sockets"), RUST));
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn two_api_servers() {
    let (server, folder) = start("vllm-two", &with(&["--api-server-count", "2"]));
    timed("messages", || {
        let messages = Messages::start(&server, &folder.join("messages"), API_SERVER, "");
        messages.agree("two API servers", Variety::Plain);
        messages.lose_nothing();
    });
    timed("on a GPU", || gpu::requests_memory_and_energy(&server, &folder.join("gpu"), API_SERVER));
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn several_tokens_a_step() {
    let speculation = r#"{"method":"ngram","num_speculative_tokens":3,"prompt_lookup_max":3}"#;
    let (server, folder) = start("vllm-ngram", &with(&["--speculative-config", speculation]));
    messages::of_several_tokens(&server, &folder.join("messages"));
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn tls_at_the_python_front_end() {
    let (server, folder) = start("vllm-python-tls", &Options { transport: Transport::Tls, ..Options::default() });
    tls::exchanges(&server, &folder.join("exchanges"), "");
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn tls_at_the_rust_front_end() {
    let options = Options { frontend: Frontend::Rust, transport: Transport::Tls, ..Options::default() };
    let (server, folder) = start("vllm-rust-tls", &options);
    tls::exchanges(&server, &folder.join("exchanges"), RUST);
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn without_a_server() {
    messages::without_a_server(&folder("vllm-offline"));
}

/// At the last of the ends that the agent may fall back to.
fn on_the_sockets(server: &VllmServer, folder: &std::path::Path, front: &str) {
    let messages = Messages::start(server, folder, front, "capture: {engine_messages: wire}\n");
    messages.agree("on the front end's sockets", Variety::Plain);
    messages.lose_nothing();
}

fn start(name: &str, options: &Options) -> (VllmServer, PathBuf) {
    let folder = folder(name);
    (VllmServer::start(options, &folder).expect("the real vLLM serves"), folder)
}

fn with(arguments: &[&str]) -> Options {
    Options { arguments: arguments.iter().map(|&word| word.to_owned()).collect(), ..Options::default() }
}
