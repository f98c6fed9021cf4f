//! The real ComfyUI: prompts, images, cached nodes and failures exact, whoever watches; times against its own and a client's.

mod browser;
mod canary;
mod upload;

use crate::folder;
use inferscope_tests::agent::Agent;
use inferscope_tests::comfyui::agreement::{Agreement, compare};
use inferscope_tests::comfyui::{ComfyServer, Load, Mode, Prompt, read};
use inferscope_tests::vllm::Transport;
use serde_json::Value;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// A job that nobody watches and nobody asks about ends on record some seconds after its end.
const ON_RECORD: Duration = Duration::from_secs(12);
const POLL: Duration = Duration::from_millis(250);
/// Error of a prompt's duration, in the middle.
const DURATION_ERROR: f64 = 5000.0;
/// Error of a gap between steps, in the middle.
const GAP_ERROR: f64 = 1000.0;

/// A real ComfyUI with an agent attached to it, and all that clients had of it.
struct Comfy {
    server: ComfyServer,
    agent: Agent,
    folder: PathBuf,
    prompts: Vec<Prompt>,
}

#[test]
#[ignore = "needs root and the real ComfyUI: cargo xtask test --engines"]
fn comfyui() {
    let mut scene = Comfy::start("engines-comfyui", Transport::Plain);
    for mode in Mode::ALL {
        let load = Load::of("load").mode(mode).with("--workflow", "both").with("--prompts", prompts());
        let agreement = scene.judge(&format!("one client, {}", mode.name()), &load);
        exact(&agreement);
        timely(&agreement, mode);
    }
    exact(&scene.judge("each prompt twice", &Load::of("load").with("--workflow", "both").again()));
    for mode in Mode::ALL {
        let load = Load::of("load").mode(mode).with("--workflow", "both").with("--clients", 4);
        exact(&scene.judge(&format!("four clients at once, {}", mode.name()), &load));
        exact(&scene.judge(&format!("a queue, {}", mode.name()), &Load::of("queue").mode(mode)));
        exact(&scene.judge(&format!("a node fails, {}", mode.name()), &Load::of("fail").mode(mode)));
        exact(&scene.judge(&format!("interruptions, {}", mode.name()), &Load::of("interrupt").mode(mode)));
    }
    invalid_graphs(&mut scene);
    totals(&scene);
    upload::costs_no_copy(&scene);
    canary::nothing_of_a_prompt_is_kept(&scene);
    a_restart_in_the_middle(scene).agent.nothing_lost();
}

#[test]
#[ignore = "needs root and the real ComfyUI: cargo xtask test --engines"]
fn comfyui_with_tls() {
    let mut scene = Comfy::start("engines-comfyui-tls", Transport::Tls);
    for mode in Mode::ALL {
        let load = Load::of("load").mode(mode).with("--workflow", "both").with("--prompts", prompts());
        let agreement = scene.judge(&format!("TLS, {}", mode.name()), &load);
        exact(&agreement);
        timely(&agreement, mode);
        exact(&scene.judge(&format!("TLS, a node fails, {}", mode.name()), &Load::of("fail").mode(mode)));
    }
    exact(&scene.judge("TLS, interruptions", &Load::of("interrupt").mode(Mode::Deflate)));
    totals(&scene);
    scene.agent.nothing_lost();
}

impl Comfy {
    fn start(name: &str, transport: Transport) -> Comfy {
        let folder = folder(name);
        let server = ComfyServer::start(transport, &[], &folder).expect("the real ComfyUI serves");
        let mut agent = Agent::start(&folder.join("agent"), "").expect("the agent starts");
        agent.attached(server.pid()).expect("the probes of ComfyUI");
        Comfy { server, agent, folder, prompts: Vec::new() }
    }

    /// Has a client do something and compares what it saw with the agent's records.
    fn judge(&mut self, what: &str, load: &Load) -> Agreement {
        let prompts = self.server.drive(load).expect("the client");
        self.judged(what, prompts)
    }

    fn judged(&mut self, what: &str, prompts: Vec<Prompt>) -> Agreement {
        let records = self.records_of(&prompts);
        let agreement = compare(&prompts, &records);
        println!("{what}\n{agreement}");
        self.prompts.extend(prompts);
        agreement
    }

    /// The agent's records of this server; those of others on the host are left out.
    fn records(&self) -> Vec<Value> {
        let service = self.service();
        let records = self.agent.records().expect("the request log");
        records.into_iter().filter(|record| record["service"] == service.as_str()).collect()
    }

    fn service(&self) -> String {
        format!("comfyui:{}", self.server.address().port())
    }

    /// The same, when all of these prompts are among them or will never be.
    fn records_of(&self, prompts: &[Prompt]) -> Vec<Value> {
        let deadline = Instant::now() + ON_RECORD;
        loop {
            let records = self.records();
            let mut ids = prompts.iter().filter_map(|prompt| prompt.id.as_deref());
            if ids.all(|id| records.iter().any(|record| record["id"] == id)) || Instant::now() > deadline {
                return records;
            }
            thread::sleep(POLL);
        }
    }

