//! vLLM with TLS: clear text from OpenSSL's calls, through memory BIOs.

use crate::{Scene, exact, plausible};
use inferscope_tests::load::Seen;
use inferscope_tests::vllm::{self, Frontend, Transport};

#[test]
#[ignore = "needs root and the real vLLM: cargo xtask test --engines"]
fn tls_at_the_python_front_end() {
    tls("engines-tls", Frontend::Python, "");
}

/// Drives a TLS server with the Python client and compares.
pub fn tls(name: &str, frontend: Frontend, front: &str) {
    let options = vllm::Options { frontend, transport: Transport::Tls, ..vllm::Options::default() };
    let scene = Scene::start(name, &options, front);
    let agreement = scene.judge("TLS, one stream", &load(&scene, &["--streams", "1", "--requests", "60"]));
    exact(&agreement);
    plausible(&agreement);
    exact(&scene.judge("TLS, 8 streams for 15 s", &load(&scene, &["--streams", "8", "--seconds", "15"])));
    exact(&scene.judge("TLS, 8 streams, chat", &load(&scene, &["--streams", "8", "--requests", "5", "--chat"])));
    scene.agent.nothing_lost();
}

fn load(scene: &Scene, arguments: &[&str]) -> Vec<Seen> {
    vllm::tls_load(&scene.server, &[arguments, &["--max-tokens", "64"]].concat()).expect("the TLS client")
}
