//! Answers of which only the edges are read (`http: edges`): once content has begun, and the engine's messages tell the
//! rest, the kernel side says of each call only when it was and how long.
//!
//! Such an answer ends with the write that ends its chunks, where that comes alone (uvicorn's does); else with its last
//! write, which is known when the client asks again, the connection closes, or nothing was written for a while after
//! the engine was done. A client that stops reading for longer than that makes its answer end too early.

use crate::event::{Nanos, Segment};

/// `0\r\n\r\n`, the shortest thing that a chunked body can hold.
const LAST_CHUNK_BYTES: u64 = 5;
/// An answer ends with its last write when nothing was written for so long.
const QUIET: u64 = 1_000_000_000;

/// How much of an answer is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reading {
    /// All of it.
    #[default]
    Whole,
    /// The kernel side was asked to leave the rest out; calls before it heard may still come whole.
    Asked,
    /// Nothing any more.
    Edges,
}

/// Whether a call that was not copied ends an answer whose engine is done.
pub(super) fn ends(segment: &Segment) -> bool {
    segment.bytes.is_empty() && segment.total == LAST_CHUNK_BYTES
}

/// Whether an answer whose engine is done is over.
pub(super) fn is_quiet(last_written: Nanos, now: Nanos) -> bool {
    now.since(last_written) >= QUIET
}
