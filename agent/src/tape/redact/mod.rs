//! Masks text in what is recorded, so that a tape holds no prompt, no answer, no token ids and no credentials.
//!
//! Every byte is replaced by one byte, so all positions and times stay; structure stays, so that the tape replays to
//! the same records. What stays readable is listed, never what is masked: heads in `head`, JSON in `keys`. Bodies
//! that are neither JSON nor an event stream become `x`; of gRPC stays what `http2` lists; bytes that the HTTP decoders can't
//! place (cipher text, another protocol, what follows a gap) become zeros; what the processes of a server send each other:
//! `message`, and where that was read from a socket's bytes, zeros: from a masked tape such a connection replays as nothing. Of
//! a WebSocket plain texts are masked as JSON; deflated messages become zeros, and such a connection replays as one that can't
//! be read. Lines of a log: `log`. What can still be told from a tape: lengths, and of texts that begin behind missing bytes
//! where their words end.
//!
//! It errs where a connection is picked up behind lost bytes and a call there begins with a method, a blank and a slash
//! without being a request: that one word stays.

mod comfyui;
mod framing;
mod head;
mod http2;
mod json;
mod keys;
mod log;
mod message;
mod protobuf;
mod sse;
#[cfg(test)]
mod tests;
mod websocket;

use std::collections::HashMap;

use crate::core::{Input, ProcessChange};
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Segment, Tgid};
use crate::wire::http1::{Decoder, Opening, Place, sniff};
use crate::wire::http2::{is_greeting, is_plausible};
use crate::wire::stream::Stream;
use crate::wire::websocket::{Sender, is_row_of_frames};
use crate::wire::{Item, Stretch, header, is_websocket};
use keys::{Jobs, Vocabulary};

/// Most connections that are followed. The bytes of others become zeros.
const MAX_CONNECTIONS: usize = 16 * 1024;

/// Most digits of a chunk size that an event stream under way is known by.
const MAX_CHUNK_DIGITS: usize = 8;

/// Masks inputs, in order.
#[derive(Default)]
pub struct Redactor {
    connections: HashMap<(Tgid, Layer, u64), Connection>,
    /// What the processes of servers may say.
    words: HashMap<Tgid, &'static Vocabulary>,
    logs: HashMap<(Tgid, u64), log::Mask>,
    /// Message sockets, which no event says to be closed.
    sockets: HashMap<(Tgid, u64), message::Socket>,
}

struct Connection {
    generation: u32,
    speaks: Speaks,
}

struct Http1 {
    requests: Lane,
    responses: Lane,
}

/// What is spoken on a connection.
enum Speaks {
    Http1(Box<Http1>),
    Http2(Box<http2::Connection>),
}

/// One direction.
struct Lane {
    stream: Stream,
    decoder: Decoder,
    head: head::Mask,
    framing: framing::Mask,
    body: Body,
    words: &'static Vocabulary,
    /// Once it is a WebSocket.
    frames: Option<websocket::Mask>,
}

enum Body {
    Json(Box<json::Mask>),
    Events(Box<sse::Mask>),
    Other,
}

impl Redactor {
    /// The input as it may be written.
    #[must_use]
    pub fn mask(&mut self, input: &Input) -> Input {
        if let Input::Process(change) = input {
            self.process(change);
        }
        let Input::Kernel(event) = input else {
            return input.clone();
        };
        let ConnKey { tgid, layer, id, .. } = event.conn;
        match &event.kind {
            EventKind::Data(segment) => {
                let bytes = self.segment(event, segment);
                let segment = Segment { bytes, ..*segment };
                return Input::Kernel(Event { kind: EventKind::Data(segment), ..*event });
            }
            EventKind::Opened | EventKind::Closed => {
                self.connections.remove(&(tgid, layer, id));
            }
            EventKind::Frame { segment, more } => {
                let bytes = self.frame(&event.conn, segment, *more);
                let segment = Segment { bytes, ..*segment };
                let kind = EventKind::Frame { segment, more: *more };
                return Input::Kernel(Event { kind, ..*event });
            }
            // Names of models and ids of requests, no text.
            EventKind::Call(_) | EventKind::Eof | EventKind::Failed { .. } => {}
        }
        input.clone()
    }

    fn process(&mut self, change: &ProcessChange) {
        let (ProcessChange::Started { tgid, .. } | ProcessChange::Ended { tgid, .. }) = change;
        self.connections.retain(|(owner, ..), _| owner != tgid);
        self.sockets.retain(|(owner, _), _| owner != tgid);
        self.logs.retain(|(owner, _), _| owner != tgid);
        match change {
            ProcessChange::Started { engine, .. } => drop(self.words.insert(*tgid, keys::of(engine))),
            ProcessChange::Ended { .. } => drop(self.words.remove(tgid)),
        }
    }

