//! Every panel of every dashboard has something to show: the real servers under load, on GPUs that our library plays, seen
//! by one agent that a real Prometheus scrapes and that sends to a real collector. The rules of deploy/ are evaluated on
//! the same.

use crate::in_group;
use crate::otlp::collectors::Rotel;
use inferscope_nvml::cards::{GIB, hopper, machine, pascal, process};
use inferscope_nvml::{Device, Event, Field, Mig, Process, Sample, Scenario, Signal};
use inferscope_tests::agent::Agent;
use inferscope_tests::comfyui::{ComfyServer, Load, Mode};
use inferscope_tests::dashboard::dashboards;
use inferscope_tests::exchange::post;
use inferscope_tests::load::{self, Delivery, Endpoint, Limit};
use inferscope_tests::prometheus::Prometheus;
use inferscope_tests::triton::{self, TritonServer};
use inferscope_tests::unusual;
use inferscope_tests::vllm::{MODEL, Transport, VllmServer};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take until the servers' own metrics were compared twice, which is every 15 s, and every panel has rows.
const LOAD: Duration = Duration::from_secs(120);
/// How often Prometheus evaluates rules, and a moment.
const EVALUATION: Duration = Duration::from_secs(6);
/// Tokens of an answer that takes seconds.
const UNDER_WAY: u64 = 900;
/// A dashboard's windows over a scrape every second, and over the whole test.
const WINDOWS: [(&str, &str); 2] = [("$__rate_interval", "10s"), ("$__range", "1m")];
/// Bits of NVML for clocks that are held down.
const POWER_CAP: u64 = 0x4;
/// Fields of NVML: pages that are retired because of corrected and of uncorrected errors.
const RETIRED: [u32; 2] = [29, 30];

/// The three servers.
struct Servers<'a> {
    vllm: &'a VllmServer,
    triton: TritonServer,
    comfyui: ComfyServer,
}

/// Under the real load of this vLLM and of a Triton and a ComfyUI beside it.
pub fn every_panel_has_rows(vllm: &VllmServer, folder: &Path) {
    let servers = Servers::start(vllm, folder);
    let library = inferscope_nvml::install(folder).expect("a copy of the library");
    servers.on_gpus(None).write(folder).expect("a scenario");
    let place = "labels: {provider: acme, cluster: eu-1, region: eu-west, environment: test}";
    let gpu = format!(
        "gpu: {{library: {:?}, telemetry_seconds: 1, errors_seconds: 1, inventory_seconds: 1}}",
        library.display()
    );
    let rotel = Rotel::start(folder);
    let otlp = format!(
        "otlp: {{interval_seconds: 5, destinations: [{{endpoint: \"http://127.0.0.1:{}\", protocol: grpc}}]}}",
        rotel.grpc
    );
    let configuration = format!("{place}\n{gpu}\n{otlp}\ncross_check: true\n");
    let here = AtomicBool::new(false);
    let until = Instant::now() + LOAD;
    let (agent, prometheus) = thread::scope(|scope| {
        // The agent comes while requests are under way: it sees them in part.
        scope.spawn(|| repeat(&|| !here.load(Relaxed) && Instant::now() < until, || servers.long_answers()));
        let mut agent = Agent::start(folder, &configuration).expect("the agent starts");
        let prometheus = Prometheus::start(agent.address(), &folder.join("prometheus")).expect("Prometheus scrapes");
        for pid in [servers.vllm.pid(), servers.triton.pid(), servers.comfyui.pid()] {
            agent.attached(pid).expect("the probes of a server");
        }
        here.store(true, Relaxed);
        (agent, prometheus)
    });
    // Errors are told only to who is there.
    servers.on_gpus(Some(Event { id: 1, xid: 79 })).write(folder).expect("a scenario");
    let compared =
        || agent.get("/metrics").is_ok_and(|page| page.contains("\ninferscope_crosscheck_difference_ratio{"));
    // On a busy machine a client may take longer for one turn than all the others need.
    servers.work(&|| compared() && empty(&prometheus).is_empty());
    let empty = empty(&prometheus);
    assert!(empty.is_empty(), "{empty:#?}");
    thread::sleep(EVALUATION);
    rules_can_be_evaluated(&prometheus);
    let lost = agent.metric("inferscope_events_lost_total", &[]).expect("metrics");
    assert_eq!(lost, 0.0, "lost events");
    prometheus.stop().expect("Prometheus ends");
}

