//! Servers that run on a GPU, as NVIDIA's interface says where our own library stands for it.

use crate::agent::{Agent, Folder, Metrics, SERVICE};
use crate::server::Server;
use inferscope_nvml::{Device, Event, Process, Sample, Scenario, Signal};
use inferscope_tests::load::{self, Limit, Options};
use std::thread;
use std::time::Duration;

const UUID: &str = "GPU-11111111-0000-0000-0000-000000000000";
const HELD: u64 = 20 << 30;
/// nvmlClocksThrottleReasonSwPowerCap
const POWER_CAP: u64 = 4;

/// A device on which this process runs, alone.
fn machine(pid: u32) -> Scenario {
    let device = Device {
        uuid: UUID.into(),
        name: "NVIDIA H100 80GB HBM3".into(),
        bus_id: "00000000:1B:00.0".into(),
        memory: Some([80 << 30, 0, HELD]),
        power_milliwatts: Some(300_000),
        energy_millijoules: Some(Signal::Ramp { start: 1e9, per_second: 300_000.0 }),
        throttle: Some(POWER_CAP),
        processes: vec![Process { pid, memory: Some(HELD), ..Process::default() }],
        samples: Some(vec![Sample { pid, sm: 40, time: None }]),
        ..Device::default()
    };
    Scenario { driver: "580.95.05".into(), devices: vec![device], ..Scenario::default() }
}

#[test]
#[ignore = "needs root"]
fn requests_memory_and_energy_have_the_same_labels() {
    let server = Server::demo(5);
    let folder = Folder::new();
    let library = inferscope_nvml::install(&folder.path("")).expect("a copy of the library");
    let mut scenario = machine(server.pid());
    scenario.write(&folder.path("")).expect("a scenario");
    let more = format!("gpu: {{library: {:?}, telemetry_seconds: 1}}\n", library.display());
    let mut agent = Agent::start_with(&[&server], &more);
    agent.wait_attached(&[server.pid()]);
    agent.metrics_with("gpu_process_memory_bytes", &[("service", SERVICE)]);

    let _ = load::collect(&Options { limit: Limit::Requests(4), ..Options::new(server.address(), server.model()) });
    agent.metrics_after(4);
    let labels = [("engine", "vllm"), ("model", server.model()), ("service", SERVICE)];
    agent.metrics_with("llm_requests_impaired_total", &labels);
    let metrics = agent.metrics_with("llm_energy_joules_total", &labels);

    let here = |name| metrics.sum(name, &[labels.as_slice(), &[("gpu", UUID)]].concat());
    assert_eq!(here("llm_request_total"), Some(4.0), "{}", metrics.text);
    assert_eq!(here("llm_tokens_generated_total"), Some(4.0 * 16.0));
    assert_eq!(here("llm_time_to_first_token_seconds_count"), Some(4.0));
    assert_eq!(here("llm_requests_impaired_total"), Some(4.0), "its clocks are held down by the power limit");
    assert_eq!(metrics.sum("llm_requests_impaired_total", &[("condition", "power")]), Some(4.0));
    let held = metrics.sum("gpu_process_memory_bytes", &[labels.as_slice(), &[("uuid", UUID)]].concat());
    assert_eq!(held, Some(HELD as f64));
    assert_eq!(metrics.sum("gpu_process_sm_utilization_percent", &labels), Some(40.0));

    // All that the device uses is the server's: it is alone there.
    let attributed = [labels.as_slice(), &[("gpu", UUID), ("attribution", "exclusive")]].concat();
    let used = |metrics: &Metrics| metrics.sum("llm_energy_joules_total", &attributed).expect("it was alone");
    let mut count = |joules: f64| {
        scenario.devices[0].energy_millijoules = Some(Signal::Constant(joules * 1e3));
        scenario.write(&folder.path("")).expect("a scenario");
        let counted = |metrics: &Metrics| metrics.sum("gpu_energy_joules_total", &[]) == Some(joules);
        agent.metrics_when("the energy is counted", counted);
        // Families are shown one after the other.
        thread::sleep(Duration::from_secs(2));
        used(&agent.metrics_when("again", counted))
    };
    let (before, after) = (count(2e6), count(2e6 + 500.0));
    assert!((after - before - 500.0).abs() < 1e-3, "{} of 500 J", after - before);

    scenario.devices[0].events = vec![Event { id: 1, xid: 31 }];
    scenario.write(&folder.path("")).expect("a scenario");
    let metrics = agent.metrics_with("gpu_xid_errors_total", &[("xid", "31")]);
    assert_eq!(metrics.sum("gpu_xid_errors_total", &[]), Some(1.0));
    let state = &agent.status()["gpu"];
    assert_eq!((&state["sources"][0]["state"], &state["devices"][0]["uuid"]), (&"working".into(), &UUID.into()));
    let ended = agent.stop();
    assert_eq!(ended.code, Some(0));
    assert!(ended.records.iter().all(|record| record["gpus"] == serde_json::json!([UUID])), "{:?}", ended.records);
}

#[test]
#[ignore = "needs root"]
fn without_a_library_everything_else_works() {
    let server = Server::demo(2);
    let mut agent = Agent::start_with(&[&server], "gpu: {library: /nowhere/libnvidia-ml.so.1}\n");
    agent.wait_attached(&[server.pid()]);
    let _ = load::collect(&Options { limit: Limit::Requests(2), ..Options::new(server.address(), server.model()) });
    let metrics = agent.metrics_after(2);
    assert!(!metrics.text.contains("gpu"), "{}", metrics.text);
    let source = agent.status()["gpu"]["sources"][0].clone();
    assert_eq!(source["state"], "absent");
    assert!(source["problems"][0].as_str().is_some_and(|why| why.contains("cannot be loaded")), "{source}");
    assert_eq!(agent.stop().code, Some(0));
}
