//! A finished job, what follows from it, and its line in a file of records.
//!
//! # How long it took
//! The server times a job from the moment in which its worker takes it to the moment in which it writes that it is over,
//! and writes that time rounded. The end is the write of that line. The beginning is where a message says it, moved into
//! the range that the rounded time allows (a message leaves late while the server computes); without messages, the moment
//! from which the worker was free, where that lies in the range, else the range's middle. Where no lines are read, it is
//! from the first message to the last, else what the server answers of it later.

use super::nodes::{self, NodeTime, Turn};
use super::times::Times;
use super::{Job, Removed, Stretch, Watched};
use crate::engine::job::{Graph, Outcome, Past};
use crate::event::{Nanos, Tgid};
use crate::request::{Caller, Quality};
use crate::service::Service;
use serde_json::{Value, json};
use std::sync::Arc;

/// A finished job. Immutable; holds no text. Absent where not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The process that worked.
    pub tgid: Tgid,
    /// Its engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
    /// The server's name for it, "" where nothing said it.
    pub id: String,
    /// Stands for the class types of its graph, "" where not all are known.
    pub workflow: String,
    /// What its graph loads, "" where not known.
    pub model: String,
    /// How it came out.
    pub status: Status,
    /// The exception's name, where it failed and it is known.
    pub error: Option<String>,
    /// How much of it was seen.
    pub quality: Quality,
    /// What its steps rest on.
    pub source: Source,
    /// The trace that it belongs to.
    pub trace: Option<Caller>,
    /// Return of the read that brought its request's first byte.
    pub arrival: Option<Nanos>,
    /// Beginning of the work.
    pub started: Option<Nanos>,
    /// End of the first sampler step.
    pub first_step: Option<Nanos>,
    /// Its end, or when it was given up.
    pub end: Nanos,
    /// Nanoseconds of work.
    pub took: Option<u64>,
    /// Sampler steps.
    pub steps: Option<u64>,
    /// Times between them.
    pub gaps: Vec<Gap>,
    /// Turns of nodes, as they came.
    pub turns: Vec<Turn>,
    /// Nodes that needed no work.
    pub cached: Option<u64>,
    /// Models were loaded then.
    pub loads: Vec<Stretch>,
    /// Images made.
    pub images: Option<u64>,
    /// What their number rests on.
    pub images_from: ImagesFrom,
}

/// How a job ended: label value `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Well.
    Success,
    /// With an exception.
    Error,
    /// Interrupted while it was worked on.
    Interrupted,
    /// Taken out of the queue.
    Cancelled,
    /// The end was not seen: see [`Quality`].
    Unknown,
}

impl Status {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Error => "error",
            Status::Interrupted => "interrupted",
            Status::Cancelled => "cancelled",
            Status::Unknown => "unknown",
        }
    }
}

/// What tells of a job's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Messages to a watching client.
    Messages,
    /// Lines of the server's process.
    Log,
    /// What the server answered later.
    History,
    /// Nothing.
    None,
}

impl Source {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Source::Messages => "messages",
            Source::Log => "log",
            Source::History => "history",
            Source::None => "none",
        }
    }
}

/// What a number of images rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagesFrom {
    /// The outputs that the server named.
    Outputs,
    /// The nodes of the graph that make images: what is cached is not known.
    Graph,
}

impl ImagesFrom {
    /// In records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            ImagesFrom::Outputs => "outputs",
            ImagesFrom::Graph => "graph",
        }
    }
}

/// Time between steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The sampler's name, "" where not known.
    pub sampler: Arc<str>,
    /// So many steps at once: a bar is not drawn for every step.
    pub steps: u64,
    /// Nanoseconds for all of them.
    pub nanos: u64,
}

impl Gap {
    /// Nanoseconds of one step.
    #[must_use]
    pub fn mean(&self) -> u64 {
        self.nanos.checked_div(self.steps).unwrap_or(self.nanos)
    }
}

