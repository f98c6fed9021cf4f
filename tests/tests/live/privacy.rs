//! The canary: a word in everything that a request carries, which must not leave the pipeline.

use crate::agent::Agent;
use crate::client::Client;
use crate::expect;
use crate::server::Server;

const CANARY: &str = "canary7f3aSecret";

#[test]
#[ignore = "needs root"]
fn prompts_answers_headers_and_queries_appear_nowhere() {
    let server = Server::python(&["--io", "read-write"]);
    let mut agent = Agent::start(&[&server]);
    agent.wait_attached(&[server.pid()]);
    let mut client = Client::connect(&server);
    let headers = format!("Authorization: Bearer {CANARY}\r\nX-{CANARY}: 1\r\n");
    client.ask_for(&format!("/v1/completions?key={CANARY}"), &headers, CANARY, 8);
    client.read_stream();
    assert!(client.answer().contains(CANARY), "the server says what it was asked");
    // A stream that breaks off, and one that is no HTTP, go through the paths where something is wrong.
    client.ask_for("/v1/completions", &headers, CANARY, 500);
    client.read_events(3);
    drop(client);
    Client::connect(&server).send(&format!("{CANARY} {CANARY}\r\n\r\n"));
    let metrics = agent.metrics_after(2).text;
    let status = agent.status().to_string();
    let ended = agent.stop();
    expect::complete(&ended.records[0]);
    let records = serde_json::Value::from(ended.records).to_string();
    for (place, text) in
        [("/metrics", &metrics), ("/status", &status), ("the log", &ended.log), ("the records", &records)]
    {
        assert!(!text.is_empty() && !text.contains(CANARY), "{place}: {text}");
    }
}
