//! What goes wrong: calls that are not supported or fail, devices that fall off the bus, drivers and libraries that change.

use crate::bench::{Bench, hopper, machine, pascal, process};
use inferscope::host::gpu::nvml::End;
use inferscope::host::gpu::view::Absence;
use inferscope_nvml::{Device, Event, LIBRARY, Scenario};
use std::fs;

const NO_PERMISSION: u32 = 4;
const UNKNOWN: u32 = 999;
const DRIVER_NOT_LOADED: u32 = 9;
const VERSION_MISMATCH: u32 = 18;

#[test]
fn unsupported_calls_leave_their_own_reading_absent() {
    let mut device = pascal();
    device.failures = [("nvmlDeviceGetPowerUsage", UNKNOWN), ("nvmlDeviceGetMemoryInfo_v2", NO_PERMISSION)]
        .map(|(name, code)| (name.to_owned(), code))
        .into();
    let mut bench = Bench::new("unsupported", "", &machine(vec![device]));
    bench.step(1);
    bench.step(1);
    insta::assert_snapshot!(bench.all());
    let status = inferscope::status::gpu::Gpu::of(&bench.view);
    insta::assert_snapshot!(serde_json::to_string_pretty(&status).unwrap());
}

#[test]
fn a_device_that_tells_nothing_is_named() {
    let silent = Device { uuid: "GPU-silent".into(), name: "silent".into(), ..Device::default() };
    let mut bench = Bench::new("silent", "", &machine(vec![silent]));
    bench.step(1);
    bench.step(1);
    assert_eq!(bench.all().lines().count(), 1, "{}", bench.all());
    assert!(bench.all().starts_with("gpu_info{"));
}

#[test]
fn errors_of_the_driver_are_counted() {
    let event = |id, xid| Event { id, xid };
    let with = |events: Vec<Event>| machine(vec![hopper(0), Device { events, ..hopper(1) }]);
    // What was before the agent came is not told.
    let mut bench = Bench::new("xid", "gpu: {dcgm_names: true}", &with(vec![event(1, 13)]));
    bench.step(1);
    assert_eq!(bench.series("gpu_xid"), "");
    bench.then(1, &with(vec![event(1, 13), event(2, 31), event(3, 31), event(4, 999)]));
    let xids = bench.series("gpu_xid");
    assert!(xids.contains("xid=\"31\"} 2.0\n") && xids.ends_with("xid=\"999\"} 1.0"), "{xids}");
    assert!(xids.lines().all(|line| line.contains("device=\"1\"")), "{xids}");
    assert_eq!(bench.series("DCGM_FI_DEV_XID_ERRORS").lines().count(), 1);
    bench.step(1);
    assert_eq!(bench.series("gpu_xid"), xids, "each is told once");
}

#[test]
fn a_device_that_falls_off_the_bus_and_comes_back() {
    let lost = |lost| {
        let events = if lost { vec![Event { id: 1, xid: 79 }] } else { Vec::new() };
        machine(vec![hopper(0), Device { lost, events, ..hopper(1) }])
    };
    let mut bench = Bench::new("lost", "", &lost(false));
    let devices = |bench: &Bench| bench.series("gpu_temperature").lines().count();
    bench.step(1);
    assert_eq!(devices(&bench), 2);
    bench.then(1, &lost(true));
    assert_eq!(devices(&bench), 1, "nothing is known of it");
    assert!(bench.series("gpu_xid").ends_with("xid=\"79\"} 1.0"));
    assert_eq!(bench.problems(), ["device 1: lost"]);
    assert_eq!(bench.view.devices[1].throttle, Err(Absence::Lost));
    bench.step(30);
    assert_eq!(bench.end, Some(End::DeviceLost));
    bench.step(1);
    assert_eq!((bench.end.clone(), devices(&bench)), (None, 1));
    assert!(bench.series("gpu_xid").ends_with("xid=\"79\"} 1.0"), "its errors stay: {}", bench.series("gpu_xid"));
    assert_eq!(bench.series("gpu_info").lines().count(), 2);
    bench.then(30, &lost(false));
    assert_eq!(bench.end, Some(End::Changed));
    bench.step(1);
    assert_eq!((devices(&bench), bench.problems()), (2, Vec::new()));
}

