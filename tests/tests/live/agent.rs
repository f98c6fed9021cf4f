//! The agent as these tests need it: it looks for servers of ours only, and tells an absent series from zero.

use crate::server::Server;
use inferscope::engine::ENGINES;
use inferscope_tests::agent::{self, Start, binary};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, thread};

/// The `service` label of every server that these tests name.
pub const SERVICE: &str = "live";

/// A running `inferscope run` that logs all it can.
pub struct Agent {
    agent: agent::Agent,
    folder: Folder,
}

/// What is left of an agent that was asked to end.
pub struct Ended {
    /// Its exit code.
    pub code: Option<i32>,
    /// The request records that it wrote, in its order.
    pub records: Vec<Value>,
    /// Its log.
    pub log: String,
}

/// An exposition.
pub struct Metrics {
    /// As it was served.
    pub text: String,
}

/// A new folder under the system's temporary one, removed when dropped.
pub struct Folder(PathBuf);

impl Agent {
    /// Starts an agent that looks for these servers only.
    pub fn start(servers: &[&Server]) -> Agent {
        Agent::start_with(servers, "")
    }

    /// As [`Agent::start`], with more lines of configuration. Returns when it answers.
    pub fn start_with(servers: &[&Server], more: &str) -> Agent {
        let text = format!("{}{more}", configuration(servers));
        Agent::start_as(&Start { configuration: &text, log: "trace", ..Start::default() })
    }

    /// As [`Agent::start`], as `start` says.
    pub fn start_as(start: &Start<'_>) -> Agent {
        assert!(binary().exists(), "no agent at {}: run cargo build", binary().display());
        let folder = Folder::new();
        let agent = agent::Agent::start_as(&folder.0, start).expect("the agent starts");
        Agent { agent, folder }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.agent.pid()
    }

    /// Waits until it says that it is attached to these processes and to no others.
    pub fn wait_attached(&mut self, processes: &[u32]) {
        let mut expected = processes.to_vec();
        expected.sort_unstable();
        self.wait("it is attached to our processes", |agent| attached(agent) == expected);
    }

    /// What /status says now.
    pub fn status(&self) -> Value {
        self.agent.status().expect("/status")
    }

    /// What /metrics says when so many requests have ended, and what it says of the kernel side is of that time.
    pub fn metrics_after(&mut self, requests: u64) -> Metrics {
        let expected = Some(requests as f64);
        self.wait("the requests have ended", |agent| Metrics::of(agent).sum("llm_request_total", &[]) == expected);
        self.agent.settle();
        Metrics::of(&self.agent)
    }

    /// What /metrics says when this metric is above 0 with these labels.
    pub fn metrics_with(&mut self, name: &str, labels: &[(&str, &str)]) -> Metrics {
        self.metrics_when(name, |metrics| metrics.sum(name, labels).is_some_and(|sum| sum > 0.0))
    }

    /// What /metrics says when this holds.
    pub fn metrics_when(&mut self, what: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        self.wait(what, |agent| holds(&Metrics::of(agent)));
        Metrics::of(&self.agent)
    }

    /// Ends it as a service manager does.
    pub fn stop(self) -> Ended {
        let Agent { agent, folder } = self;
        let status = agent.stop().expect("the agent can be ended");
        let read = |name| fs::read_to_string(folder.path(name)).expect("the agent made it");
        let records_text = read("records.jsonl");
        let records = records_text.lines().map(|line| serde_json::from_str(line).expect("a record is JSON"));
        Ended { code: status.code(), records: records.collect(), log: read("stderr") }
    }

    /// Ends it without a chance to clean up.
    pub fn kill(self) {
        self.agent.kill().expect("the agent can be killed");
    }

    fn wait(&mut self, what: &str, done: impl Fn(&agent::Agent) -> bool) {
        if let Err(problem) = self.agent.wait_until(what, |agent| Ok(done(agent))) {
            panic!("{problem:#}");
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.path("stderr")).unwrap_or_default();
            let ours = log.lines().filter(|line| line.contains("inferscope"));
            eprintln!("the agent's log:\n{}", ours.collect::<Vec<_>>().join("\n"));
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Looks for these servers and no others: real ones on this machine are none of our business.
pub fn configuration(servers: &[&Server]) -> String {
    let rule = |server: &&Server| format!("  - {{engine: vllm, argv: {:?}, service: {SERVICE}}}\n", server.mark());
    let rules: String = servers.iter().map(rule).collect();
    let off: String = ENGINES.iter().map(|engine| format!("  {}: {{enabled: false}}\n", engine.name())).collect();
    format!("engines:\n{off}servers:\n{rules}")
}

/// The processes that it is attached to, sorted.
fn attached(agent: &agent::Agent) -> Vec<u32> {
    let status = agent.status().expect("/status");
    let processes = status["processes"].as_array().into_iter().flatten();
    let attached = processes.filter(|process| process["state"] == "attached");
    let mut tgids: Vec<_> = attached.filter_map(|process| u32::try_from(process["tgid"].as_u64()?).ok()).collect();
    tgids.sort_unstable();
    tgids
}

impl Ended {
    /// The only record.
    pub fn record(&self) -> &Value {
        assert_eq!(self.records.len(), 1, "{:?}", self.records);
        &self.records[0]
    }
}

impl Metrics {
    fn of(agent: &agent::Agent) -> Metrics {
        Metrics { text: agent.get("/metrics").expect("/metrics") }
    }

    /// Sum of the series that have these labels, or `None` where there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.text.lines().filter_map(|line| {
            let series = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']))?;
            let has = |(label, value): &(&str, &str)| series.contains(&format!("{label}=\"{value}\""));
            labels.iter().all(has).then(|| series.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        values.reduce(|sum, value| sum + value)
    }

    /// Fails where the kernel side could not send something.
    pub fn nothing_was_lost(&self) {
        assert!(self.sum("inferscope_events_lost_total", &[]).is_none_or(|lost| lost == 0.0), "{}", self.text);
    }
}

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("inferscope-live-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("the temporary folder is writable");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
