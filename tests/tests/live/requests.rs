//! Requests of every kind and fate, against the small server of the demo.

use crate::agent::{Agent, SERVICE};
use crate::client::Client;
use crate::expect;
use crate::server::Server;
use inferscope_tests::load::{self, Delivery, Endpoint, Limit, Options};
use serde_json::json;

const LABELS: (&str, &str) = ("service", SERVICE);

fn attach(server: &Server) -> Agent {
    let mut agent = Agent::start(&[server]);
    agent.wait_attached(&[server.pid()]);
    agent
}

#[test]
#[ignore = "needs root"]
fn streams_on_kept_connections_equal_what_their_clients_saw() {
    let server = Server::demo(5);
    let mut agent = attach(&server);
    let mut seen = Vec::new();
    for endpoint in [Endpoint::Completions, Endpoint::Chat] {
        let limit = Limit::Requests(3);
        seen.extend(load::collect(&Options { endpoint, limit, ..Options::new(server.address(), server.model()) }));
    }
    let metrics = agent.metrics_after(6);
    metrics.nothing_was_lost();
    assert_eq!(
        metrics.sum("llm_request_total", &[("status", "ok"), ("code", "200"), ("stream", "true"), LABELS]),
        Some(6.0)
    );
    assert_eq!(metrics.sum("llm_time_to_first_token_seconds_count", &[LABELS]), Some(6.0));
    assert_eq!(metrics.sum("llm_inter_token_latency_seconds_count", &[LABELS]), Some(6.0 * 15.0));
    assert_eq!(metrics.sum("llm_tokens_generated_total", &[LABELS]), Some(6.0 * 16.0));
    assert_eq!(metrics.sum("llm_prompt_tokens_total", &[LABELS]), Some(6.0 * 5.0));
    let records = agent.stop().records;
    expect::same_requests(&records, &seen);
    expect::same_first_tokens(&records, &seen);
}

#[test]
#[ignore = "needs root"]
fn whole_answers_have_a_duration_and_no_first_token() {
    let server = Server::demo(2);
    let mut agent = attach(&server);
    let options = Options::new(server.address(), server.model());
    let seen = load::collect(&Options { delivery: Delivery::Whole, limit: Limit::Requests(2), ..options });
    let metrics = agent.metrics_after(2);
    assert_eq!(metrics.sum("llm_request_duration_seconds_count", &[("stream", "false"), LABELS]), Some(2.0));
    assert_eq!(metrics.sum("llm_time_to_first_token_seconds_count", &[]), None);
    expect::same_requests(&agent.stop().records, &seen);
}

#[test]
#[ignore = "needs root"]
fn refusals_count_with_their_codes() {
    let server = Server::demo(2);
    let mut agent = attach(&server);
    let mut client = Client::connect(&server);
    for (target, body, code) in [
        ("/v1/completions", "{", "400"),
        ("/v1/completions", r#"{"model": "no such", "prompt": "x"}"#, "400"),
        ("/v1/completions?status=500", "{}", "500"),
    ] {
        client.send(&format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert!(client.read_whole().starts_with(&format!("HTTP/1.1 {code} ")));
    }
    let metrics = agent.metrics_after(3);
    assert_eq!(metrics.sum("llm_request_total", &[("status", "error"), ("code", "400")]), Some(2.0));
    assert_eq!(metrics.sum("llm_request_total", &[("status", "error"), ("code", "500")]), Some(1.0));
    let codes: Vec<_> = agent.stop().records.iter().map(|record| record["code"].clone()).collect();
    assert_eq!(codes, [400, 400, 500]);
}

#[test]
#[ignore = "needs root"]
fn a_client_that_goes_away_cancels() {
    let server = Server::demo(20);
    let mut agent = attach(&server);
    let mut client = Client::connect(&server);
    client.ask(500);
    client.read_events(3);
    drop(client);
    let metrics = agent.metrics_after(1);
    assert_eq!(metrics.sum("llm_request_total", &[("status", "cancelled"), ("code", "200")]), Some(1.0));
    let ended = agent.stop();
    let record = ended.record();
    assert_eq!((&record["status"], &record["completion_tokens"]), (&json!("cancelled"), &json!(null)), "{record}");
    assert!(record["content_events"].as_u64().is_some_and(|events| (3..500).contains(&events)), "{record}");
}

#[test]
#[ignore = "needs root"]
fn eight_parallel_streams_lose_nothing() {
    let server = Server::demo(1);
    let mut agent = attach(&server);
    let options = Options {
        streams: 8,
        limit: Limit::Requests(10),
        max_tokens: 64,
        ..Options::new(server.address(), server.model())
    };
    let seen = load::collect(&options);
    let metrics = agent.metrics_after(80);
    metrics.nothing_was_lost();
    assert_eq!(metrics.sum("inferscope_issues_total", &[]), None, "{}", metrics.text);
    assert_eq!(metrics.sum("llm_tokens_generated_total", &[LABELS]), Some(80.0 * 64.0));
    expect::same_requests(&agent.stop().records, &seen);
}
