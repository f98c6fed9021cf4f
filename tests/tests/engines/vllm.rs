//! One real vLLM for each way to configure it. Starting one takes most of a minute, so what is tested of a configuration are
//! scenes on one server, and one agent plays several: the kernel takes a tenth of a second for each probe that is taken off.

use crate::{Scene, canary, dashboards, folder, gpu, messages, otlp, python, rust, tls};
use inferscope_tests::agent::Start;
use inferscope_tests::identity::Identity;
use inferscope_tests::mixed::Variety;
use inferscope_tests::stopwatch::timed;
use inferscope_tests::vllm::{Frontend, Options, Transport, VllmServer};
use std::path::{Path, PathBuf};

/// The Rust front end's process.
const RUST: &str = "vllm-rs";
/// One of several API servers.
const API_SERVER: &str = "VLLM::APIServer";

#[test]
#[ignore = "needs root and the real servers: cargo xtask test --engines"]
fn the_python_front_end() {
    let (server, folder) = start("vllm-python", &Options::default());
    timed("collectors", || otlp::collectors_are_told_what_happened(&server, &folder.join("collectors")));
    timed("dashboards", || dashboards::every_panel_has_rows(&server, &folder.join("dashboards")));
    timed("messages on the sockets", || on_the_sockets(&server, &folder.join("sockets"), ""));
    // As the unit and the pod start it: an unprivileged user with five capabilities.
    let service = Start { identity: Identity::service(), ..Start::default() };
    let scene = Scene::watch(&server, &folder.join("agent"), "", &service).with_engine();
    messages::agree(&scene, "messages", Variety::Plain);
    messages::agree(&scene, "log probabilities, two answers, clients that leave", Variety::Rich);
    timed("canaries", || canary::nothing_of_a_prompt_is_kept(&scene));
    timed("exchanges", || python::exchanges(&scene));
    let scene = timed("an agent that is killed", || python::killed_under_load(scene, &folder.join("second")));
    timed("an engine that dies", || python::an_engine_that_dies(&scene));
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn the_rust_front_end() {
    let (server, folder) = start("vllm-rust", &Options { frontend: Frontend::Rust, ..Options::default() });
    timed("messages on the sockets", || on_the_sockets(&server, &folder.join("sockets"), RUST));
    let scene = Scene::watch(&server, &folder.join("agent"), RUST, &Start::default()).with_engine();
    messages::agree(&scene, "messages", Variety::Plain);
    timed("exchanges", || rust::exchanges(&scene));
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn two_api_servers() {
    let (server, folder) = start("vllm-two", &with(&["--api-server-count", "2"]));
    timed("on a GPU", || gpu::requests_memory_and_energy(&server, &folder.join("gpu"), API_SERVER));
    let scene = Scene::watch(&server, &folder.join("agent"), API_SERVER, &Start::default()).with_engine();
    messages::agree(&scene, "messages", Variety::Plain);
    scene.agent.nothing_lost();
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn several_tokens_a_step() {
    let speculation = r#"{"method":"ngram","num_speculative_tokens":3,"prompt_lookup_max":3}"#;
    let (server, folder) = start("vllm-ngram", &with(&["--speculative-config", speculation]));
    let scene = Scene::watch(&server, &folder.join("agent"), "", &Start::default()).with_engine();
    messages::of_several_tokens(&scene);
    scene.agent.nothing_lost();
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
fn on_the_sockets(server: &VllmServer, folder: &Path, front: &str) {
    let start = Start { configuration: "capture: {engine_messages: wire}\n", ..Start::default() };
    let scene = Scene::watch(server, folder, front, &start);
    messages::agree(&scene, "messages", Variety::Plain);
    scene.agent.nothing_lost();
}

fn start(name: &str, options: &Options) -> (VllmServer, PathBuf) {
    let folder = folder(name);
    (VllmServer::start(options, &folder).expect("the real vLLM serves"), folder)
}

fn with(arguments: &[&str]) -> Options {
    Options { arguments: arguments.iter().map(|&word| word.to_owned()).collect(), ..Options::default() }
}
