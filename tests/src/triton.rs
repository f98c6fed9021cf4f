//! The real Triton as a guard: started by tests/engines/run-triton.sh, ready when it is returned, gone when it is dropped.
//!
//! It installs nothing: `cargo xtask setup --engines` does. Its clients are those of tests/engines/triton_load.py.

use crate::exchange::post;
use crate::process_group::ProcessGroup;
use crate::vllm::{Transport, engines};
use anyhow::{Context, Result, bail, ensure};
use inferscope::crosscheck::page;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Eight models start eight Pythons.
const START: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);
/// Lines of the log that a failure shows.
const LOG_TAIL: usize = 30;

/// How to start the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether gRPC goes over TLS, with the test certificate.
    pub grpc: Transport,
    /// More arguments of `tritonserver`.
    pub arguments: Vec<String>,
}

impl Options {
    /// A server that loads a model when it is told to; these at its start.
    #[must_use]
    pub fn on_demand(models: &[&str]) -> Options {
        let load = models.iter().map(|model| format!("--load-model={model}"));
        let arguments = std::iter::once("--model-control-mode=explicit".to_owned()).chain(load).collect();
        Options { arguments, ..Options::default() }
    }
}

/// A running Triton.
#[derive(Debug)]
pub struct TritonServer {
    http: SocketAddr,
    grpc: SocketAddr,
    metrics: SocketAddr,
    transport: Transport,
    log: PathBuf,
    group: ProcessGroup,
}

impl TritonServer {
    /// Starts Triton on free ports and waits until its models are ready. Its log stays under `logs`.
    pub fn start(options: &Options, logs: &Path) -> Result<TritonServer> {
        let [http, grpc, metrics] = free_addresses()?;
        TritonServer::start_at([http, grpc, metrics], options, logs)
    }

    /// Ends it and starts another in its place.
    pub fn restart(mut self, options: &Options, logs: &Path) -> Result<TritonServer> {
        self.group.end()?;
        TritonServer::start_at([self.http, self.grpc, self.metrics], options, logs)
    }

    fn start_at([http, grpc, metrics]: [SocketAddr; 3], options: &Options, logs: &Path) -> Result<TritonServer> {
        let engines = engines();
        ensure!(
            engines.join("triton-models").is_dir(),
            "no Triton in {}: run cargo xtask setup --engines",
            engines.display()
        );
        fs::create_dir_all(logs)?;
        let log = logs.join(format!("triton-{}.log", http.port()));
        let file = File::create(&log).with_context(|| log.display().to_string())?;
        let mut command = Command::new(script("run-triton.sh"));
        command.args([http, grpc, metrics].map(|address| address.port().to_string())).args(&options.arguments);
        let tls = if options.grpc == Transport::Tls { "on" } else { "off" };
        command.env("INFERSCOPE_ENGINES", engines).env("TLS", tls);
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let group = ProcessGroup::spawn(&mut command).context("run-triton.sh does not start")?;
        let mut server = TritonServer { http, grpc, metrics, transport: options.grpc, log, group };
        server.wait()?;
        Ok(server)
    }

    /// Where it speaks HTTP.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The process `tritonserver`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Its name in the agent's labels.
    #[must_use]
    pub fn service(&self) -> String {
        format!("triton:{}", self.http.port())
    }

    /// Its own page of metrics.
    pub fn metrics(&self) -> Result<String> {
        page::read(self.metrics, "/metrics").context("Triton's metrics")
    }

    /// Loads a model and waits until it is ready.
    pub fn load(&self, model: &str) -> Result<()> {
        let (code, answer) = post(self.http, &format!("/v2/repository/models/{model}/load"), "{}")?;
        ensure!(code == 200, "{model} cannot be loaded: {answer}");
        Ok(())
    }

    /// Unloads a model and waits until it is gone.
    pub fn unload(&self, model: &str) -> Result<()> {
        let (code, answer) = post(self.http, &format!("/v2/repository/models/{model}/unload"), "{}")?;
        ensure!(code == 200, "{model} cannot be unloaded: {answer}");
        let name = format!("\"{model}\"");
        while post(self.http, "/v2/repository/index", r#"{"ready":true}"#)?.1.contains(&name) {
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Makes requests with the Python clients, and says what they saw.
    pub fn drive(&self, mode: &str, model: &str, more: &[&str]) -> Result<Vec<Asked>> {
        // Several drivers may run at a time.
        let out = self.log.with_extension(format!("{mode}-{model}.jsonl"));
        let mut client = Command::new(engines().join("venv-triton/bin/python"));
        client.arg(script("triton_load.py")).args(["--mode", mode, "--model", model]).args(more);
        let [http, grpc] = [self.http, self.grpc].map(|address| address.port().to_string());
        client.args(["--http-port", &http, "--grpc-port", &grpc, "--out"]).arg(&out);
        if self.transport == Transport::Tls {
            client.arg("--certificate").arg(engines().join("tls/cert.pem"));
        }
        ensure!(client.stdout(Stdio::null()).status()?.success(), "triton_load.py fails");
        let asked = |line: &str| Asked::from_json(&serde_json::from_str(line).ok()?);
        fs::read_to_string(&out)?.lines().map(|line| asked(line).context("a record of triton_load.py")).collect()
    }

    fn wait(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Some(status) = self.group.try_wait()? {
                bail!("Triton ended with {status}:\n{}", self.last_words());
            }
            if page::read(self.http, "/v2/health/ready").is_ok() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("Triton was not ready within {} s:\n{}", START.as_secs(), self.last_words())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }
}

/// A request as its client saw it. Times are nanoseconds of the kernel's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The request's id, "" where it has none.
    pub id: String,
    /// Right before it was sent.
    pub sent: u64,
    /// Right behind each response.
    pub responses: Vec<u64>,
    /// Right behind the end.
    pub done: u64,
    /// ok, error or cancelled.
    pub status: String,
}

impl Asked {
    fn from_json(record: &Value) -> Option<Asked> {
        Some(Asked {
            id: record["id"].as_str()?.to_owned(),
            sent: record["sent"].as_u64()?,
            responses: record["responses"].as_array()?.iter().map(Value::as_u64).collect::<Option<_>>()?,
            done: record["done"].as_u64()?,
            status: record["status"].as_str()?.to_owned(),
        })
    }
}

/// Different ports, which stay taken until all are known.
fn free_addresses() -> Result<[SocketAddr; 3]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [listen()?, listen()?, listen()?];
    let [http, grpc, metrics] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([http?, grpc?, metrics?])
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("engines").join(name)
}
