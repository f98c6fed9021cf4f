//! One request: the state machine that holds its times, and the [`Record`] that it ends as.
//!
//! [`Request`] is told what happened when, and keeps the moments that matter. It knows no protocol and reads no
//! bytes: [`crate::core`] tells it what the decoders and the engine found. [`record`] derives latencies from a record.

use crate::engine::{Choices, Facts, Operation, Step, Usage};
use crate::event::{Nanos, Tgid};
use crate::issue::Issue;
use crate::service::Service;

pub mod ask;
mod caller;
pub mod inference;
mod record;
mod sequence;

pub use ask::{AskId, Protocol};
pub use caller::{Caller, Decision};
pub use inference::Inference;
pub use sequence::{Added, Sequence};

/// How much of a request was seen. Only complete records feed latency histograms; all feed the request counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// All of it.
    #[default]
    Complete,
    /// Its beginning was before the agent's.
    JoinedMidway,
    /// Events of it were lost.
    Gap,
    /// The agent or the server stopped, or the connection was forgotten, before its end.
    Truncated,
}

impl Quality {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Quality::Complete => "complete",
            Quality::JoinedMidway => "joined_midway",
            Quality::Gap => "gap",
            Quality::Truncated => "truncated",
        }
    }
}

/// How a request ended: label value `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Answered.
    Ok,
    /// Answered with 4xx or 5xx, an error event in the stream, or the server closed before its end.
    Error,
    /// The client went away first.
    Cancelled,
    /// The server did not take it.
    Rejected,
    /// The end was not seen: see [`Quality`].
    Unknown,
}

impl Status {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Error => "error",
            Status::Cancelled => "cancelled",
            Status::Rejected => "rejected",
            Status::Unknown => "unknown",
        }
    }
}

/// A finished request. Immutable; holds no text. Times as in DESIGN: absent where not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The process that answered.
    pub tgid: Tgid,
    /// Its engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
    /// What was asked for.
    pub operation: Operation,
    /// Path, for people who read records; never a label.
    pub path: String,
    /// Whether the answer was streamed (`text/event-stream`).
    pub stream: bool,
    /// Model, "" where neither side said it.
    pub model: String,
    /// The response's id, "" where absent.
    pub id: String,
    /// HTTP status code; 0 where the response head was not seen.
    pub code: u16,
    /// How it ended.
    pub status: Status,
    /// How much of it was seen.
    pub quality: Quality,
    /// Token counts that the server stated.
    pub usage: Usage,
    /// Why the generation ended, as the server said.
    pub finish_reason: Option<String>,
    /// Return of the read that brought the request's first byte. Of a request joined midway: when it was first seen.
    pub arrival: Nanos,
    /// Return of the read that brought the request's last byte.
    pub request_end: Option<Nanos>,
    /// Beginning of the write that carried the response head.
    pub headers: Option<Nanos>,
    /// Beginning of the write that carried the first event of any kind.
    pub first_event: Option<Nanos>,
    /// Beginning of the write that carried the first content event. Only for streamed answers.
    pub first_content: Option<Nanos>,
    /// Beginning of the write that carried the last content event.
    pub last_content: Option<Nanos>,
    /// Beginning of the write that carried the last byte; for a cancelled request the moment the client was seen gone.
    pub end: Nanos,
    /// Content events.
    pub content_events: u64,
    /// Choices that those events spoke of.
    pub choices: u32,
    /// Nanoseconds between consecutive content events of one choice, in order of arrival. Events that left in one call
    /// left at one moment: the gap between them is 0.
    pub gaps: Vec<u64>,
    /// What the engine made of it, where its messages are seen and were recognised as this request's.
    pub sequences: Vec<Sequence>,
    /// The engine's messages are seen: tokens and inter-token times come from there.
    pub tapped: bool,
    /// What was spoken.
    pub protocol: Protocol,
    /// The status that gRPC adds to HTTP's, where it was seen.
    pub grpc_status: Option<u32>,
    /// The trace that it belongs to.
    pub trace: Option<Caller>,
    /// Where inferences are told of by calls: the request for one that it was.
    pub ask: Option<AskId>,
}

/// Inter-token gaps kept of one request.
pub const MAX_GAPS: usize = 65_536;

/// Who answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The process.
    pub tgid: Tgid,
    /// Its engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
}

/// How a response's body is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In one piece.
    Whole,
    /// As an event stream.
    Streamed,
}

/// How a request came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The response's last byte was sent.
    Answered,
    /// The client went away first.
    ClientLeft,
    /// The server closed the connection first.
    ServerClosed,
    /// Nobody saw.
    Unseen,
}

/// A request under way.
#[derive(Debug)]
pub struct Request {
    origin: Origin,
    path: String,
    arrival: Nanos,
    quality: Quality,
    request_end: Option<Nanos>,
    headers: Option<Nanos>,
    code: u16,
    stream: bool,
    first_event: Option<Nanos>,
    first_content: Option<Nanos>,
    /// The last content event of each choice. A list, because nearly every request has one choice.
    last_contents: Vec<(u8, Nanos)>,
    last_content: Option<Nanos>,
    content_events: u64,
    gaps: Vec<u64>,
    /// The last write.
    written: Option<Nanos>,
    /// The server said that nothing more follows.
    finished: bool,
    /// It has had more gaps than are kept.
    over_bound: bool,
    protocol: Protocol,
    grpc_status: Option<u32>,
}

