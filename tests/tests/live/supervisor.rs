//! What a service manager hears: a socket of ours in its place.

use crate::agent::{Agent, Folder, configuration};
use crate::server::Server;
use inferscope_tests::agent::{self, Start};
use inferscope_tests::load::{self, Limit, Options};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the unit's WatchdogSec would be.
const WATCHDOG: Duration = Duration::from_secs(1);

/// Stands where the service manager listens.
struct Listener {
    socket: UnixDatagram,
    folder: Folder,
}

impl Listener {
    fn new() -> Listener {
        let folder = Folder::new();
        let socket = UnixDatagram::bind(folder.path("notify")).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        Listener { socket, folder }
    }

    /// All that is said within this time.
    fn hear(&self, time: Duration) -> String {
        let (deadline, mut said) = (Instant::now() + time, String::new());
        let mut buffer = [0; 512];
        while Instant::now() < deadline {
            let length = self.socket.recv(&mut buffer).unwrap_or(0);
            said.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        said
    }

    fn wait_for(&self, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut said = String::new();
        while !said.contains(what) {
            assert!(Instant::now() < deadline, "{what} is not said, but {said:?}");
            said.push_str(&self.hear(Duration::from_millis(50)));
        }
    }
}

fn beats(said: &str) -> usize {
    said.matches("WATCHDOG=1").count()
}

#[test]
#[ignore = "needs root"]
fn ready_alive_and_stopping_are_said() {
    let (server, listener) = (Server::demo(2), Listener::new());
    let (socket, limit) = (listener.folder.path("notify"), WATCHDOG.as_micros().to_string());
    let variables = [("NOTIFY_SOCKET", socket.as_os_str()), ("WATCHDOG_USEC", OsStr::new(&limit))];
    let text = configuration(&[&server]);
    let mut agent = Agent::start_as(&Start { configuration: &text, variables: &variables, ..Start::default() });
    listener.wait_for("READY=1");
    agent.wait_attached(&[server.pid()]);
    listener.wait_for("STATUS=1 processes of inference servers attached");
    let beats = beats(&listener.hear(WATCHDOG * 3));
    assert!((4..=7).contains(&beats), "{beats} beats in three times what is allowed");
    assert_eq!(agent.stop().code, Some(0));
    listener.wait_for("STOPPING=1");
}

/// The pipeline hangs in a write to a request log that nobody reads; /metrics and the other threads are none of the proof.
#[test]
#[ignore = "needs root"]
fn a_pipeline_that_hangs_is_not_said_to_be_alive() {
    let (server, listener, folder) = (Server::demo(1), Listener::new(), Folder::new());
    let pipe = folder.path("records.jsonl");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&pipe).expect("the pipe");
    let (socket, limit) = (listener.folder.path("notify"), WATCHDOG.as_micros().to_string());
    let variables = [("NOTIFY_SOCKET", socket.as_os_str()), ("WATCHDOG_USEC", OsStr::new(&limit))];
    let text = configuration(&[&server]);
    let start = Start { configuration: &text, variables: &variables, ..Start::default() };
    let mut agent = agent::Agent::start_as(&folder.path(""), &start).expect("the agent starts");
    agent.attached(server.pid()).expect("it is attached");
    let limit = Limit::Requests(75);
    let seen =
        load::collect(&Options { streams: 4, limit, max_tokens: 2, ..Options::new(server.address(), server.model()) });
    assert_eq!(seen.iter().filter(|seen| seen.status == Some(200)).count(), 300, "the server does not notice");
    listener.hear(WATCHDOG * 2);
    let silence = listener.hear(WATCHDOG * 2);
    assert_eq!(beats(&silence), 0, "{silence}");
    let drained = thread::spawn(move || {
        let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
        let deadline = Instant::now() + WATCHDOG * 3;
        while Instant::now() < deadline {
            bytes += reader.read(&mut buffer).unwrap_or(0);
            thread::sleep(Duration::from_millis(5));
        }
        (bytes, reader)
    });
    let said = listener.hear(WATCHDOG * 3);
    let (bytes, _reader) = drained.join().expect("it ends");
    assert!(bytes > 1 << 16, "{bytes} bytes of records");
    assert!(beats(&said) >= 2, "it goes on where it hung: {said:?}");
    agent.stop().expect("it ends");
}
