//! Small servers as guards, to be observed: processes of their own, each with a command line that no other process has.

use crate::process_group::ProcessGroup;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Python may start slowly on a busy machine.
const START: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Debug)]
pub struct Server {
    group: ProcessGroup,
    address: SocketAddr,
    mark: String,
    model: String,
}

impl Server {
    /// The small server of the demo: `recv` and `send`, a token every `token_ms`.
    #[must_use]
    pub fn demo(token_ms: u64) -> Server {
        Server::demo_at(token_ms, free_port(), unique())
    }

    /// The same server again: port and command line are those of `self`, which must have ended.
    #[must_use]
    pub fn demo_at(token_ms: u64, port: u16, model: String) -> Server {
        let mut command = Command::new(demo_server());
        command.args(["--port", &port.to_string(), "--token-ms", &token_ms.to_string(), "--model", &model]);
        Server::start(command, port, format!("--model {model}"), model)
    }

    /// server.py with more arguments; it takes any model.
    #[must_use]
    pub fn python(arguments: &[&str]) -> Server {
        let (port, name) = (free_port(), unique());
        let mut command = Command::new("python3");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/server.py"));
        command.args(["--port", &port.to_string(), "--name", &name]).args(arguments);
        Server::start(command, port, format!("--name {name}"), "demo".into())
    }

    fn start(mut command: Command, port: u16, mark: String, model: String) -> Server {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(TcpStream::connect(address).is_err(), "another server listens on {address}");
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
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A part of its command line that no other process has.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The model to ask for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The process that was started.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Its forked children.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = std::fs::read_to_string(path).expect("the server runs");
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// Cargo puts it above the folder of the tests that use it.
#[must_use]
pub fn demo_server() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    test.ancestors().nth(2).expect("it lies in target/PROFILE/deps").join("demo-server")
}

/// A port that nobody listens on now.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.expect("loopback has a free port").port()
}

/// A name that no other server of these tests has, and that is not the beginning of another.
fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("live-{}-{}x", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
