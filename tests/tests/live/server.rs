//! The servers that are observed: processes of their own, each with a command line that no other process has.

use inferscope_tests::process_group::ProcessGroup;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Python may start slowly on a busy machine.
const START: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    group: ProcessGroup,
    address: SocketAddr,
    mark: String,
    model: String,
}

impl Server {
    /// The small server of the demo: `recv` and `send`, a token every `token_ms`.
    pub fn demo(token_ms: u64) -> Server {
        Server::demo_at(token_ms, free_port(), unique())
    }

    /// The same server again: port and command line are those of `self`, which must have ended.
    pub fn demo_at(token_ms: u64, port: u16, model: String) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo-server"));
        command.args(["--port", &port.to_string(), "--token-ms", &token_ms.to_string(), "--model", &model]);
        Server::start(command, port, format!("--model {model}"), model)
    }

    /// server.py with more arguments; it takes any model.
    pub fn python(arguments: &[&str]) -> Server {
        let (port, name) = (free_port(), unique());
        let mut command = Command::new("python3");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/server.py"));
        command.args(["--port", &port.to_string(), "--name", &name]).args(arguments);
        Server::start(command, port, format!("--name {name}"), "demo".into())
    }

    fn start(mut command: Command, port: u16, mark: String, model: String) -> Server {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut group = ProcessGroup::spawn(&mut command).expect("the server starts");
        let deadline = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            assert!(matches!(group.try_wait(), Ok(None)), "{command:?} ended");
            assert!(Instant::now() < deadline, "{command:?} does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Server { group, address, mark, model }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A part of its command line that no other process has.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The model to ask for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The process that was started.
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Its forked children.
    pub fn children(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = std::fs::read_to_string(path).expect("the server runs");
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.expect("loopback has a free port").port()
}

/// A name that no other server of these tests has, and that is not the beginning of another.
fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("live-{}-{}x", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
