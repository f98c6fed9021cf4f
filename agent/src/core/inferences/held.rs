//! One inference under way: what was seen of it so far, and whether it is over.

use crate::engine::inference::{Fault, Outcome};
use crate::event::Nanos;
use crate::request::{Inference, MAX_GAPS};

/// An inference under way.
pub(super) struct Held {
    pub inference: Inference,
    pub refused: Option<Fault>,
    /// Responses, failed ones included.
    pub sent: u64,
    pub last: Last,
    pub report: Report,
    gaps_over_bound: bool,
}

/// The last response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Awaited,
    /// It said itself that it was.
    Sent,
    /// It was said apart.
    Told,
}

/// What its backend said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Awaited,
    /// Before the last response, as of a decoupled model.
    Early(Outcome),
    /// Behind it.
    Late(Outcome),
}

impl Held {
    pub fn new(inference: Inference) -> Held {
        Held { inference, refused: None, sent: 0, last: Last::Awaited, report: Report::Awaited, gaps_over_bound: false }
    }

    /// Handed over, and not yet executed or over.
    pub fn waits(&self) -> bool {
        let Inference { submitted, executed, .. } = &self.inference;
        submitted.is_some() && executed.is_none() && self.refused.is_none()
    }

    pub fn is_over(&self) -> bool {
        self.last != Last::Awaited && self.report != Report::Awaited
    }

    pub fn executed(&mut self, time: Nanos, batch: u64, model: &str, index: u32) {
        // It may be executed again and again (an iterative sequence): the first time ends the queue.
        if self.inference.executed.is_some() {
            return;
        }
        self.inference.executed = Some(time);
        self.inference.batch = Some(batch);
        self.inference.instance = Some(index);
        if self.inference.model.is_empty() {
            model.clone_into(&mut self.inference.model);
        }
    }

    /// Returns whether this is the first gap beyond what is kept.
    pub fn responded(&mut self, time: Nanos, fault: Option<Fault>) -> bool {
        self.sent = self.sent.saturating_add(1);
        if let Some(fault) = fault {
            self.inference.fault.get_or_insert(fault);
            return false;
        }
        let inference = &mut self.inference;
        inference.responses = inference.responses.saturating_add(1);
        inference.first_response.get_or_insert(time);
        let Some(last) = inference.last_response.replace(time) else { return false };
        if inference.gaps.len() < MAX_GAPS {
            inference.gaps.push(time.since(last));
            return false;
        }
        !std::mem::replace(&mut self.gaps_over_bound, true)
    }

    pub fn finished(&mut self, time: Nanos, last: Last) {
        if self.last == Last::Awaited {
            self.last = last;
            self.inference.end = time;
        }
    }
}
