//! Machines as they are: many devices, MIG, servers over several devices and several servers on one.

use crate::bench::{Bench, GIB, hopper, machine, pascal, process, sample};
use inferscope_nvml::scenario::Kind;
use inferscope_nvml::{Device, Mig, Process, Signal};
use std::collections::BTreeMap;

/// Ids of processes that are on no machine: their /proc is not looked at.
const FRONTEND: u32 = 4_194_400;

#[test]
fn eight_devices() {
    let mut devices: Vec<Device> = (0..8).map(hopper).collect();
    devices[3].utilization = Some(97);
    devices[3].memory = Some([80 * GIB, GIB / 2, 70 * GIB]);
    devices[3].throttle = Some(0x4 | 0x20);
    let mut bench = Bench::new("eight", "", &machine(devices));
    bench.step(1);
    bench.step(1);
    insta::assert_snapshot!(bench.all());
    assert_eq!(bench.problems(), Vec::<String>::new());
}

fn small(index: u32, gi: u32, busy: f64) -> Mig {
    Mig {
        uuid: format!("MIG-{index:08}-0000-0000-0000-000000000000"),
        profile: "1g.10gb".into(),
        gi,
        ci: 0,
        memory: Some([10 * GIB, 0, GIB]),
        gpm: Some([(1, busy), (2, busy / 2.0), (3, 10.0), (5, 5.0), (10, 2.0)].into()),
    }
}

fn inside(pid: u32, gib: u64, gi: u32) -> Process {
    Process { instance: Some([gi, 0]), ..process(pid, gib) }
}

/// As a driver tells of a device with MIG on: no utilisation, no samples.
fn cut(instances: BTreeMap<u32, Mig>) -> Device {
    let (mig, utilization, samples) = (Some(instances), None, None);
    Device { mig, utilization, memory_utilization: None, encoder: None, decoder: None, samples, ..hopper(0) }
}

#[test]
fn seven_small_instances() {
    let instances = (0..7).map(|index| (index, small(index, index + 7, 50.0))).collect();
    let mut device = cut(instances);
    device.processes = vec![inside(FRONTEND, 4, 7), inside(FRONTEND + 1, 5, 8), inside(FRONTEND + 2, 6, 8)];
    let mut bench = Bench::new("seven", "", &machine(vec![device]));
    bench.server(FRONTEND, FRONTEND, "vllm:8000", "m");
    bench.server(FRONTEND + 1, FRONTEND + 1, "vllm:8001", "n");
    bench.step(1);
    bench.step(1);
    insta::assert_snapshot!(bench.all());
}

#[test]
fn mixed_instances_with_holes() {
    let large = Mig { profile: "3g.40gb".into(), memory: Some([40 * GIB, 0, 8 * GIB]), ..small(0, 1, 80.0) };
    // Two compute instances share a GPU instance, and what is monitored of it.
    let half = |index, ci| Mig { profile: "1c.2g.20gb".into(), ci, ..small(index, 5, 30.0) };
    let mut device = cut([(0, large), (2, half(2, 0)), (3, half(3, 1))].into());
    device.processes = vec![inside(FRONTEND, 8, 1), inside(FRONTEND + 1, 1, 5)];
    let before_hopper = Device { gpm: None, ..cut([(4, Mig { gpm: None, ..small(9, 11, 0.0) })].into()) };
    let before_hopper = Device { name: "NVIDIA A100-SXM4-80GB".into(), uuid: "GPU-a100".into(), ..before_hopper };
    let mut bench = Bench::new("mixed", "", &machine(vec![device, before_hopper]));
    bench.server(FRONTEND, FRONTEND, "vllm:8000", "m");
    bench.server(FRONTEND + 1, FRONTEND + 1, "vllm:8001", "n");
    bench.step(1);
    bench.step(1);
    let parts = ["gpu_memory_used", "gpu_sm_active", "gpu_process"].map(|prefix| bench.series(prefix));
    insta::assert_snapshot!(parts.join("\n"));
}

#[test]
fn instances_come_and_go() {
    let of = |instances: &[u32]| {
        machine(vec![cut(instances.iter().map(|index| (*index, small(*index, index + 7, 0.0))).collect())])
    };
    let mut bench = Bench::new("come-and-go", "", &of(&[0, 1]));
    let instances = |bench: &Bench| bench.series("gpu_memory_used_bytes").matches("1g.10gb").count();
    bench.step(1);
    assert_eq!(instances(&bench), 2);
    bench.then(1, &of(&[0, 1, 2]));
    assert_eq!(instances(&bench), 2, "before the inventory");
    bench.step(30);
    assert_eq!(instances(&bench), 3);
    bench.then(30, &of(&[]));
    assert_eq!(instances(&bench), 0);
    // MIG is switched off.
    bench.then(30, &machine(vec![hopper(0)]));
    assert!(bench.series("gpu_utilization_percent").ends_with(" 0.0"));
}

