#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::event::Nanos;
use crate::tape::{Header, Reader, Text, Writer};
use crate::wire::{RequestHead, ResponseHead, json as values, sse as events};
use inferscope_ebpf::Hook;
use proptest::prelude::*;

/// No piece of this may stand on a tape.
const CANARIES: [&str; 4] = ["CANARY", "anar", "77342", "kanariengelb"];

fn body(head: &str, body: &str) -> String {
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

/// What a client sends: text wherever a client can put it.
fn requests() -> String {
    let chat = r#"{"model":"tiny","stream":true,"n":2,"max_tokens":16,"messages":[{"role":"user","content":"CANARY \"quoted\" \u00e9 \\ CANARY"},{"role":"CANARY","content":[{"type":"text","text":"CANARY"}]}],"tools":[{"type":"function","function":{"name":"CANARY","parameters":{"properties":{"CANARY":{"type":"CANARY","id":"CANARY","enum":["CANARY",77342]},"contentCANARY":{}}}}}],"stop":["CANARY"],"metadata":{"model":"CANARY","usage":{"id":"CANARY"}},"logit_bias":{"77342":-1.5e2},"user":"CANARY","CANARY":null,"seed":77342}"#;
    let ids = r#"{"prompt":[[77342,0,773420,-77342],[]],"model":"tiny","temperature":0.77342,"stop_reason":"length","echo":false}"#;
    let head = "POST /v1/chat/completions?key=CANARY HTTP/1.1\r\nHost: CANARY\r\nAuthorization: Bearer CANARY\r\nCookie: a=CANARY\r\nX-Plain: 1\r\nX-Request-Id: req-1\r\n";
    [
        body(&format!("{head}content-type: application/json\r\n"), chat),
        body("POST /v1/completions HTTP/1.1\r\nContent-Type: application/json; charset=utf-8\r\n", ids),
        body("POST /v1/audio/transcriptions HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=b\r\n", "--b\r\n\r\nCANARY\r\n--b--"),
        "POST /v1/completions HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1a;sig=CANARY\r\n{\"prompt\":\"some CANARY th\r\n11\r\nat\",\"model\":\"tiny\r\n2\r\n\"}\r\n0\r\nx-trailer: CANARY\r\n\r\n".to_owned(),
        "GET /v1/models?CANARY HTTP/1.1\r\n\r\n".to_owned(),
    ]
    .concat()
}

/// What the server answers.
fn responses() -> String {
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let stream = [
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#,
        r#"data: {"id":"chatcmpl-1","model":"tiny","choices":[{"index":1,"delta":{"content":"CANARY\n"},"logprobs":{"content":[{"token":"CANARY","logprob":-0.77342,"bytes":[77342]}]},"finish_reason":"stop","stop_reason":"CANARY","token_ids":[77342]}]}"#,
        ": ping CANARY",
        "event: content_block_delta\nid: CANARY\nCANARY: 1\ndata: {\"type\":\"content_block_delta\",\ndata: \"delta\":{\"type\":\"text_delta\",\"text\":\"CANARY\"}}",
        r#"data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call-1","type":"function","function":{"name":"kanariengelb","arguments":"{\"CANARY\":"}}]}}]}"#,
        r#"data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":8}}}"#,
        r#"data: {"error":{"message":"CANARY","type":"BadRequestError","param":null,"code":400}}"#,
        "data: [DONE]",
    ]
    .map(|event| chunk(&format!("{event}\n\n")))
    .concat();
    let whole = r#"{"id":"cmpl-2","object":"text_completion","created":7,"model":"tiny","choices":[{"index":0,"text":" CANARY","logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7}}"#;
    let embedding =
        r#"{"object":"list","data":[{"index":0,"embedding":[0.77342,-77342]}],"usage":{"prompt_tokens":4}}"#;
    [
        format!("HTTP/1.1 200 CANARY\r\nserver: CANARY\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n{stream}0\r\n\r\n"),
        body("HTTP/1.1 200 OK\r\nset-cookie: CANARY\r\ncontent-type: application/json\r\n", whole),
        body("HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain\r\n", "CANARY went wrong"),
        body("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n", "CANARY"),
        body("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", embedding),
    ]
    .concat()
}

fn event(direction: Direction, segment: Segment) -> Input {
    let conn = ConnKey { tgid: Tgid(1), layer: Layer::Socket, id: 5, generation: 1 };
    let hook = if direction == Direction::Read { Hook::Read } else { Hook::Write };
    Input::Kernel(Event { time: Nanos(1), conn, hook, midway: false, thread: 0, kind: EventKind::Data(segment) })
}

/// One call for each part; the parts marked as missing were not copied.
fn calls(direction: Direction, parts: &[(&[u8], bool)]) -> Vec<Input> {
    let mut position = 0;
    let mut calls = Vec::new();
    for (part, missing) in parts.iter().filter(|(part, _)| !part.is_empty()) {
        let bytes = if *missing { Vec::new() } else { part.to_vec() };
        let total = part.len() as u64;
        calls.push(event(direction, Segment { direction, position, total, offset: 0, last: true, bytes }));
        position += total;
    }
    calls
}

/// The inputs as they come back from a default tape, on which no canary may stand.
pub(super) fn record(inputs: &[Input]) -> Vec<Input> {
    let mut tape = Vec::new();
    let header = Header { created_at: String::new(), agent_version: String::new(), text: Text::Masked };
    let mut writer = Writer::new(&mut tape, &header).unwrap();
    for input in inputs {
        writer.write(input).unwrap();
    }
    writer.flush().unwrap();
    drop(writer);
    for canary in CANARIES {
        assert!(!tape.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary} is on the tape");
    }
    Reader::new(&tape[..]).unwrap().map(Result::unwrap).collect()
}

/// What the decoders say of one direction, text and masked numbers left out.
fn structure(inputs: &[Input], decoder: Decoder) -> Vec<String> {
    let (mut stream, mut decoder) = (Stream::new(Some(0)), decoder);
    let (mut said, mut body, mut kind) = (Vec::new(), Vec::new(), String::new());
    for input in inputs {
        let Input::Kernel(Event { kind: EventKind::Data(segment), .. }) = input else { continue };
        let mut stretches = Vec::new();
        stream.push(segment, &mut Vec::new(), &mut |stretch| stretches.push(stretch));
        for stretch in stretches {
            decoder.push(stretch, &mut |item| {
                match &item {
                    Item::Body(bytes) => return body.push(Some(bytes.to_vec())),
                    Item::Elided(_) => return body.push(None),
                    Item::Request(RequestHead { headers, .. }) | Item::Response(ResponseHead { headers, .. }) => {
                        kind = header(headers, "content-type").unwrap_or_default().to_owned();
                    }
                    _ if kind.contains("json") => read_document(&body, &mut said),
                    _ if kind.contains("event-stream") => read_events(&body, &mut said),
                    _ => {}
                }
                body.clear();
                said.push(format!("{item:?}"));
            });
        }
    }
    said
}

fn read_document(body: &[Option<Vec<u8>>], said: &mut Vec<String>) {
    let mut reader = values::Reader::with_fragments(&["usage"]);
    for bytes in body {
        match bytes {
            Some(bytes) => {
                let read = reader.push(bytes, &mut |path, value| said.push(shape(path, value)));
                said.extend(read.err().map(|issue| issue.name().to_owned()));
            }
            None => reader.elide(),
        }
    }
}

fn read_events(body: &[Option<Vec<u8>>], said: &mut Vec<String>) {
    let mut decoder = events::Decoder::default();
    for bytes in body {
        let Some(bytes) = bytes else {
            decoder.elide();
            continue;
        };
        decoder.push(bytes, &mut |event| {
            let event = event.unwrap();
            said.push(format!("event {} {}", event.name, event.data == b"[DONE]"));
            read_document(&[Some(event.data.to_vec())], said);
        });
    }
}

/// A value with its path, both only as far as engines may look at them.
fn shape(path: &values::Path, value: values::Value<'_>) -> String {
    let known: [&[&str]; 14] = [
        &["model"],
        &["id"],
        &["object"],
        &["stream"],
        &["max_tokens"],
        &["choices", "*", "index"],
        &["choices", "*", "delta", "role"],
        &["choices", "*", "finish_reason"],
        &["choices", "*", "delta", "tool_calls", "*", "id"],
        &["usage", "prompt_tokens"],
        &["usage", "completion_tokens"],
        &["usage", "prompt_tokens_details", "cached_tokens"],
        &["error", "code"],
        &["delta", "type"],
    ];
    let texts: [&[&str]; 5] = [
        &["choices", "*", "text"],
        &["choices", "*", "delta", "content"],
        &["delta", "text"],
        &["error", "message"],
        &["prompt", "*", "*"],
    ];
    let depth = path.depth();
    if let Some(known) = known.iter().find(|pattern| path.matches(pattern)) {
        return format!("{known:?} {value:?}");
    }
    let text = texts.iter().find(|pattern| path.matches(pattern));
    match value {
        values::Value::Str { len, .. } => format!("{depth} {text:?} text {}", len > 0),
        values::Value::Number(_) => format!("{depth} {text:?} number"),
        value => format!("{depth} {text:?} {value:?}"),
    }
}

/// Both directions through a tape: the same structure comes back.
fn check(sent: &[(&[u8], bool)], answered: &[(&[u8], bool)]) {
    let (sent, answered) = (calls(Direction::Read, sent), calls(Direction::Write, answered));
    let both = [sent.clone(), answered.clone()].concat();
    let back = record(&both);
    let (sent_back, answered_back) = back.split_at(sent.len());
    assert_eq!(structure(sent_back, Decoder::requests()), structure(&sent, Decoder::requests()));
    assert_eq!(structure(answered_back, Decoder::responses()), structure(&answered, Decoder::responses()));
}

#[test]
fn the_structure_is_worth_comparing() {
    let said = structure(&calls(Direction::Write, &[(responses().as_bytes(), false)]), Decoder::responses());
    for expected in [
        r#"["choices", "*", "delta", "role"] Str { head: "assistant", len: 9 }"#,
        r#"["usage", "completion_tokens"] Number(20.0)"#,
        r#"["choices", "*", "delta", "tool_calls", "*", "id"] Str { head: "call-1", len: 6 }"#,
        "event content_block_delta false",
        "event  true",
    ] {
        assert!(said.iter().any(|said| said == expected), "{expected} in {said:#?}");
    }
}

#[test]
fn no_text_is_on_a_tape_however_it_is_split() {
    let (requests, responses) = (requests(), responses());
    let (requests, responses) = (requests.as_bytes(), responses.as_bytes());
    for at in 0..requests.len().max(responses.len()) {
        let (sent, answered) = (requests.split_at(at.min(requests.len())), responses.split_at(at.min(responses.len())));
        check(&[(sent.0, false), (sent.1, false)], &[(answered.0, false), (answered.1, false)]);
    }
    let sent: Vec<_> = requests.chunks(1).map(|byte| (byte, false)).collect();
    let answered: Vec<_> = responses.chunks(1).map(|byte| (byte, false)).collect();
    check(&sent, &answered);
}

#[test]
fn missing_bytes_reveal_nothing() {
    let (requests, responses) = (requests(), responses());
    for hole in [1, 7, 60, 400] {
        for at in (0..requests.len().max(responses.len())).step_by(3) {
            let cut = |text: &'_ str| {
                let from = at.min(text.len());
                let to = (at + hole).min(text.len());
                (from, to)
            };
            let (from, to) = cut(&requests);
            let sent = requests.as_bytes();
            let sent = [(&sent[..from], false), (&sent[from..to], true), (&sent[to..], false)];
            let (from, to) = cut(&responses);
            let answered = responses.as_bytes();
            let answered = [(&answered[..from], false), (&answered[from..to], true), (&answered[to..], false)];
            check(&sent, &answered);
        }
    }
}

