//! From what ended to its spans: one for the request, and one for each stage that was seen.
//!
//! Pure: moments of the monotonic clock become wall-clock times by an offset that comes in. Each kind of request is a file
//! that says what is known of it ([`Traceable`]). Holds no text of prompts and answers, because records have none.

mod inference;
mod job;
mod record;
#[cfg(test)]
mod tests;

use super::identifier::{self, Subject};
use crate::event::{Nanos, Tgid};
use crate::request::{Caller, Decision};
use crate::service::Service;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{self as otlp, Span, SpanFlags, span, status};
use std::borrow::Cow;

/// The flag of a recorded trace.
const SAMPLED: u32 = 1;

/// From the monotonic clock to the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub i128);

/// Something that ended, and may become spans.
pub trait Traceable {
    /// What decides whether it does, and as which.
    fn head(&self) -> Head<'_>;

    /// What its spans say.
    fn draft(&self) -> Draft;
}

/// Who did what when, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The server's engine.
    pub engine: &'static str,
    /// The server.
    pub service: &'a Service,
    /// The process that answered.
    pub tgid: Tgid,
    /// The server's id of it, "" where it has none.
    pub id: &'a str,
    /// When it came.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// The trace that it belongs to.
    pub caller: Option<&'a Caller>,
    /// Whether it went well.
    pub result: Result<(), ()>,
}

/// A request before it has ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What was done to what: "chat MODEL".
    pub name: String,
    /// What went wrong, in a word; `None` where nothing did.
    pub error: Option<String>,
    /// Whether that was the server's fault.
    pub fault: Fault,
    /// What is known of it.
    pub attributes: Vec<KeyValue>,
    /// Moments.
    pub moments: Vec<(&'static str, Nanos)>,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// Whose an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server's, which makes a span's status an error.
    Server,
    /// The client's, or nobody's.
    Other,
}

/// A stage of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: Cow<'static, str>,
    /// When it began.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// What is known of it.
    pub attributes: Vec<KeyValue>,
    /// What went wrong in it, in a word.
    pub error: Option<String>,
    /// Its own stages.
    pub stages: Vec<Stage>,
}

/// Where spans belong.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The trace.
    pub trace: [u8; 16],
    /// The request's span.
    pub span: [u8; 8],
    /// The caller, where the spans continue its trace.
    pub parent: Option<&'a Caller>,
    /// The caller, where they only point to it.
    pub link: Option<&'a Caller>,
}

impl<'a> Head<'a> {
    /// What identifies it.
    pub fn subject(&self, boot: &'a str) -> Subject<'a> {
        Subject { boot, tgid: self.tgid, arrival: self.start, end: self.end, id: self.id }
    }
}

impl Offset {
    /// Nanoseconds since 1970.
    #[must_use]
    pub fn wall(self, at: Nanos) -> u64 {
        u64::try_from(i128::from(at.0).saturating_add(self.0)).unwrap_or(0)
    }
}

impl Stage {
    /// A stage of which nothing else is known.
    pub fn new(name: impl Into<Cow<'static, str>>, start: Nanos, end: Nanos) -> Stage {
        Stage { name: name.into(), start, end, ..Stage::default() }
    }
}

impl Draft {
    /// Its spans, the request's first.
    #[must_use]
    pub fn spans(self, Head { start, end, .. }: &Head<'_>, place: &Place<'_>, offset: Offset) -> Vec<Span> {
        let Draft { name, error, fault, attributes, moments, stages } = self;
        let state = place.parent.map(|caller| caller.state.clone()).unwrap_or_default();
        let event = |(name, at): &(&str, Nanos)| span::Event {
            time_unix_nano: offset.wall(*at),
            name: (*name).to_owned(),
            ..span::Event::default()
        };
        let whole = Span {
            trace_id: place.trace.to_vec(),
            span_id: place.span.to_vec(),
            trace_state: state,
            parent_span_id: place.parent.map(|caller| caller.parent.to_vec()).unwrap_or_default(),
            flags: flags(place.parent.is_some()),
            name,
            kind: span::SpanKind::Server.into(),
            start_time_unix_nano: offset.wall(*start),
            end_time_unix_nano: offset.wall(*end.max(start)),
            attributes,
            events: moments.iter().map(event).collect(),
            links: place.link.map(link).into_iter().collect(),
            status: Some(status(error.as_deref().filter(|_| fault == Fault::Server))),
            ..Span::default()
        };
        let mut spans = vec![whole];
        for stage in stages {
            stage.write(place, offset, place.span, &mut spans);
        }
        spans
    }
}

impl Stage {
    /// Appends its span, and those of its own stages.
    fn write(self, place: &Place<'_>, offset: Offset, parent: [u8; 8], spans: &mut Vec<Span>) {
        let Stage { name, start, end, attributes, error, stages } = self;
        // The request's span is the first.
        let id = identifier::part(place.span, spans.len().saturating_sub(1));
        spans.push(Span {
            trace_id: place.trace.to_vec(),
            span_id: id.to_vec(),
            trace_state: place.parent.map(|caller| caller.state.clone()).unwrap_or_default(),
            parent_span_id: parent.to_vec(),
            flags: flags(false),
            name: name.into_owned(),
            kind: span::SpanKind::Internal.into(),
            start_time_unix_nano: offset.wall(start),
            end_time_unix_nano: offset.wall(end.max(start)),
            attributes,
            status: Some(status(error.as_deref())),
            ..Span::default()
        });
        for stage in stages {
            stage.write(place, offset, id, spans);
        }
    }
}

/// A span's name, as the conventions have it: what is done, and by which model where that is known.
fn named(operation: &str, model: &str) -> String {
    if model.is_empty() { operation.to_owned() } else { format!("{operation} {model}") }
}

fn status(error: Option<&str>) -> otlp::Status {
    error.map_or_else(otlp::Status::default, |error| otlp::Status {
        message: error.to_owned(),
        code: status::StatusCode::Error.into(),
    })
}

fn flags(remote_parent: bool) -> u32 {
    let remote = if remote_parent { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    SAMPLED | SpanFlags::ContextHasIsRemoteMask as u32 | remote
}

fn link(caller: &Caller) -> span::Link {
    let recorded = if caller.decision == Decision::Recorded { SAMPLED } else { 0 };
    span::Link {
        trace_id: caller.trace.to_vec(),
        span_id: caller.parent.to_vec(),
        trace_state: caller.state.clone(),
        flags: recorded | SpanFlags::ContextHasIsRemoteMask as u32 | SpanFlags::ContextIsRemoteMask as u32,
        ..span::Link::default()
    }
}

/// Nanoseconds as seconds.
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
