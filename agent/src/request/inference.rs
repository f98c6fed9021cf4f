//! One inference: what a server's library makes of a request for one model, whichever way it came.
//!
//! The moments are those of calls; the stages of its execution are the executing backend's own stamps. [`crate::core`] fills
//! it in, and it never changes once it has ended. Holds no inputs and no outputs.

use super::ask::Asked;
use super::{Origin, Quality, Status, micros};
use crate::engine::inference::Fault;
use crate::event::Nanos;
use serde_json::{Value, json};

/// An inference. Absent is what was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// The process that computes it.
    pub origin: Origin,
    /// The thread that made the request.
    pub thread: u32,
    /// Model, "" where its name was not seen.
    pub model: String,
    /// The model's version, where the request asked for one.
    pub version: Option<u64>,
    /// The request's id, as its client chose it; "" where it chose none.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// What failed, by the server's own code.
    pub fault: Option<Fault>,
    /// How much of it was seen.
    pub quality: Quality,
    /// How its answer was sent.
    pub answer: Answer,
    /// When the request was made: a front end has read its client's by then.
    pub arrival: Nanos,
    /// When it was handed to the server, which puts it into the model's queue.
    pub submitted: Option<Nanos>,
    /// When an instance was first called to execute it.
    pub executed: Option<Nanos>,
    /// Its execution, where its backend reported that it went well.
    pub execution: Option<Execution>,
    /// Requests in the batch that it was executed in.
    pub batch: Option<u64>,
    /// Which instance of its model that was.
    pub instance: Option<u32>,
    /// When it was no longer wanted.
    pub cancelled: Option<Nanos>,
    /// When the first response was sent.
    pub first_response: Option<Nanos>,
    /// When the last response was sent.
    pub last_response: Option<Nanos>,
    /// Responses.
    pub responses: u64,
    /// Nanoseconds between consecutive responses, the first ones up to a bound.
    pub gaps: Vec<u64>,
    /// When it was said that nothing more follows; else when the request's object was deleted.
    pub end: Nanos,
    /// An engine inside the same server tells of the work itself: what it generates is counted there.
    pub tapped: bool,
    /// How it came, as far as that is known.
    pub asked: Option<Asked>,
}

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As one response.
    Whole,
    /// As one response, by a model that may send many.
    WholeOfDecoupled,
    /// As a series of responses.
    Streamed,
}

/// The stages of an execution, as its backend stamped them. In Triton's words: compute input, infer, and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// When it began, where the backend's clock is ours.
    pub begin: Option<Nanos>,
    /// Nanoseconds that inputs were gathered.
    pub input: u64,
    /// Nanoseconds of computation.
    pub infer: u64,
    /// Nanoseconds that outputs were handed out.
    pub output: u64,
    /// When the backend said so.
    pub reported: Nanos,
}

impl Answer {
    /// Whether the model may send any number of responses.
    #[must_use]
    pub const fn is_decoupled(self) -> bool {
        matches!(self, Answer::WholeOfDecoupled | Answer::Streamed)
    }
}

impl Inference {
    /// A request that was made at `arrival`.
    #[must_use]
    pub fn new(origin: Origin, thread: u32, arrival: Nanos) -> Inference {
        Inference {
            origin,
            thread,
            model: String::new(),
            version: None,
            id: String::new(),
            status: Status::Unknown,
            fault: None,
            quality: Quality::Complete,
            answer: Answer::Whole,
            arrival,
            submitted: None,
            executed: None,
            execution: None,
            batch: None,
            instance: None,
            cancelled: None,
            first_response: None,
            last_response: None,
            responses: 0,
            gaps: Vec::new(),
            end: arrival,
            tapped: false,
            asked: None,
        }
    }

    /// Nanoseconds from the request to the end.
    #[must_use]
    pub fn duration(&self) -> Option<u64> {
        self.complete().then(|| self.end.since(self.arrival))
    }

    /// When it last gave a sign.
    #[must_use]
    pub fn last_sign(&self) -> Nanos {
        self.last_response.or(self.executed).or(self.submitted).unwrap_or(self.arrival)
    }

