//! The real vLLM as a guard: started by tests/engines/run-vllm.sh, ready when it is returned, gone when it is dropped.
//!
//! It installs nothing: `cargo xtask setup --engines` does.

use crate::cache;
use crate::load::Seen;
use crate::process_group::ProcessGroup;
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Importing torch in three processes on a busy machine takes minutes.
const START: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(500);
/// Lines of the log that a failure shows.
const LOG_TAIL: usize = 30;

/// The name under which the tiny model is served.
pub const MODEL: &str = "tiny-llama";

/// Who talks HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frontend {
    /// uvicorn on uvloop.
    #[default]
    Python,
    /// `vllm-rs`.
    Rust,
}

/// Whether the server speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// http
    #[default]
    Plain,
    /// https, with the test certificate.
    Tls,
}

/// How to start the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Who talks HTTP.
    pub frontend: Frontend,
    /// http or https.
    pub transport: Transport,
    /// More arguments of `vllm serve`.
    pub arguments: Vec<String>,
}

/// A running vLLM.
#[derive(Debug)]
pub struct VllmServer {
    address: SocketAddr,
    log: PathBuf,
    group: ProcessGroup,
}

/// Where `cargo xtask setup --engines` puts the engines.
#[must_use]
pub fn engines() -> PathBuf {
    cache::root().join("engines")
}

impl VllmServer {
    /// Starts vLLM on a free port and waits until it serves. Its log stays under `logs`.
    pub fn start(options: &Options, logs: &Path) -> Result<VllmServer> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/run-vllm.sh");
        let engines = engines();
        ensure!(
            engines.join("venv-vllm").is_dir(),
            "no vLLM in {}: run cargo xtask setup --engines",
            engines.display()
        );
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        fs::create_dir_all(logs)?;
        let log = logs.join(format!("vllm-{}.log", address.port()));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(script);
        command.arg(address.port().to_string()).args(&options.arguments).env("INFERSCOPE_ENGINES", engines);
        command.env("FRONTEND", options.frontend.name()).env("TLS", options.transport.name());
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let group = ProcessGroup::spawn(&mut command).context("run-vllm.sh does not start")?;
        let mut server = VllmServer { address, log, group };
        server.wait(options.transport)?;
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process that was started: the ancestor of all the others.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Everything that it has written so far is here.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn wait(&mut self, transport: Transport) -> Result<()> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.group.try_wait()? {
                bail!("vLLM ended with {status}:\n{}", self.last_words());
            }
            if self.answers(transport) {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("vLLM did not serve within {} s:\n{}", START.as_secs(), self.last_words())
    }

    fn answers(&self, transport: Transport) -> bool {
        match transport {
            Transport::Plain => health(self.address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")),
            Transport::Tls => {
                let mut probe = Command::new(engines().join("venv-vllm/bin/python"));
                probe.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/tls_load.py"));
                probe.args(["--health", "--port", &self.address.port().to_string()]);
                probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
            }
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

impl Frontend {
    const fn name(self) -> &'static str {
        match self {
            Frontend::Python => "python",
            Frontend::Rust => "rust",
        }
    }
}

impl Transport {
    /// As the scripts that start servers call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Plain => "off",
            Transport::Tls => "on",
        }
    }
}

/// Drives a TLS server with the Python client (tests/engines/tls_load.py) and reads its records.
pub fn tls_load(server: &VllmServer, arguments: &[&str]) -> Result<Vec<Seen>> {
    let out = server.log.with_extension("client.jsonl");
    let _ = fs::remove_file(&out);
    let mut client = Command::new(engines().join("venv-vllm/bin/python"));
    client.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/tls_load.py")).args(arguments);
    client.args(["--port", &server.address.port().to_string(), "--out"]).arg(&out);
    ensure!(client.stdout(Stdio::null()).status()?.success(), "tls_load.py fails");
    let seen = |line: &str| Seen::from_json(&serde_json::from_str(line).ok()?);
    fs::read_to_string(&out)?.lines().map(|line| seen(line).context("a record of tls_load.py")).collect()
}

fn health(server: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
