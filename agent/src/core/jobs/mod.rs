//! What one server says of its jobs: HTTP exchanges, messages to watching clients and lines of its process are read, and
//! what they say goes to the [`queue`], which knows the jobs.

mod queue;
#[cfg(test)]
mod tests;
mod unnamed;

use super::Output;
use crate::engine::job::{News, Reader, Said, Told};
use crate::event::Nanos;
use crate::job::Handover;
use crate::request::Origin;
use queue::Queue;

/// The jobs of one server.
pub(super) struct Jobs {
    origin: Origin,
    reader: Box<dyn Reader>,
    queue: Queue,
}

/// An HTTP exchange about jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exchanged {
    /// From the return of the read that brought its first byte to the beginning of the write that carried its last one.
    pub handover: Handover,
    /// The answer's status.
    pub code: u16,
    /// What it said.
    pub told: Told,
}

/// An HTTP exchange about jobs, for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answered.
    pub origin: Origin,
    /// Which function was asked for: one of a fixed list.
    pub endpoint: &'static str,
    /// The answer's status.
    pub code: u16,
    /// The type of the error that was answered, `http_404` and the like where the answer does not say one.
    pub error: Option<String>,
}

/// The jobs of a server as they stand, for gauges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Whose.
    pub origin: Origin,
    /// Jobs that are worked on.
    pub active: u64,
    /// Jobs that wait.
    pub waiting: u64,
}

impl Jobs {
    pub fn new(origin: Origin, reader: Box<dyn Reader>) -> Jobs {
        Jobs { queue: Queue::new(origin.clone()), origin, reader }
    }

    /// The jobs as they stand, once anything was said of them.
    pub fn busy(&self) -> Option<Busy> {
        let (active, waiting) = self.queue.standing()?;
        Some(Busy { origin: self.origin.clone(), active, waiting })
    }

    /// An HTTP exchange is over.
    pub fn exchanged(&mut self, exchanged: Exchanged, out: &mut Vec<Output>) {
        let Exchanged { handover, code, told } = exchanged;
        let Told { endpoint, error, news } = told;
        let error = error.or_else(|| (code >= 400).then(|| format!("http_{code}")));
        out.push(Output::Replied(Box::new(Reply { origin: self.origin.clone(), endpoint, code, error })));
        let answered = handover.answered;
        match news {
            News::None => {}
            News::Submitted(submission) => self.queue.submitted(*submission, handover, out),
            News::Removed { ids, all } => self.queue.removed(answered, &ids, all, out),
            News::Past(past) => past.into_iter().for_each(|past| self.queue.past(answered, past, out)),
        }
    }

    /// The server sent a message to a client that watches.
    pub fn said(&mut self, at: Nanos, message: &Said<'_>, out: &mut Vec<Output>) {
        let Jobs { reader, queue, .. } = self;
        let mut issues = Vec::new();
        reader.said(message, &mut issues, &mut |report| queue.report(at, report, out));
        out.extend(issues.into_iter().map(Output::Issue));
    }

    /// The server's process wrote a line.
    pub fn line(&mut self, at: Nanos, line: &[u8], out: &mut Vec<Output>) {
        let Jobs { reader, queue, .. } = self;
        queue.heard(at);
        let mut issues = Vec::new();
        reader.line(line, &mut issues, &mut |report| queue.report(at, report, out));
        out.extend(issues.into_iter().map(Output::Issue));
    }

    /// Lines were lost.
    pub fn missed_lines(&mut self) {
        self.queue.missed_lines();
    }

    /// Messages were lost.
    pub fn unheard(&mut self) {
        self.queue.unheard();
    }

    /// Time passed.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.queue.tick(now, out);
    }

    /// The server ended, or is no longer looked at.
    pub fn truncate(&mut self, time: Nanos, out: &mut Vec<Output>) {
        self.queue.truncate(time, out);
    }
}
