//! What each way of seeing a vLLM costs, for each generated token: `cargo xtask bench message-cost`, as root.
//!
//! One server, the same load again and again, an agent with another configuration each time; the ways alternate, so that
//! what else runs on the machine meets them all. Hits and program time are the kernel's own counts; the trap into a
//! program is not in its time, so its price stands beside it, from docs/journal's probe-cost.

use anyhow::{Context, Result};
use inferscope_tests::agent::Agent;
use inferscope_tests::load::{self, Limit, Options};
use inferscope_tests::vllm::{self, Frontend, MODEL, VllmServer};
use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

const STREAMS: u32 = 8;
const SECONDS: u64 = 12;
const ROUNDS: usize = 2;
/// Name and configuration.
const WAYS: [(&str, &str); 5] = [
    ("HTTP only", "capture: {engine_messages: off}\n"),
    ("engine's end", "capture: {engine_messages: engine}\n"),
    ("engine's end, edges", "capture: {engine_messages: engine, http: edges}\n"),
    ("front end's end", "capture: {engine_messages: frontend}\n"),
    ("front end's end, edges", "capture: {engine_messages: frontend, http: edges}\n"),
];

/// What a run used.
#[derive(Clone, Debug, Default)]
struct Used {
    tokens: f64,
    agent_seconds: f64,
    program_seconds: f64,
    hits: BTreeMap<&'static str, f64>,
}

fn main() -> Result<()> {
    let logs = std::env::temp_dir().join("inferscope-message-cost");
    let frontends: &[Frontend] = &[Frontend::Python, Frontend::Rust];
    for frontend in frontends {
        let server = VllmServer::start(&vllm::Options { frontend: *frontend, ..vllm::Options::default() }, &logs)?;
        let mut totals = vec![Used::default(); WAYS.len()];
        for round in 1..=ROUNDS {
            for ((name, configuration), total) in WAYS.iter().zip(&mut totals) {
                let used = run(&server, configuration, &logs).with_context(|| (*name).to_owned())?;
                println!("round {round}, {name}: {:.0} tokens", used.tokens);
                total.add(&used);
            }
        }
        println!("\n{frontend:?} front end, {STREAMS} streams, {ROUNDS} x {SECONDS} s; for each generated token:\n");
        println!("| way | tokens/s | agent, us | programs, us | socket hits | message hits | TLS hits |");
        println!("| --- | --- | --- | --- | --- | --- | --- |");
        for ((name, _), used) in WAYS.iter().zip(&totals) {
            println!("| {name} | {}", used.row());
        }
    }
    Ok(())
}

fn run(server: &VllmServer, configuration: &str, logs: &Path) -> Result<Used> {
    let mut agent = Agent::start(logs, configuration)?;
    agent.attached(server.pid())?;
    // Every process of the server is found in one scan.
    thread::sleep(Duration::from_secs(3));
    let before = Used::read(&agent)?;
    let limit = Limit::Time(Duration::from_secs(SECONDS));
    let seen = load::collect(&Options { streams: STREAMS, limit, ..Options::new(server.address(), MODEL) });
    agent.settle();
    let mut used = Used::read(&agent)?;
    agent.stop()?;
    used.subtract(&before);
    used.tokens = seen.iter().filter_map(|seen| seen.completion_tokens).map(|tokens| tokens as f64).sum();
    Ok(used)
}

impl Used {
    fn read(agent: &Agent) -> Result<Used> {
        let hits = |hooks: &[&str]| -> Result<f64> {
            let hits = hooks.iter().map(|hook| {
                let label = format!("hook=\"{hook}\"");
                agent.metric("inferscope_probe_hits_total", &[&label])
            });
            hits.sum()
        };
        let messages = hits(&["zmq_msg_send", "zmq_msg_recv"])?;
        let tls = hits(&["SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex"])?;
        let all = agent.metric("inferscope_probe_hits_total", &[])?;
        let process = hits(&["exec", "fork", "exit"])?;
        Ok(Used {
            tokens: 0.0,
            agent_seconds: agent.usage()?.1,
            program_seconds: agent.metric("inferscope_probe_seconds_total", &[])?,
            hits: BTreeMap::from([("socket", all - messages - tls - process), ("message", messages), ("TLS", tls)]),
        })
    }

    fn subtract(&mut self, before: &Used) {
        self.agent_seconds -= before.agent_seconds;
        self.program_seconds -= before.program_seconds;
        self.hits.iter_mut().for_each(|(kind, hits)| *hits -= before.hits.get(kind).unwrap_or(&0.0));
    }

    fn add(&mut self, other: &Used) {
        self.tokens += other.tokens;
        self.agent_seconds += other.agent_seconds;
        self.program_seconds += other.program_seconds;
        other.hits.iter().for_each(|(kind, hits)| *self.hits.entry(kind).or_default() += hits);
    }

    fn row(&self) -> String {
        let each = |value: f64| value / self.tokens;
        let hits = |kind| format!("{:.3}", each(self.hits.get(kind).copied().unwrap_or(0.0)));
        format!(
            "{:.0} | {:.2} | {:.2} | {} | {} | {} |",
            self.tokens / (ROUNDS as f64 * SECONDS as f64),
            each(self.agent_seconds) * 1e6,
            each(self.program_seconds) * 1e6,
            hits("socket"),
            hits("message"),
            hits("TLS"),
        )
    }
}
