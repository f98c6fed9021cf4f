//! vLLM's Rust front end: hyper on tokio, OpenSSL linked into the executable.

use crate::{Scene, exact, load_time, plausible};
use inferscope_tests::agent::Start;
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Options};
use inferscope_tests::vllm::{MODEL, VllmServer};
use std::path::Path;

/// What clients have over HTTP is what the agent has on record; `front` is the process that talks to them.
pub fn exchanges(server: &VllmServer, folder: &Path, front: &str) {
    let scene = Scene::watch(server, folder, front, &Start::default());
    let load = |streams, limit| Options { streams, limit, max_tokens: 64, ..Options::new(server.address(), MODEL) };
    let agreement = scene.judge("Rust front end, one stream", &load::collect(&load(1, Limit::Requests(100))));
    exact(&agreement);
    plausible(&agreement);
    exact(&scene.judge("Rust front end, 8 streams", &load::collect(&load(8, Limit::Time(load_time())))));
    let chat = Options { endpoint: Endpoint::Chat, ..load(8, Limit::Requests(10)) };
    exact(&scene.judge("Rust front end, 8 streams, chat", &load::collect(&chat)));
    let whole = Options { delivery: Delivery::Whole, ..load(4, Limit::Requests(5)) };
    exact(&scene.judge("Rust front end, not streamed", &load::collect(&whole)));
    scene.agent.nothing_lost();
}
