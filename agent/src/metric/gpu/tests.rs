//! Series of hand-written views.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::config::Config;
use crate::event::{Nanos, Tgid};
use crate::host::gpu::quantity::Readings;
use crate::host::gpu::view::{Absence, Instance, InstanceId, Kind, Source, SourceState, Throttle, Xid};
use crate::request::Record;
use prometheus_client::encoding::text;
use std::collections::BTreeSet;

const S: u64 = 1_000_000_000;
const GIB: u64 = 1 << 30;

/// Every quantity has its place in the list as its value, but for memory.
fn readings() -> Readings {
    let mut readings = Readings::default();
    for quantity in Quantity::ALL {
        readings.set(quantity, Ok(f64::from(quantity as u32) + 0.5));
    }
    readings.set(Quantity::MemoryTotal, Ok(80.0 * GIB as f64));
    readings.set(Quantity::MemoryUsed, Ok(20.0 * GIB as f64));
    readings
}

fn process(tgid: u32, gib: u64, sm: f64) -> Process {
    Process {
        tgid: Tgid(tgid),
        kinds: BTreeSet::from([Kind::Compute]),
        instance: None,
        memory: Ok(gib * GIB),
        sm: Ok(sm),
        comm: "python3".into(),
        ancestors: Arc::new([]),
    }
}

fn device(index: &str) -> Device {
    Device {
        index: index.into(),
        uuid: format!("GPU-{index}").into(),
        name: "NVIDIA H100".into(),
        pci: format!("00000000:0{index}:00.0").into(),
        ..Device::default()
    }
}

fn view(second: u64, devices: Vec<Device>) -> GpuView {
    let state = SourceState::Working { driver: Some("580.1".into()), problems: Vec::new() };
    let sources = vec![Source { name: "nvml", state }];
    GpuView { time: Nanos(second * S), sources, devices, ..GpuView::default() }
}

/// A server whose command line names no model.
fn server(tgid: u32, service: &str) -> ServerProcess {
    let owner = Owner { engine: "vllm", service: service.into() };
    ServerProcess { tgid: Tgid(tgid), root: Tgid(tgid), owner, model: "".into() }
}

/// A device that tells everything, with an instance that does, two servers and a stranger.
fn rich() -> Device {
    let instance = InstanceId { gpu: 7, compute: 0 };
    let mig = Instance { uuid: "MIG-7".into(), profile: "1g.10gb".into(), id: instance, readings: readings() };
    let alone = Process { instance: Some(instance), sm: Err(Absence::WholeDeviceOnly), ..process(10, 2, 0.0) };
    let xid = Xid { count: 2, last: Nanos(90 * S) };
    Device {
        readings: readings(),
        throttle: Ok(BTreeMap::from([(Throttle::Idle, false), (Throttle::SoftwareThermal, true)])),
        instances: vec![mig],
        processes: Ok(vec![alone, process(20, 4, 30.0), process(99, 1, 5.0)]),
        xids: BTreeMap::from([(79, xid)]),
        ..device("0")
    }
}

/// Says everything about GPUs once, around a request of service "s".
pub(in crate::metric) fn say_all(metrics: &Metrics, request: &Record) {
    let second = |nanos: Nanos| nanos.0 / S;
    let servers = [server(10, "s"), server(20, "t"), server(30, "s")];
    let mut first = rich();
    let other = Device { readings: readings(), processes: Ok(vec![process(30, 1, 0.0)]), ..device("1") };
    metrics.gpus(&view(second(request.arrival), vec![first.clone(), other.clone()]), &servers);
    metrics.record(request);
    let mut other = other;
    other.readings.set(Quantity::Energy, Ok(100.0));
    first.readings.set(Quantity::Energy, Ok(100.0));
    metrics.gpus(&view(second(request.end) + 1, vec![first, other]), &servers);
}

fn exposition(metrics: &Metrics) -> String {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    let about_gpus = |line: &&str| {
        let ours = ["gpu_", "DCGM_", "llm_energy", "llm_requests_impaired"];
        ours.iter().any(|prefix| line.starts_with(prefix))
    };
    out.lines().filter(about_gpus).fold(String::new(), |text, line| text + line + "\n")
}

fn metrics(yaml: &str) -> Metrics {
    Metrics::new(&Config::parse("test", yaml).unwrap())
}