#[test]
fn lost_bytes_and_late_joins_reveal_nothing() {
    let (requests, responses) = (requests(), responses());
    for (direction, text) in [(Direction::Read, requests.as_bytes()), (Direction::Write, responses.as_bytes())] {
        for at in 0..text.len() {
            let (before, after) = text.split_at(at);
            let mut joined = calls(direction, &[(after, false)]);
            for input in &mut joined {
                let Input::Kernel(event) = input else { unreachable!() };
                event.midway = true;
            }
            record(&joined);
            let (lost, after) = after.split_at(after.len().min(30));
            let mut inputs = calls(direction, &[(before, false), (lost, false), (after, false)]);
            inputs.remove(usize::from(!before.is_empty()));
            record(&inputs);
        }
    }
}

#[test]
fn what_is_not_http_becomes_zeros() {
    for (bytes, kept) in [
        (&b"\x16\x03\x01CANARY"[..], &b"\x16\x03"[..]),
        (b"PRI * HTTP/2.0\r\nCANARY", b"PRI * HTTP/2.0\r\n"),
        (b"\x00\x01CANARY", b""),
        (b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\x06CANARY", b""),
        (b"CANARY", b""),
    ] {
        let Input::Kernel(Event { kind: EventKind::Data(segment), .. }) =
            &record(&calls(Direction::Read, &[(bytes, false)]))[0]
        else {
            unreachable!()
        };
        let mut expected = kept.to_vec();
        expected.resize(bytes.len(), 0);
        // The first bytes may have been a message until the next one came.
        let decided = kept.len().max(1);
        assert_eq!(segment.bytes[decided..], expected[decided..], "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_stream_under_way_keeps_its_shape() {
    let mut out = Vec::new();
    unplaced(b"ee\r\ndata: CANARY\n\n\r\n0\r\n\r\n", &mut out);
    assert_eq!(out, b"ee\r\ndata:\0\0\0\0\0\0\0\0\0\0\x000\r\n\r\n");
}

#[test]
fn a_tape_is_as_long_as_the_traffic() {
    let inputs = calls(Direction::Write, &[(responses().as_bytes(), false)]);
    for (before, after) in inputs.iter().zip(record(&inputs)) {
        let (Input::Kernel(before), Input::Kernel(after)) = (before, after) else { unreachable!() };
        let (EventKind::Data(before), EventKind::Data(after)) = (&before.kind, after.kind) else { unreachable!() };
        assert_eq!(before.bytes.len(), after.bytes.len());
        assert_eq!(Segment { bytes: Vec::new(), ..before.clone() }, Segment { bytes: Vec::new(), ..after });
    }
}

proptest! {
    #[test]
    fn nothing_panics(parts in proptest::collection::vec((proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"{}[]\",:\\\r\n 0T".to_vec())], 0..60), any::<bool>(), any::<bool>()), 0..20)) {
        let mut redactor = Redactor::default();
        let mut position = 0;
        for (bytes, gap, write) in parts {
            let direction = if write { Direction::Write } else { Direction::Read };
            let total = bytes.len() as u64 + u64::from(gap);
            let _ = redactor.mask(&event(direction, Segment { direction, position, total, offset: 0, last: true, bytes }));
            position += total + u64::from(gap);
        }
    }

    #[test]
    fn splits_reveal_nothing(cuts in proptest::collection::vec((any::<u16>(), proptest::bool::weighted(0.2)), 0..12)) {
        let (requests, responses) = (requests(), responses());
        let parts = |text: &'_ str| -> Vec<(usize, usize, bool)> {
            let mut at = 0;
            let mut parts = Vec::new();
            for (cut, missing) in &cuts {
                let to = at + usize::from(*cut) % (text.len() - at + 1) / 2;
                parts.push((at, to, *missing));
                at = to;
            }
            parts.push((at, text.len(), false));
            parts
        };
        let sent: Vec<_> = parts(&requests).into_iter().map(|(from, to, missing)| (&requests.as_bytes()[from..to], missing)).collect();
        let answered: Vec<_> = parts(&responses).into_iter().map(|(from, to, missing)| (&responses.as_bytes()[from..to], missing)).collect();
        check(&sent, &answered);
    }
}
