//! One job: the state machine that holds what is said of it, and the [`Record`] that it ends as.
//!
//! The same work may be told twice: in messages to the client that watches, and in the lines of the server's process. A
//! [`Job`] keeps both apart until it ends, and believes one of them, so that nothing counts twice. It knows no protocol
//! and reads no bytes; [`crate::core`] decides which job a line is about.

mod nodes;
mod record;
mod run;
mod steps;
mod stretch;
#[cfg(test)]
mod tests;
mod times;

pub use nodes::{Ending, NodeTime, Turn};
pub use record::{Gap, ImagesFrom, Record, Source, Status};
pub use run::Run;
pub use stretch::Stretch;

use crate::engine::job::{Graph, Lasted, Millis, Outcome, Past, Submission};
use crate::event::Nanos;
use crate::issue::Issue;
use crate::request::{Caller, Origin, Quality};
use nodes::Nodes;
use std::sync::Arc;
use steps::Steps;

/// A job under way.
#[derive(Clone, Debug)]
pub struct Job {
    origin: Origin,
    id: String,
    quality: Quality,
    asked: Option<Asked>,
    /// The work can't have begun before.
    free: Option<Nanos>,
    /// A message said so.
    started: Option<Nanos>,
    watched: Watched,
    worked: Option<Worked>,
    past: Option<Past>,
    removed: Removed,
}

/// Whether it was taken out of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Removed {
    No,
    /// It was to be then, if it was not worked on yet.
    Perhaps(Nanos),
    Yes,
}

/// How a job was handed over: the HTTP exchange in which it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The request's first byte came.
    pub arrival: Nanos,
    /// It was answered.
    pub answered: Nanos,
    /// The trace that it belongs to.
    pub trace: Option<Caller>,
}

/// What was asked for.
#[derive(Clone, Debug)]
struct Asked {
    handover: Handover,
    number: Option<f64>,
    graph: Graph,
}

/// What messages said.
#[derive(Clone, Debug, Default)]
struct Watched {
    cached: Option<Vec<String>>,
    nodes: Nodes,
    steps: Steps,
    images: Vec<(String, u64)>,
    outcome: Option<Outcome>,
    /// When the work began and ended, by the server's stamps.
    stamps: [Option<Millis>; 2],
    /// The last message of all.
    silent: Option<Nanos>,
}

/// What lines said.
#[derive(Clone, Debug)]
struct Worked {
    at: Nanos,
    lasted: Lasted,
    run: Run,
}

/// Images of so many nodes are counted.
const MAX_OUTPUTS: usize = 1024;

impl Job {
    /// A job that was accepted.
    #[must_use]
    pub fn submitted(origin: Origin, submission: Submission, handover: Handover) -> Job {
        let mut job = Job::midway(origin, submission.id.clone());
        job.submit(submission, handover);
        job
    }

    /// A job whose request was not seen, at least not yet.
    #[must_use]
    pub fn midway(origin: Origin, id: String) -> Job {
        Job {
            origin,
            id,
            quality: Quality::JoinedMidway,
            asked: None,
            free: None,
            started: None,
            watched: Watched::default(),
            worked: None,
            past: None,
            removed: Removed::No,
        }
    }

    /// Its request's answer came, perhaps behind the first messages about it.
    pub fn submit(&mut self, submission: Submission, handover: Handover) {
        let Submission { id: _, number, graph } = submission;
        self.asked = Some(Asked { handover, number, graph });
        if self.quality == Quality::JoinedMidway {
            self.quality = Quality::Complete;
        }
    }

    /// Its id, "" where nothing said it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its place among those that wait: the lowest is next.
    #[must_use]
    pub fn number(&self) -> f64 {
        self.asked.as_ref().and_then(|asked| asked.number).unwrap_or(0.0)
    }

    /// Whether a message said that the work on it began.
    #[must_use]
    pub fn has_started(&self) -> bool {
        self.started.is_some()
    }

    /// When messages fell silent about it, for good.
    #[must_use]
    pub fn silent(&self) -> Option<Nanos> {
        self.watched.silent
    }

    /// Whether its request was seen.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether it was there before.
    #[must_use]
    pub fn is_older(&self, than: Nanos) -> bool {
        let first = self.handover().map(|handover| handover.answered).or(self.started);
        first.is_none_or(|first| first < than)
    }

