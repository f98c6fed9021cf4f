//! The same stream through every call that can carry it.

use crate::agent::{Agent, Folder};
use crate::client::Client;
use crate::expect;
use crate::server::Server;
use inferscope_tests::load::{self, Limit, Options};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

#[test]
#[ignore = "needs root"]
fn every_socket_call_is_seen() {
    let calls = ["read-write", "readv-writev", "recvmsg-sendmsg", "recvfrom-sendto"];
    let servers = calls.map(|io| Server::python(&["--io", io]));
    let mut agent = Agent::start(&servers.each_ref());
    agent.wait_attached(&servers.each_ref().map(Server::pid));
    let mut seen = Vec::new();
    for server in &servers {
        let limit = Limit::Requests(2);
        seen.extend(load::collect(&Options { streams: 2, limit, ..Options::new(server.address(), server.model()) }));
    }
    let metrics = agent.metrics_after(16);
    metrics.nothing_was_lost();
    for call in calls.iter().flat_map(|io| io.split('-')) {
        let events = metrics.sum("inferscope_events_total", &[("hook", call)]);
        assert!(events.is_some_and(|events| events > 0.0), "{call}");
    }
    // Each server numbers its answers from the start.
    let records = agent.stop().records;
    for (server, seen) in servers.iter().zip(seen.chunks(4)) {
        let of_server = |record: &&Value| record["tgid"] == server.pid();
        expect::same_requests(&records.iter().filter(of_server).cloned().collect::<Vec<_>>(), seen);
    }
}

/// Under back-pressure a server's write is cut short or refused, and the same bytes come again by writev.
#[test]
#[ignore = "needs root"]
fn a_slow_reader_duplicates_and_loses_nothing() {
    // Together they fit into the kernel's ring buffer, however late the agent gets its turn.
    const EVENTS: usize = 5_000;
    let server = Server::python(&["--io", "pressure", "--token-ms", "0"]);
    let mut agent = Agent::start(&[&server]);
    agent.wait_attached(&[server.pid()]);
    let mut client = Client::connect(&server);
    client.ask(EVENTS as u64);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(client.read_stream(), EVENTS);
    let metrics = agent.metrics_after(1);
    metrics.nothing_was_lost();
    assert!(metrics.sum("inferscope_events_total", &[("hook", "writev")]).is_some_and(|events| events > 0.0));
    let ended = agent.stop();
    expect::complete(ended.record());
    assert_eq!(ended.record()["content_events"], EVENTS);
    assert_eq!(ended.record()["completion_tokens"], EVENTS);
}

#[test]
#[ignore = "needs root"]
fn tls_is_read_in_clear_text() {
    let folder = Folder::new();
    let (cert, key) = certificate(&folder);
    for io in ["tls-socket", "tls-memory"] {
        let server = Server::python(&["--io", io, "--cert", &cert, "--key", &key]);
        let mut agent = Agent::start(&[&server]);
        agent.wait_attached(&[server.pid()]);
        let seen = tls_load(&server, &folder.path("seen"));
        let metrics = agent.metrics_after(6);
        metrics.nothing_was_lost();
        assert_eq!(metrics.sum("inferscope_events_total", &[("hook", "SSL_write")]), None);
        let records = agent.stop().records;
        assert_eq!(records.len(), seen.len());
        for seen in seen {
            let record = records.iter().find(|record| record["id"] == seen["id"]).expect("a record of each request");
            expect::complete(record);
            assert_eq!(record["completion_tokens"], seen["completion_tokens"]);
            assert_eq!(record["content_events"], seen["content_ns"].as_array().map_or(0, Vec::len));
        }
    }
}

/// Two connections, three requests each.
fn tls_load(server: &Server, out: &Path) -> Vec<Value> {
    let mut load = Command::new("python3");
    load.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/tls_load.py"));
    load.args(["--port", &server.address().port().to_string(), "--model", server.model()]);
    load.args(["--streams", "2", "--requests", "3", "--out"]).arg(out);
    assert!(load.status().is_ok_and(|status| status.success()));
    let seen = fs::read_to_string(out).expect("the load client wrote it");
    seen.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn certificate(folder: &Folder) -> (String, String) {
    let path = |name| folder.path(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"]);
    openssl.args(["-subj", "/CN=localhost", "-out", &cert, "-keyout", &key]);
    let output = openssl.output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (cert, key)
}
