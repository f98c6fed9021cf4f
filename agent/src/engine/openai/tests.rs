#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::{Exchange as _, Usage};
use crate::wire::Event;

fn open(path: &str) -> Option<Exchange> {
    let headers = vec![("content-type".into(), "application/json".into())];
    Exchange::open(&RequestHead { method: "POST".into(), path: path.into(), headers })
}

/// The steps of a stream's events on an endpoint, one letter each, and what is known at its end.
fn stream(path: &str, events: &[&str]) -> (String, Facts) {
    let mut exchange = open(path).unwrap();
    let mut issues = Vec::new();
    let mut steps = String::new();
    for data in events {
        let event = Event { name: "", data: data.as_bytes() };
        match exchange.interpret(&Message::Event(event), &mut issues) {
            Step::Ignore => steps.push('.'),
            Step::Announce => steps.push('a'),
            Step::Output(choices) => choices.iter().for_each(|index| steps.push_str(&index.to_string())),
            Step::Finish => steps.push('F'),
        }
    }
    assert_eq!(issues, []);
    (steps, exchange.facts().clone())
}

/// What is known after a request and an answer in one piece, split at every byte.
fn whole(path: &str, request: &str, answer: &str) -> Facts {
    let facts = |at: usize| {
        let mut exchange = open(path).unwrap();
        let mut issues = Vec::new();
        let mut tell = |message: Message<'_>| assert_eq!(exchange.interpret(&message, &mut issues), Step::Ignore);
        let (a, b) = request.as_bytes().split_at(at.min(request.len()));
        tell(Message::Body(Side::Request, a));
        tell(Message::Body(Side::Request, b));
        tell(Message::End(Side::Request));
        let headers = vec![("content-type".into(), "application/json".into())];
        tell(Message::Response(&ResponseHead { status: 200, headers }));
        let (a, b) = answer.as_bytes().split_at(at.min(answer.len()));
        tell(Message::Body(Side::Response, a));
        tell(Message::Body(Side::Response, b));
        tell(Message::End(Side::Response));
        assert_eq!(issues, []);
        exchange.facts().clone()
    };
    let first = facts(0);
    for at in 1..request.len().max(answer.len()) {
        assert_eq!(facts(at), first, "split at {at}");
    }
    first
}

#[test]
fn endpoints() {
    #[rustfmt::skip]
    let cases = [
        ("/v1/completions", Some(Operation::TextCompletion)), ("/v1/chat/completions", Some(Operation::Chat)),
        ("/prefix/v1/chat/completions", Some(Operation::Chat)), ("/v1/responses", Some(Operation::Chat)),
        ("/v1/messages", Some(Operation::Chat)), ("/v1/embeddings", Some(Operation::Embeddings)),
        ("/score", Some(Operation::Score)), ("/v1/score", Some(Operation::Score)),
        ("/rerank", Some(Operation::Rerank)), ("/v1/rerank", Some(Operation::Rerank)), ("/v2/rerank", Some(Operation::Rerank)),
        ("/pooling", Some(Operation::Pooling)), ("/v1/audio/transcriptions", Some(Operation::Transcription)),
        ("/v1/audio/translations", Some(Operation::Transcription)), ("/v1/audio/speech", Some(Operation::Speech)),
        ("/health", None), ("/metrics", None), ("/v1/models", None), ("/tokenize", None), ("/detokenize", None),
        ("/version", None), ("/ping", None), ("/docs", None), ("/", None), ("/v1/messages/count_tokens", None),
        ("/v1/chat/completions/render", None), ("/v1/responses/resp_1/cancel", None), ("/generative_scoring", None),
    ];
    for (path, operation) in cases {
        assert_eq!(open(path).map(|exchange| exchange.facts.operation), operation, "{path}");
    }
    let get = RequestHead { method: "GET".into(), path: "/v1/responses".into(), headers: vec![] };
    assert!(Exchange::open(&get).is_none());
}

