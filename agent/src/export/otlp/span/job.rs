//! A job: a graph that a server works on when its turn comes: it waits, then its nodes are worked on one after the other.

use super::super::attribute::{number, text};
use super::{Draft, Fault, Head, Stage, Traceable, named};
use crate::event::Nanos;
use crate::job::{Ending, Record, Status, Stretch, Turn};
use crate::request::Quality;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use std::cmp::Reverse;

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
            caller: self.trace.as_ref(),
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
        let execution = stage("execute", self.started, Some(self.end));
        let execution = execution.map(|stage| Stage { stages: work(self, error.as_deref()), ..stage });
        let stages = [stage("queue", self.arrival, self.started), execution];
        Draft {
            name: named(OPERATION, &self.model),
            attributes: attributes(self, error.as_deref()),
            fault: if self.status == Status::Error { Fault::Server } else { Fault::Other },
            error,
            moments: self.first_step.map(|at| ("inferscope.first_step", at)).into_iter().collect(),
            stages: stages.into_iter().flatten().collect(),
        }
    }
}

const OPERATION: &str = "generate_content";
/// Turns of nodes that have spans: the longest.
const TURNS: usize = 256;

/// Turns of nodes, and loads of models, in the order in which they began. What tells of them and what tells of the whole work may
/// differ by how late messages leave: parts are never outside of the whole.
fn work(record: &Record, error: Option<&str>) -> Vec<Stage> {
    let mut turns: Vec<&Turn> = record.turns.iter().collect();
    turns.sort_by_key(|turn| Reverse(turn.stretch.nanos()));
    let (began, ended) = (record.started.unwrap_or_default(), record.end);
    let stage =
        |name, Stretch { from, to }: Stretch| Stage::new(name, from.max(began).min(ended), to.max(began).min(ended));
    let node = |turn: &Turn| {
        let Turn { node, class, stretch, ending } = turn;
        let broken = *ending == Ending::Broken && record.status == Status::Error;
        let error = error.filter(|_| broken).map(str::to_owned);
        let class_type = (!class.is_empty()).then(|| text("inferscope.class_type", &**class));
        let said = error.as_deref().map(|error| text("error.type", error));
        let attributes = [Some(text("inferscope.node", &**node)), class_type, said].into_iter().flatten().collect();
        let name = if class.is_empty() { "node".to_owned() } else { format!("node {class}") };
        Stage { attributes, error, ..stage(name, *stretch) }
    };
    let nodes = turns.into_iter().take(TURNS).map(node);
    let loads = record.loads.iter().map(|load| stage("load models".to_owned(), *load));
    let mut work: Vec<Stage> = nodes.chain(loads).collect();
    work.sort_by_key(|stage| stage.start);
    work
}

fn attributes(record: &Record, error: Option<&str>) -> Vec<KeyValue> {
    let filled = |key: &'static str, value: &str| (!value.is_empty()).then(|| text(key, value));
    let counts = [
        ("inferscope.steps", record.steps),
        ("inferscope.images", record.images),
        ("inferscope.nodes", (!record.turns.is_empty()).then_some(record.turns.len() as u64)),
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