#[test]
fn a_device_that_may_not_be_opened_disturbs_nobody() {
    let denied = Device { failures: [("nvmlDeviceGetUUID".to_owned(), NO_PERMISSION)].into(), ..hopper(0) };
    let mut bench = Bench::new("denied", "", &machine(vec![denied, hopper(1)]));
    bench.step(1);
    bench.step(30);
    assert_eq!((bench.end.clone(), bench.series("gpu_info").lines().count()), (None, 1));
    assert_eq!(bench.problems(), ["device 0: the current user does not have permission to perform this operation"]);
    bench.then(30, &machine(vec![hopper(0), hopper(1)]));
    assert_eq!(bench.end, Some(End::Changed));
    bench.step(1);
    assert_eq!(bench.series("gpu_info").lines().count(), 2);
}

#[test]
fn no_driver_and_then_one() {
    let unloaded = |code| Scenario { failures: [("nvmlInit_v2".to_owned(), code)].into(), ..machine(Vec::new()) };
    let mut bench = Bench::new("no-driver", "", &unloaded(DRIVER_NOT_LOADED));
    bench.step(1);
    assert_eq!(bench.problems(), ["NVIDIA's library is there, its kernel driver is not loaded"]);
    bench.then(30, &unloaded(VERSION_MISMATCH));
    assert!(bench.problems()[0].contains("different versions"), "{:?}", bench.problems());
    bench.then(30, &machine(vec![hopper(0)]));
    assert_eq!(bench.series("gpu_info").lines().count(), 1);
    fs::remove_file(bench.folder.join(LIBRARY)).unwrap();
    // What is loaded stays so; that the file is gone is noticed at the next inventory.
    bench.step(1);
    assert_eq!(bench.series("gpu_info").lines().count(), 1);
    bench.step(30);
    assert_eq!(bench.end, Some(End::Changed));
    bench.end = None;
    bench.step(1);
    assert!(bench.problems()[0].starts_with("NVIDIA's library cannot be loaded"), "{:?}", bench.problems());
    assert_eq!(bench.series("gpu_"), "");
}

#[test]
fn a_driver_that_is_loaded_anew() {
    let mut scenario = machine(vec![hopper(0)]);
    let mut bench = Bench::new("reload", "", &scenario);
    bench.step(1);
    // rmmod: what is under way fails.
    let gone = Scenario { failures: [("nvmlDeviceGetCount_v2".to_owned(), UNKNOWN)].into(), ..machine(Vec::new()) };
    bench.then(30, &gone);
    assert!(matches!(bench.end, Some(End::DriverGone(_))), "{:?}", bench.end);
    bench.end = None;
    scenario.driver = "590.1".into();
    bench.then(1, &scenario);
    assert!(bench.series("gpu_info").contains("driver_version=\"590.1\""), "{}", bench.series("gpu_info"));
}

#[test]
fn a_library_that_is_replaced() {
    let mut bench = Bench::new("replaced", "", &machine(vec![hopper(0)]));
    bench.step(1);
    inferscope_nvml::install(&bench.folder).unwrap();
    bench.then(30, &Scenario { driver: "590.2".into(), ..machine(vec![hopper(0)]) });
    assert_eq!(bench.end, Some(End::Changed));
    bench.step(1);
    assert!(bench.series("gpu_info").contains("driver_version=\"590.2\""), "{}", bench.series("gpu_info"));
}

#[test]
fn a_device_that_is_plugged_in() {
    let mut bench = Bench::new("hot-plug", "", &machine(vec![hopper(0)]));
    let gpus = bench.driver().join("gpus");
    fs::create_dir_all(gpus.join("0000:1b:00.0")).unwrap();
    bench.step(1);
    fs::create_dir_all(gpus.join("0000:1c:00.0")).unwrap();
    bench.then(30, &machine(vec![hopper(0), hopper(1)]));
    assert_eq!(bench.end, Some(End::Changed));
    bench.step(1);
    assert_eq!(bench.series("gpu_info").lines().count(), 2);
}

#[test]
fn lists_of_processes_that_fail() {
    let mut device = hopper(0);
    device.processes = vec![process(4_194_400, 1)];
    let failing = |device: &Device, name: &str| {
        machine(vec![Device { failures: [(name.to_owned(), UNKNOWN)].into(), ..device.clone() }])
    };
    let mut bench = Bench::new("lists", "", &failing(&device, "nvmlDeviceGetComputeRunningProcesses_v3"));
    bench.step(1);
    assert_eq!(bench.series("gpu_process"), "");
    assert!(matches!(bench.view.devices[0].processes, Err(Absence::Failed(_))));
    // The other lists may be missing.
    bench.then(1, &failing(&device, "nvmlDeviceGetMPSComputeRunningProcesses_v3"));
    assert_eq!(bench.series("gpu_process_memory").lines().count(), 1);
}
