//! `cargo xtask demo`: a server under load, the agent beside it, and a live table of what the agent measured.
//!
//! The numbers come from the agent alone: the load's own are thrown away. Whatever it starts, it ends.

use crate::get::get;
use crate::privilege::Privilege;
use crate::process_group::ProcessGroup;
use crate::setup::{self, engines};
use crate::workspace::{self, Profile};
use crate::{build, interrupt, step};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::BufReader;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

mod table;
use table::Table;

/// How often the table is printed.
const PERIOD: Duration = Duration::from_secs(2);
/// Pause between two looks at a server that starts.
const POLL: Duration = Duration::from_millis(200);
/// Lines of a log that are shown when its process fails.
const LOG_TAIL: usize = 15;
/// The load's last request must not end before the person does.
const ENDLESS_SECONDS: &str = "1000000";

/// Options of `demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to observe
    #[arg(long, value_enum, default_value = "demo")]
    engine: Engine,
    /// End after so many seconds; without it, with Ctrl-C
    #[arg(long)]
    seconds: Option<u64>,
    /// Concurrent streaming clients
    #[arg(long, default_value_t = 4)]
    streams: u32,
}

/// The observed server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Engine {
    /// A small OpenAI-compatible server of our own
    Demo,
    /// The real vLLM with a tiny random model, on the CPU
    Vllm,
}

/// A process of the demo with its log.
struct Part {
    name: &'static str,
    log: PathBuf,
    group: ProcessGroup,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<()> {
    let privilege = Privilege::find().context("the agent loads programs into the kernel")?;
    setup::bpf()?;
    if arguments.engine == Engine::Vllm && !engines::complete() {
        engines::install()?;
    }
    let agent = build::agent(Profile::Dev)?;
    step::run(workspace::cargo().args(["build", "--package", "inferscope-tests", "--bins"]))?;
    let folder = workspace::target()?.join("demo");
    fs::create_dir_all(&folder)?;
    interrupt::watch()?;

    // Dropped in the reverse order: clients, agent, server.
    let (server_at, metrics_at) = (free_address()?, free_address()?);
    let mut server = Part::start("server", &folder, &mut arguments.engine.command(server_at)?)?;
    server.wait_for(arguments.engine.patience(), || get(server_at, "/health").is_ok())?;
    let config = folder.join("inferscope.yaml");
    fs::write(&config, arguments.engine.config(server_at, metrics_at))?;
    let records = folder.join("requests.jsonl");
    let mut log = BufReader::new(File::create(&records).and_then(|_| File::open(&records))?);
    let mut run_agent = privilege.command(&agent, &[]);
    run_agent.args(["run", "--config"]).arg(&config).arg("--records").arg(&records);
    let mut agent = Part::start("agent", &folder, &mut run_agent)?;
    // Only when it is attached: else the first requests would be joined midway.
    agent.wait_for(Duration::from_secs(20), || is_attached(metrics_at))?;
    let mut load = Part::start("load", &folder, &mut load(server_at, arguments)?)?;

    println!("{}", arguments.engine.announcement(arguments.streams));
    println!("Metrics of the agent: http://{metrics_at}/metrics, finished requests: {}", records.display());
    println!("Ctrl-C ends everything.");
    let mut table = Table::default();
    let end = arguments.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    loop {
        interrupt::pause(PERIOD);
        if interrupt::asked() || end.is_some_and(|end| Instant::now() >= end) {
            return Ok(());
        }
        for part in [&mut server, &mut agent, &mut load] {
            part.still_runs()?;
        }
        table.read(&mut log)?;
        print!("\n{}", table.render());
    }
}

/// Whether the agent sees the calls of a server.
fn is_attached(agent: SocketAddr) -> bool {
    let status = get(agent, "/status").ok().and_then(|body| serde_json::from_str::<serde_json::Value>(&body).ok());
    let processes = status.as_ref().and_then(|status| status.get("processes")?.as_array());
    processes.into_iter().flatten().any(|process| process.get("state").is_some_and(|state| state == "attached"))
}

fn load(server: SocketAddr, arguments: &Arguments) -> Result<Command> {
    let model = match arguments.engine {
        Engine::Demo => "demo",
        Engine::Vllm => "tiny-llama",
    };
    let mut load = Command::new(Profile::Dev.binary("demo-load")?);
    load.args(["--base", &format!("http://{server}"), "--model", model, "--max-tokens", "64", "--chat"]);
    load.args(["--streams", &arguments.streams.to_string(), "--seconds", ENDLESS_SECONDS]);
    Ok(load)
}

/// A loopback address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

impl Engine {
    fn command(self, at: SocketAddr) -> Result<Command> {
        let port = at.port().to_string();
        if self == Engine::Demo {
            let mut server = Command::new(Profile::Dev.binary("demo-server")?);
            server.args(["--port", &port, "--token-ms", "20"]);
            return Ok(server);
        }
        let mut server = Command::new(workspace::root().join("tests/engines/run-vllm.sh"));
        server.arg(port).env("INFERSCOPE_ENGINES", engines::folder());
        Ok(server)
    }

    /// How long it may take to answer for the first time.
    fn patience(self) -> Duration {
        match self {
            Engine::Demo => Duration::from_secs(10),
            Engine::Vllm => Duration::from_secs(240),
        }
    }

    /// vLLM is found by itself. The demo server is none, so a rule says that it speaks like one; servers that happen to
    /// run here are left alone.
    fn config(self, server: SocketAddr, metrics: SocketAddr) -> String {
        let listen = format!("listen: \"{metrics}\"\n");
        match self {
            Engine::Vllm => listen,
            Engine::Demo => format!(
                "{listen}engines:\n  vllm:\n    enabled: false\nservers:\n  - engine: vllm\n    argv: \"demo-server --port {}\"\n    service: demo-traffic\n",
                server.port()
            ),
        }
    }

    fn announcement(self, streams: u32) -> String {
        match self {
            Engine::Demo => format!(
                "DEMO TRAFFIC: {streams} clients of our own ask a small server of our own, which sends a token every 20 ms."
            ),
            Engine::Vllm => {
                format!("DEMO TRAFFIC: {streams} clients of our own ask the real vLLM with a tiny random model.")
            }
        }
    }
}

impl Part {
    fn start(name: &'static str, folder: &Path, command: &mut Command) -> Result<Part> {
        let log = folder.join(name).with_extension("log");
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let group = ProcessGroup::spawn(command).with_context(|| format!("cannot start the {name}"))?;
        Ok(Part { name, log, group })
    }

    /// Waits until it is ready.
    fn wait_for(&mut self, patience: Duration, is_ready: impl Fn() -> bool) -> Result<()> {
        println!("The {} starts (log: {}) …", self.name, self.log.display());
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            self.still_runs()?;
            if is_ready() {
                return Ok(());
            }
            interrupt::pause(POLL);
            if interrupt::asked() {
                bail!("interrupted");
            }
        }
        bail!("the {} was not ready within {} s:\n{}", self.name, patience.as_secs(), self.last_words())
    }

    fn still_runs(&mut self) -> Result<()> {
        let Some(status) = self.group.try_wait()? else { return Ok(()) };
        bail!("the {} ended with {status}:\n{}", self.name, self.last_words())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines.get(lines.len().saturating_sub(LOG_TAIL)..).unwrap_or_default().join("\n")
    }
}
