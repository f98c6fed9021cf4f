//! What the calls of a server's library say of inferences, as the core reads it. A closed vocabulary, like
//! [`super::report`] for messages.
//!
//! Pointers end here: an engine gives each request a number that is never used again, because a library reuses its objects
//! at once, and answers may still come after the request that asked for them was deleted.

use crate::event::{Call, Nanos};
use crate::issue::Issue;
use inferscope_ebpf::Hook;

/// Reads the calls of one process.
pub trait Calls: Send {
    /// Reads one call about `object`. Issues are for calls that can't be read; what means nothing is passed over in silence.
    fn call(&mut self, hook: Hook, object: u64, call: &Call, issues: &mut Vec<Issue>, say: &mut dyn FnMut(Act<'_>));
}

/// A request to a server's library, by the order in which they were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One instance of a model: what executes it, by an address that is its own while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub u64);

/// What a call says. Requests that a server makes inside itself (the steps of an ensemble) have numbers too, but are never
/// [`Act::Created`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    /// A program, or a front end for a client, made a request.
    Created {
        /// The request.
        request: RequestId,
        /// By which thread.
        thread: u32,
        /// The model that it is for. `None`: the request was made before anybody looked.
        model: Option<&'a str>,
        /// The model's version, where it was asked for.
        version: Option<u64>,
    },
    /// It has this id.
    Named {
        /// The request.
        request: RequestId,
        /// As its client chose it.
        id: &'a str,
    },
    /// It was handed to the server.
    Submitted {
        /// The request.
        request: RequestId,
    },
    /// The server did not take it.
    Refused {
        /// The request.
        request: RequestId,
        /// Why.
        why: Fault,
    },
    /// It is no longer wanted.
    Cancelled {
        /// The request.
        request: RequestId,
    },
    /// An instance begins to execute a batch.
    Executing {
        /// The instance.
        instance: InstanceId,
        /// How many requests are in it.
        batch: u64,
        /// These, as far as they were told: at most `batch`.
        requests: &'a [RequestId],
    },
    /// A response was sent.
    Responded {
        /// To which request.
        request: RequestId,
        /// Whether more may follow.
        more: More,
        /// What failed, if anything did.
        fault: Option<Fault>,
    },
    /// Nothing more will be sent; said apart from the last response.
    Finished {
        /// To which request.
        request: RequestId,
    },
    /// The last response of a request that was under way before anybody looked.
    Ended,
    /// The instance says how the execution of a request went.
    Computed {
        /// The request.
        request: RequestId,
        /// Who executed it.
        instance: InstanceId,
        /// How it went.
        outcome: Outcome,
        /// When, by its own clock.
        stamps: Stamps,
    },
    /// The request's object is gone; responses may still come.
    Deleted {
        /// The request.
        request: RequestId,
    },
    /// An instance is gone.
    Unloaded {
        /// The instance.
        instance: InstanceId,
    },
}

/// Whether more responses may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// They may.
    Expected,
    /// This was the last.
    Done,
}

/// How an execution went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// It failed.
    Failure,
}

/// The stages of an execution, as the one who executed it stamped them: monotonic, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// It began: inputs are gathered from here on.
    pub begin: Nanos,
    /// The computation began.
    pub compute_begin: Nanos,
    /// The computation ended: outputs are handed out from here on.
    pub compute_end: Nanos,
    /// It ended.
    pub end: Nanos,
}

/// Why something failed: a server's own error codes, and nothing of its messages, which may quote a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // Triton's own names
pub enum Fault {
    /// The server says no more, or it could not be read.
    Unknown,
    Internal,
    NotFound,
    InvalidArgument,
    Unavailable,
    Unsupported,
    AlreadyExists,
    Cancelled,
}

impl Fault {
    /// Label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Unknown => "unknown",
            Fault::Internal => "internal",
            Fault::NotFound => "not_found",
            Fault::InvalidArgument => "invalid_argument",
            Fault::Unavailable => "unavailable",
            Fault::Unsupported => "unsupported",
            Fault::AlreadyExists => "already_exists",
            Fault::Cancelled => "cancelled",
        }
    }
}
