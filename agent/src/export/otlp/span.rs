//! From a finished request to its spans: one for the request, and one for each stage that was seen.
//!
//! Pure: moments of the monotonic clock become wall-clock times by an offset that comes in. Holds no text of prompts and
//! answers, because a record has none.

use super::attribute::{fraction, number, text, texts, truth};
use super::identifier::{self, Subject};
use crate::event::Nanos;
use crate::request::{Caller, Decision, Quality, Record, Sequence, Status};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{self as otlp, Span, SpanFlags, span, status};

/// Sequences of one request that have spans; a request of more is told as a whole.
const SEQUENCES: usize = 16;

/// The flag of a recorded trace.
const SAMPLED: u32 = 1;

/// From the monotonic clock to the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset(pub i128);

/// A request before it has ids.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What was done to what: "chat MODEL".
    pub name: String,
    /// When it came.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
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
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// When it began.
    pub start: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// What is known of it.
    pub attributes: Vec<KeyValue>,
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

impl Offset {
    /// Nanoseconds since 1970.
    #[must_use]
    pub fn wall(self, at: Nanos) -> u64 {
        u64::try_from(i128::from(at.0).saturating_add(self.0)).unwrap_or(0)
    }
}

impl Draft {
    /// Of a request over HTTP, or one that a program made in its own process.
    #[must_use]
    pub fn of(record: &Record) -> Draft {
        let operation = record.operation.name();
        let name = if record.model.is_empty() { operation.to_owned() } else { format!("{operation} {}", record.model) };
        let (error, fault) = error(record);
        let moment = |name, at: Option<Nanos>| at.map(|at| (name, at));
        let moments = [
            moment("inferscope.request_read", record.request_end),
            moment("inferscope.headers_written", record.headers),
            moment("inferscope.first_content", record.first_content),
            moment("inferscope.last_content", record.last_content),
        ];
        let mut stages = Vec::new();
        if let Some(handed_over) = record.frontend().map(|nanos| Nanos(record.arrival.0.saturating_add(nanos))) {
            stages.push(Stage { name: "frontend", start: record.arrival, end: handed_over, attributes: Vec::new() });
        }
        for (index, sequence) in record.sequences.iter().enumerate().take(SEQUENCES) {
            stages_of(sequence, index, &mut stages);
        }
        Draft {
            name,
            start: record.arrival,
            end: record.end,
            fault,
            attributes: attributes(record, error.as_deref()),
            error,
            moments: moments.into_iter().flatten().collect(),
            stages,
        }
    }

    /// Its spans, the request's first.
    #[must_use]
    pub fn spans(self, place: &Place<'_>, offset: Offset) -> Vec<Span> {
        let Draft { name, start, end, error, fault, attributes, moments, stages } = self;
        let state = place.parent.map(|caller| caller.state.clone()).unwrap_or_default();
        let event = |(name, at): &(&str, Nanos)| span::Event {
            time_unix_nano: offset.wall(*at),
            name: (*name).to_owned(),
            ..span::Event::default()
        };
        let status = match (&error, fault) {
            (Some(error), Fault::Server) => otlp::Status { message: error.clone(), code: status::StatusCode::Error.into() },
            _ => otlp::Status::default(),
        };
        let whole = Span {
            trace_id: place.trace.to_vec(),
            span_id: place.span.to_vec(),
            trace_state: state.clone(),
            parent_span_id: place.parent.map(|caller| caller.parent.to_vec()).unwrap_or_default(),
            flags: flags(place.parent.is_some()),
            name,
            kind: span::SpanKind::Server.into(),
            start_time_unix_nano: offset.wall(start),
            end_time_unix_nano: offset.wall(end.max(start)),
            attributes,
            events: moments.iter().map(event).collect(),
            links: place.link.map(link).into_iter().collect(),
            status: Some(status),
            ..Span::default()
        };
        let part = |(number, stage): (usize, Stage)| Span {
            trace_id: place.trace.to_vec(),
            span_id: identifier::part(place.span, number).to_vec(),
            trace_state: state.clone(),
            parent_span_id: place.span.to_vec(),
            flags: flags(false),
            name: stage.name.to_owned(),
            kind: span::SpanKind::Internal.into(),
            start_time_unix_nano: offset.wall(stage.start),
            end_time_unix_nano: offset.wall(stage.end.max(stage.start)),
            attributes: stage.attributes,
            status: Some(otlp::Status::default()),
            ..Span::default()
        };
        let parts: Vec<Span> = stages.into_iter().enumerate().map(part).collect();
        std::iter::once(whole).chain(parts).collect()
    }
}

