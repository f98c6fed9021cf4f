//! What the processes of a server tell each other of their work, as the core reads it: requests that go to the scheduler,
//! and what came of each of its iterations. A closed vocabulary, like [`super::Step`].
//!
//! Counts and times only: token ids are counted where they are decoded and go no further.

use crate::event::{Direction, Nanos};
use crate::issue::Issue;

/// Reads the messages of one socket.
pub trait Messages: Send {
    /// Reads one frame. Issues are for frames that begin like something known and can't be read; frames of other purposes
    /// are passed over in silence.
    fn frame(&mut self, frame: &Frame<'_>, issues: &mut Vec<Issue>, say: &mut dyn FnMut(Report<'_>));
}

/// One frame of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether the process received or sent it.
    pub direction: Direction,
    /// Its first bytes: all of them, unless `total` is larger.
    pub bytes: &'a [u8],
    /// Its length.
    pub total: u64,
    /// Another frame of the same message follows.
    pub more: bool,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Report<'a> {
    /// A sequence was handed to the scheduler.
    Added {
        /// Its id.
        id: &'a str,
        /// Length of its prompt, where it is given as tokens.
        prompt_tokens: Option<u64>,
    },
    /// A sequence is no longer wanted.
    Aborted {
        /// Its id.
        id: &'a str,
    },
    /// The scheduler ended an iteration.
    Iteration(Iteration<'a>),
}

/// One iteration (step) of a scheduler.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Iteration<'a> {
    /// Which of the server's engines (data-parallel rank).
    pub index: u32,
    /// When its outputs were put together, by the engine's own monotonic clock.
    pub at: Option<Nanos>,
    /// What it brought.
    pub outputs: Vec<Output<'a>>,
    /// The scheduler's own figures behind it.
    pub scheduler: Option<Scheduler>,
    /// Some outputs may be missing: not all of the message was copied, or not all could be read.
    pub truncated: bool,
}

/// What an iteration brought for one sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output<'a> {
    /// The sequence's id.
    pub id: &'a str,
    /// New tokens.
    pub tokens: u64,
    /// Set where it is its last output.
    pub finish: Option<Finish>,
    /// When the sequence entered the scheduler's queue, by the engine's own monotonic clock.
    pub queued: Option<Nanos>,
    /// When it was first given a place in a batch since the output before.
    pub scheduled: Option<Nanos>,
    /// How often it lost that place.
    pub preemptions: u64,
    /// Prompt tokens, said with the first output.
    pub prompt_tokens: Option<u64>,
    /// Of these, tokens that came from the prefix cache.
    pub cached_tokens: Option<u64>,
}

/// Why a sequence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // vLLM's own names
pub enum Finish {
    Stop,
    Length,
    Abort,
    Error,
    Repetition,
    /// A reason that this build does not know.
    Other,
}

impl Finish {
    /// As in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::Abort => "abort",
            Finish::Error => "error",
            Finish::Repetition => "repetition",
            Finish::Other => "other",
        }
    }
}

/// A scheduler's figures. What it did not say is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scheduler {
    /// Sequences that have a place in the batch.
    pub running: u64,
    /// Sequences that wait for one, deferred ones included.
    pub waiting: u64,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_cache_usage: Option<f64>,
    /// Tokens looked up in the prefix cache since the last such message.
    pub prefix_queries: Option<u64>,
    /// Of these, tokens found there.
    pub prefix_hits: Option<u64>,
}
