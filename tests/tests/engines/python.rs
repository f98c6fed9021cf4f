//! vLLM's Python front end: uvicorn on uvloop.

use crate::{ENGINE, Scene, descendant, exact, load_time, plausible};
use inferscope_tests::agent::{Agent, Start};
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Options, Seen};
use inferscope_tests::stopwatch::timed;
use inferscope_tests::unusual;
use inferscope_tests::vllm::MODEL;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Taking the probes of a killed agent off takes the kernel some seconds, and so may the verifier.
const LONGEST: Duration = Duration::from_secs(120);
/// How long the end of a request takes to be on record: vLLM itself may hear late of a client that left.
const ON_RECORD: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// What clients have over HTTP is what the agent has on record.
pub fn exchanges(scene: &Scene) {
    let before = counted(scene);
    timed("one stream", || one_stream(scene));
    timed("eight streams", || eight_streams(scene));
    timed("more streams than slots", || more_streams_than_slots(scene));
    timed("whole answers", || whole_answers(scene));
    timed("codes", || codes(scene));
    timed("a client that leaves", || a_client_that_leaves(scene));
    timed("a slow reader", || a_slow_reader(scene));
    timed("other dialects", || other_dialects(scene));
    scene.agent.nothing_lost();
    as_many_as_vllm_counts(before, counted(scene));
}

fn options(scene: &Scene, streams: u32, limit: Limit) -> Options {
    Options { streams, limit, max_tokens: 64, ..Options::new(scene.server.address(), MODEL) }
}

fn one_stream(scene: &Scene) {
    let seen = load::collect(&options(scene, 1, Limit::Requests(40)));
    let agreement = scene.judge("one stream, 40 requests of 64 tokens", &seen);
    exact(&agreement);
    plausible(&agreement);
}

fn eight_streams(scene: &Scene) {
    let (_, before) = scene.agent.usage().expect("usage");
    let time = load_time();
    let seen = load::collect(&options(scene, 8, Limit::Time(time)));
    let agreement = scene.judge("8 streams, completions", &seen);
    exact(&agreement);
    plausible(&agreement);
    let (_, after) = scene.agent.usage().expect("usage");
    let tokens: u64 = seen.iter().filter_map(|seen| seen.completion_tokens).sum();
    let (cpu, rate) = ((after - before) / time.as_secs_f64() * 100.0, tokens as f64 / time.as_secs_f64());
    println!("agent: {cpu:.1} % of a core at {rate:.0} tokens/s");
    let seen = load::collect(&Options { endpoint: Endpoint::Chat, ..options(scene, 8, Limit::Requests(10)) });
    exact(&scene.judge("8 streams, chat", &seen));
}

fn more_streams_than_slots(scene: &Scene) {
    let seen = load::collect(&options(scene, 24, Limit::Requests(4)));
    exact(&scene.judge("24 streams on 16 slots", &seen));
}

fn whole_answers(scene: &Scene) {
    let seen = load::collect(&Options { delivery: Delivery::Whole, ..options(scene, 4, Limit::Requests(5)) });
    exact(&scene.judge("not streamed", &seen));
    let last = scene.agent.records().expect("records").pop().expect("a record");
    assert_eq!((&last["stream"], &last["first_content_us"]), (&json!(false), &Value::Null));
}

/// The records that came since `before`, when so many have come, or as many as come in time.
fn since(scene: &Scene, before: usize, expected: usize) -> Vec<Value> {
    let deadline = Instant::now() + ON_RECORD;
    while scene.agent.records().expect("records").len() < before + expected && Instant::now() < deadline {
        thread::sleep(POLL);
    }
    scene.agent.settle();
    scene.agent.records().expect("records").split_off(before)
}

fn so_far(scene: &Scene) -> usize {
    scene.agent.settle();
    scene.agent.records().expect("records").len()
}

