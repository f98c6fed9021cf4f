//! Ids of traces and spans, made of what was observed: the same request on the same boot has the same ids, and no other
//! request anywhere has them (by all likelihood).

use crate::event::{Nanos, Tgid};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What tells a request from all others.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Subject<'a> {
    /// The boot of its machine.
    pub boot: &'a str,
    /// The process that answered.
    pub tgid: Tgid,
    /// When it came.
    pub arrival: Nanos,
    /// When it ended.
    pub end: Nanos,
    /// The server's id of it; several may come at the same moment.
    pub id: &'a str,
}

/// A trace of its own.
pub fn trace(subject: &Subject<'_>) -> [u8; 16] {
    let (high, low) = (digest("trace high", subject), digest("trace low", subject));
    let mut id = [0; 16];
    for (byte, of) in id.iter_mut().zip(high.into_iter().chain(low)) {
        *byte = of;
    }
    id
}

/// The span of the request.
pub fn span(subject: &Subject<'_>) -> [u8; 8] {
    digest("span", subject)
}

/// One of its parts.
pub fn part(whole: [u8; 8], number: usize) -> [u8; 8] {
    digest("part", &(whole, number))
}

/// Eight bytes that are not all 0, which would be no id.
fn digest(purpose: &str, subject: &impl Hash) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    purpose.hash(&mut hasher);
    subject.hash(&mut hasher);
    hasher.finish().max(1).to_be_bytes()
}
