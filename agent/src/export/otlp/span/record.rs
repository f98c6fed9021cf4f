//! A request over HTTP, or one that a program made in its own process.

use super::super::attribute::{fraction, number, text, texts, truth};
use super::{Draft, Fault, Head, Stage, Traceable, named, seconds};
use crate::event::Nanos;
use crate::request::{Quality, Record, Sequence, Status};
use opentelemetry_proto::tonic::common::v1::KeyValue;

/// Sequences of one request that have spans; a request of more is told as a whole.
const SEQUENCES: usize = 16;

impl Traceable for Record {
    fn head(&self) -> Head<'_> {
        Head {
            engine: self.engine,
            service: &self.service,
            tgid: self.tgid,
            id: &self.id,
            start: self.arrival,
            end: self.end,
            caller: self.trace.as_ref(),
            result: if matches!(self.status, Status::Error | Status::Rejected) { Err(()) } else { Ok(()) },
        }
    }

    fn draft(&self) -> Draft {
        let record = self;
        let name = named(record.operation.name(), &record.model);
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
            stages.push(Stage::new("frontend", record.arrival, handed_over));
        }
        for (index, sequence) in record.sequences.iter().enumerate().take(SEQUENCES) {
            stages_of(sequence, index, &mut stages);
        }
        Draft {
            name,
            fault,
            attributes: attributes(record, error.as_deref()),
            error,
            moments: moments.into_iter().flatten().collect(),
            stages,
        }
    }
}

/// What went wrong, in a word of a small set, and whether by the server.
fn error(record: &Record) -> (Option<String>, Fault) {
    match record.status {
        Status::Error | Status::Rejected if record.code >= 500 => (Some(record.code.to_string()), Fault::Server),
        Status::Error | Status::Rejected if record.code >= 400 => (Some(record.code.to_string()), Fault::Other),
        // In the stream, or the connection broke.
        Status::Error | Status::Rejected => (Some("_OTHER".to_owned()), Fault::Server),
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
        stages.push(Stage { attributes, ..Stage::new(name, start, end) });
    }
}