    fn segment(&mut self, event: &Event, segment: &Segment) -> Vec<u8> {
        let ConnKey { tgid, layer, id, generation } = event.conn;
        let words = self.words.get(&tgid).copied().unwrap_or_else(|| keys::of(""));
        if words.jobs == Jobs::Told && event.is_log() {
            return self.logs.entry((tgid, id)).or_default().segment(segment);
        }
        let key = (tgid, layer, id);
        if self.connections.get(&key).is_none_or(|connection| connection.generation != generation) {
            self.connections.remove(&key);
            if self.connections.len() >= MAX_CONNECTIONS {
                return vec![0; segment.bytes.len()];
            }
        }
        let new = || Connection { generation, speaks: Speaks::http1(event.midway, words) };
        let connection = self.connections.entry(key).or_insert_with(new);
        // Servers that tell of jobs speak WebSocket, which may look like it.
        let may_be_http2 = words.jobs != Jobs::Told && connection.speaks.is_silent() && segment.offset == 0;
        if may_be_http2 && speaks_http2(&segment.bytes) {
            connection.speaks = Speaks::Http2(Box::new(http2::Connection::new(event.midway)));
        }
        match (&mut connection.speaks, segment.direction) {
            (Speaks::Http1(http1), Direction::Read) => {
                let Http1 { requests, responses } = http1.as_mut();
                let responses = &mut responses.decoder;
                requests.segment(segment, &mut |method| responses.expect(method))
            }
            (Speaks::Http1(http1), Direction::Write) => http1.responses.segment(segment, &mut |_| {}),
            (Speaks::Http2(http2), _) => http2.segment(segment),
        }
    }

    fn frame(&mut self, conn: &ConnKey, segment: &Segment, more: bool) -> Vec<u8> {
        let ConnKey { tgid, id, generation, .. } = *conn;
        let key = (tgid, id);
        if self.sockets.len() >= MAX_CONNECTIONS && !self.sockets.contains_key(&key) {
            return vec![0; segment.bytes.len()];
        }
        let socket = self.sockets.entry(key).or_insert_with(|| message::Socket::new(generation));
        if socket.generation != generation {
            *socket = message::Socket::new(generation);
        }
        socket.segment(segment, more)
    }
}

impl Speaks {
    fn http1(midway: bool, words: &'static Vocabulary) -> Speaks {
        Speaks::Http1(Box::new(Http1 {
            requests: Lane::new(Opening::Request, Decoder::requests(), midway, words),
            responses: Lane::new(Opening::Response, Decoder::responses(), midway, words),
        }))
    }

    /// Whether nothing was said yet in the protocol that it is taken to speak.
    fn is_silent(&self) -> bool {
        let Speaks::Http1(http1) = self else { return false };
        [&http1.requests, &http1.responses]
            .iter()
            .all(|lane| matches!(lane.decoder.place(), Place::Start | Place::Nowhere))
    }
}

/// Whether a call begins as HTTP/2 does: with its preface, a server's settings, or frames.
fn speaks_http2(bytes: &[u8]) -> bool {
    sniff(bytes) == Some(Opening::Http2) || is_greeting(bytes) || is_plausible(bytes)
}

impl Lane {
    fn new(opening: Opening, decoder: Decoder, midway: bool, words: &'static Vocabulary) -> Lane {
        Lane {
            stream: Stream::new((!midway).then_some(0)),
            decoder: if midway { decoder.midway() } else { decoder },
            head: head::Mask::new(opening),
            framing: framing::Mask::default(),
            body: Body::Other,
            words,
            frames: None,
        }
    }

    fn segment(&mut self, segment: &Segment, asked: &mut dyn FnMut(&str)) -> Vec<u8> {
        if self.is_watched(segment) {
            self.frames.get_or_insert_with(|| websocket::Mask::new(self.words));
        }
        let mut stretches = Vec::new();
        self.stream.push(segment, &mut Vec::new(), &mut |stretch| stretches.push(stretch));
        let mut out = Vec::with_capacity(segment.bytes.len());
        for stretch in stretches {
            match stretch {
                Stretch::Bytes(bytes) => {
                    // What the stream dropped was seen before.
                    out.resize(offset(&segment.bytes, bytes), 0);
                    self.bytes(bytes, &mut out, asked);
                }
                Stretch::Elided(bytes) | Stretch::Gap(bytes) => {
                    self.frames.iter_mut().for_each(|frames| frames.skip(bytes));
                    let body = &mut self.body;
                    self.decoder.push(stretch, &mut |item| {
                        if let Item::Elided(_) = item {
                            body.elide();
                        }
                    });
                }
            }
        }
        out.resize(segment.bytes.len(), 0);
        keep_opening(segment, &mut out);
        out
    }

