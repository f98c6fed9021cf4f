//! One HTTP answer with the time of each read, taken apart only when it is complete.

use super::Seen;
use crate::clock::monotonic_ns;
use serde_json::Value;
use std::io::{self, Read};

/// Larger than any burst of events between two reads.
const READ_BYTES: usize = 64 * 1024;

/// A complete answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    /// The body, chunk framing removed.
    body: Vec<u8>,
    /// Up to where the body had come at which time, ascending.
    arrivals: Vec<(usize, u64)>,
    end_ns: u64,
    streamed: bool,
}

/// How the body's end is known.
#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Answer {
    /// Reads one answer, which must have a length or be chunked.
    pub fn read(stream: &mut impl Read) -> io::Result<Answer> {
        let mut wire = Vec::new();
        let mut reads = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut head = None;
        loop {
            let count = stream.read(&mut buffer)?;
            let at = monotonic_ns();
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            wire.extend_from_slice(&buffer[..count]);
            reads.push((wire.len(), at));
            if head.is_none() {
                head = Head::parse(&wire);
            }
            let Some(head) = &head else { continue };
            // The last bytes tell a chunked end cheaply; the framing is checked once, below.
            let complete = match head.framing {
                Framing::Length(length) => wire.len() >= head.length + length,
                Framing::Chunked => wire.ends_with(b"\r\n0\r\n\r\n"),
            };
            if complete {
                return Ok(head.assemble(&wire, &reads, at));
            }
        }
    }

    /// Fills in what the answer says.
    pub fn describe(&self, seen: &mut Seen) {
        seen.status = Some(self.status);
        seen.end_ns = self.end_ns;
        if !self.streamed {
            match serde_json::from_slice(&self.body) {
                Ok(body) => note(seen, &body),
                Err(error) => seen.error = Some(format!("the body is not JSON: {error}")),
            }
            return;
        }
        let mut from = 0;
        while let Some(length) = self.body[from..].windows(2).position(|end| end == b"\n\n") {
            let end = from + length + 2;
            let event = self.body[from..end].trim_ascii();
            from = end;
            let Some(payload) = event.strip_prefix(b"data: ") else { continue };
            // "[DONE]" is not JSON.
            let Ok(event) = serde_json::from_slice::<Value>(payload) else { continue };
            if is_content(&event) {
                seen.content_ns.push(self.arrival(end));
            }
            note(seen, &event);
        }
    }

    /// When the body's first `end` bytes had come.
    fn arrival(&self, end: usize) -> u64 {
        let index = self.arrivals.partition_point(|(upto, _)| *upto < end);
        self.arrivals.get(index).map_or(self.end_ns, |(_, at)| *at)
    }
}

struct Head {
    /// Bytes of the head on the wire.
    length: usize,
    status: u16,
    framing: Framing,
    streamed: bool,
}

impl Head {
    /// `None` until the head is complete.
    fn parse(wire: &[u8]) -> Option<Head> {
        let length = wire.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&wire[..length]).to_ascii_lowercase();
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let framing = match header("content-length").and_then(|length| length.trim().parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        Some(Head {
            length,
            status: text.split(' ').nth(1)?.parse().ok()?,
            framing,
            streamed: header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")),
        })
    }

    /// Removes the chunk framing and translates the reads' positions on the wire into positions in the body.
    fn assemble(&self, wire: &[u8], reads: &[(usize, u64)], end_ns: u64) -> Answer {
        let mut body = Vec::new();
        let mut arrivals = Vec::new();
        for piece in self.pieces(wire) {
            body.extend_from_slice(&wire[piece.clone()]);
            let read = reads.partition_point(|(upto, _)| *upto < piece.end);
            // A piece that several reads brought counts from the last of them: an event ends where its chunk ends.
            arrivals.push((body.len(), reads.get(read).map_or(end_ns, |(_, at)| *at)));
        }
        Answer { status: self.status, body, arrivals, end_ns, streamed: self.streamed }
    }

    /// Where on the wire the body's bytes are.
    fn pieces(&self, wire: &[u8]) -> Vec<std::ops::Range<usize>> {
        if let Framing::Length(length) = self.framing {
            return std::iter::once(self.length..self.length + length).collect();
        }
        let mut pieces = Vec::new();
        let mut at = self.length;
        while let Some(line) = wire[at..].windows(2).position(|end| end == b"\r\n") {
            let size = str::from_utf8(&wire[at..at + line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let start = at + line + 2;
            let Some(end) = size.filter(|size| *size > 0).map(|size| start + size).filter(|end| *end <= wire.len())
            else {
                break;
            };
            pieces.push(start..end);
            at = (end + 2).min(wire.len());
        }
        pieces
    }
}

/// What a delta may carry as output.
const OUTPUT: [&str; 4] = ["content", "reasoning", "reasoning_content", "tool_calls"];

/// A choice that carries output: not the role announcement, not an empty delta, not the usage event. Empty text counts,
/// because a detokeniser that holds bytes back sends it.
fn is_content(event: &Value) -> bool {
    event["choices"].as_array().into_iter().flatten().any(|choice| match choice.get("delta") {
        None => choice.get("text").is_some(),
        Some(delta) => {
            let announces = delta["role"].is_string();
            OUTPUT.iter().any(|part| match &delta[part] {
                Value::String(text) => !(announces && text.is_empty()),
                Value::Array(calls) => !calls.is_empty(),
                _ => false,
            })
        }
    })
}

/// Takes the id and the token counts of an event or a whole answer.
fn note(seen: &mut Seen, said: &Value) {
    if let (None, Some(id)) = (&seen.id, said["id"].as_str()) {
        seen.id = Some(id.to_owned());
    }
    let usage = &said["usage"];
    seen.prompt_tokens = usage["prompt_tokens"].as_u64().or(seen.prompt_tokens);
    seen.completion_tokens = usage["completion_tokens"].as_u64().or(seen.completion_tokens);
}