    /// Whether the server answered that it is over.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.past.is_some()
    }

    /// Whether a job that a line said is over after so long can be this one.
    #[must_use]
    pub fn can_have_lasted(&self, ended: Nanos, lasted: Lasted) -> bool {
        let within = |by: &Handover| by.arrival <= ended && lasted.least <= ended.since(by.arrival);
        self.handover().is_none_or(within)
    }

    /// Likewise; and it agrees with what the server answered of it.
    #[must_use]
    pub fn fits(&self, ended: Nanos, lasted: Lasted) -> bool {
        self.can_have_lasted(ended, lasted) && self.stamped().is_none_or(|stamped| times::agree(&stamped, &lasted))
    }

    /// What is known of it is not all.
    pub fn mark(&mut self, quality: Quality) {
        self.quality = self.quality.max(quality);
    }

    /// The worker took it, or so it seems: it was free since then.
    pub fn taken(&mut self, free: Nanos) {
        let answered = self.handover().map(|handover| handover.answered);
        self.free = Some(answered.map_or(free, |answered| answered.max(free)));
    }

    /// It waits after all: another one was taken.
    pub fn put_back(&mut self) {
        self.free = None;
    }

    /// A message: the work on it begins.
    pub fn started(&mut self, at: Nanos, stamp: Option<Millis>) {
        self.started.get_or_insert(at);
        self.watched.stamps[0] = stamp;
    }

    /// A message: these nodes need no work.
    pub fn cached(&mut self, nodes: &[String]) {
        self.watched.cached = Some(nodes.to_vec());
    }

    /// A message: a node's work begins.
    pub fn node(&mut self, at: Nanos, node: &str, shown: &str) {
        let class = self.class(node).or_else(|| self.class(shown)).cloned().unwrap_or_default();
        self.watched.nodes.begins(self.no_later(at), node, class);
    }

    /// A message: a node came so far.
    pub fn progress(&mut self, at: Nanos, node: &str, value: u64, max: u64, issues: &mut Vec<Issue>) {
        let Some(sampler) = self.sampler(node, max) else { return };
        // The message waited until the work was over.
        if self.worked.as_ref().is_some_and(|worked| worked.at < at) {
            return self.watched.steps.reached_sometime(at, node, value);
        }
        self.watched.steps.reached(at, node, value, &sampler, issues);
    }

    /// A message: a node has brought its output.
    pub fn executed(&mut self, node: &str, images: u64) {
        if images > 0 && self.watched.images.len() < MAX_OUTPUTS {
            self.watched.images.push((node.to_owned(), images));
        }
    }

    /// A message: it is over.
    pub fn finished(&mut self, at: Nanos, outcome: Outcome, stamp: Option<Millis>) {
        let ending = if outcome == Outcome::Success { Ending::Done } else { Ending::Broken };
        self.watched.nodes.over(self.no_later(at), ending);
        self.watched.stamps[1] = stamp;
        self.watched.outcome.get_or_insert(outcome);
    }

    /// A message: nothing more will be said of it.
    pub fn falls_silent(&mut self, at: Nanos) {
        self.watched.silent.get_or_insert(at);
    }

    /// A line: it is over. `run` is what lines said since the one before.
    pub fn worked(&mut self, at: Nanos, lasted: Lasted, run: Run) {
        self.worked = Some(Worked { at, lasted, run });
    }

    /// The server answered what became of it.
    pub fn past(&mut self, past: Past) {
        self.past = Some(past);
    }

    /// It was to be taken out of the queue: it was not, if the work on it had begun.
    pub fn doubt(&mut self, at: Nanos) {
        if self.started.is_none() {
            self.removed = Removed::Perhaps(at);
        }
    }

    /// Whether it was taken out of the queue, where work that ended now after so long is not its own: it began later.
    #[must_use]
    pub fn was_removed(&self, ended: Nanos, lasted: Lasted) -> bool {
        let Removed::Perhaps(at) = self.removed else { return false };
        self.started.is_none() && ended.since(at) > lasted.most
    }

    /// It was taken out of the queue.
    pub fn remove(&mut self) {
        self.removed = Removed::Yes;
    }

    /// When what a message says was at the latest: it may leave long after the work, the worker's last line does not.
    fn no_later(&self, at: Nanos) -> Nanos {
        self.worked.as_ref().map_or(at, |worked| worked.at.min(at))
    }

    fn handover(&self) -> Option<&Handover> {
        self.asked.as_ref().map(|asked| &asked.handover)
    }

    fn graph(&self) -> Option<&Graph> {
        self.asked.as_ref().map(|asked| &asked.graph)
    }

    fn class(&self, node: &str) -> Option<&Arc<str>> {
        Some(&self.graph()?.nodes.get(node)?.class)
    }

    /// The sampler whose steps a node's progress shows, "" where its name is not known; `None` where the node is none. Of
    /// a node that no graph shows, it is taken for one where there is more than one step.
    fn sampler(&self, node: &str, max: u64) -> Option<Arc<str>> {
        let graph = self.graph();
        let Some(known) = graph.and_then(|graph| graph.nodes.get(node)) else { return (max > 1).then(Arc::default) };
        if known.sampler.is_some() {
            return known.sampler.clone();
        }
        known.class.contains("Sampler").then(|| graph.and_then(Graph::only_sampler).unwrap_or_default())
    }
}