fn codes(scene: &Scene) {
    let before = so_far(scene);
    let address = scene.server.address();
    let (unknown, _) =
        unusual::ask(address, "/v1/completions", r#"{"model":"no-such-model","prompt":"x","max_tokens":2}"#);
    let (malformed, _) = unusual::ask(address, "/v1/completions", "{not json");
    let (too_long, _) =
        unusual::ask(address, "/v1/chat/completions", r#"{"model":"tiny-llama","messages":[],"max_tokens":-1}"#);
    let (health, _) = unusual::ask(address, "/tokenize", r#"{"model":"tiny-llama","prompt":"x"}"#);
    assert_eq!((unknown, health), (404, 200));
    let records = since(scene, before, 3);
    let codes: Vec<u64> = records.iter().filter_map(|record| record["code"].as_u64()).collect();
    assert_eq!(codes, [404, u64::from(malformed), u64::from(too_long)], "/tokenize is no inference");
    assert!(records.iter().all(|record| record["status"] == "error"), "{records:?}");
    assert!(malformed >= 400 && too_long >= 400);
}

fn a_client_that_leaves(scene: &Scene) {
    let before = so_far(scene);
    let body = r#"{"model":"tiny-llama","prompt":"the quick","max_tokens":800,"ignore_eos":true,"stream":true}"#;
    unusual::leave_early(scene.server.address(), "/v1/completions", body);
    let records = since(scene, before, 1);
    assert_eq!(records.len(), 1, "{records:?}");
    let [record] = records.as_slice() else { unreachable!() };
    assert_eq!(
        (&record["status"], &record["quality"], &record["code"]),
        (&json!("cancelled"), &json!("complete"), &json!(200))
    );
    let events = record["content_events"].as_u64().expect("a count");
    assert!((1..800).contains(&events), "{events} events");
}

/// Back-pressure: short writes, EAGAIN, then writev of what has queued up.
fn a_slow_reader(scene: &Scene) {
    let before = so_far(scene);
    let body = json!({"model": MODEL, "prompt": "the quick brown fox", "max_tokens": 400, "stream": true, "ignore_eos": true,
                      "logprobs": 5, "n": 8, "stream_options": {"include_usage": true}});
    let events =
        unusual::read_slowly(scene.server.address(), "/v1/completions", &body.to_string(), Duration::from_secs(3));
    let records = since(scene, before, 1);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    println!("slow reader: {events} events at the client, {} at the agent", record["content_events"]);
    assert_eq!(record["content_events"].as_u64(), Some(events as u64));
    assert_eq!((&record["completion_tokens"], &record["quality"]), (&json!(3200), &json!("complete")));
    let retried = scene.agent.metric("inferscope_events_total", &["hook=\"writev\""]).expect("metrics");
    assert!(retried > 0.0, "the reader was slow enough for uvloop to queue and writev");
    assert_eq!(record["choices"], 8);
    // A gap between the events of each choice.
    assert_eq!(record["gaps_us"].as_array().map(Vec::len), Some(events - 8));
}

fn other_dialects(scene: &Scene) {
    let before = so_far(scene);
    let address = scene.server.address();
    // Enough that some of it is text: a random model may say a special token or half a character eight times.
    let responses = json!({"model": MODEL, "input": "the quick", "max_output_tokens": 64, "stream": true});
    let messages = json!({"model": MODEL, "max_tokens": 64, "stream": true, "messages": [{"role": "user", "content": "the quick"}]});
    let (first, _) = unusual::ask(address, "/v1/responses", &responses.to_string());
    let (second, _) = unusual::ask(address, "/v1/messages", &messages.to_string());
    println!("/v1/responses {first}, /v1/messages {second}");
    let records = since(scene, before, 2);
    assert_eq!(records.len(), 2, "{records:?}");
    for (record, code) in records.iter().zip([first, second]) {
        println!("{record}");
        assert_eq!(record["code"].as_u64(), Some(u64::from(code)));
        if code == 200 {
            assert_eq!((&record["quality"], &record["model"]), (&json!("complete"), &json!(MODEL)));
            assert!(
                record["first_content_us"].as_f64() > record["headers_us"].as_f64(),
                "first byte is not first token"
            );
        }
    }
}

/// Requests that went well, as the agent and as vLLM count them.
fn counted(scene: &Scene) -> [f64; 2] {
    scene.agent.settle();
    let (_, own) = client_get(scene, "/metrics");
    let own = |name: &str| -> f64 {
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        own.lines().filter(|line| line.starts_with(name)).filter_map(value).sum()
    };
    let aborted = own("vllm:request_success_total{engine=\"0\",finished_reason=\"abort\"");
    let agents = scene.agent.metric("llm_request_total", &["status=\"ok\""]).expect("metrics");
    [agents, own("vllm:request_success_total") - aborted]
}

/// The agent's totals are vLLM's own, which counts each of n choices as a request; the slow reader made one request of eight.
fn as_many_as_vllm_counts(before: [f64; 2], after: [f64; 2]) {
    let [agents, own] = [after[0] - before[0], after[1] - before[1]];
    println!("vLLM's own: {own} requests");
    assert_eq!(agents, own - 7.0, "requests");
}

fn client_get(scene: &Scene, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(scene.server.address()).expect("a connection");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    (answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0), answer)
}

/// kill -9 and a new agent during load: the server does not notice, and what was joined midway is not measured.
pub fn killed_under_load<'a>(mut first: Scene<'a>, folder: &Path) -> Scene<'a> {
    let (server, before) = (first.server, complete(&first.agent).expect("records").len());
    // Each answer takes longer than an agent to attach.
    let long = Options { max_tokens: 900, ..Options::new(server.address(), MODEL) };
    let (over, deadline) = (AtomicBool::new(false), Instant::now() + LONGEST);
    let client = || {
        let again = || !over.load(Relaxed) && Instant::now() < deadline;
        std::iter::from_fn(|| again().then(|| load::collect(&long))).flatten().collect::<Vec<_>>()
    };
    let (second, seen) = thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
        let ended = |agent: &Agent| Ok(complete(agent)?.len() >= before + 8);
        first.agent.wait_until("eight clients are at work", ended).expect("they are");
        first.agent.kill().expect("SIGKILL");
        let mut second = Scene::watch(server, folder, "", &Start::default());
        let whole = |agent: &Agent| Ok(complete(agent)?.len() >= 8);
        second.agent.wait_until("it has seen some requests whole", whole).expect("it has");
        over.store(true, Relaxed);
        (second, clients.into_iter().flat_map(|client| client.join().expect("a client ends")).collect::<Vec<_>>())
    });
    let fine = |seen: &Seen| seen.error.is_none() && seen.status == Some(200);
    assert!(seen.iter().all(fine), "vLLM serves on without an error");
    joined_midway(&second, seen);
    second.agent.nothing_lost();
    second
}

