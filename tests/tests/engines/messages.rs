//! What the engine's own messages tell: everything counted equals vLLM's own counters, and everything timed its means.

use crate::{ENGINE, Scene, gauges, in_group, load_time};
use inferscope::crosscheck::Quantity::{self, GeneratedTokens, InterToken, PromptTokens, Requests, Sequences};
use inferscope::crosscheck::exposition::Exposition;
use inferscope::crosscheck::{Figures, Row, Table, compare, page};
use inferscope_tests::agent::Agent;
use inferscope_tests::mixed::{Mixed, Sums, Variety};
use inferscope_tests::offline::Offline;
use inferscope_tests::stopwatch::timed;
use inferscope_tests::vllm::MODEL;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Half as many again as there are places in a batch.
const WORKERS: u32 = 24;
/// Requests of the run without a server.
const OFFLINE_REQUESTS: u32 = 96;
/// A step of the scheduler admits and ends a few requests at most.
const ONE_STEP: f64 = 2.0;

/// Some outputs are of several tokens.
pub fn of_several_tokens(scene: &Scene) {
    let rows = agree(scene, "n-gram speculation", Variety::Likeliest);
    let count = |quantity| row(&rows, quantity).agent.count;
    let (tokens, outputs) = (count(GeneratedTokens), count(InterToken) + count(Sequences));
    println!("{tokens} tokens in {outputs} outputs");
    assert!(tokens > outputs, "none is of several tokens");
}

/// Runs a load and compares what both sides say of it. Nothing that was asked before may have been odd.
pub fn agree(scene: &Scene, what: &str, variety: Variety) -> Vec<Row> {
    timed(what, || agrees(scene, variety, load_time()))
}

/// `LLM.generate` in a process of its own.
pub fn without_a_server(folder: &Path) {
    let mut offline =
        timed("the start of vLLM", || Offline::start(OFFLINE_REQUESTS, folder)).expect("vLLM loads the model");
    let mut agent = Agent::start(folder, "").expect("the agent starts");
    agent.attached(in_group(offline.pid(), ENGINE)).expect("the probes of the engine");
    let done = offline.generate().expect("it generates");
    agent.settle();
    let page = Exposition::parse(&agent.get("/metrics").expect("metrics"));
    let rows = compare(&Figures::of_agent(&page, &[("service", "vllm:offline")]), &done.figures);
    println!("without a server\n{}", Table(&rows));
    let generated: u64 = done.requests.iter().map(|request| request.generated_tokens).sum();
    let prompts: u64 = done.requests.iter().map(|request| request.prompt_tokens).sum();
    counted(&rows, Sequences, u64::from(OFFLINE_REQUESTS));
    counted(&rows, PromptTokens, prompts);
    counted(&rows, GeneratedTokens, generated);
    exact(&rows);
    stages_are_close(&rows);
    begins_with_the_hand_over(&rows);
    nothing_odd(&agent);
}

fn agrees(scene: &Scene, variety: Variety, time: Duration) -> Vec<Row> {
    let server = scene.server.address();
    let (agent_before, server_before) = figures(scene);
    let mixed = Mixed { server, model: MODEL.into(), workers: WORKERS, time, variety };
    let (asked, tracks) = gauges::during(scene.agent.address(), server, &service(scene), || mixed.run());
    quiet(scene);
    let (agent, own) = figures(scene);
    let rows = compare(&agent.since(&agent_before), &own.since(&server_before));
    let sums = Sums::of(&asked);
    println!("{WORKERS} workers for {} s\n{sums:?}\n{}", time.as_secs(), Table(&rows));
    assert_eq!(sums.failed, 0, "vLLM answers everything");
    counted(&rows, Requests, sums.requests);
    counted(&rows, Sequences, sums.choices);
    if variety == Variety::Rich {
        left(scene, &rows, &sums);
    } else {
        counted(&rows, PromptTokens, sums.prompt_tokens);
        counted(&rows, GeneratedTokens, sums.generated_tokens);
        exact(&rows);
        close(&rows);
        for track in tracks {
            println!("{track}");
            assert!(track.len() > 3, "the agent has the gauge");
            // Of some twenty scrapes: vLLM's front end sets its gauges several steps late when it is not let run.
            assert!(track.within(ONE_STEP) > 0.8, "{track}");
        }
    }
    nothing_odd(&scene.agent);
    rows
}

/// What the agent calls this server: there may be others on the host.
fn service(scene: &Scene) -> String {
    format!("vllm:{}", scene.server.address().port())
}

