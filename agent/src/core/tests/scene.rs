//! Plays calls on connections, and writes down in one line each what comes out.

use crate::core::{Core, Input, Options, Output, ProcessChange};
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use crate::request::Record;
use inferscope_ebpf::Hook;
use std::collections::HashMap;

pub const SERVER: Tgid = Tgid(7);

/// A thing that happens on a connection.
#[derive(Clone, Debug)]
pub enum Act {
    /// One call receives these bytes.
    Read(String),
    /// One call sends these bytes.
    Write(String),
    /// One call sends these bytes, then so many that are not copied, then these.
    WriteElided(String, u64, String),
    /// The event of a call that moved so many bytes was lost.
    Lost(Direction, u64),
    Eof,
    Failed(Direction, u32),
    Closed,
}

/// Acts, each with its time in microseconds.
pub type Script = Vec<(u64, Act)>;

pub fn read(bytes: impl Into<String>) -> Act {
    Act::Read(bytes.into())
}

pub fn write(bytes: impl Into<String>) -> Act {
    Act::Write(bytes.into())
}

/// A connection and how the kernel side sees it.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    pub key: ConnKey,
    pub midway: bool,
}

pub const SOCKET: Wire =
    Wire { key: ConnKey { tgid: SERVER, layer: Layer::Socket, id: 27, generation: 1 }, midway: false };
pub const MIDWAY: Wire = Wire { midway: true, ..SOCKET };
pub const TLS: Wire = Wire { key: ConnKey { layer: Layer::Tls, id: 0x7f00_1234, ..SOCKET.key }, midway: true };

/// Makes events: keeps each connection's positions as the kernel side does.
#[derive(Default)]
pub struct Player {
    positions: HashMap<(ConnKey, Direction), u64>,
}

impl Player {
    /// The events of one act at `micros`.
    pub fn play(&mut self, wire: Wire, micros: u64, act: &Act) -> Vec<Input> {
        let kinds = match act {
            Act::Read(bytes) => vec![self.call(wire, Direction::Read, bytes)],
            Act::Write(bytes) => vec![self.call(wire, Direction::Write, bytes)],
            Act::WriteElided(head, hole, tail) => self.elided_call(wire, head, *hole, tail),
            Act::Lost(direction, bytes) => {
                *self.positions.entry((wire.key, *direction)).or_default() += bytes;
                vec![]
            }
            Act::Eof => vec![EventKind::Eof],
            Act::Failed(direction, errno) => vec![EventKind::Failed { direction: *direction, errno: *errno }],
            Act::Closed => vec![EventKind::Closed],
        };
        let event = |kind| Event {
            time: Nanos(micros * 1000),
            conn: wire.key,
            hook: Hook::Read,
            midway: wire.midway,
            thread: 0,
            kind,
        };
        kinds.into_iter().map(|kind| Input::Kernel(event(kind))).collect()
    }

    fn call(&mut self, wire: Wire, direction: Direction, bytes: &str) -> EventKind {
        self.bytes(wire, direction, bytes.as_bytes())
    }

    /// One call that moves these bytes.
    pub fn bytes(&mut self, wire: Wire, direction: Direction, bytes: &[u8]) -> EventKind {
        let position = self.positions.entry((wire.key, direction)).or_default();
        let total = bytes.len() as u64;
        let segment = Segment { direction, position: *position, total, offset: 0, last: true, bytes: bytes.to_vec() };
        *position += total;
        EventKind::Data(segment)
    }

    fn elided_call(&mut self, wire: Wire, head: &str, hole: u64, tail: &str) -> Vec<EventKind> {
        let direction = Direction::Write;
        let position = self.positions.entry((wire.key, direction)).or_default();
        let total = head.len() as u64 + hole + tail.len() as u64;
        let segment = |offset, last, bytes: &str| {
            let bytes = bytes.as_bytes().to_vec();
            EventKind::Data(Segment { direction, position: *position, total, offset, last, bytes })
        };
        let tail_at = u32::try_from(head.len() as u64 + hole).unwrap();
        let kinds = vec![segment(0, false, head), segment(tail_at, true, tail)];
        *position += total;
        kinds
    }
}

pub fn started() -> Input {
    started_as("vllm")
}

/// The server is one of this engine.
pub fn started_as(engine: &str) -> Input {
    Input::Process(ProcessChange::Started {
        time: Nanos(0),
        tgid: SERVER,
        engine: engine.into(),
        service: format!("{engine}:8000").into(),
        root: SERVER,
        inside: None,
        role: Role::Frontend,
        model: String::new(),
    })
}

/// Everything that comes of `acts` on one connection; times in microseconds.
pub fn play(wire: Wire, acts: &[(u64, Act)]) -> Vec<Output> {
    let mut player = Player::default();
    let inputs = acts.iter().flat_map(|(micros, act)| player.play(wire, *micros, act));
    let out = step_all(Core::new(Options::default()), std::iter::once(started()).chain(inputs));
    assert!(!format!("{out:?}").contains("canary"), "no text leaves the core");
    out
}