    /// A metric of this server.
    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let service = format!("service=\"{}\"", self.service());
        let labels: Vec<&str> = labels.iter().copied().chain([service.as_str()]).collect();
        self.agent.metric(name, &labels).expect("metrics")
    }
}

/// Prompts in each mode.
fn prompts() -> usize {
    let said = std::env::var("INFERSCOPE_PROMPTS").ok();
    said.map_or(12, |said| said.parse().expect("INFERSCOPE_PROMPTS is a number"))
}

fn exact(agreement: &Agreement) {
    assert!(agreement.prompts > 0, "ComfyUI accepted no prompt");
    assert_eq!(agreement.equal, agreement.prompts, "{:#?}", agreement.differences);
}

/// Half of all are as near as published, whatever else runs on the machine.
fn timely(agreement: &Agreement, mode: Mode) {
    let duration = agreement.duration.quantile(0.5);
    assert!(duration.abs() < DURATION_ERROR, "durations are {duration} us off");
    if mode != Mode::Poll {
        assert!(!agreement.gaps.is_empty(), "no gap between steps was seen");
        let gap = agreement.gaps.quantile(0.5);
        assert!(gap.abs() < GAP_ERROR, "gaps between steps are {gap} us off");
    }
}

/// Refused graphs are errors of the API and no jobs.
fn invalid_graphs(scene: &mut Comfy) {
    let before = scene.records().len();
    let prompts = scene.server.drive(&Load::of("invalid")).expect("the client");
    scene.agent.settle();
    assert_eq!(scene.records().len(), before, "a refused graph is no job");
    for prompt in &prompts {
        let error = prompt.error.as_deref().expect("ComfyUI says why");
        println!("{} {error}", prompt.status);
        let labels = [format!("error_type=\"{error}\""), "endpoint=\"prompt\"".to_owned()];
        let counted = scene.metric("comfyui_api_errors_total", &[&labels[0], &labels[1]]);
        assert_eq!((prompt.status, counted), (400, 1.0), "{error}");
    }
}

/// The metrics are the sums of what clients and ComfyUI's history say.
fn totals(scene: &Comfy) {
    scene.agent.settle();
    let accepted = || scene.prompts.iter().filter(|prompt| prompt.id.is_some());
    let own = || accepted().filter_map(|prompt| prompt.own.as_ref());
    for outcome in ["success", "error", "interrupted"] {
        let expected = own().filter(|own| own.outcome == outcome).count();
        let counted = scene.metric("comfyui_prompts_total", &[&format!("status=\"{outcome}\"")]);
        println!("{outcome}: {expected} prompts");
        assert_eq!(counted, expected as f64, "{outcome}");
    }
    let deleted = accepted().filter(|prompt| prompt.own.is_none()).count();
    assert_eq!(scene.metric("comfyui_prompts_total", &["status=\"cancelled\""]), deleted as f64, "deleted");
    let (images, cached): (u64, u64) = (own().map(|own| own.images).sum(), own().map(|own| own.cached).sum());
    println!("{images} images, {cached} cached nodes, {deleted} prompts taken from the queue");
    assert_eq!(scene.metric("comfyui_images_generated_total", &[]), images as f64, "images");
    assert_eq!(scene.metric("comfyui_nodes_cached_total", &[]), cached as f64, "cached nodes");
    let failed = own().filter(|own| own.error.is_some()).count();
    let failures = scene.metric("comfyui_generation_failures_total", &["error_type=\"ValueError\""]);
    assert_eq!(failures, failed as f64, "failures");
    assert_eq!(scene.metric("comfyui_active_jobs", &[]), 0.0, "active jobs");
    assert_eq!(scene.metric("comfyui_queue_depth", &[]), 0.0, "queue depth");
}

/// ComfyUI is killed while it works and while prompts wait, and started again: what it lost is on record as lost, and
/// the next prompts are right.
fn a_restart_in_the_middle(scene: Comfy) -> Comfy {
    let before = scene.records().len();
    let client = scene.server.begin(&Load::of("wait").with("--seconds", 30)).expect("a client");
    let deadline = Instant::now() + ON_RECORD;
    while scene.metric("comfyui_queue_depth", &[]) < 1.0 {
        assert!(Instant::now() < deadline, "no prompt waits behind another");
        thread::sleep(POLL);
    }
    assert_eq!(scene.metric("comfyui_active_jobs", &[]), 1.0, "active jobs");
    let Comfy { server, mut agent, folder, prompts } = scene;
    let address = server.address();
    server.kill().expect("SIGKILL");
    assert!(read(client).is_err(), "the client's server went away");
    let server = ComfyServer::start_at(address, Transport::Plain, &[], &folder).expect("ComfyUI serves again");
    agent.attached(server.pid()).expect("the probes of the new process");
    let mut scene = Comfy { server, agent, folder, prompts };
    let lost = scene.records().split_off(before);
    assert_eq!(lost.len(), 2, "one prompt was under way, one waited: {lost:?}");
    for record in &lost {
        assert_eq!((&record["status"], &record["quality"]), (&"unknown".into(), &"truncated".into()), "{record}");
    }
    exact(&scene.judge("after a restart", &Load::of("load").with("--workflow", "both")));
    scene
}
