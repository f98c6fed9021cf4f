//! Collectors as guards: strict ones of our own, rotel, and VictoriaMetrics. `cargo xtask setup --engines` installs them.

use inferscope_tests::process_group::ProcessGroup;
use inferscope_tests::server::free_port;
use inferscope_tests::vllm::engines;
use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Python and grpcio may start slowly on a busy machine.
const START: Duration = Duration::from_secs(60);
const TESTDATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../agent/src/https/testdata");

/// Strict collectors in one process (tests/engines/otlp_receiver.py): each a name, and `grpc` or `http` with `+tls` or `+mtls`.
pub struct Strict {
    /// What came, a line for each request.
    pub received: PathBuf,
    ports: Vec<(&'static str, u16)>,
    _group: ProcessGroup,
}

/// A collector in Rust that prints what it takes.
pub struct Rotel {
    pub grpc: u16,
    pub http: u16,
    log: PathBuf,
    _group: ProcessGroup,
}

/// VictoriaMetrics with TLS: takes metrics, answers PromQL.
pub struct Store {
    pub port: u16,
    _group: ProcessGroup,
}

impl Strict {
    pub fn start(collectors: &[(&'static str, &str)], folder: &Path) -> Strict {
        let received = folder.join("received.jsonl");
        let mut command = script("otlp_receiver.py");
        command.arg("--out").arg(&received).args(["--certificate", &file("collector.pem")]);
        command.args(["--key", &file("collector.key"), "--ca", &file("ca.pem")]);
        let ports: Vec<_> = collectors.iter().map(|(name, _)| (*name, free_port())).collect();
        for ((name, kind), (_, port)) in collectors.iter().zip(&ports) {
            command.args(["--listen", &format!("{name}={kind}:{port}")]);
        }
        let group = start(&mut command, &folder.join("strict.log"), ports.iter().map(|(_, port)| *port));
        Strict { received, ports, _group: group }
    }

    pub fn port(&self, collector: &str) -> u16 {
        self.ports.iter().find(|(name, _)| *name == collector).expect("it was started").1
    }
}

impl Rotel {
    pub fn start(folder: &Path) -> Rotel {
        let (grpc, http, log) = (free_port(), free_port(), folder.join("rotel.log"));
        let mut command = Command::new(program());
        command.args(["start", "--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
        command.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
        command.args(["--debug-log", "metrics", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]);
        command.args(["--exporter", "blackhole"]).current_dir(folder);
        let group = start(&mut command, &log, [grpc, http]);
        Rotel { grpc, http, log, _group: group }
    }

    /// Fails where it was not told of something.
    pub fn was_told_of(&self, names: &[&str]) {
        let log = std::fs::read_to_string(&self.log).expect("its log");
        for name in names {
            assert!(log.contains(name), "rotel was not told of {name}");
        }
    }
}

impl Store {
    pub fn start(folder: &Path) -> Store {
        let port = free_port();
        let mut command = Command::new(engines().join("victoria-metrics/victoria-metrics"));
        command.arg(format!("-storageDataPath={}", folder.join("victoria-metrics").display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{port}")).arg("-opentelemetry.usePrometheusNaming");
        command.args(["-tls", &format!("-tlsCertFile={}", file("collector.pem"))]);
        command.arg(format!("-tlsKeyFile={}", file("collector.key")));
        // Answers are about now, not about half a minute ago.
        command.args(["-search.latencyOffset=0s", "-search.disableCache", "-memory.allowedBytes=128MB"]);
        let group = start(&mut command, &folder.join("victoria-metrics.log"), [port]);
        Store { port, _group: group }
    }
}

/// One of the scripts beside the engines, in the Python that has OTLP.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(environment().join("bin/python"));
    command.arg(format!("{}/engines/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// A file of the export's own tests.
pub fn file(name: &str) -> String {
    format!("{TESTDATA}/{name}")
}

fn environment() -> PathBuf {
    engines().join("venv-otlp")
}

/// The wheel has the program beside its Python.
fn program() -> PathBuf {
    let libraries = std::fs::read_dir(environment().join("lib")).expect("cargo xtask setup --engines");
    let programs = libraries.flatten().map(|python| python.path().join("site-packages/rotel/rotel-agent"));
    programs.into_iter().find(|program| program.is_file()).expect("rotel is in its environment")
}

/// A process that listens on all of `ports`.
fn start(command: &mut Command, log: &Path, ports: impl IntoIterator<Item = u16>) -> ProcessGroup {
    let output = File::create(log).expect("a log");
    command.stdin(Stdio::null()).stdout(output.try_clone().expect("a log")).stderr(output);
    let mut group = ProcessGroup::spawn(command).expect("it starts: cargo xtask setup --engines");
    let begin = Instant::now();
    for port in ports {
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let runs = matches!(group.try_wait(), Ok(None)) && begin.elapsed() < START;
            assert!(runs, "nobody listens on {port}; see {}", log.display());
            thread::sleep(Duration::from_millis(50));
        }
    }
    group
}
