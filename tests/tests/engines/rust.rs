//! vLLM's Rust front end: hyper on tokio, OpenSSL linked into the executable.

use crate::tls::tls;
use crate::{Scene, exact, plausible};
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Options};
use inferscope_tests::vllm::{self, Frontend, MODEL};
use std::time::Duration;

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn the_rust_front_end() {
    let options = vllm::Options { frontend: Frontend::Rust, ..vllm::Options::default() };
    let scene = Scene::start("engines-rust", &options, "vllm-rs");
    let load =
        |streams, limit| Options { streams, limit, max_tokens: 64, ..Options::new(scene.server.address(), MODEL) };
    let agreement = scene.judge("Rust front end, one stream", &load::collect(&load(1, Limit::Requests(100))));
    exact(&agreement);
    plausible(&agreement);
    let eight = load::collect(&load(8, Limit::Time(Duration::from_secs(15))));
    exact(&scene.judge("Rust front end, 8 streams for 15 s", &eight));
    let chat = Options { endpoint: Endpoint::Chat, ..load(8, Limit::Requests(10)) };
    exact(&scene.judge("Rust front end, 8 streams, chat", &load::collect(&chat)));
    let whole = Options { delivery: Delivery::Whole, ..load(4, Limit::Requests(5)) };
    exact(&scene.judge("Rust front end, not streamed", &load::collect(&whole)));
    scene.agent.nothing_lost();
}

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn tls_at_the_rust_front_end() {
    tls("engines-rust-tls", Frontend::Rust, "vllm-rs");
}
