//! The client against the small server, and against answers cut at every byte.

use super::*;
use crate::openai_server::{OpenAiServer, Options as ServerOptions};
use std::io::Read;

/// Gives its bytes in two reads, split where the test says.
struct Split<'a>(&'a [u8], &'a [u8]);

impl Read for Split<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = if self.0.is_empty() { &mut self.1 } else { &mut self.0 };
        part.read(buffer)
    }
}

fn server() -> OpenAiServer {
    OpenAiServer::start(ServerOptions { token_time: Duration::from_millis(5), ..ServerOptions::default() }).unwrap()
}

#[test]
fn streamed_requests_are_timed_and_counted() {
    let server = server();
    for endpoint in [Endpoint::Completions, Endpoint::Chat] {
        let options = Options {
            streams: 3,
            limit: Limit::Requests(2),
            max_tokens: 8,
            endpoint,
            ..Options::new(server.address(), "demo")
        };
        let seen = collect(&options);
        assert_eq!(seen.len(), 6);
        for request in seen {
            assert_eq!((request.status, &request.error), (Some(200), &None));
            assert_eq!((request.prompt_tokens, request.completion_tokens), (Some(5), Some(8)));
            assert_eq!(request.content_ns.len(), 8, "the role event is not content");
            let first = request.first_content_ns().unwrap();
            assert!(first >= request.sent_ns + 5_000_000 && request.end_ns >= *request.content_ns.last().unwrap());
            assert!(request.content_ns.is_sorted());
            assert!(request.id.unwrap().contains("cmpl-demo-"));
        }
    }
}

#[test]
fn whole_answers_and_refusals_have_no_content_times() {
    let server = server();
    let whole = Options { delivery: Delivery::Whole, ..Options::new(server.address(), "demo") };
    let seen = &collect(&whole)[0];
    assert_eq!((seen.status, seen.completion_tokens, seen.first_content_ns()), (Some(200), Some(16), None));
    let unknown = &collect(&Options::new(server.address(), "other"))[0];
    assert_eq!((unknown.status, unknown.completion_tokens, &unknown.error), (Some(400), None, &None));
}

#[test]
fn a_server_that_is_gone_is_an_error_of_the_record() {
    let address = server().address();
    let seen = &collect(&Options::new(address, "demo"))[0];
    assert!(seen.error.is_some() && seen.status.is_none() && seen.end_ns >= seen.sent_ns);
}

#[test]
fn where_the_reads_split_changes_nothing_but_times() {
    let event = |payload: &str| format!("{:x}\r\ndata: {payload}\n\n\r\n", payload.len() + 8);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let wire = [
        head,
        &event(r#"{"id":"a","choices":[{"delta":{"role":"assistant","content":""}}]}"#),
        &event(r#"{"id":"a","choices":[{"delta":{"content":""}}]}"#),
        &event(r#"{"id":"a","choices":[{"delta":{"content":"x"}}]}"#),
        &event(r#"{"id":"a","choices":[{"delta":{},"finish_reason":"stop"}]}"#),
        &event(r#"{"id":"a","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#),
        &event("[DONE]"),
        "0\r\n\r\n",
    ]
    .concat();
    for at in 1..wire.len() {
        let (first, second) = wire.as_bytes().split_at(at);
        let mut seen = Seen::default();
        Answer::read(&mut Split(first, second)).unwrap().describe(&mut seen);
        assert_eq!((seen.content_ns.len(), seen.completion_tokens), (2, Some(2)), "split at {at}");
        assert_eq!(seen.id.as_deref(), Some("a"));
    }
}