    /// Nanoseconds in the model's queue: from the hand-over until its execution began. Of those that were executed well.
    #[must_use]
    pub fn queue(&self) -> Option<u64> {
        let executed = self.executed.filter(|_| self.execution.is_some() || self.status == Status::Ok)?;
        let begin = self.execution.and_then(|execution| execution.begin).unwrap_or(executed);
        self.submitted.filter(|_| self.complete()).map(|submitted| begin.since(submitted))
    }

    /// Nanoseconds that the front end took to receive it: from its client's first byte until it was made.
    #[must_use]
    pub fn receiving(&self) -> Option<u64> {
        let by = self.asked.as_ref()?.by.as_ref().filter(|_| self.complete())?;
        Some(self.arrival.since(by.arrival))
    }

    /// Nanoseconds that the front end took to send its answer: from the last response until the last byte left.
    #[must_use]
    pub fn sending(&self) -> Option<u64> {
        let answer = self.asked.as_ref()?.by.as_ref()?.answer.filter(|_| self.complete())?;
        // A client that goes away is not sent the rest.
        let sent = self.last_response.filter(|_| answer.status == Status::Ok)?;
        Some(answer.last_byte.since(sent))
    }

    /// The stages of an execution that went well.
    #[must_use]
    pub fn stages(&self) -> Option<Execution> {
        self.execution.filter(|_| self.complete())
    }

    /// Nanoseconds from the request to the first response of a series: from its client's first byte, where that was seen.
    #[must_use]
    pub fn first_output(&self) -> Option<u64> {
        let first = self.first_response.filter(|_| self.complete() && self.answer == Answer::Streamed)?;
        Some(first.since(self.began()))
    }

    /// Nanoseconds from the request to the end: from its client's first byte, where that was seen.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.complete().then(|| self.end.since(self.began()))
    }

    fn began(&self) -> Nanos {
        let by = self.asked.as_ref().and_then(|asked| asked.by.as_ref());
        by.map_or(self.arrival, |by| by.arrival)
    }

    /// Whether it counts as a request to a language model here: its model sends as many responses as it likes, and nobody else
    /// tells of the same work.
    #[must_use]
    pub fn is_generation(&self) -> bool {
        self.answer.is_decoupled() && !self.tapped
    }

    /// It as one JSON object. Times are microseconds after the arrival; what was not seen is null.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let offset = |time: Nanos| micros(time.since(self.arrival));
        json!({
            "tgid": self.origin.tgid.0,
            "engine": self.origin.engine,
            "service": &*self.origin.service,
            "record": "inference",
            "model": self.model,
            "version": self.version,
            "id": self.id,
            "status": self.status.name(),
            "fault": self.fault.map(Fault::name),
            "quality": self.quality.name(),
            "stream": self.answer == Answer::Streamed,
            "decoupled": self.answer.is_decoupled(),
            "arrival_ns": self.arrival.0,
            "submitted_us": self.submitted.map(offset),
            "executed_us": self.executed.map(offset),
            "execution_begin_us": self.execution.and_then(|execution| execution.begin).map(offset),
            "compute_input_us": self.execution.map(|execution| micros(execution.input)),
            "compute_infer_us": self.execution.map(|execution| micros(execution.infer)),
            "compute_output_us": self.execution.map(|execution| micros(execution.output)),
            "reported_us": self.execution.map(|execution| offset(execution.reported)),
            "batch": self.batch,
            "instance": self.instance,
            "cancelled_us": self.cancelled.map(offset),
            "first_response_us": self.first_response.map(offset),
            "last_response_us": self.last_response.map(offset),
            "end_us": offset(self.end),
            "responses": self.responses,
            "asked": self.asked.as_ref().map(|asked| asked.to_json(self.arrival)),
            "gaps_us": self.gaps.iter().copied().map(micros).collect::<Vec<_>>(),
        })
    }

    fn complete(&self) -> bool {
        self.quality == Quality::Complete
    }
}