/// The agent came while eight streams ran.
fn joined_midway(scene: &Scene, seen: Vec<Seen>) {
    scene.agent.settle();
    let records = scene.agent.records().expect("records");
    let midway = records.iter().filter(|record| record["quality"] == "joined_midway").count();
    println!("killed and restarted: {} records of the second agent, {midway} joined midway", records.len());
    assert!(midway >= 1, "eight streams ran when the second agent came");
    // Those that it saw whole are right, and nothing else has latencies.
    let complete = complete(&scene.agent).expect("records");
    let ids: Vec<&str> = complete.iter().filter_map(|record| record["id"].as_str()).collect();
    let whole: Vec<_> =
        seen.into_iter().filter(|seen| seen.id.as_deref().is_some_and(|id| ids.contains(&id))).collect();
    assert_eq!(whole.len(), complete.len(), "every complete record is a request of the client");
    let agreement = scene.judge("after the restart", &whole);
    exact(&agreement);
    plausible(&agreement);
    let measured = scene.agent.metric("llm_time_to_first_token_seconds_count", &[]).expect("metrics");
    assert_eq!(measured, complete.len() as f64);
}

/// The records of requests that were seen whole.
fn complete(agent: &Agent) -> anyhow::Result<Vec<Value>> {
    Ok(agent.records()?.into_iter().filter(|record| record["quality"] == "complete").collect())
}

/// The engine dies under a request: vLLM answers 500, and that is on record. The server is of no use behind this.
pub fn an_engine_that_dies(scene: &Scene) {
    let before = so_far(scene);
    let address = scene.server.address();
    let request = thread::spawn(move || {
        let body = r#"{"model":"tiny-llama","prompt":"the quick","max_tokens":900,"ignore_eos":true}"#;
        unusual::ask(address, "/v1/completions", body)
    });
    thread::sleep(Duration::from_millis(500));
    let engine = descendant(scene.server, ENGINE);
    assert!(Command::new("kill").args(["-9", &engine.to_string()]).status().expect("kill").success());
    let (code, _) = request.join().expect("vLLM answers");
    assert_eq!(code, 500);
    let records = since(scene, before, 1);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(
        (&record["code"], &record["status"], &record["quality"]),
        (&json!(500), &json!("error"), &json!("complete"))
    );
}
