//! The server's answers, read with a plain socket.

use super::*;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::time::Instant;

fn server() -> OpenAiServer {
    OpenAiServer::start(Options { token_time: Duration::from_millis(1), ..Options::default() }).unwrap()
}

/// Sends one request on a connection of its own and returns status and everything behind the head.
fn post(server: &OpenAiServer, target: &str, headers: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let length = body.len();
    write!(stream, "POST {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn events(body: &str) -> Vec<Value> {
    let payloads = body.lines().filter_map(|line| line.strip_prefix("data: "));
    payloads.filter_map(|payload| serde_json::from_str(payload).ok()).collect()
}

#[test]
fn a_streamed_chat_has_role_tokens_usage_and_done() {
    let body = json!({
        "model": "demo", "messages": [{"role": "user", "content": "one two three"}], "max_tokens": 5, "n": 2,
        "stream": true, "stream_options": {"include_usage": true}
    });
    let (status, answer) = post(&server(), "/v1/chat/completions", "X-Request-Id: mine\r\n", &body.to_string());
    let events = events(&answer);
    assert_eq!(status, 200);
    assert_eq!(events.len(), 2 + 2 * 5 + 1);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert!(events.iter().all(|event| event["id"] == "chatcmpl-mine"));
    let finished = events.iter().filter(|event| event["choices"][0]["finish_reason"] == "length").count();
    assert_eq!(finished, 2);
    let usage = &events[12]["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(3), &json!(10)));
    assert!(answer.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
}

#[test]
fn a_whole_completion_states_its_usage() {
    let body = json!({"model": "demo", "prompt": "one two", "max_tokens": 3}).to_string();
    let (status, answer) = post(&server(), "/v1/completions", "", &body);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(status, 200);
    assert_eq!(answer["choices"][0]["text"], "word0 word1 word2 ");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}));
}

#[test]
fn refusals_have_their_codes() {
    let server = server();
    let good = json!({"model": "demo", "prompt": "x"}).to_string();
    for (target, body, expected) in [
        ("/v1/completions", "{", 400),
        ("/v1/completions", r#"{"model": "other"}"#, 400),
        ("/v1/completions?status=500", good.as_str(), 500),
        ("/v1/nothing", good.as_str(), 404),
    ] {
        assert_eq!(post(&server, target, "", body).0, expected, "{target} {body}");
    }
}

#[test]
fn tokens_keep_their_pace() {
    let body = json!({"model": "demo", "prompt": "x", "max_tokens": 10, "stream": true}).to_string();
    let start = Instant::now();
    let (_, answer) = post(&server(), "/v1/completions?token_ms=20", "", &body);
    assert_eq!(events(&answer).len(), 10);
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_connection_stays_until_the_client_wants_it_closed() {
    let server = server();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        write!(stream, "GET /health {version}\r\nHost: x\r\n\r\n").unwrap();
    }
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2);
}