impl Request {
    /// A request whose first byte came at `arrival`.
    #[must_use]
    pub fn new(origin: Origin, path: String, arrival: Nanos) -> Request {
        Request {
            origin,
            path,
            arrival,
            quality: Quality::Complete,
            request_end: None,
            headers: None,
            code: 0,
            stream: false,
            first_event: None,
            first_content: None,
            last_contents: Vec::new(),
            last_content: None,
            content_events: 0,
            gaps: Vec::new(),
            written: None,
            finished: false,
            over_bound: false,
            protocol: Protocol::Http,
            grpc_status: None,
        }
    }

    /// It is spoken in another protocol than HTTP/1.
    pub fn speaks(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// gRPC's status, behind the answer.
    pub fn grpc_status(&mut self, status: u32) {
        self.grpc_status = Some(status);
    }

    /// Who answers it.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Not all of it was seen. The worst that was ever said stays.
    pub fn mark(&mut self, quality: Quality) {
        self.quality = self.quality.max(quality);
    }

    /// Its last byte was read.
    pub fn request_end(&mut self, time: Nanos) {
        self.request_end = Some(time);
    }

    /// The response's head was sent.
    pub fn headers(&mut self, time: Nanos, code: u16, delivery: Delivery) {
        self.headers = Some(time);
        self.written = Some(time);
        self.code = code;
        self.stream = delivery == Delivery::Streamed;
    }

    /// Bytes of the response's body were sent.
    pub fn written(&mut self, time: Nanos) {
        self.written = Some(time);
    }

    /// An event was sent, and the engine says what it means.
    pub fn event(&mut self, time: Nanos, step: Step, issues: &mut Vec<Issue>) {
        self.first_event.get_or_insert(time);
        match step {
            Step::Ignore | Step::Announce => {}
            Step::Output(choices) => self.content(time, choices, issues),
            Step::Finish => self.finished = true,
        }
    }

    /// From now on nobody reads its content events: what they alone would tell stays unknown.
    pub fn unread(&mut self) {
        self.last_content = None;
        self.last_contents.clear();
        self.content_events = 0;
        self.gaps.clear();
    }

    /// When its first byte came.
    #[must_use]
    pub fn arrival(&self) -> Nanos {
        self.arrival
    }

    /// Whether all of it was received.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.request_end.is_some()
    }

    /// Whether output was sent.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.first_content.is_some()
    }

    /// When bytes were last sent.
    #[must_use]
    pub fn last_written(&self) -> Option<Nanos> {
        self.written
    }

    fn content(&mut self, time: Nanos, choices: Choices, issues: &mut Vec<Issue>) {
        self.first_content.get_or_insert(time);
        self.last_content = Some(time);
        self.content_events = self.content_events.saturating_add(1);
        for choice in choices.iter() {
            let Some((_, last)) = self.last_contents.iter_mut().find(|(index, _)| *index == choice) else {
                self.last_contents.push((choice, time));
                continue;
            };
            let gap = time.since(*last);
            *last = time;
            if self.gaps.len() < MAX_GAPS {
                self.gaps.push(gap);
            } else if !self.over_bound {
                self.over_bound = true;
                issues.push(Issue::GapsOverBound);
            }
        }
    }

    /// It is over at `time`.
    #[must_use]
    pub fn end(self, time: Nanos, ending: Ending, facts: &Facts) -> Record {
        let failed = self.code >= 400 || facts.stream_error || self.grpc_status.is_some_and(|status| status != 0);
        let untold = self.protocol == Protocol::Grpc && self.grpc_status.is_none();
        // Who leaves after the server said its last word leaves an answered request; it ended with that word.
        let (ending, end) = match (ending, self.written) {
            (Ending::ClientLeft | Ending::ServerClosed, Some(written)) if self.finished => (Ending::Answered, written),
            _ => (ending, time),
        };
        let status = match ending {
            Ending::ClientLeft => Status::Cancelled,
            _ if failed => Status::Error,
            Ending::ServerClosed => Status::Error,
            Ending::Answered if untold => Status::Unknown,
            Ending::Answered => Status::Ok,
            Ending::Unseen => Status::Unknown,
        };
        Record {
            tgid: self.origin.tgid,
            engine: self.origin.engine,
            service: self.origin.service.clone(),
            operation: facts.operation,
            path: self.path,
            stream: self.stream,
            model: facts.model.clone().unwrap_or_default(),
            id: facts.id.clone().unwrap_or_default(),
            code: self.code,
            status,
            quality: self.quality,
            usage: facts.usage,
            finish_reason: facts.finish_reason.clone(),
            arrival: self.arrival,
            request_end: self.request_end,
            headers: self.headers,
            first_event: self.first_event,
            first_content: self.first_content,
            last_content: self.last_content,
            end,
            content_events: self.content_events,
            choices: u32::try_from(self.last_contents.len()).unwrap_or(u32::MAX),
            gaps: self.gaps,
            sequences: Vec::new(),
            tapped: false,
            protocol: self.protocol,
            grpc_status: self.grpc_status,
            trace: None,
            ask: None,
        }
    }
}

/// Microseconds, to the nanosecond.
#[allow(clippy::cast_precision_loss)] // exact for 104 days
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}
