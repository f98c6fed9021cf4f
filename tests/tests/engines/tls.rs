//! vLLM with TLS: clear text from OpenSSL's calls, through memory BIOs.

use crate::{Scene, exact, load_time, plausible};
use inferscope_tests::agent::Start;
use inferscope_tests::load::Seen;
use inferscope_tests::vllm::{self, VllmServer};
use std::path::Path;

/// What the Python client has over HTTPS is what the agent has on record.
pub fn exchanges(server: &VllmServer, folder: &Path, front: &str) {
    let scene = Scene::watch(server, folder, front, &Start::default());
    let agreement = scene.judge("TLS, one stream", &load(&scene, &["--streams", "1", "--requests", "40"]));
    exact(&agreement);
    plausible(&agreement);
    let seconds = load_time().as_secs().to_string();
    exact(&scene.judge("TLS, 8 streams", &load(&scene, &["--streams", "8", "--seconds", &seconds])));
    exact(&scene.judge("TLS, 8 streams, chat", &load(&scene, &["--streams", "8", "--requests", "5", "--chat"])));
    scene.agent.nothing_lost();
}

fn load(scene: &Scene, arguments: &[&str]) -> Vec<Seen> {
    vllm::tls_load(scene.server, &[arguments, &["--max-tokens", "64"]].concat()).expect("the TLS client")
}
