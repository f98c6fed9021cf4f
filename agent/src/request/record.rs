//! What follows from a [`Record`]: latencies, and its line in a file of records.
//!
//! A latency is given only of a request that was seen whole. Text never stood in a record, so a line holds none.

use super::{Quality, Record, Sequence, micros};
use crate::engine::report::Finish;
use crate::event::Nanos;
use serde_json::{Value, json};

impl Record {
    /// Nanoseconds from arrival to end.
    #[must_use]
    pub fn duration(&self) -> Option<u64> {
        self.complete().then(|| self.end.since(self.arrival))
    }

    /// Time to first token: nanoseconds from arrival to the first content event; where the answer is not streamed, to the
    /// engine's first output.
    #[must_use]
    pub fn ttft(&self) -> Option<u64> {
        let output = self.first_received().filter(|_| !self.stream && self.operation.generates());
        self.first_content.or(output).filter(|_| self.complete()).map(|first| first.since(self.arrival))
    }

    /// Nanoseconds from arrival to the first hand-over to the engine.
    #[must_use]
    pub fn frontend(&self) -> Option<u64> {
        // A sequence without a request was born when it was handed over.
        let handed_over = self.sequences.iter().filter_map(|sequence| sequence.handed_over).min();
        handed_over.filter(|_| self.complete() && !self.path.is_empty()).map(|time| time.since(self.arrival))
    }

    /// Nanoseconds from the engine's message with the first output to the first content event. Only of streamed answers.
    #[must_use]
    pub fn detokenize(&self) -> Option<u64> {
        Some(self.first_content.filter(|_| self.complete())?.since(self.first_received()?))
    }

    fn first_received(&self) -> Option<Nanos> {
        self.sequences.iter().filter_map(|sequence| sequence.first_received).min()
    }

    /// Time per output token: nanoseconds from the first content event to the last, by the tokens after the first. Needs
    /// the server's own token count, because an event is not a token, and a single choice, because the count is of all.
    /// Where the answer is not streamed: from the engine's first output to its last.
    #[must_use]
    pub fn tpot(&self) -> Option<u64> {
        if !self.complete() {
            return None;
        }
        let engine = if let [sequence] = self.sequences.as_slice() { Some(sequence) } else { None };
        if self.choices != 1 || self.last_content.is_none() {
            return engine?.per_token();
        }
        let tokens = engine.filter(|sequence| !sequence.partial).map(|sequence| sequence.tokens);
        let steps = self.usage.completion.or(tokens)?.checked_sub(1)?;
        self.last_content?.since(self.first_content?).checked_div(steps)
    }

