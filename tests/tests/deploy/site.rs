//! A host with a release on it and a real inference server beside it: where every test begins.

use crate::host::{Host, Init};
use inferscope::crosscheck::page;
use inferscope::engine::ENGINES;
use inferscope_tests::agent::binary;
use inferscope_tests::load::{self, Limit, Options};
use inferscope_tests::process_group::ProcessGroup;
use inferscope_tests::release;
pub use inferscope_tests::release::{BINARY, NEW, RELEASE};
use inferscope_tests::sum;
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where tarball, packages and their checksums lie.
pub const PACKAGES: &str = "/opt/packages";
/// The configuration, whichever way it came.
pub const CONFIG: &str = "/etc/inferscope/inferscope.yaml";
/// What is seen is waited for; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// The host, the server, and where the agent of the host answers.
pub struct Site {
    pub host: Host,
    pub server: Server,
    pub agent: SocketAddr,
}

/// The small server of the demo, outside of the host as a container is.
pub struct Server {
    group: ProcessGroup,
    address: SocketAddr,
    model: String,
}

impl Site {
    /// The release lies in [`RELEASE`]; the operator has written a configuration before installing anything.
    pub fn new(init: Init) -> Site {
        let (host, server) = (Host::start(init), Server::start());
        let agent = free_address();
        put_release(&host);
        fs::create_dir(host.path("/etc/inferscope")).expect("the host has none yet");
        fs::write(host.path(CONFIG), configuration(agent, &server.model)).expect("the host is writable");
        Site { host, server, agent }
    }

    /// A page of the agent.
    pub fn get(&self, path: &str) -> String {
        page::read(self.agent, path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// That the agent sees the server's requests: exactly those.
    pub fn sees_requests(&self) {
        let tgid = self.server.group.id();
        self.wait_until("the agent is attached to the server", |site| {
            let status: Value = serde_json::from_str(&site.get("/status")).expect("/status is JSON");
            let processes = status["processes"].as_array().into_iter().flatten();
            processes.into_iter().any(|process| process["tgid"] == tgid && process["state"] == "attached")
        });
        let requests = || sum(&self.get("/metrics"), "llm_request_total", &["status=\"ok\""]);
        let before = requests();
        let options = Options::new(self.server.address, self.server.model.clone());
        let seen = load::collect(&Options { limit: Limit::Requests(3), ..options });
        assert_eq!(seen.iter().filter(|seen| seen.error.is_none()).count(), 3, "{seen:?}");
        self.wait_until("the agent has counted them", |_| requests() == before + 3.0);
    }

    /// A release in [`NEW`] that differs from the first one by what this line of shell does in its folder.
    pub fn another_release(&self, change: &str) {
        self.host.expect(&release::another(change));
    }

    /// The agent's process, as systemd knows it.
    pub fn main_process(&self) -> u32 {
        let text = self.host.expect("systemctl show --property MainPID --value inferscope");
        text.trim_end().parse().expect("a process id")
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Site) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not within {} s: {what}\n{}", PATIENCE.as_secs(), self.get("/status"));
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Server {
    fn start() -> Server {
        let model = format!("deploy-{}", std::process::id());
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo-server"));
        let address = free_address();
        command.args(["--token-ms", "1", "--model", &model, "--port", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let group = ProcessGroup::spawn(&mut command).expect("the demo's server starts");
        Server { group, address, model }
    }
}

/// Where `cargo xtask dist` put the release: beside the agent that it is made from.
fn dist() -> PathBuf {
    let folder = binary().with_file_name("dist");
    assert!(folder.is_dir(), "no release in {}: run cargo xtask dist --debug", folder.display());
    folder
}

/// The only file of the release with this ending.
pub fn artefact(ending: &str) -> PathBuf {
    let names = fs::read_dir(dist()).expect("a readable folder").flatten().map(|entry| entry.path());
    let mut found = names.filter(|path| path.to_string_lossy().ends_with(ending));
    let (Some(only), None) = (found.next(), found.next()) else { panic!("not one {ending} in the release") };
    only
}

/// Unpacked and as files.
pub fn put_release(host: &Host) {
    fs::create_dir_all(host.path(PACKAGES)).expect("the host is writable");
    for ending in [".tar.gz", ".deb", ".rpm"] {
        let from = artefact(ending);
        let name = from.file_name().expect("a file").to_string_lossy().into_owned();
        fs::copy(&from, host.path(&format!("{PACKAGES}/{name}"))).expect("the host has room");
    }
    fs::copy(dist().join("SHA256SUMS"), host.path(&format!("{PACKAGES}/SHA256SUMS"))).expect("the host has room");
    host.expect(&format!("mkdir {RELEASE} && tar -xzf {PACKAGES}/*.tar.gz -C {RELEASE} --strip-components=1"));
}

/// Only the server of the test: real ones on this machine are none of our business.
fn configuration(agent: SocketAddr, model: &str) -> String {
    let off: String = ENGINES.iter().map(|engine| format!("  {}: {{enabled: false}}\n", engine.name())).collect();
    let rule = format!("{{engine: vllm, argv: \"--model {model}\", service: deployed}}");
    format!("# The operator's own.\nlisten: {agent}\nengines:\n{off}servers:\n  - {rule}\n")
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.expect("loopback has a free port")
}
