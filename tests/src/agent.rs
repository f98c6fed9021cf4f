//! The agent under test as a guard: started with a configuration of its own, stopped by SIGTERM, killed when dropped.

use crate::identity::Identity;
use crate::process_group::ProcessGroup;
use crate::repository;
use crate::sum;
use anyhow::{Context, Result, bail};
use inferscope::crosscheck::page;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything that should happen at once may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// The core ticks, gauges are set and the request log is flushed once a second.
const REFRESH: Duration = Duration::from_millis(1500);

/// The binary that `cargo xtask test` built, or the one of a plain `cargo build`.
#[must_use]
pub fn binary() -> PathBuf {
    std::env::var_os("INFERSCOPE_BIN").map_or_else(|| repository("target/debug/inferscope"), PathBuf::from)
}

/// How an agent is started.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// YAML without `listen`.
    pub configuration: &'a str,
    /// Its log filter.
    pub log: &'a str,
    /// As whom.
    pub identity: Identity,
    /// More of its environment.
    pub variables: &'a [(&'a str, &'a OsStr)],
}

impl Default for Start<'_> {
    fn default() -> Self {
        Start { configuration: "", log: "info", identity: Identity::Same, variables: &[] }
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    address: SocketAddr,
    folder: PathBuf,
    group: ProcessGroup,
}

impl Agent {
    /// Starts `inferscope run` with `configuration` (YAML without `listen`); its files go to `folder`.
    pub fn start(folder: &Path, configuration: &str) -> Result<Agent> {
        Agent::start_with(folder, configuration, "info")
    }

    /// As [`Agent::start`], with a log filter.
    pub fn start_with(folder: &Path, configuration: &str, log: &str) -> Result<Agent> {
        Agent::start_as(folder, &Start { configuration, log, ..Start::default() })
    }

    /// As [`Agent::start`], as `start` says.
    pub fn start_as(folder: &Path, start: &Start<'_>) -> Result<Agent> {
        let mut agent = Agent::spawn(folder, start)?;
        agent.wait_until("the agent is healthy", |agent| {
            Ok(agent.get("/healthz").is_ok_and(|text| text == "ok\n" || text == "ok"))
        })?;
        Ok(agent)
    }

    /// As [`Agent::start_as`], without waiting for it to be well.
    pub fn spawn(folder: &Path, start: &Start<'_>) -> Result<Agent> {
        fs::create_dir_all(folder)?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = folder.join("inferscope.yaml");
        fs::write(&config, format!("listen: {address}\n{}", start.configuration))?;
        // Restarted agents write on behind their predecessors.
        let errors = File::options().create(true).append(true).open(folder.join("stderr"))?;
        let mut command = start.identity.command(&binary(), folder)?;
        command.arg("run").arg("--config").arg(&config).args(["--log", start.log]);
        command.arg("--records").arg(folder.join("records.jsonl"));
        command.envs(start.variables.iter().copied()).stdout(errors.try_clone()?).stderr(errors);
        let group = ProcessGroup::spawn(&mut command).context("the agent does not start")?;
        Ok(Agent { address, folder: folder.to_owned(), group })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.group.id()
    }

    /// Waits until the probes of a process are attached.
    pub fn attached(&mut self, pid: u32) -> Result<()> {
        self.wait_until(&format!("the probes of {pid} are attached"), |agent| {
            let status = agent.status()?;
            let processes = status["processes"].as_array().cloned().unwrap_or_default();
            Ok(processes.iter().any(|process| process["tgid"] == pid && process["state"] == "attached"))
        })
    }

    /// Waits for a condition, or fails with what the agent wrote.
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&Agent) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.group.try_wait()? {
                bail!("the agent ended with {status} before {what}:\n{}", self.stderr());
            }
            if holds(self)? {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        bail!("not within {} s: {what}:\n{}", PATIENCE.as_secs(), self.stderr())
    }

    /// Lets everything that has happened reach /metrics, /status and the request log.
    pub fn settle(&self) {
        thread::sleep(REFRESH);
    }

    /// The body of a page.
    pub fn get(&self, path: &str) -> Result<String> {
        page::read(self.address, path).with_context(|| path.to_owned())
    }

    /// /status
    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.get("/status")?)?)
    }

    /// The sum over a metric's series whose labels contain all of `labels` (`name="value"`).
    pub fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        Ok(sum(&self.get("/metrics")?, name, labels))
    }

    /// The finished requests, one JSON object each, in the order in which they ended.
    pub fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.folder.join("records.jsonl")).unwrap_or_default();
        // What stands behind the last line break is a record that is being written.
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(|line| serde_json::from_str(line).context("a line of the request log")).collect()
    }

    /// What it has written so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
    }

    /// Resident memory in bytes and processor time in seconds, as its own metrics say.
    pub fn usage(&self) -> Result<(f64, f64)> {
        let memory = self.metric("process_resident_memory_bytes", &[])?;
        Ok((memory, self.metric("process_cpu_seconds_total", &[])?))
    }

    /// Nothing was lost, and what that took is printed.
    pub fn nothing_lost(&self) {
        let lost = self.metric("inferscope_events_lost_total", &[]).expect("metrics");
        assert_eq!(lost, 0.0, "lost events");
        let (memory, cpu) = self.usage().expect("usage");
        println!("agent: {:.1} MB resident, {cpu:.2} s of processor time", memory / 1e6);
    }

    /// Ends it by SIGTERM and waits.
    pub fn stop(mut self) -> Result<ExitStatus> {
        Ok(self.group.end()?)
    }

    /// Ends it by SIGKILL: nothing of it can be tidied up.
    pub fn kill(mut self) -> Result<()> {
        self.group.signal(libc::SIGKILL)?;
        self.group.end()?;
        Ok(())
    }
}
