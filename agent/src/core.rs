//! THE PIPELINE. `Core::step(Input, &mut Output)`: no I/O, no clock, no async, no `unsafe`. The same inputs give the
//! same outputs, bit for bit: that is what makes record and replay, fuzzing and tests without a kernel possible.

use crate::event::{ConnKey, Direction, Event, Nanos, Tgid};
use crate::issue::Issue;
use crate::request::Record;

/// Everything that the core is ever told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something happened on a connection.
    Kernel(Event),
    /// A server's process appeared or ended.
    Process(ProcessChange),
    /// Time passed. Sent about once a second.
    Tick(Nanos),
}

/// A change among the traced processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessChange {
    /// `tgid` serves; its connections are read by this engine from now on.
    Started {
        /// When it was found.
        time: Nanos,
        /// The process.
        tgid: Tgid,
        /// Engine name, as in [`crate::engine::by_name`].
        engine: String,
        /// Label value.
        service: String,
    },
    /// `tgid` ended or is no longer traced.
    Ended {
        /// When.
        time: Nanos,
        /// The process.
        tgid: Tgid,
    },
}

/// Everything that the core ever says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// From now on, copy so much of this connection's calls.
    Volume {
        /// The connection.
        conn: ConnKey,
        /// Of its calls in this direction.
        direction: Direction,
        /// How much.
        volume: Volume,
    },
    /// A request ended.
    Record(Box<Record>),
    /// Something could not be used as it stands.
    Issue(Issue),
}

/// How much of each call on a connection the kernel side copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Volume {
    /// All, up to the kernel side's bound.
    Full,
    /// The first bytes.
    Head(u32),
    /// Sizes and times only.
    SizeOnly,
    /// Nothing, not even that calls happen.
    Off,
}