#[test]
fn a_server_over_four_devices() {
    let engine = FRONTEND + 1;
    let devices = (0..4).map(|index| {
        let worker = FRONTEND + 10 + index;
        let energy_millijoules = Some(Signal::Constant(1e6));
        Device { processes: vec![process(worker, 60)], energy_millijoules, ..hopper(index) }
    });
    let mut scenario = machine(devices.collect());
    let mut bench = Bench::new("four", "", &scenario);
    bench.server(FRONTEND, FRONTEND, "vllm:8000", "m");
    bench.server(engine, FRONTEND, "vllm:8000", "");
    for worker in 0..4 {
        bench.server(FRONTEND + 10 + worker, FRONTEND, "vllm:8000", "");
    }
    bench.step(1);
    for device in &mut scenario.devices {
        device.energy_millijoules = Some(Signal::Constant(1.5e6));
    }
    bench.then(5, &scenario);
    insta::assert_snapshot!([bench.series("gpu_process"), bench.series("llm_")].join("\n"));
}

#[test]
fn two_servers_on_one_device_and_a_stranger() {
    let mut device = hopper(0);
    device.processes = vec![process(FRONTEND, 20), process(FRONTEND + 1, 10), process(FRONTEND + 2, 1)];
    // From before the agent: not of its time.
    device.samples = Some(vec![sample(FRONTEND, 99, 500_000)]);
    let mut scenario = machine(vec![device]);
    let mut bench = Bench::new("two", "", &scenario);
    bench.server(FRONTEND, FRONTEND, "vllm:8000", "m");
    bench.server(FRONTEND + 1, FRONTEND + 1, "vllm:8001", "n");
    bench.step(1);
    assert_eq!(bench.series("gpu_process_sm"), "", "the driver's buffer is older than the agent");
    scenario.devices[0].samples = Some(vec![
        sample(FRONTEND, 50, 1_000_000),
        sample(FRONTEND, 70, 1_100_000),
        sample(FRONTEND + 2, 20, 1_100_000),
    ]);
    bench.then(1, &scenario);
    scenario.devices[0].energy_millijoules = Some(Signal::Constant(1.0008e9));
    // No new samples: none of them did anything since.
    bench.then(4, &scenario);
    assert_eq!(bench.series("llm_energy"), "", "at the first look nothing was sampled");
    scenario.devices[0].samples = Some(vec![sample(FRONTEND, 60, 2_000_000), sample(FRONTEND + 2, 20, 2_000_000)]);
    bench.then(1, &scenario);
    scenario.devices[0].energy_millijoules = Some(Signal::Constant(1.0016e9));
    bench.then(4, &scenario);
    insta::assert_snapshot!([bench.series("gpu_process"), bench.series("llm_")].join("\n"));
}

#[test]
fn mps() {
    let mut device = pascal();
    device.samples = None;
    let client = |pid, gib| Process { kinds: vec![Kind::Compute, Kind::Mps], ..process(pid, gib) };
    let mut graphics = Process { kinds: vec![Kind::Graphics, Kind::Compute], ..process(FRONTEND + 7, 2) };
    graphics.memory = None;
    device.processes = vec![client(FRONTEND, 4), client(FRONTEND + 1, 3), graphics];
    let mut bench = Bench::new("mps", "", &machine(vec![device]));
    bench.server(FRONTEND, FRONTEND, "vllm:8000", "m");
    bench.server(FRONTEND + 1, FRONTEND, "vllm:8000", "");
    bench.step(1);
    bench.step(1);
    insta::assert_snapshot!([bench.series("gpu_process"), bench.series("gpu_fan")].join("\n"));
}

#[test]
fn processes_that_vanish() {
    let with = |processes: Vec<Process>| machine(vec![Device { processes, ..hopper(0) }]);
    let mut bench = Bench::new("vanish", "gpu: {process_ids: true}", &with(vec![process(FRONTEND, 4), process(1, 2)]));
    bench.step(1);
    assert_eq!(bench.series("gpu_process_memory").lines().count(), 2);
    bench.then(1, &with(vec![process(1, 2)]));
    assert_eq!(bench.series("gpu_process_memory").lines().count(), 1);
    bench.then(1, &with(Vec::new()));
    assert_eq!(bench.series("gpu_process"), "");
}