fn figures(scene: &Scene) -> (Figures, Figures) {
    let read = |address| Exposition::parse(&page::read(address, "/metrics").expect("a page of metrics"));
    let (agent, server) = (read(scene.agent.address()), read(scene.server.address()));
    (
        Figures::of_agent(&agent, &[("service", &service(scene)), ("model", MODEL)]),
        Figures::of_vllm(&server, &[("model_name", MODEL)]),
    )
}

/// Waits until vLLM has nothing to do and the agent has said all of it.
fn quiet(scene: &Scene) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let page = page::read(scene.server.address(), "/metrics").expect("vLLM's metrics");
        let page = Exposition::parse(&page);
        let busy = gauges::GAUGES.iter().filter_map(|gauge| page.sum(gauge.server, &[])).sum::<f64>();
        if busy == 0.0 {
            break;
        }
        assert!(Instant::now() < deadline, "vLLM still has {busy} requests");
        thread::sleep(Duration::from_millis(200));
    }
    scene.agent.settle();
}

fn row(rows: &[Row], quantity: Quantity) -> &Row {
    rows.iter().find(|row| row.quantity == quantity).unwrap_or_else(|| panic!("not compared: {}", quantity.name()))
}

/// Agent, server and client have counted the same.
#[allow(clippy::cast_precision_loss)]
fn counted(rows: &[Row], quantity: Quantity, client: u64) {
    let row = row(rows, quantity);
    assert_eq!((row.agent.count, row.server.count), (client as f64, client as f64), "{}", quantity.name());
}

/// Counts are equal.
fn exact(rows: &[Row]) {
    for row in rows.iter().filter(|row| !row.quantity.is_time()) {
        assert_eq!(row.difference(), Some(0.0), "{row}");
    }
}

/// All means are close.
fn close(rows: &[Row]) {
    stages_are_close(rows);
    [Quantity::FirstToken, Quantity::EndToEnd].into_iter().for_each(|quantity| is_close(row(rows, quantity)));
}

/// Those of the engine's own stages.
fn stages_are_close(rows: &[Row]) {
    for quantity in [Quantity::Queue, Quantity::Prefill, Quantity::Decode, InterToken] {
        let row = row(rows, quantity);
        assert_eq!(row.agent.count, row.server.count, "{}", quantity.name());
        is_close(row);
    }
}

/// A mean is within 1 % or 0.2 ms.
fn is_close(row: &Row) {
    let (difference, relative) = (row.difference().expect("means"), row.relative().expect("a mean"));
    assert!(difference.abs() < 0.0002 || relative.abs() < 0.01, "{row}");
}

/// Without a server a request's first sign is that it is handed to the engine; vLLM's clock begins before it makes tokens of
/// the prompt. So the agent's times are shorter, both by the same but 1 %.
fn begins_with_the_hand_over(rows: &[Row]) {
    let [first, end] = [Quantity::FirstToken, Quantity::EndToEnd].map(|quantity| row(rows, quantity));
    let [of_first, of_end] = [first, end].map(|row| row.difference().expect("means"));
    assert!(of_first < 0.0002 && of_end < 0.0002, "{first}\n{end}");
    assert!((of_first - of_end).abs() < 0.01 * end.server.mean().expect("a mean"), "{first}\n{end}");
}

/// Clients that left are counted once each, and what was generated behind them is known.
#[allow(clippy::cast_precision_loss)]
fn left(scene: &Scene, rows: &[Row], sums: &Sums) {
    let service = format!("service=\"{}\"", service(scene));
    let metric = |name: &str, label: &str| scene.agent.metric(name, &[&service, label]).expect("metrics");
    let cancelled = metric("llm_request_total", "status=\"cancelled\"");
    let wasted = metric("llm_tokens_wasted_total", "");
    println!("{} clients left, {cancelled} requests cancelled, {wasted} tokens wasted", sums.left);
    assert!(sums.left > 0, "somebody leaves");
    assert_eq!(cancelled, sums.left as f64);
    // vLLM's front end stops counting when it hears of it, the engine goes on for a step or two. What was under way from
    // one to the other then, of each of up to two answers, nobody wasted and the front end did not count.
    let tokens = row(rows, GeneratedTokens).difference().expect("counts");
    let under_way = 2.0 * sums.left as f64;
    assert!((0.0..=wasted + under_way).contains(&tokens), "{tokens} more than vLLM's front end, {wasted} wasted");
}

fn nothing_odd(agent: &Agent) {
    let sum = |name: &str| agent.metric(name, &[]).expect("metrics");
    assert_eq!(sum("inferscope_events_lost_total"), 0.0, "lost events");
    let page = agent.get("/metrics").expect("metrics");
    let issues: Vec<_> = page.lines().filter(|line| line.starts_with("inferscope_issues_total")).collect();
    assert_eq!(sum("inferscope_issues_total"), 0.0, "{issues:?}");
}