#[test]
fn a_device_that_tells_everything() {
    let metrics = metrics("");
    metrics.gpus(&view(1, vec![rich()]), &[server(10, "s"), server(20, "t")]);
    insta::assert_snapshot!(exposition(&metrics));
}

#[test]
fn what_is_not_known_has_no_series() {
    let metrics = metrics("gpu: {dcgm_names: true}");
    metrics.gpus(&view(1, vec![rich()]), &[]);
    metrics.gpus(&view(2, vec![device("0")]), &[]);
    assert_eq!(
        exposition(&metrics),
        "gpu_info{device=\"0\",name=\"NVIDIA H100\",uuid=\"GPU-0\",vendor=\"nvidia\",mig_device=\"\",mig_profile=\"\",\
         gi=\"\",ci=\"\",pci_bus_id=\"00000000:00:00.0\",driver_version=\"580.1\"} 1\n"
    );
    metrics.gpus(&view(3, vec![]), &[]);
    assert_eq!(exposition(&metrics), "");
}

#[test]
fn processes_with_their_ids() {
    let metrics = metrics("gpu: {process_ids: true}");
    metrics.gpus(&view(1, vec![rich()]), &[server(10, "s"), server(20, "t")]);
    let lines = exposition(&metrics);
    let lines: Vec<&str> = lines.lines().filter(|line| line.starts_with("gpu_process_")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_device_that_samples_no_process_is_its_only_tenants() {
    let shares = |processes: Vec<Process>| {
        let metrics = metrics("");
        let unsampled = |process| Process { sm: Err(Absence::Unsupported), ..process };
        let mut device = Device { processes: Ok(processes.into_iter().map(unsampled).collect()), ..device("0") };
        device.readings.set(Quantity::SmActive, Ok(0.5));
        metrics.gpus(&view(1, vec![device]), &[server(10, "s")]);
        exposition(&metrics).lines().filter(|line| line.starts_with("gpu_process_sm")).map(str::to_owned).collect()
    };
    let alone: Vec<String> = shares(vec![process(10, 1, 0.0)]);
    assert!(alone.len() == 1 && alone[0].ends_with(r#"service="s",attribution="exclusive"} 50.0"#), "{alone:?}");
    let beside: Vec<String> = shares(vec![process(10, 1, 0.0), process(99, 1, 0.0)]);
    assert!(beside.is_empty(), "{beside:?}");
}

#[test]
fn energy_and_conditions_of_servers() {
    let metrics = metrics("");
    let servers = [server(10, "s"), server(20, "t"), server(30, "s")];
    let look = |second, joules, throttled| {
        let shared = |index, processes| {
            let mut device = Device { processes: Ok(processes), ..device(index) };
            device.readings.set(Quantity::Energy, Ok(joules));
            device
        };
        let mut hot = shared("0", vec![process(10, 1, 30.0), process(20, 1, 10.0)]);
        hot.throttle = Ok(BTreeMap::from([(Throttle::HardwareThermal, throttled)]));
        metrics.gpus(&view(second, vec![hot, shared("1", vec![process(30, 1, 50.0)])]), &servers);
    };
    look(99, 1000.0, false);
    look(101, 1000.0, true);
    metrics.record(&super::super::tests::chat());
    look(111, 1400.0, false);
    insta::assert_snapshot!(
        exposition(&metrics).lines().filter(|line| line.starts_with("llm_")).collect::<Vec<_>>().join("\n")
    );
    metrics.server_ended("vllm", &"s".into(), Nanos(111 * S));
    metrics.tick(Nanos(200 * S));
    look(200, 1400.0, false);
    let left: Vec<String> =
        exposition(&metrics).lines().filter(|line| line.starts_with("llm_")).map(str::to_owned).collect();
    assert!(left.iter().all(|line| line.contains("service=\"t\"")) && left.len() == 1, "{left:?}");
}

#[test]
fn dcgm_names_have_dcgm_units_and_labels() {
    let metrics = metrics("gpu: {dcgm_names: true}");
    metrics.gpus(&view(1, vec![rich()]), &[]);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let lines = exposition(&metrics).replace(&format!("Hostname=\"{}\"", host.trim()), "Hostname=\"host\"");
    let lines: Vec<&str> = lines.lines().filter(|line| line.starts_with("DCGM_")).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
