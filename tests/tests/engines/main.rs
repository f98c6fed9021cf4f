//! Inferscope against the real servers, on CPU: counts and tokens exact, times against the client's own clock.
//!
//! Run by `cargo xtask test --engines` as root. What is printed is what docs/journal quotes. Asserted are counts, tokens
//! and orders of magnitude: a shared CI machine may preempt anybody for milliseconds.

mod canary;
mod comfyui;
mod dashboards;
mod frames;
mod gauges;
mod gpu;
mod messages;
mod otlp;
mod python;
mod rust;
mod tls;
mod triton;
mod vllm;

use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::agreement::{Agreement, compare};
use inferscope_tests::load::Seen;
use inferscope_tests::vllm::VllmServer;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a load runs. Benchmarks say more: what a longer one proves is printed, not asserted.
const LOAD_SECONDS: u64 = 10;
/// Where vLLM's engine is, by the name that it gives itself, as far as a comm goes.
const ENGINE: &str = "VLLM::EngineCor";

/// A real vLLM that others may have tested before, with an agent of this scene's own attached to it.
struct Scene<'a> {
    server: &'a VllmServer,
    agent: Agent,
    folder: PathBuf,
}

impl Scene<'_> {
    /// `front` is the name of the process that talks to clients ("vllm-rs"); the started one where empty. The agent's files
    /// go to `folder`, which no other has.
    fn watch<'a>(server: &'a VllmServer, folder: &Path, front: &str, start: &Start<'_>) -> Scene<'a> {
        let mut agent = Agent::start_as(folder, start).expect("the agent starts");
        let pid = if front.is_empty() { server.pid() } else { descendant(server, front) };
        agent.attached(pid).expect("the probes of the front end");
        Scene { server, agent, folder: folder.to_owned() }
    }

    /// Waits until the engine is watched, too.
    fn with_engine(mut self) -> Self {
        self.agent.attached(descendant(self.server, ENGINE)).expect("the probes of the engine");
        self
    }

    /// Compares what a client saw with the agent's records so far, and prints it.
    fn judge(&self, what: &str, seen: &[Seen]) -> Agreement {
        self.agent.settle();
        let agreement = compare(seen, &self.agent.records().expect("the request log"));
        println!("{what}\n{agreement}");
        agreement
    }
}

/// How long a load runs.
fn load_time() -> Duration {
    let said = std::env::var("INFERSCOPE_LOAD_SECONDS").ok();
    Duration::from_secs(said.map_or(LOAD_SECONDS, |said| said.parse().expect("INFERSCOPE_LOAD_SECONDS is a number")))
}

/// An empty folder for a test's files.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// The process of a server with this comm.
fn descendant(server: &VllmServer, comm: &str) -> u32 {
    in_group(server.pid(), comm)
}

/// The process of a group with this comm.
fn in_group(group: u32, comm: &str) -> u32 {
    let is =
        |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim_end() == comm);
    let belongs = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        fields.is_some_and(|fields| fields.get(2) == Some(&group.to_string()))
    };
    let all =
        std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    all.into_iter().find(|pid| is(pid) && belongs(pid)).unwrap_or_else(|| panic!("vLLM has no process {comm}"))
}

/// Everything that a client saw is on record: codes, tokens, content events.
fn exact(agreement: &Agreement) {
    assert!(agreement.requests > 0, "the client made no request");
    assert_eq!(agreement.equal, agreement.requests, "{:#?}", agreement.differences);
    if !agreement.ttft_difference.is_empty() {
        assert_eq!(agreement.same_events, agreement.requests, "{:#?}", agreement.differences);
    }
}

/// Times are of the right size: half of all first tokens left within 5 ms of their receipt, and no request arrived before it was
/// sent. How long one waits until the server reads it is the machine's affair.
fn plausible(agreement: &Agreement) {
    let (waited, delivered) = (agreement.waited.quantile(0.0), agreement.delivered.quantile(0.5));
    assert!(waited >= 0.0, "a request arrived {waited} us behind its sending");
    assert!(delivered.abs() < 5000.0, "first tokens were received {delivered} us behind their writes, in the middle");
    let (agent, client) = (agreement.agent_gaps.quantile(0.5), agreement.client_gaps.quantile(0.5));
    assert!((agent - client).abs() < 0.5 * client.max(1000.0), "median ITL {agent} us, the client's {client} us");
}
