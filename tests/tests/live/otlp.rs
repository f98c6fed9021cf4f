//! The last word over OTLP: what is under way when the agent ends is still sent, and nobody can hold the end up.

use crate::agent::Agent;
use crate::client::Client;
use crate::collector::Collector;
use crate::server::{Server, free_port};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

/// What the agent gives its last exports.
const FAREWELL: Duration = Duration::from_secs(5);
/// Taking probes off on a busy machine.
const DETACHING: Duration = Duration::from_secs(4);

const TRACE: [u8; 16] = *b"\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36";
const PARENT: [u8; 8] = *b"\x00\xf0\x67\xaa\x0b\xa9\x02\xb7";
const HEADER: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";

/// Ends an agent with these destinations while a request is under way. Returns how long that took.
fn end(collector: &Collector, others: &[String]) -> Duration {
    let server = Server::demo(20);
    // The collectors' tasks are on one thread: the willing one stands last.
    let endpoints = others.iter().cloned().chain([collector.endpoint()]);
    let destinations = endpoints.map(|endpoint| format!("{{endpoint: \"{endpoint}\", protocol: http/protobuf}}"));
    let destinations = destinations.collect::<Vec<_>>().join(", ");
    let more = format!("otlp: {{interval_seconds: 3600, destinations: [{destinations}]}}\n");
    let mut agent = Agent::start_with(&[&server], &more);
    agent.wait_attached(&[server.pid()]);
    let mut client = Client::connect(&server);
    client.ask_for("/v1/completions", HEADER, "the quick brown fox", 150);
    client.read_events(3);
    let begin = Instant::now();
    let ended = agent.stop();
    let took = begin.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(client.read_stream(), 150, "the server serves on");
    took
}

#[test]
#[ignore = "needs root"]
fn sigterm_sends_what_is_left() {
    let collector = Collector::start();
    let took = end(&collector, &[]);
    assert!(took < DETACHING, "{took:?}");
    let [spans] = collector.posts("/v1/traces").try_into().expect("one request with spans");
    assert!(spans.has(&TRACE) && spans.has(&PARENT), "the caller's trace goes on");
    assert!(spans.has(b"truncated"), "it was under way");
    let [metrics] = collector.posts("/v1/metrics").try_into().expect("one request with metrics");
    assert!(metrics.has(b"inferscope.llm.requests") && metrics.has(b"inferscope.build"));
}

#[test]
#[ignore = "needs root"]
fn a_silent_and_an_absent_collector_do_not_hold_the_end_up() {
    // It accepts connections, as the kernel does for it, and never reads.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let silent = format!("http://{}", silent.local_addr().expect("it is bound"));
    let absent = format!("http://127.0.0.1:{}", free_port());
    let collector = Collector::start();
    let took = end(&collector, &[silent, absent]);
    assert!(took < FAREWELL + DETACHING, "{took:?}");
    assert_eq!(collector.posts("/v1/traces").len(), 1);
    assert_eq!(collector.posts("/v1/metrics").len(), 1);
}
