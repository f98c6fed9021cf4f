//! Record and replay of what the core is told: a file of [`Input`]s.
//!
//! A tape is one line (`inferscope tape 1`) and then length-delimited protobuf messages: a [`Header`], then one message
//! for each input, in order. It replays to the same records, bit for bit, because the core has no other source of
//! anything. By default it is masked on the way in: see [`redact`].
//!
//! A tape that was cut short (the recorder was killed) is readable up to there.

mod format;
mod reader;
pub mod redact;
#[cfg(test)]
mod tests;
mod writer;

#[cfg(doc)]
use crate::core::Input;

pub use reader::{Reader, TapeError};
pub use writer::{Writer, Written};

/// Version of the format that this build writes, and the newest that it reads.
const VERSION: u32 = 1;
/// Before the version, at the very beginning.
const MAGIC: &str = "inferscope tape ";

/// What a tape says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it was recorded, for people. Replays never read it.
    pub created_at: String,
    /// Version of the agent that recorded it.
    pub agent_version: String,
    /// Whether text was masked.
    pub text: Text,
}

/// What becomes of prompt and answer text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// It is masked before it is written.
    Masked,
    /// It is kept. Only for traffic that is nobody's.
    Kept,
}