#[test]
fn which_chat_events_carry_output() {
    let event = |delta: &str| {
        format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
    };
    for (delta, step) in [
        (r#"{"role":"assistant","content":""}"#, "a"),
        (r#"{"role":"assistant"}"#, "a"),
        (r#"{"role":"assistant","content":null}"#, "a"),
        (r#"{"role":"assistant","content":"x"}"#, "0"),
        (r#"{"content":"x","role":"assistant"}"#, "0"),
        (r#"{"content":"x"}"#, "0"),
        (r#"{"content":""}"#, "0"),
        (r#"{"content":null,"reasoning":"x"}"#, "0"),
        (r#"{"reasoning_content":"x"}"#, "0"),
        (r#"{"tool_calls":[{"id":"t","type":"function","index":0,"function":{"name":"f"}}]}"#, "0"),
        (r#"{"role":"assistant","tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#, "0"),
        (r#"{"tool_calls":[]}"#, "."),
        (r#"{"content":null}"#, "."),
        ("{}", "."),
    ] {
        assert_eq!(stream("/v1/chat/completions", &[&event(delta)]).0, step, "{delta}");
    }
}

#[test]
fn choices_of_one_event_are_told_apart_in_any_order_of_keys() {
    let event = r#"{"choices":[{"delta":{"content":"a"},"index":2},{"index":5,"delta":{}},{"delta":{"content":""},"index":63}]}"#;
    assert_eq!(stream("/v1/chat/completions", &[event, r#"{"choices":[]}"#, "[DONE]"]).0, "263.F");
    let mut issues = Vec::new();
    let event = Event { name: "", data: br#"{"choices":[{"index":64,"text":""}]}"# };
    let step = open("/v1/completions").unwrap().interpret(&Message::Event(event), &mut issues);
    assert_eq!((step, issues), (Step::Output(Choices::of(63)), vec![Issue::ChoiceOverBound]));
}

#[test]
fn a_text_that_looks_like_json_is_text() {
    let event = r#"{"choices":[{"index":0,"text":"\",\"error\":{},\"model\":\"x\",\"usage\":{\"prompt_tokens\":9}"}],"model":"m"}"#;
    let (steps, facts) = stream("/v1/completions", &[event]);
    assert_eq!((steps.as_str(), facts.model.as_deref(), facts.stream_error), ("0", Some("m"), false));
    assert_eq!(facts.usage, Usage::default());
}

#[test]
fn continuous_usage_of_several_choices_waits_for_the_sum() {
    let event = |index: u64, completion: u64| {
        format!(
            r#"{{"choices":[{{"index":{index},"text":"a"}}],"usage":{{"prompt_tokens":4,"completion_tokens":{completion}}}}}"#
        )
    };
    let one = stream("/v1/completions", &[&event(0, 1), &event(0, 2)]).1.usage;
    assert_eq!(one, Usage { prompt: Some(4), cached: None, completion: Some(2) });
    let several = [event(0, 1), event(1, 1), event(0, 2)];
    let events: Vec<&str> = several.iter().map(String::as_str).collect();
    assert_eq!(stream("/v1/completions", &events).1.usage, Usage::default());
    let sum = r#"{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":3}}"#;
    let usage = stream("/v1/completions", &[&events[..], &[sum]].concat()).1.usage;
    assert_eq!(usage, Usage { prompt: Some(4), cached: None, completion: Some(3) });
}

#[test]
fn responses() {
    let (steps, facts) = stream(
        "/v1/responses",
        &[
            r#"{"response":{"id":"resp_1","model":"m","status":"in_progress","error":null,"usage":null},"sequence_number":0,"type":"response.created"}"#,
            r#"{"response":{"id":"resp_1","model":"m","status":"in_progress"},"sequence_number":1,"type":"response.in_progress"}"#,
            r#"{"item":{"id":"msg_1","status":"in_progress","type":"message"},"output_index":0,"type":"response.output_item.added"}"#,
            r#"{"delta":"a","item_id":"msg_1","type":"response.reasoning_text.delta"}"#,
            r#"{"delta":"b","item_id":"msg_1","type":"response.output_text.delta"}"#,
            r#"{"delta":"{","item_id":"msg_1","type":"response.function_call_arguments.delta"}"#,
            r#"{"text":"b","item_id":"msg_1","type":"response.output_text.done"}"#,
            r#"{"response":{"id":"resp_1","model":"m","error":null,"incomplete_details":null,"status":"completed","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":8,"input_tokens_per_turn":[9]},"output_tokens":3,"total_tokens":12}},"type":"response.completed"}"#,
        ],
    );
    assert_eq!(steps, "aa.000.F");
    assert_eq!(facts.usage, Usage { prompt: Some(9), cached: Some(8), completion: Some(3) });
    assert_eq!((facts.id.as_deref(), facts.finish_reason.as_deref()), (Some("resp_1"), Some("completed")));
    assert!(!facts.stream_error);
    let failed = r#"{"response":{"error":{"message":"x"},"status":"failed"},"type":"response.failed"}"#;
    assert!(stream("/v1/responses", &[failed]).1.stream_error);
    let answer = r#"{"id":"resp_2","model":"m","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":1,"output_tokens":2}}"#;
    assert_eq!(whole("/v1/responses", "{}", answer).finish_reason.as_deref(), Some("max_output_tokens"));
}

#[test]
fn messages() {
    let (steps, facts) = stream(
        "/v1/messages",
        &[
            r#"{"type":"message_start","message":{"id":"chatcmpl-1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":0,"output_tokens":0}}}"#,
            r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":""},"index":0}"#,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"a"},"index":0}"#,
            r#"{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"s"},"index":0}"#,
            r#"{"delta":{"type":"signature_delta","signature":"s"},"type":"content_block_delta","index":0}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"b"},"index":1}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"input_tokens":3,"output_tokens":7,"cache_read_input_tokens":16}}"#,
            r#"{"type":"message_stop"}"#,
        ],
    );
    assert_eq!(steps, "a.0...0..F");
    assert_eq!(facts.usage, Usage { prompt: Some(19), cached: Some(16), completion: Some(7) });
    assert_eq!((facts.model.as_deref(), facts.finish_reason.as_deref()), (Some("m"), Some("end_turn")));
    let (steps, facts) =
        stream("/v1/messages", &[r#"{"type":"error","error":{"type":"internal_error","message":"x"}}"#]);
    assert_eq!((steps.as_str(), facts.stream_error), ("F", true));
}

#[test]
fn an_answer_in_one_piece() {
    let request =
        r#"{"messages":[{"role":"user","content":"\"model\":\"wrong\""}],"tools":[{"model":"wrong"}],"model":"asked"}"#;
    let answer = r#"{"id":"chatcmpl-1","object":"chat.completion","model":"said","choices":[{"index":0,"message":{"role":"assistant","content":"x","model":"wrong"},"finish_reason":"tool_calls","stop_reason":null}],"usage":{"prompt_tokens":5,"total_tokens":7,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4}}}"#;
    let facts = whole("/v1/chat/completions", request, answer);
    assert_eq!((facts.model.as_deref(), facts.id.as_deref()), (Some("said"), Some("chatcmpl-1")));
    assert_eq!(facts.finish_reason.as_deref(), Some("tool_calls"));
    assert_eq!(facts.usage, Usage { prompt: Some(5), cached: Some(4), completion: Some(2) });
    assert_eq!(whole("/v1/embeddings", request, "{}").model.as_deref(), Some("asked"));
    let message = r#"{"id":"m","type":"message","model":"m","stop_reason":"max_tokens","usage":{"input_tokens":2,"output_tokens":3,"cache_creation_input_tokens":4}}"#;
    let facts = whole("/v1/messages", "{}", message);
    assert_eq!(facts.usage, Usage { prompt: Some(6), cached: None, completion: Some(3) });
    assert_eq!(facts.finish_reason.as_deref(), Some("max_tokens"));
}

#[test]
fn audio_is_not_read() {
    let headers = vec![("content-type".into(), "multipart/form-data; boundary=x".into())];
    let head = RequestHead { method: "POST".into(), path: "/v1/audio/transcriptions".into(), headers };
    let mut exchange = Exchange::open(&head).unwrap();
    let mut issues = Vec::new();
    exchange.interpret(&Message::Body(Side::Request, b"--x\r\n\x00\xff"), &mut issues);
    let event = Event { name: "", data: br#"{"choices":[{"index":0,"delta":{"content":"x"}}]}"# };
    assert_eq!(exchange.interpret(&Message::Event(event), &mut issues), Step::Ignore);
    assert_eq!(issues, []);
}

#[test]
fn garbage_is_an_issue() {
    let mut exchange = open("/v1/completions").unwrap();
    let mut issues = Vec::new();
    exchange.interpret(&Message::Body(Side::Request, b"model=tiny"), &mut issues);
    exchange.interpret(&Message::Body(Side::Request, b"&stream=1"), &mut issues);
    exchange.interpret(&Message::Event(Event { name: "", data: b"{]" }), &mut issues);
    assert_eq!(issues, [Issue::JsonMalformed, Issue::JsonMalformed]);
}
