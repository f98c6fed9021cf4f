//! Masks the frames that a vLLM front end and its engine send each other, byte for byte, in pieces of any size.
//!
//! What a frame is, is told from its place in its message: an identity and a type may stand before what is sent to an
//! engine; what an engine sends begins with a step. Every other frame (tensors, calls of other kinds), what follows lost
//! frames, and what follows bytes that were not copied becomes zeros.
//!
//! Where recording begins in the middle of a message, its rest is taken for a message: it must then begin like a step, with
//! a small number and an array of arrays, for any byte of it to stay.

mod msgpack;
mod place;
#[cfg(test)]
mod tests;

use crate::event::{Direction, Segment};
use msgpack::Mask;
use place::Place;

/// Request types of vLLM (`EngineCoreRequestType`).
const ADD: u8 = 0;
const ABORT: u8 = 1;
const LAST_TYPE: u8 = 5;

/// Masks both directions of one message socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) generation: u32,
    received: Lane,
    sent: Lane,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// Where in the stream the frame under way begins.
    position: u64,
    /// Where in it the next copied byte is expected.
    offset: u64,
    /// Where the frame behind it begins.
    end: Option<u64>,
    next: Context,
    mask: Bytes,
}

/// What stands before a frame in its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Context {
    #[default]
    Nothing,
    Identity,
    Type(u8),
    /// Frames that nothing is known of.
    Others,
}

/// What stays of a frame.
#[derive(Debug, Default)]
enum Bytes {
    #[default]
    Zeros,
    /// A request type.
    Type,
    Msgpack(Box<Mask>),
}

impl Socket {
    pub(super) fn new(generation: u32) -> Socket {
        Socket { generation, received: Lane::default(), sent: Lane::default() }
    }

    /// The segment's bytes as they may be written.
    pub(super) fn segment(&mut self, segment: &Segment, more: bool) -> Vec<u8> {
        match segment.direction {
            Direction::Read => self.received.segment(segment, more),
            Direction::Write => self.sent.segment(segment, more),
        }
    }
}

impl Lane {
    fn segment(&mut self, segment: &Segment, more: bool) -> Vec<u8> {
        if segment.offset == 0 {
            self.begin(segment, more);
        } else if segment.position != self.position || u64::from(segment.offset) != self.offset {
            // Its beginning was lost, or bytes before these were not copied.
            self.lose(segment, more);
        }
        self.offset = u64::from(segment.offset).saturating_add(segment.bytes.len() as u64);
        match &mut self.mask {
            Bytes::Zeros => vec![0; segment.bytes.len()],
            Bytes::Type => segment.bytes.clone(),
            Bytes::Msgpack(mask) => segment.bytes.iter().map(|byte| mask.byte(*byte)).collect(),
        }
    }

    fn begin(&mut self, segment: &Segment, more: bool) {
        let lost = self.end.is_some_and(|end| end != segment.position);
        let before = if lost { Context::Others } else { self.next };
        self.position = segment.position;
        self.end = Some(segment.position.saturating_add(segment.total));
        let kind = match (segment.total, segment.bytes.as_slice()) {
            (1, [kind]) if more && *kind <= LAST_TYPE => Some(*kind),
            _ => None,
        };
        let (mask, next) = match (before, kind) {
            // A send that failed is seen again.
            (Context::Nothing | Context::Identity | Context::Type(_), Some(kind)) => (Bytes::Type, Context::Type(kind)),
            (Context::Nothing | Context::Identity, None) if segment.total == 2 && more => {
                (Bytes::Zeros, Context::Identity)
            }
            (Context::Nothing, None) if segment.total > 1 => (Bytes::msgpack(Place::Step), Context::Others),
            (Context::Type(ADD), _) => (Bytes::msgpack(Place::Added), Context::Others),
            (Context::Type(ABORT), _) => (Bytes::msgpack(Place::Aborted), Context::Others),
            _ => (Bytes::Zeros, Context::Others),
        };
        self.mask = mask;
        self.next = if more { next } else { Context::Nothing };
    }

    fn lose(&mut self, segment: &Segment, more: bool) {
        self.mask = Bytes::Zeros;
        self.position = segment.position;
        self.end = Some(segment.position.saturating_add(segment.total));
        self.next = if more { Context::Others } else { Context::Nothing };
    }
}

impl Bytes {
    fn msgpack(place: Place) -> Bytes {
        Bytes::Msgpack(Box::new(Mask::new(place)))
    }
}
