//! One request: the state machine that holds its times, and the [`Record`] that it ends as.

use crate::engine::{Operation, Usage};
use crate::event::{Nanos, Tgid};

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
}

impl Status {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Error => "error",
            Status::Cancelled => "cancelled",
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
    /// Its service name.
    pub service: String,
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
    /// Return of the read that brought the request's first byte.
    pub arrival: Nanos,
    /// Return of the read that brought the request's last byte.
    pub request_end: Option<Nanos>,
    /// Return of the write that carried the response head.
    pub headers: Option<Nanos>,
    /// Return of the write that carried the first event of any kind.
    pub first_event: Option<Nanos>,
    /// Return of the write that carried the first content event. Only for streamed answers.
    pub first_content: Option<Nanos>,
    /// Return of the write that carried the last content event.
    pub last_content: Option<Nanos>,
    /// Return of the write that carried the last byte; for a cancelled request the moment the client was seen gone.
    pub end: Nanos,
    /// Content events.
    pub content_events: u64,
    /// Nanoseconds between consecutive content events of one choice, in order of arrival.
    pub gaps: Vec<u64>,
}

impl Record {
    /// Nanoseconds from the request's first byte to the answer's last; absent where the beginning was not seen.
    #[must_use]
    pub fn duration(&self) -> Option<u64> {
        (self.quality != Quality::JoinedMidway).then(|| self.end.since(self.arrival))
    }

    /// Time to first token: nanoseconds from the request's first byte to the first content event.
    #[must_use]
    pub fn ttft(&self) -> Option<u64> {
        let first = self.first_content?;
        (self.quality != Quality::JoinedMidway).then(|| first.since(self.arrival))
    }

    /// Time per output token: nanoseconds from the first to the last content event, by the tokens after the first.
    #[must_use]
    pub fn tpot(&self) -> Option<u64> {
        let length = self.last_content?.since(self.first_content?);
        length.checked_div(self.usage.completion?.checked_sub(1)?)
    }
}
