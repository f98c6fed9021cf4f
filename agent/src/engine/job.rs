//! What a server tells of the jobs that it works off: a closed vocabulary, whoever says it.
//!
//! A job (a ComfyUI prompt) is handed over in an HTTP request that is answered at once; the work itself is told elsewhere:
//! in messages to a watching client, in the lines that the server's process writes, in answers about jobs that are over.
//! An engine reads these ([`Reader`], [`super::Exchange::told`]) and says them in these words; `core::jobs` makes jobs of
//! them. No text of a prompt is part of any word: of a graph only class types, node ids and names of models and samplers
//! are kept.

use crate::issue::Issue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads what a server says outside of HTTP exchanges: one for each server.
pub trait Reader: Send {
    /// Reads a message that the server sent to a client that watches.
    fn said(&mut self, message: &Said<'_>, issues: &mut Vec<Issue>, say: &mut dyn FnMut(Report<'_>));

    /// Reads a line that the server's process wrote, without its end.
    fn line(&mut self, line: &[u8], issues: &mut Vec<Issue>, say: &mut dyn FnMut(Report<'_>));
}

/// A message to a watching client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Text.
    Text {
        /// All of it, or its first bytes where it is longer than the bound.
        bytes: &'a [u8],
        /// Its length.
        total: u64,
    },
    /// Anything else: pictures.
    Binary {
        /// Its length.
        total: u64,
    },
}

/// What was said of jobs. Messages name the job; lines do not: they are about the one that is being worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report<'a> {
    /// A message: jobs that wait or are worked on.
    Queue {
        /// How many.
        remaining: u64,
    },
    /// A message: the work on a job began.
    Started {
        /// The job.
        id: &'a str,
        /// When, as the server says.
        stamp: Option<Millis>,
    },
    /// A message: what needs no work, because it was done before.
    Cached {
        /// The job.
        id: &'a str,
        /// Nodes.
        nodes: &'a [String],
    },
    /// A message: a node's work begins, and that of the one before it ends.
    Node {
        /// The job.
        id: &'a str,
        /// The node.
        node: &'a str,
        /// The node of the graph that it is shown as: a node may expand to others, which no graph holds.
        shown: &'a str,
    },
    /// A message: no node is being worked on any more; the last that is said of a job.
    NoNode {
        /// The job.
        id: &'a str,
    },
    /// A message: how far a node is.
    Progress {
        /// The job.
        id: &'a str,
        /// The node.
        node: &'a str,
        /// Steps that are done.
        value: u64,
        /// Steps in all.
        max: u64,
    },
    /// A message: a node's output is there.
    Executed {
        /// The job.
        id: &'a str,
        /// The node.
        node: &'a str,
        /// Images in the output.
        images: u64,
    },
    /// A message: a job is over.
    Finished {
        /// The job.
        id: &'a str,
        /// How it came out.
        outcome: Outcome,
        /// When, as the server says.
        stamp: Option<Millis>,
    },
    /// A line: the server began to listen; it knows of no earlier job.
    Listening,
    /// A line: a model is about to be loaded to where it computes.
    Loading,
    /// A line: a model was loaded.
    Loaded,
    /// A line: a sampler's progress bar. Bars are not drawn for every step.
    Bar {
        /// Steps that are done.
        value: u64,
        /// Steps in all.
        max: u64,
    },
    /// A line: the job under way came out otherwise than well.
    Failed(Outcome),
    /// A line: the job under way is over.
    Worked(Lasted),
}

/// A stamp of the server's wall clock, in milliseconds: only differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// How a job came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// With an error of this type, "" where it is not known: the name of an exception, never its message.
    Error(String),
    /// Somebody interrupted it.
    Interrupted,
}

/// How long a job took, as the server states it: rounded, so as a range of nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasted {
    /// At least so long.
    pub least: u64,
    /// At most so long.
    pub most: u64,
}

/// What an HTTP exchange said of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Which of the server's functions was asked for: one of a fixed list.
    pub endpoint: &'static str,
    /// The type of the error that the server answered, where its body says one.
    pub error: Option<String>,
    /// What follows for jobs.
    pub news: News,
}

/// What follows for jobs from an exchange that went well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    #[default]
    None,
    /// A job was accepted.
    Submitted(Box<Submission>),
    /// Waiting jobs were taken out of the queue.
    Removed {
        /// These.
        ids: Vec<String>,
        /// Or all.
        all: bool,
    },
    /// What became of jobs that are over.
    Past(Vec<Past>),
}

/// An accepted job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Submission {
    /// Its id.
    pub id: String,
    /// Its place: the waiting job with the lowest is next.
    pub number: Option<f64>,
    /// What is to be done.
    pub graph: Graph,
}

// A NaN never gets here: JSON has none.
impl Eq for Submission {}

/// A job's graph, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Its nodes by id.
    pub nodes: BTreeMap<String, Node>,
    /// Stands for the set of its class types, "" where not all of them are known.
    pub workflow: String,
    /// The checkpoint or the like that it loads first, "" where none is known.
    pub model: String,
    /// Images that it makes where nothing is cached, as far as nodes tell; `None` where they don't.
    pub images: Option<u64>,
}

impl Graph {
    /// The sampler that nodes name, where they name only one.
    #[must_use]
    pub fn only_sampler(&self) -> Option<Arc<str>> {
        let mut named = self.nodes.values().filter_map(|node| node.sampler.as_ref());
        let first = named.next()?;
        named.all(|other| other == first).then(|| Arc::clone(first))
    }
}

/// A node of a graph.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What it does.
    pub class: Arc<str>,
    /// The sampler that it names.
    pub sampler: Option<Arc<str>>,
}

/// A job that is over, as the server keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Its id.
    pub id: String,
    /// When the work began.
    pub started: Option<Millis>,
    /// When it ended.
    pub ended: Option<Millis>,
    /// Whether and how it came out; `None` where it is not said.
    pub outcome: Option<Outcome>,
    /// Nodes that needed no work, where it is said.
    pub cached: Option<Vec<String>>,
    /// Images in the outputs, by node; of all outputs, also of cached ones.
    pub images: BTreeMap<String, u64>,
}
