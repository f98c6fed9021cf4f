//! The real vLLM on a GPU that our own library plays: what is said of its requests, of its memory and of the energy that its
//! tokens took carries the same labels. The process on the device is the one that computes, a grandchild of the front end.

use crate::{Scene, descendant};
use inferscope_nvml::{Device, Process, Scenario, Signal};
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::load::{self, Delivery, Limit, Options};
use inferscope_tests::vllm::{MODEL, VllmServer};
use std::path::Path;

const UUID: &str = "GPU-22222222-0000-0000-0000-000000000000";
const HELD: u64 = 3 << 30;
const WATTS: f64 = 250.0;

/// Attaches an agent whose library knows a device with this server on it, and asks for some tokens.
pub fn requests_memory_and_energy(server: &VllmServer, folder: &Path, front: &str) {
    let library = inferscope_nvml::install(folder).expect("a copy of the library");
    let pid = descendant(server, "VLLM::Worker");
    let device = Device {
        uuid: UUID.into(),
        name: "NVIDIA H100 80GB HBM3".into(),
        bus_id: "00000000:1B:00.0".into(),
        memory: Some([80 << 30, 0, HELD]),
        energy_millijoules: Some(Signal::Ramp { start: 1e9, per_second: WATTS * 1e3 }),
        processes: vec![Process { pid, memory: Some(HELD), ..Process::default() }],
        ..Device::default()
    };
    let world = Scenario { driver: "580.95.05".into(), devices: vec![device], ..Scenario::default() };
    world.write(folder).expect("a scenario");
    let configuration = format!("gpu: {{library: {:?}, telemetry_seconds: 1}}\n", library.display());
    let start = Start { configuration: &configuration, ..Start::default() };
    let mut scene = Scene::watch(server, folder, front, &start).with_engine();
    let service = format!("service=\"vllm:{}\"", server.address().port());
    let held = |agent: &Agent| agent.metric("gpu_process_memory_bytes", &[&service]);
    scene.agent.wait_until("the server is seen on its device", |agent| Ok(held(agent)? == HELD as f64)).expect("it is");

    let limit = Limit::Requests(20);
    let asked = Options { streams: 4, limit, delivery: Delivery::Streamed, ..Options::new(server.address(), MODEL) };
    let seen = load::collect(&asked);
    let tokens = seen.iter().filter_map(|seen| seen.completion_tokens).sum::<u64>() as f64;
    // Energy is read once a second.
    scene.agent.settle();
    scene.agent.settle();
    let labels = [service.clone(), format!("model=\"{MODEL}\""), format!("gpu=\"{UUID}\"")];
    let metric = |name: &str, more: &[&str]| {
        let labels: Vec<_> = labels.iter().map(String::as_str).chain(more.iter().copied()).collect();
        scene.agent.metric(name, &labels).expect("metrics")
    };
    let joules = metric("llm_energy_joules_total", &["attribution=\"exclusive\""]);
    println!("on a GPU: {tokens} tokens, {joules:.1} J of an idle and busy device, {:.3} J/token", joules / tokens);
    assert_eq!(metric("llm_request_total", &[]), 80.0);
    assert_eq!(metric("llm_tokens_generated_total", &[]), tokens);
    assert!(joules > 0.0, "the device is the server's alone");
    let memory = scene.agent.metric("gpu_process_memory_bytes", &[&labels[0], &labels[1], &format!("uuid=\"{UUID}\"")]);
    assert_eq!(memory.expect("metrics"), HELD as f64, "now that it is known which model it serves");
    scene.agent.nothing_lost();
}