/// What identifies a request.
pub fn subject<'a>(record: &'a Record, boot: &'a str) -> Subject<'a> {
    Subject { boot, tgid: record.tgid, arrival: record.arrival, end: record.end, id: &record.id }
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

/// What went wrong, in a word of a small set, and whether by the server.
fn error(record: &Record) -> (Option<String>, Fault) {
    match record.status {
        Status::Error if record.code >= 500 => (Some(record.code.to_string()), Fault::Server),
        Status::Error if record.code >= 400 => (Some(record.code.to_string()), Fault::Other),
        // In the stream, or the connection broke.
        Status::Error => (Some("_OTHER".to_owned()), Fault::Server),
        Status::Cancelled => (Some("cancelled".to_owned()), Fault::Other),
        Status::Ok | Status::Unknown => (None, Fault::Other),
    }
}

fn attributes(record: &Record, error: Option<&str>) -> Vec<KeyValue> {
    let Record { sequences, usage, .. } = record;
    let whole = !sequences.is_empty() && sequences.iter().all(|sequence| !sequence.partial);
    let sum = |of: fn(&Sequence) -> u64| whole.then(|| sequences.iter().map(of).fold(0, u64::saturating_add));
    // Choices share a prompt: it was asked with once.
    let prompt = sequences.iter().filter(|sequence| !sequence.partial).find_map(|sequence| sequence.prompt_tokens);
    let cached = sequences.iter().filter(|sequence| !sequence.partial).find_map(|sequence| sequence.cached_tokens);
    let single = sequences.len() == 1;
    let counts = [
        ("gen_ai.usage.input_tokens", usage.prompt.or(prompt.filter(|_| single))),
        ("gen_ai.usage.cache_read.input_tokens", usage.cached.or(cached.filter(|_| single))),
        ("gen_ai.usage.output_tokens", usage.completion.or_else(|| sum(|sequence| sequence.tokens))),
        ("http.response.status_code", (record.code != 0).then_some(u64::from(record.code))),
    ];
    let filled = |key: &'static str, value: &str| (!value.is_empty()).then(|| text(key, value));
    let mut all = vec![
        text("gen_ai.operation.name", record.operation.name()),
        text("gen_ai.provider.name", record.engine),
        truth("gen_ai.request.stream", record.stream),
        text("inferscope.status", record.status.name()),
    ];
    all.extend(filled("gen_ai.request.model", &record.model));
    all.extend(filled("gen_ai.response.model", &record.model).filter(|_| !record.id.is_empty()));
    all.extend(filled("gen_ai.response.id", &record.id));
    all.extend(filled("url.path", &record.path));
    all.extend(counts.into_iter().filter_map(|(key, value)| Some(number(key, value?))));
    all.extend(record.finish_reason.as_deref().map(|reason| texts("gen_ai.response.finish_reasons", [reason])));
    all.extend(record.ttft().map(|nanos| fraction("gen_ai.response.time_to_first_chunk", seconds(nanos))));
    all.extend(error.map(|error| text("error.type", error)));
    if record.quality != Quality::Complete {
        all.push(text("inferscope.quality", record.quality.name()));
    }
    all
}

/// The engine's stages of a sequence, by its own stamps; none of one that was not seen whole.
fn stages_of(sequence: &Sequence, index: usize, stages: &mut Vec<Stage>) {
    if sequence.partial {
        return;
    }
    let Sequence { handed_over, queued, scheduled, first_output, last_output, .. } = sequence;
    let about = || vec![number("inferscope.sequence", u64::try_from(index).unwrap_or(u64::MAX))];
    for (name, start, end) in [
        ("dispatch", handed_over, queued),
        ("queue", queued, scheduled),
        ("prefill", scheduled, first_output),
        ("decode", first_output, last_output),
    ] {
        let (Some(start), Some(end)) = (*start, *end) else { continue };
        let mut attributes = about();
        if name == "decode" {
            attributes.push(number("gen_ai.usage.output_tokens", sequence.tokens));
            attributes.push(number("inferscope.preemptions", sequence.preemptions));
        }
        stages.push(Stage { name, start, end, attributes });
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
