//! What reading GPUs costs the agent: `cargo xtask bench gpu-poll`. 8 devices with 7 MIG instances each and 64 processes,
//! answered by our own library, whose own time is included; joined with 8 servers and shown as metrics.

use anyhow::{Context, Result, anyhow};
use inferscope::config::Config;
use inferscope::correlate::{Owner, ServerProcess};
use inferscope::event::{Nanos, Tgid};
use inferscope::host::gpu::nvml::{Library, Memory, Place, Session};
use inferscope::host::gpu::view::GpuView;
use inferscope::host::gpu::watch;
use inferscope::metric::{Metrics, Running};
use inferscope_nvml::{Device, Field, Mig, Process, Sample, Scenario, Signal};
use prometheus_client::encoding::text;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

const DEVICES: u32 = 8;
const INSTANCES: u32 = 7;
const PROCESSES: u32 = 64;
/// Of the agent's life.
const SECONDS: u64 = 300;
const SECOND: u64 = 1_000_000_000;
const GIB: u64 = 1 << 30;

fn main() -> Result<()> {
    println!("| machine | series | reading, ms/s | join and metrics, ms/s | one core |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, cut) in [("8 devices, 64 processes", false), ("8 devices x 7 MIG instances, 64 processes", true)] {
        let cost = poll(name, &machine(cut))?;
        let [reading, showing] = cost.spent.map(|spent| spent.as_secs_f64() * 1e3 / SECONDS as f64);
        let share = (reading + showing) / 10.0;
        println!("| {name} | {} | {reading:.2} | {showing:.2} | {share:.2} % |", cost.series);
    }
    let [alone, beside] = [false, true].map(pipeline);
    println!(
        "\nA call of the pipeline into the metrics takes {alone:?} alone and {beside:?} while GPUs are shown without a"
    );
    println!("pause: 99.9 % of 200,000 calls take no longer.");
    Ok(())
}

struct Cost {
    spent: [Duration; 2],
    series: usize,
}

fn poll(name: &str, scenario: &Scenario) -> Result<Cost> {
    let folder = std::env::temp_dir().join("inferscope-gpu-poll").join(name.replace(' ', "-"));
    let path = inferscope_nvml::install(&folder)?;
    scenario.write(&folder)?;
    let place = Place::new(path.to_str().context("a path")?);
    let library = Library::open(&place).map_err(|why| anyhow!(why))?;
    let config = Config::default();
    let (metrics, servers) = (Metrics::new(&config), servers());
    let mut memory = Memory::default();
    let mut session = Session::new(&library, watch::intervals(&config.gpu), Nanos(0));
    let mut spent = [Duration::ZERO; 2];
    for second in 1..=SECONDS {
        let begin = busy()?;
        let _ = session.turn(Nanos(second * SECOND), &mut memory);
        let view = view(second, session.devices(&memory));
        let read = busy()?;
        metrics.gpus(&view, &servers);
        let shown = busy()?;
        spent[0] += read - begin;
        spent[1] += shown - read;
    }
    let mut exposition = String::new();
    text::encode(&mut exposition, metrics.scrape())?;
    let series = exposition.lines().filter(|line| line.starts_with("gpu_")).count();
    drop(session);
    fs::remove_dir_all(&folder)?;
    Ok(Cost { spent, series })
}

/// What 99.9 % of calls take at most which, like every record, looks up where its server runs; beside a thread that shows GPUs, or not.
fn pipeline(beside: bool) -> Duration {
    let metrics = Metrics::new(&Config::default());
    let stop = AtomicBool::new(false);
    let devices: Vec<_> = (0..DEVICES)
        .map(|index| inferscope::host::gpu::Device { uuid: format!("GPU-{index}").into(), ..Default::default() })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut second = 0;
            while beside && !stop.load(Ordering::Relaxed) {
                second += 1;
                metrics.gpus(&view(second, devices.clone()), &servers());
            }
        });
        let running = [Running { engine: "vllm", service: "vllm:8000".into(), model: "m".into(), count: 1 }];
        let time = || {
            let begin = Instant::now();
            metrics.running(&running);
            begin.elapsed()
        };
        let mut times: Vec<Duration> = (0..200_000).map(|_| time()).collect();
        stop.store(true, Ordering::Relaxed);
        times.sort_unstable();
        times[times.len() / 1000 * 999]
    })
}

fn view(second: u64, devices: Vec<inferscope::host::gpu::Device>) -> GpuView {
    GpuView { time: Nanos(second * SECOND), devices, ..GpuView::default() }
}

/// Processor time of this thread.
fn busy() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().context("schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// Ids that no process has: their lineage is looked up in vain, once a second each.
const FIRST: u32 = 4_194_400;

fn servers() -> Vec<ServerProcess> {
    let server = |number: u32| {
        let owner = Owner { engine: "vllm", service: format!("vllm:{}", 8000 + number).into() };
        let tgid = Tgid(FIRST + number * 8);
        ServerProcess { tgid, root: tgid, owner, model: "m".into() }
    };
    (0..8).map(server).collect()
}

fn machine(cut: bool) -> Scenario {
    let devices = (0..DEVICES).map(|index| device(index, cut)).collect();
    Scenario { driver: "580.95.05".into(), devices, ..Scenario::default() }
}

fn device(index: u32, cut: bool) -> Device {
    let monitored = || Some([(1, 50.0), (2, 40.0), (3, 30.0), (5, 20.0), (10, 10.0)].into());
    let field = |id, scope| Field { id, scope, value: Signal::Constant(7.0), double: false };
    let pids = (0..PROCESSES / DEVICES).map(|number| FIRST + index * 8 + number);
    let process =
        |pid| Process { pid, memory: Some(GIB), instance: cut.then(|| [7 + pid % INSTANCES, 0]), ..Process::default() };
    let part = |number: u32| Mig {
        uuid: format!("MIG-{index:04}{number:04}-0000-0000-0000-000000000000"),
        profile: "1g.10gb".into(),
        gi: 7 + number,
        ci: 0,
        memory: Some([10 * GIB, 0, GIB]),
        gpm: monitored(),
    };
    Device {
        uuid: format!("GPU-{index:08}-0000-0000-0000-000000000000"),
        name: "NVIDIA H100 80GB HBM3".into(),
        bus_id: format!("00000000:{:02X}:00.0", 0x1b + index),
        utilization: Some(50),
        memory_utilization: Some(50),
        encoder: Some(0),
        decoder: Some(0),
        memory: Some([80 * GIB, 0, 8 * GIB]),
        temperature: Some(50),
        power_milliwatts: Some(300_000),
        power_limit_milliwatts: Some(700_000),
        energy_millijoules: Some(Signal::Ramp { start: 1e9, per_second: 300_000.0 }),
        sm_clock_megahertz: Some(1980),
        memory_clock_megahertz: Some(2619),
        pcie: Some([1500, 2500]),
        throttle: Some(0),
        throttle_supported: Some(0x1ff),
        ecc: Some([0, 0]),
        fields: vec![field(82, 0), field(138, u32::MAX), field(139, u32::MAX), field(142, 0), field(143, 0)],
        samples: Some(pids.clone().map(|pid| Sample { pid, sm: 10, time: None }).collect()),
        processes: pids.map(process).collect(),
        gpm: monitored(),
        mig: cut.then(|| (0..INSTANCES).map(|number| (number, part(number))).collect()),
        ..Device::default()
    }
}