    /// The record as one JSON object. Times are microseconds after the arrival; what was not seen is null.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let offset = |time: Nanos| micros(time.since(self.arrival));
        json!({
            "tgid": self.tgid.0,
            "engine": self.engine,
            "service": self.service,
            "operation": self.operation.name(),
            "path": self.path,
            "stream": self.stream,
            "model": self.model,
            "id": self.id,
            "code": self.code,
            "status": self.status.name(),
            "quality": self.quality.name(),
            "prompt_tokens": self.usage.prompt,
            "cached_tokens": self.usage.cached,
            "completion_tokens": self.usage.completion,
            "finish_reason": self.finish_reason,
            "arrival_ns": self.arrival.0,
            "request_end_us": self.request_end.map(offset),
            "headers_us": self.headers.map(offset),
            "first_event_us": self.first_event.map(offset),
            "first_content_us": self.first_content.map(offset),
            "last_content_us": self.last_content.map(offset),
            "end_us": offset(self.end),
            "content_events": self.content_events,
            "choices": self.choices,
            "sequences": self.sequences.iter().map(|sequence| self.sequence(sequence)).collect::<Vec<_>>(),
            "gaps_us": self.gaps.iter().copied().map(micros).collect::<Vec<_>>(),
        })
    }

    fn sequence(&self, sequence: &Sequence) -> Value {
        let offset = |time: Nanos| micros(time.since(self.arrival));
        json!({
            "id": sequence.id,
            "handed_over_us": sequence.handed_over.map(offset),
            "queued_us": sequence.queued.map(offset),
            "scheduled_us": sequence.scheduled.map(offset),
            "first_output_us": sequence.first_output.map(offset),
            "first_received_us": sequence.first_received.map(offset),
            "last_output_us": sequence.last_output.map(offset),
            "outputs": sequence.outputs,
            "tokens": sequence.tokens,
            "wasted_tokens": sequence.wasted,
            "prompt_tokens": sequence.prompt_tokens,
            "cached_tokens": sequence.cached_tokens,
            "preemptions": sequence.preemptions,
            "finish_reason": sequence.finish.map(Finish::name),
            "aborted_us": sequence.aborted.map(offset),
            "partial": sequence.partial,
        })
    }

    fn complete(&self) -> bool {
        self.quality == Quality::Complete
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use crate::engine::{Choices, Facts, Step, Usage};
    use crate::event::{Nanos, Tgid};
    use crate::request::{Delivery, Ending, MAX_GAPS, Origin, Quality, Record, Request, Status};

    fn request() -> Request {
        let origin = Origin { tgid: Tgid(7), engine: "vllm", service: "vllm:8000".into() };
        let mut request = Request::new(origin, "/v1/completions".into(), Nanos(1_000));
        request.headers(Nanos(2_000), 200, Delivery::Streamed);
        for time in [5_000, 6_500, 9_000] {
            request.event(Nanos(time), Step::Output(Choices::of(0)), &mut Vec::new());
        }
        request
    }

    fn record(change: impl FnOnce(&mut Request), completion: Option<u64>) -> Record {
        let mut request = request();
        change(&mut request);
        let usage = Usage { completion, ..Usage::default() };
        request.end(Nanos(9_250), Ending::Answered, &Facts { usage, ..Facts::default() })
    }

    #[test]
    fn latencies_are_of_complete_records_only() {
        let derived = |record: &Record| (record.duration(), record.ttft(), record.tpot());
        assert_eq!(derived(&record(|_| {}, Some(5))), (Some(8_250), Some(4_000), Some(1_000)));
        assert_eq!(derived(&record(|_| {}, Some(1))), (Some(8_250), Some(4_000), None));
        assert_eq!(derived(&record(|_| {}, Some(0))), (Some(8_250), Some(4_000), None));
        assert_eq!(derived(&record(|_| {}, None)), (Some(8_250), Some(4_000), None));
        let two = |request: &mut Request| request.event(Nanos(9_100), Step::Output(Choices::of(1)), &mut Vec::new());
        assert_eq!(derived(&record(two, Some(5))), (Some(8_250), Some(4_000), None));
        for quality in [Quality::Gap, Quality::JoinedMidway, Quality::Truncated] {
            assert_eq!(derived(&record(|request| request.mark(quality), Some(5))), (None, None, None));
        }
    }

    #[test]
    fn gaps_are_bounded_and_events_are_not() {
        let mut issues = Vec::new();
        let mut request = request();
        for _ in 0..=MAX_GAPS {
            request.event(Nanos(10_000), Step::Output(Choices::of(0)), &mut issues);
        }
        let record = request.end(Nanos(10_000), Ending::Answered, &Facts::default());
        assert_eq!((record.gaps.len(), record.content_events), (MAX_GAPS, MAX_GAPS as u64 + 4));
        assert_eq!(issues.len(), 1);
        assert_eq!(record.status, Status::Ok);
    }

    #[test]
    fn a_line_has_times_after_the_arrival() {
        let line = record(|_| {}, Some(5)).to_json();
        assert_eq!(line["arrival_ns"], 1000);
        assert_eq!(line["first_content_us"], 4.0);
        assert_eq!(line["end_us"], 8.25);
        assert_eq!(line["gaps_us"], serde_json::json!([1.5, 2.5]));
        assert!(line["request_end_us"].is_null() && line["prompt_tokens"].is_null());
    }
}
