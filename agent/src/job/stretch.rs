//! A stretch of time.

use crate::event::Nanos;

/// From one moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning.
    pub from: Nanos,
    /// Its end.
    pub to: Nanos,
}

impl Stretch {
    /// How long it is.
    #[must_use]
    pub fn nanos(self) -> u64 {
        self.to.since(self.from)
    }
}