/// Everything that comes of `inputs`, the core stopping at the end of the 9th second.
pub fn step_all(mut core: Core, inputs: impl IntoIterator<Item = Input>) -> Vec<Output> {
    let mut out = Vec::new();
    inputs.into_iter().for_each(|input| core.step(input, &mut out));
    core.finish(Nanos(9_000_000_000), &mut out);
    out
}

/// Plays `acts` and compares what comes out, a line for each output.
#[track_caller]
pub fn check(wire: Wire, acts: &[(u64, Act)], expected: &[&str]) {
    let lines: Vec<String> = play(wire, acts).iter().map(line).collect();
    assert_eq!(lines, expected, "\n{}", lines.join("\n"));
}

/// An output in one line. Times are microseconds after the arrival.
pub fn line(output: &Output) -> String {
    match output {
        Output::Volume { direction, volume, .. } => format!("{direction:?} {volume:?}"),
        Output::Refused(refusal) => format!("refused {} {}", refusal.protocol.name(), refusal.code),
        Output::Issue(issue) => issue.name().to_owned(),
        Output::Record(record) => record_line(record),
        Output::Iterated(said) => format!("iteration of {}: {} tokens", said.index, said.tokens),
        Output::Job(job) => format!(
            "job {} {} {} by {} steps={:?} cached={:?} images={:?}",
            job.id,
            job.status.name(),
            job.quality.name(),
            job.source.name(),
            job.steps,
            job.cached,
            job.images
        ),
        Output::Replied(reply) => format!("call {} {}", reply.endpoint, reply.code),
        Output::Sequence(finished) => format!("sequence {}: {} tokens", finished.sequence.id, finished.sequence.tokens),
        Output::Inference(_) | Output::Executed(_) => panic!("{output:?}"),
    }
}

fn record_line(record: &Record) -> String {
    let mut line = format!("{} {} {}", record.status.name(), record.code, record.operation.name());
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    };
    let offset = |time: Nanos| (time.since(record.arrival) / 1000).to_string();
    let word = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    say("quality", Some(record.quality.name().to_owned()).filter(|quality| quality != "complete"));
    say("stream", record.stream.then(|| "yes".to_owned()));
    say("model", word(&record.model));
    say("id", word(&record.id));
    say("at", Some((record.arrival.0 / 1000).to_string()));
    say("received", record.request_end.map(offset));
    say("headers", record.headers.map(offset));
    say("event", record.first_event.map(offset));
    say("first", record.first_content.map(offset));
    say("last", record.last_content.map(offset));
    say("end", Some(offset(record.end)));
    say("events", Some(record.content_events).filter(|events| *events > 0).map(|events| events.to_string()));
    let gaps = record.gaps.iter().map(|gap| (gap / 1000).to_string()).collect::<Vec<_>>().join(",");
    say("gaps", word(&gaps));
    say("prompt", record.usage.prompt.map(|count| count.to_string()));
    say("cached", record.usage.cached.map(|count| count.to_string()));
    say("completion", record.usage.completion.map(|count| count.to_string()));
    say("finish", record.finish_reason.clone());
    line
}

/// A POST of JSON.
pub fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:8000\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a streamed answer, which vLLM sends alone.
pub const STREAM: &str = "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 01:00:00 GMT\r\nserver: uvicorn\r\n\
                          content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
/// The two last writes of a streamed answer.
pub const DONE: &str = "e\r\ndata: [DONE]\n\n\r\n";
pub const END: &str = "0\r\n\r\n";

/// One event, in a chunk of its own.
pub fn event(data: &str) -> String {
    chunk(&format!("data: {data}\n\n"))
}

pub fn chunk(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n", body.len())
}

/// A completion event of one token.
pub fn token(index: u64, text: &str) -> String {
    event(&format!(
        r#"{{"id":"cmpl-9b","object":"text_completion","created":1,"model":"tiny","choices":[{{"index":{index},"text":"{text}","logprobs":null,"finish_reason":null,"stop_reason":null}}]}}"#
    ))
}

/// A chat event.
pub fn delta(delta: &str, finish: &str) -> String {
    event(&format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"tiny","choices":[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]}}"#
    ))
}

/// The usage event of `stream_options.include_usage`.
pub fn usage(prompt: u64, completion: u64) -> String {
    event(&format!(
        r#"{{"id":"cmpl-9b","object":"text_completion","created":1,"model":"tiny","choices":[],"usage":{{"prompt_tokens":{prompt},"total_tokens":{},"completion_tokens":{completion}}}}}"#,
        prompt + completion
    ))
}

/// An answer in one piece.
pub fn whole(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nserver: uvicorn\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{body}",
        body.len()
    )
}

pub const COMPLETIONS: &str = "/v1/completions";
pub const CHAT: &str = "/v1/chat/completions";
pub const ASK: &str = r#"{"model":"tiny","prompt":"canary","stream":true}"#;