impl Job {
    /// The job is over, or given up at `now`.
    #[must_use]
    pub fn end(self, now: Nanos) -> Record {
        let outcome = self.outcome();
        let Times { started, end, took } = self.times(now);
        let Job { origin, id, asked, watched, worked, past, removed, .. } = self;
        let (status, error) = match outcome {
            _ if removed == Removed::Yes => (Status::Cancelled, None),
            Some(Outcome::Success) => (Status::Success, None),
            Some(Outcome::Error(kind)) => (Status::Error, Some(kind).filter(|kind| !kind.is_empty())),
            Some(Outcome::Interrupted) => (Status::Interrupted, None),
            None => (Status::Unknown, None),
        };
        let graph = asked.as_ref().map(|asked| &asked.graph);
        let cached = watched.cached.as_ref().or(past.as_ref().and_then(|past| past.cached.as_ref()));
        let (images, images_from) = images(&watched, past.as_ref(), cached, graph, status);
        let cached = cached.map(|cached| cached.len() as u64);
        let run = worked.map(|worked| worked.run).unwrap_or_default();
        // A client may leave in the middle: then the lines know more.
        let whole = watched.outcome.is_some() || watched.steps.total > run.steps.total;
        let source = match started {
            _ if whole => Source::Messages,
            Some(_) => Source::Log,
            None if past.is_some() => Source::History,
            None => Source::None,
        };
        let mut gaps = if whole { watched.steps.gaps.clone() } else { run.steps.gaps.clone() };
        let steps = if whole { &watched.steps } else { &run.steps };
        if let Some(sampler) = graph.and_then(Graph::only_sampler).filter(|_| !whole) {
            gaps.iter_mut().for_each(|gap| gap.sampler = Arc::clone(&sampler));
        }
        let told = matches!(source, Source::Messages | Source::Log);
        Record {
            tgid: origin.tgid,
            engine: origin.engine,
            service: origin.service,
            id,
            workflow: graph.map(|graph| graph.workflow.clone()).unwrap_or_default(),
            model: graph.map(|graph| graph.model.clone()).unwrap_or_default(),
            status,
            error,
            quality: self.quality,
            source,
            trace: asked.as_ref().and_then(|asked| asked.handover.trace.clone()),
            arrival: asked.as_ref().map(|asked| asked.handover.arrival),
            started,
            first_step: steps.first,
            end,
            took,
            steps: told.then_some(steps.total),
            gaps,
            turns: watched.nodes.turns().to_vec(),
            cached,
            loads: run.loads,
            images,
            images_from,
        }
    }

    /// How it came out: as messages say, else as the server answered later, else as lines say.
    fn outcome(&self) -> Option<Outcome> {
        let answered = self.past.as_ref().and_then(|past| past.outcome.clone());
        let said = self.watched.outcome.clone().or(answered);
        let worked = self.worked.as_ref();
        said.or_else(|| worked.map(|worked| worked.run.outcome.clone().unwrap_or(Outcome::Success)))
    }
}

/// Images that were made: cached outputs are named as well, but are those of an earlier job.
fn images(
    watched: &Watched,
    past: Option<&Past>,
    cached: Option<&Vec<String>>,
    graph: Option<&Graph>,
    status: Status,
) -> (Option<u64>, ImagesFrom) {
    let made = |node: &String| cached.is_none_or(|cached| !cached.contains(node));
    let sum = |images: &mut dyn Iterator<Item = (&String, u64)>| {
        images.filter(|(node, _)| made(node)).fold(0, |sum: u64, (_, images)| sum.saturating_add(images))
    };
    if watched.outcome.is_some() {
        return (Some(sum(&mut watched.images.iter().map(|(node, images)| (node, *images)))), ImagesFrom::Outputs);
    }
    if let Some(past) = past {
        return (Some(sum(&mut past.images.iter().map(|(node, images)| (node, *images)))), ImagesFrom::Outputs);
    }
    (graph.filter(|_| status == Status::Success).and_then(|graph| graph.images), ImagesFrom::Graph)
}

impl Record {
    /// Nanoseconds from arrival to the beginning of the work.
    #[must_use]
    pub fn queue(&self) -> Option<u64> {
        Some(self.started?.since(self.arrival.filter(|_| self.complete())?))
    }

    /// Nanoseconds of work.
    #[must_use]
    pub fn duration(&self) -> Option<u64> {
        self.took.filter(|_| self.complete())
    }

    /// Nanoseconds from arrival to the end of the first step.
    #[must_use]
    pub fn to_first_step(&self) -> Option<u64> {
        Some(self.first_step?.since(self.arrival.filter(|_| self.complete())?))
    }

    /// How long each node took that came to its end.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeTime> {
        nodes::times(&self.turns)
    }

    /// Whether all of it was seen.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.quality == Quality::Complete
    }

    /// The record as one JSON object. Times are microseconds after the arrival, where that was not seen after the beginning
    /// of the work; what was not seen is null.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let zero = self.arrival.or(self.started).unwrap_or(self.end);
        let offset = |time: Nanos| micros(time.since(zero));
        let gap = |gap: &Gap| json!({"sampler": &*gap.sampler, "steps": gap.steps, "us": micros(gap.nanos)});
        let node = |node: &NodeTime| json!({"class_type": &*node.class, "us": micros(node.nanos)});
        json!({
            "record": "job",
            "tgid": self.tgid.0,
            "engine": self.engine,
            "service": &*self.service,
            "id": self.id,
            "workflow": self.workflow,
            "model": self.model,
            "status": self.status.name(),
            "error": self.error,
            "quality": self.quality.name(),
            "source": self.source.name(),
            "arrival_ns": self.arrival.map(|time| time.0),
            "started_us": self.started.map(offset),
            "first_step_us": self.first_step.map(offset),
            "end_us": offset(self.end),
            "duration_us": self.took.map(micros),
            "steps": self.steps,
            "gaps": self.gaps.iter().map(gap).collect::<Vec<_>>(),
            "nodes": self.nodes().iter().map(node).collect::<Vec<_>>(),
            "cached": self.cached,
            "loads_us": self.loads.iter().map(|load| micros(load.nanos())).collect::<Vec<_>>(),
            "images": self.images,
            "images_from": self.images.map(|_| self.images_from.name()),
        })
    }
}

/// Microseconds, to the nanosecond.
#[allow(clippy::cast_precision_loss)] // exact for 104 days
fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1000.0
}
