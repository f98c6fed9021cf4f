//! vLLM's Rust front end: hyper on tokio, OpenSSL linked into the executable.

use crate::{Scene, exact, load_time, plausible};
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Options};
use inferscope_tests::vllm::MODEL;

/// What clients have over HTTP is what the agent has on record.
pub fn exchanges(scene: &Scene) {
    let server = scene.server.address();
    let load = |streams, limit| Options { streams, limit, max_tokens: 64, ..Options::new(server, MODEL) };
    let agreement = scene.judge("Rust front end, one stream", &load::collect(&load(1, Limit::Requests(40))));
    exact(&agreement);
    plausible(&agreement);
    exact(&scene.judge("Rust front end, 8 streams", &load::collect(&load(8, Limit::Time(load_time())))));
    let chat = Options { endpoint: Endpoint::Chat, ..load(8, Limit::Requests(10)) };
    exact(&scene.judge("Rust front end, 8 streams, chat", &load::collect(&chat)));
    let whole = Options { delivery: Delivery::Whole, ..load(4, Limit::Requests(5)) };
    exact(&scene.judge("Rust front end, not streamed", &load::collect(&whole)));
    scene.agent.nothing_lost();
}
