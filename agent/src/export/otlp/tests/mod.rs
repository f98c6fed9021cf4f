//! The whole export against receivers of ours, from the pipeline's side to the wire.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod delivery;
mod faults;
mod gpus;
mod outage;
mod receiver;
mod schema;
mod tapes;

use super::*;
use crate::config::Config;
use crate::engine::{Operation, Usage};
use crate::event::{Nanos, Tgid};
use crate::request::{Caller, Decision, Protocol, Quality, Record, Sequence, Status};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prometheus_client::encoding::text;

const MS: u64 = 1_000_000;
const TRACE: [u8; 16] = [7; 16];
const PARENT: [u8; 8] = [9; 8];

/// An export under test.
struct Export {
    otlp: Otlp,
    spans: Spans,
    metrics: Arc<Metrics>,
}

fn config(otlp: &str) -> Config {
    Config::parse("test", &format!("labels: {{region: eu}}\notlp: {otlp}")).unwrap()
}

fn export(config: &Config, interval: Duration) -> Export {
    let metrics = Arc::new(Metrics::new(config));
    let (otlp, spans) = start_with(config, &metrics, &Known::default(), Some(interval)).unwrap().unwrap();
    Export { otlp, spans, metrics }
}

impl Export {
    /// What the pipeline does with a finished request.
    fn record(&self, record: &Record) {
        let exemplar = self.spans.offer(record);
        self.metrics.record_traced(record, exemplar.as_ref());
    }

    /// The value of a series of the agent's, or 0 where it is not there.
    fn count(&self, series: &str) -> u64 {
        let mut out = String::new();
        text::encode(&mut out, self.metrics.scrape()).unwrap();
        let with_region = series.replacen('{', "{region=\"eu\",", 1);
        let line = out.lines().find_map(|line| line.strip_prefix(&with_region));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }
}

/// A streamed chat of 10 s with one sequence.
fn chat(arrival: u64) -> Record {
    let at = |ms: u64| Some(Nanos(arrival + ms * MS));
    let sequence = Sequence {
        id: "chatcmpl-1-x".into(),
        handed_over: at(2),
        queued: at(3),
        scheduled: at(5),
        first_output: at(150),
        first_received: at(151),
        last_output: at(9_000),
        outputs: 5,
        tokens: 5,
        prompt_tokens: Some(30),
        cached_tokens: Some(16),
        ..Sequence::default()
    };
    Record {
        tgid: Tgid(7),
        engine: "vllm",
        service: "chat".into(),
        operation: Operation::Chat,
        path: "/v1/chat/completions".into(),
        trace: None,
        ask: None,
        protocol: Protocol::Http,
        grpc_status: None,
        stream: true,
        model: "m".into(),
        id: "chatcmpl-1".into(),
        code: 200,
        status: Status::Ok,
        quality: Quality::Complete,
        usage: Usage { prompt: Some(30), cached: None, completion: Some(5) },
        finish_reason: Some("stop".into()),
        arrival: Nanos(arrival),
        request_end: at(0),
        headers: at(1),
        first_event: at(10),
        first_content: at(200),
        last_content: at(9_100),
        end: Nanos(arrival + 10_000 * MS),
        content_events: 5,
        choices: 1,
        gaps: vec![2_000 * MS; 4],
        sequences: vec![sequence],
        tapped: true,
    }
}

fn called(decision: Decision, record: Record) -> Record {
    let caller = Caller { trace: TRACE, parent: PARENT, decision, state: "a=1".into() };
    Record { trace: Some(caller), ..record }
}

/// An attribute's value, as text.
fn value(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(truth) => truth.to_string(),
        Value::ArrayValue(list) => format!("{} values", list.values.len()),
        other => panic!("{other:?}"),
    })
}