    /// Whether a client may be watching whose handshake was not seen: the core reads such a connection.
    fn is_watched(&self, segment: &Segment) -> bool {
        self.words.jobs == Jobs::Told
            && self.decoder.place() == Place::Nowhere
            && segment.direction == Direction::Write
            && segment.last
            && is_row_of_frames(&segment.bytes, Sender::Server)
    }

    fn bytes(&mut self, bytes: &[u8], out: &mut Vec<u8>, asked: &mut dyn FnMut(&str)) {
        self.decoder.resume(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.decoder.place() {
                Place::Start => {
                    self.head.restart();
                    self.read_head(rest, out, asked)
                }
                Place::Head => self.read_head(rest, out, asked),
                Place::Body => self.read_body(rest, out),
                Place::Nowhere => match &mut self.frames {
                    Some(frames) => return frames.mask(rest, out),
                    None => return unplaced(rest, out),
                },
            };
        }
    }

    fn read_head<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>, asked: &mut dyn FnMut(&str)) -> &'a [u8] {
        let (mut body, mut frames, words) = (None, None, self.words);
        let rest = self.decoder.step(input, &mut |item| match item {
            Item::Request(head) => {
                asked(&head.method);
                body = Some(Body::of(&head.headers, words));
            }
            Item::Response(head) => body = Some(Body::of(&head.headers, words)),
            Item::Upgraded(head) if is_websocket(&head) => frames = Some(websocket::Mask::new(words)),
            _ => {}
        });
        self.frames = self.frames.take().or(frames);
        self.head.mask(taken(input, rest), out);
        if let Some(body) = body {
            self.body = body;
            self.framing = framing::Mask::default();
        }
        rest
    }

    fn read_body<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let Lane { decoder, framing, body, .. } = self;
        let mut done = 0;
        let rest = decoder.step(input, &mut |item| {
            let Item::Body(bytes) = item else { return };
            let at = offset(input, bytes);
            framing.mask(input.get(done..at).unwrap_or_default(), out);
            body.mask(bytes, out);
            done = at + bytes.len();
        });
        framing.mask(taken(input, rest).get(done..).unwrap_or_default(), out);
        rest
    }
}

impl Body {
    fn of(headers: &[(String, String)], words: &'static Vocabulary) -> Body {
        if header(headers, "content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
            return Body::Other;
        }
        let kind = header(headers, "content-type").unwrap_or_default().to_ascii_lowercase();
        match kind {
            _ if kind.contains("event-stream") => Body::Events(Box::new(sse::Mask::new(words))),
            _ if kind.contains("json") => Body::Json(Box::new(json::Mask::new(words))),
            _ => Body::Other,
        }
    }

    fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Body::Json(mask) => mask.mask(bytes, out),
            Body::Events(mask) => mask.mask(bytes, out),
            Body::Other => out.resize(out.len() + bytes.len(), b'x'),
        }
    }

    fn elide(&mut self) {
        match self {
            Body::Json(mask) => mask.elide(),
            Body::Events(mask) => mask.elide(),
            Body::Other => {}
        }
    }
}

/// Zeros, but for what says that an event stream is under way, and that it ends: the core counts such answers.
fn unplaced(bytes: &[u8], out: &mut Vec<u8>) {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let shape = match bytes.get(digits..).unwrap_or_default() {
        _ if digits > MAX_CHUNK_DIGITS => 0,
        rest if rest.starts_with(b"\r\ndata:") => digits + b"\r\ndata:".len(),
        rest if rest.starts_with(b"\r\nevent:") => digits + b"\r\nevent:".len(),
        _ => 0,
    };
    let (shape, rest) = bytes.split_at_checked(shape).unwrap_or((bytes, &[]));
    out.extend_from_slice(shape);
    let end = if rest.ends_with(b"0\r\n\r\n") { b"0\r\n\r\n".as_slice() } else { &[] };
    out.resize(out.len() + rest.len() - end.len(), 0);
    out.extend_from_slice(end);
}

/// What tells TLS and HTTP/2 from HTTP/1 stays at the beginning of a connection.
fn keep_opening(segment: &Segment, out: &mut [u8]) {
    let kept = match sniff(&segment.bytes) {
        Some(Opening::Tls) => 2,
        Some(Opening::Http2) => 16,
        Some(Opening::Request | Opening::Response | Opening::Other) | None => 0,
    };
    for (to, from) in out.iter_mut().zip(&segment.bytes).take(kept) {
        *to = *from;
    }
}

fn taken<'a>(input: &'a [u8], rest: &[u8]) -> &'a [u8] {
    input.get(..input.len() - rest.len()).unwrap_or(input)
}

/// Where in `outer` its part `inner` begins.
fn offset(outer: &[u8], inner: &[u8]) -> usize {
    inner.as_ptr().addr().saturating_sub(outer.as_ptr().addr())
}
