//! A job: a graph that a server works on when its turn comes. Its nodes have times and no beginnings, so they are no spans.

use super::super::attribute::{number, text};
use super::{Draft, Fault, Head, Stage, Traceable};
use crate::event::Nanos;
use crate::job::{Record, Status};
use crate::request::Quality;
use opentelemetry_proto::tonic::common::v1::KeyValue;

impl Traceable for Record {
    /// It begins when it is asked for, where that was seen.
    fn head(&self) -> Head<'_> {
        Head {
            engine: self.engine,
            service: &self.service,
            tgid: self.tgid,
            id: &self.id,
            start: self.arrival.or(self.started).unwrap_or(self.end),
            end: self.end,
            caller: None,
            result: if self.status == Status::Error { Err(()) } else { Ok(()) },
        }
    }

    fn draft(&self) -> Draft {
        let error = match self.status {
            Status::Error => Some(self.error.clone().unwrap_or_else(|| "_OTHER".to_owned())),
            Status::Interrupted | Status::Cancelled => Some(self.status.name().to_owned()),
            Status::Success | Status::Unknown => None,
        };
        let stage = |name, start: Option<Nanos>, end: Option<Nanos>| Some(Stage::new(name, start?, end?));
        let stages = [stage("queue", self.arrival, self.started), stage("execute", self.started, Some(self.end))];
        Draft {
            name: if self.model.is_empty() { OPERATION.to_owned() } else { format!("{OPERATION} {}", self.model) },
            attributes: attributes(self, error.as_deref()),
            fault: if self.status == Status::Error { Fault::Server } else { Fault::Other },
            error,
            moments: self.first_step.map(|at| ("inferscope.first_step", at)).into_iter().collect(),
            stages: stages.into_iter().flatten().collect(),
        }
    }
}

const OPERATION: &str = "generate_content";

fn attributes(record: &Record, error: Option<&str>) -> Vec<KeyValue> {
    let filled = |key: &'static str, value: &str| (!value.is_empty()).then(|| text(key, value));
    let counts = [
        ("inferscope.steps", record.steps),
        ("inferscope.images", record.images),
        ("inferscope.nodes_cached", record.cached),
    ];
    let mut all = vec![
        text("gen_ai.operation.name", OPERATION),
        text("gen_ai.provider.name", record.engine),
        text("inferscope.status", record.status.name()),
    ];
    all.extend(filled("gen_ai.request.model", &record.model));
    all.extend(filled("gen_ai.response.id", &record.id));
    all.extend(filled("inferscope.workflow", &record.workflow));
    all.extend(counts.into_iter().filter_map(|(key, value)| Some(number(key, value?))));
    all.extend(error.map(|error| text("error.type", error)));
    if record.quality != Quality::Complete {
        all.push(text("inferscope.quality", record.quality.name()));
    }
    all
}