impl Servers<'_> {
    /// At once: most of a start is waiting for one processor.
    fn start<'a>(vllm: &'a VllmServer, folder: &Path) -> Servers<'a> {
        thread::scope(|scope| {
            let triton = scope
                .spawn(|| TritonServer::start(&triton::Options::default(), folder).expect("the real Triton serves"));
            let comfyui = ComfyServer::start(Transport::Plain, &[], folder).expect("the real ComfyUI serves");
            Servers { vllm, triton: triton.join().expect("Triton"), comfyui }
        })
    }

    /// Each on a device of its own: vLLM's is held back, ComfyUI's is sampled, Triton has a MIG instance; a fourth is idle
    /// and old.
    fn on_gpus(&self, error: Option<Event>) -> Scenario {
        let worker = in_group(self.vllm.pid(), "VLLM::Worker");
        let busy = Device {
            utilization: Some(80),
            memory: Some([80 * GIB, GIB / 2, 60 * GIB]),
            energy_millijoules: Some(Signal::Ramp { start: 1e9, per_second: 400e3 }),
            throttle: Some(POWER_CAP),
            processes: vec![process(worker, 60)],
            events: error.into_iter().collect(),
            samples: None,
            gpm: Some([(1, 80.0), (2, 40.0), (3, 30.0), (5, 20.0), (10, 60.0)].into()),
            ..hopper(0)
        };
        let sampled = Device {
            energy_millijoules: Some(Signal::Ramp { start: 1e9, per_second: 300e3 }),
            processes: vec![process(self.comfyui.pid(), 20)],
            samples: Some(vec![Sample { pid: self.comfyui.pid(), sm: 60, time: None }]),
            ..hopper(1)
        };
        let instance = Mig {
            uuid: "MIG-00000007-0000-0000-0000-000000000000".into(),
            profile: "1g.10gb".into(),
            gi: 7,
            ci: 0,
            memory: Some([10 * GIB, 0, GIB]),
            gpm: Some([(1, 50.0), (2, 25.0), (3, 10.0), (5, 5.0), (10, 2.0)].into()),
        };
        let cut = Device {
            utilization: None,
            memory_utilization: None,
            samples: None,
            processes: vec![Process { instance: Some([7, 0]), ..process(self.triton.pid(), 1) }],
            mig: Some([(0, instance)].into()),
            ..hopper(2)
        };
        let retired = RETIRED.map(|id| Field { id, value: Signal::Constant(1.0), ..Field::default() });
        let old = Device {
            uuid: "GPU-00000003-0000-0000-0000-000000000000".into(),
            bus_id: "00000000:3B:00.0".into(),
            fields: retired.into(),
            ..pascal()
        };
        machine(vec![busy, sampled, cut, old])
    }

    /// Requests that are under way for seconds.
    fn long_answers(&self) {
        let options =
            load::Options { streams: 8, max_tokens: UNDER_WAY, ..load::Options::new(self.vllm.address(), MODEL) };
        assert!(load::collect(&options).iter().all(|seen| seen.error.is_none()));
    }

    /// What goes well, what fails, and what its clients give up, on all servers at a time, until enough was seen.
    fn work(&self, enough: &dyn Fn() -> bool) {
        let over = AtomicBool::new(false);
        let again = || !over.load(Relaxed);
        thread::scope(|scope| {
            scope.spawn(|| repeat(&again, || self.tokens()));
            scope.spawn(|| repeat(&again, || self.inferences()));
            scope.spawn(|| repeat(&again, || self.images()));
            let deadline = Instant::now() + LOAD;
            while !enough() && Instant::now() < deadline {
                thread::sleep(Duration::from_secs(1));
            }
            over.store(true, Relaxed);
        });
    }

    fn tokens(&self) {
        let server = self.vllm.address();
        let options = |delivery, endpoint| {
            let limit = Limit::Requests(2);
            load::Options { streams: 3, limit, delivery, endpoint, ..load::Options::new(server, MODEL) }
        };
        let chat = load::collect(&options(Delivery::Streamed, Endpoint::Chat));
        assert!(chat.iter().all(|seen| seen.error.is_none()), "{chat:?}");
        drop(load::collect(&options(Delivery::Whole, Endpoint::Completions)));
        let long = format!(r#"{{"model":"{MODEL}","prompt":"a","max_tokens":400,"ignore_eos":true,"stream":true}}"#);
        unusual::leave_early(server, "/v1/completions", &long);
        let wrong = format!(r#"{{"model":"{MODEL}","prompt":"a","max_tokens":-1}}"#);
        assert_eq!(unusual::ask(server, "/v1/completions", &wrong).0, 400);
        // An issue.
        let broken = format!(r#"{{"model":"{MODEL}","prompt":nonsense}}"#);
        assert_eq!(unusual::ask(server, "/v1/completions", &broken).0, 400);
    }

    fn inferences(&self) {
        let drive = |mode: &str, model: &str, more: &[&str]| self.triton.drive(mode, model, more).expect("the client");
        drive("http", "echo", &["--count", "20", "--parallel", "4"]);
        drive("grpc", "echo", &["--count", "20", "--parallel", "4"]);
        drive("grpc-stream", "stream", &["--responses", "5"]);
        drive("grpc", "fail", &["--value", "-2"]);
        let unknown = post(self.triton.http(), "/v2/models/no-such-model/infer", r#"{"inputs":[]}"#);
        assert!(unknown.expect("an answer").0 >= 400);
    }

    fn images(&self) {
        let drive = |load: &Load| drop(self.comfyui.drive(load).expect("the client"));
        drive(&Load::of("load").mode(Mode::Socket).with("--workflow", "both").with("--prompts", 4).again());
        drive(&Load::of("fail"));
        drive(&Load::of("invalid"));
    }
}

fn repeat(again: &dyn Fn() -> bool, work: impl Fn()) {
    while again() {
        work();
    }
}

/// The expressions of panels that give no rows, and the variables without a value to choose.
fn empty(prometheus: &Prometheus) -> Vec<String> {
    let (mut empty, mut expressions) = (Vec::new(), 0);
    for dashboard in dashboards() {
        let panels = dashboard
            .panels
            .iter()
            .flat_map(|panel| panel.expressions.iter().map(|expression| (panel.title.as_str(), expression.as_str())));
        let variables = dashboard.variables.iter().map(|(label, selector)| (label.as_str(), selector.as_str()));
        for (title, expression) in panels.chain(variables) {
            expressions += 1;
            if prometheus.series(&with_all_chosen(expression)).expect("Prometheus answers").is_empty() {
                empty.push(format!("{}, {title}: {expression}", dashboard.name));
            }
        }
    }
    println!("{expressions} expressions, {} of them empty", empty.len());
    empty
}

/// An expression as Grafana sends it when nothing is narrowed.
fn with_all_chosen(expression: &str) -> String {
    let windowed = WINDOWS.iter().fold(expression.to_owned(), |text, (name, window)| text.replace(name, window));
    let mut parts = windowed.split("=~\"$");
    let mut complete = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('"').expect("a variable ends");
        complete.push_str("=~\".*\"");
        complete.push_str(rest);
    }
    assert!(!complete.contains('$'), "{complete}");
    complete
}

/// Prometheus evaluates every rule without an error, and every recording rule records.
fn rules_can_be_evaluated(prometheus: &Prometheus) {
    let rules = prometheus.rules().expect("Prometheus answers");
    assert!(!rules.is_empty(), "Prometheus reads no rules");
    for rule in rules {
        let name = rule["name"].as_str().expect("a name");
        assert_eq!(rule["health"], "ok", "{name}: {rule}");
        if rule["type"] == "recording" {
            assert!(!prometheus.series(name).expect("Prometheus answers").is_empty(), "{name} records nothing");
        }
    }
}
