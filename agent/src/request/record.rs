//! What follows from a [`Record`]: latencies, and its line in a file of records.
//!
//! A latency is given only of a request that was seen whole. Text never stood in a record, so a line holds none.

use super::{Quality, Record};
use crate::event::Nanos;
use serde_json::{Value, json};

impl Record {
    /// Nanoseconds from arrival to end.
    #[must_use]
    pub fn duration(&self) -> Option<u64> {
        self.complete().then(|| self.end.since(self.arrival))
    }

    /// Time to first token: nanoseconds from arrival to the first content event. Only of streamed answers.
    #[must_use]
    pub fn ttft(&self) -> Option<u64> {
        self.first_content.filter(|_| self.complete()).map(|first| first.since(self.arrival))
    }

    /// Time per output token: nanoseconds from the first content event to the last, by the tokens after the first. Needs
    /// the server's own token count, because an event is not a token, and a single choice, because the count is of all.
    #[must_use]
    pub fn tpot(&self) -> Option<u64> {
        if !self.complete() || self.choices != 1 {
            return None;
        }
        let steps = self.usage.completion?.checked_sub(1)?;
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
            "gaps_us": self.gaps.iter().copied().map(micros).collect::<Vec<_>>(),
        })
    }

    fn complete(&self) -> bool {
        self.quality == Quality::Complete
    }
}

/// Microseconds, to the nanosecond.
#[allow(clippy::cast_precision_loss)] // exact for 104 days
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
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
