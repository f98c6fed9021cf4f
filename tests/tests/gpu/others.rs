//! The collector beside others' programs: NVIDIA's real library without a driver, and nvitop-exporter on our library.
//! `cargo xtask test --gpu` installs both and runs these.

use crate::bench::{Bench, GIB, hopper, machine, process};
use inferscope::crosscheck::page;
use inferscope::host::gpu::nvml::{Library, Place};
use inferscope_nvml::{LIBRARY, Sample};
use inferscope_tests::nvml_folder;
use inferscope_tests::process_group::ProcessGroup;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
#[ignore = "needs `cargo xtask setup --gpu`"]
fn nvidias_library_without_a_driver_says_so() {
    let library = nvml_folder().join("debian").join(LIBRARY);
    assert!(library.is_file(), "run `cargo xtask setup --gpu`");
    let place = Place::new(library.to_str().unwrap());
    let why = Library::open(&place).expect_err("there is no driver on this machine");
    assert_eq!(why, "NVIDIA's library is there, its kernel driver is not loaded");
    // It can be closed and opened again and again.
    assert_eq!(Library::open(&place).err(), Some(why));
}

/// What nvitop-exporter calls it, what we do, and how many of our units are one of its.
const SAME: [(&str, &str, f64); 16] = [
    ("gpu_utilization_Percentage", "gpu_utilization_percent", 1.0),
    ("gpu_memory_utilization_Percentage", "gpu_memory_busy_percent", 1.0),
    ("gpu_encoder_utilization_Percentage", "gpu_encoder_utilization_percent", 1.0),
    ("gpu_decoder_utilization_Percentage", "gpu_decoder_utilization_percent", 1.0),
    ("gpu_memory_total_MiB", "gpu_memory_total_bytes", 1_048_576.0),
    ("gpu_memory_used_MiB", "gpu_memory_used_bytes", 1_048_576.0),
    ("gpu_memory_free_MiB", "gpu_memory_free_bytes", 1_048_576.0),
    ("gpu_memory_percent_Percentage", "gpu_memory_utilization_percent", 1.0),
    ("gpu_clock_sm_MHz", "gpu_sm_clock_hz", 1e6),
    ("gpu_clock_memory_MHz", "gpu_memory_clock_hz", 1e6),
    ("gpu_power_usage_W", "gpu_power_usage_watts", 1.0),
    ("gpu_power_limit_W", "gpu_power_limit_watts", 1.0),
    ("gpu_temperature_C", "gpu_temperature_celsius", 1.0),
    ("gpu_fan_speed_Percentage", "gpu_fan_speed_percent", 1.0),
    ("gpu_pcie_tx_throughput_MiBps", "gpu_pcie_tx_bytes_per_second", 1_048_576.0),
    ("gpu_pcie_rx_throughput_MiBps", "gpu_pcie_rx_bytes_per_second", 1_048_576.0),
];
/// The same of the only process.
const SAME_OF_PROCESS: [(&str, &str, f64); 2] = [
    ("process_gpu_memory_MiB", "gpu_process_memory_bytes", 1_048_576.0),
    ("process_gpu_sm_utilization_Percentage", "gpu_process_sm_utilization_percent", 1.0),
];

/// The values of a metric, by the devices' UUIDs, in their order.
fn values(page: &str, name: &str, scale: f64) -> Vec<(String, i64)> {
    let of_line = |line: &str| {
        let labels = line.strip_prefix(name)?.strip_prefix('{')?;
        let uuid = labels.split("uuid=\"").nth(1)?.split('"').next()?;
        let value: f64 = line.rsplit(' ').next()?.parse().ok()?;
        // What it does not know it shows as NaN; we do not show it.
        value.is_finite().then(|| (uuid.to_owned(), (value * scale * 1000.0).round() as i64))
    };
    let mut values: Vec<_> = page.lines().filter_map(of_line).collect();
    values.sort();
    values
}

#[test]
#[ignore = "needs `cargo xtask setup --gpu`"]
fn nvitop_exporter_says_the_same() {
    let own = std::process::id();
    let mut devices: Vec<_> = (0..4).map(hopper).collect();
    devices[1].utilization = Some(87);
    devices[1].memory_utilization = Some(43);
    devices[1].memory = Some([80 * GIB, GIB / 2, 60 * GIB]);
    devices[1].processes = vec![process(own, 60)];
    devices[1].samples = Some(vec![Sample { pid: own, sm: 85, time: None }]);
    devices[2].power_milliwatts = None;
    devices[2].fans = Some(vec![40, 55]);
    devices[3].pcie = None;
    let mut bench = Bench::new("nvitop", "", &machine(devices));
    bench.step(1);
    bench.step(1);
    let page = exporter(&bench);
    for (theirs, ours, scale) in SAME {
        let (theirs, ours) = (values(&page, theirs, scale), (values(&bench.series(ours), ours, 1.0), ours));
        let expected = if ours.1 == "gpu_fan_speed_percent" { 1 } else { 3 };
        assert!(theirs.len() >= expected, "{}: {theirs:?}", ours.1);
        if ours.1 == "gpu_fan_speed_percent" {
            // It shows the first fan, we the fastest.
            assert_eq!((theirs[0].1, ours.0[0].1), (40_000, 55_000));
            continue;
        }
        assert_eq!(ours.0, theirs, "{}", ours.1);
    }
    for (theirs, ours, scale) in SAME_OF_PROCESS {
        let found = values(&page, theirs, scale);
        assert_eq!(found.len(), 1, "{theirs}");
        assert_eq!(values(&bench.series(ours), ours, 1.0), found, "{ours}");
    }
    println!("{} metrics agree with nvitop-exporter", SAME.len() + SAME_OF_PROCESS.len());
}

/// What nvitop-exporter says of the same library.
fn exporter(bench: &Bench) -> String {
    let program = nvml_folder().join("venv/bin/nvitop-exporter");
    assert!(program.is_file(), "run `cargo xtask setup --gpu`");
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut command = Command::new(program);
    command.args(["--port", &free.port().to_string(), "--interval", "0.5"]);
    command.env("LD_LIBRARY_PATH", &bench.folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut group = ProcessGroup::spawn(&mut command).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = page::read(SocketAddr::from((Ipv4Addr::LOCALHOST, free.port())), "/metrics").unwrap_or_default();
        let complete = page.contains("process_gpu_sm_utilization_Percentage{")
            && page.matches("\ngpu_temperature_C{").count() == 4;
        if complete {
            let _ = group.end();
            return page;
        }
        assert!(Instant::now() < deadline, "nvitop-exporter does not answer:\n{page}");
        assert!(matches!(group.try_wait(), Ok(None)), "nvitop-exporter ended");
        thread::sleep(Duration::from_millis(200));
    }
}
