//! ZMTP 3 (what ZeroMQ speaks on a socket) of one direction: the frames of its messages, put together where a stream
//! cuts them.
//!
//! It passes over greeting and commands, keeps the first 64 KiB of a frame, and does not know what frames say, nor any
//! mechanism that encrypts them. A hole of known length within a frame leaves the frame short and the place in the stream
//! known.
//!
//! Where the thread is lost (a gap, garbage, a hole around a header) it picks it up at the next push that begins like a
//! frame and goes on like frames as far as it reaches. That errs towards finding one. A guess that turns out wrong is
//! dropped without an issue.

mod header;
#[cfg(test)]
mod tests;

use super::Stretch;
use crate::issue::Issue;
use header::{Header, Kind};

pub use header::{Opening, is_plausible, sniff};

/// Most bytes kept of a frame.
pub const MAX_KEPT: usize = 64 * 1024;

/// What the decoder says, in stream order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// One frame of a message.
    Frame {
        /// Its first bytes: all of them, unless `total` is larger.
        bytes: &'a [u8],
        /// Its length.
        total: u64,
        /// Another frame of the same message follows.
        more: bool,
    },
    /// The thread was lost: the next frame does not continue the message of the last.
    Cut,
    /// Something was wrong; decoding went on.
    Issue(Issue),
}

/// Reads one direction of one connection.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    start: Start,
    /// What is kept of the frame under way.
    kept: Vec<u8>,
}

#[derive(Clone, Debug)]
enum State {
    /// So many bytes of the greeting have passed.
    Greeting(usize),
    /// Between frames or in a header.
    Header(header::Buffer),
    Body(Body),
    /// Somewhere unknown.
    Lost,
}

/// How the place in the stream is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// From the greeting on.
    Certain,
    /// The bytes looked like it.
    Guessed,
}

/// The frame under way.
#[derive(Clone, Copy, Debug)]
struct Body {
    header: Header,
    passed: u64,
    hole: Hole,
}

/// Whether bytes of the frame under way are missing; what follows a hole is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    None,
    Some,
}

impl Decoder {
    /// For a connection that is seen from its beginning.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder { state: State::Greeting(0), start: Start::Certain, kept: Vec::new() }
    }

    /// For a connection that was joined midway: everything before the first push that begins like a frame is ignored.
    #[must_use]
    pub fn midway() -> Decoder {
        Decoder { state: State::Lost, start: Start::Guessed, kept: Vec::new() }
    }

    /// Reads on.
    pub fn push(&mut self, stretch: Stretch<'_>, emit: &mut dyn FnMut(Item<'_>)) {
        match stretch {
            Stretch::Bytes(bytes) => self.read(bytes, emit),
            Stretch::Elided(bytes) => self.skip(bytes, emit),
            Stretch::Gap(_) => self.lose(emit),
        }
    }

    fn read(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Item<'_>)) {
        if matches!(self.state, State::Lost) && is_plausible(bytes) {
            self.start = Start::Guessed;
            self.state = State::Header(header::Buffer::default());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.step(rest, emit);
        }
    }

    /// Reads the bytes at the front of `input` that are of one piece; the rest.
    fn step<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'_>)) -> &'a [u8] {
        match &mut self.state {
            State::Greeting(passed) => {
                let Some(rest) = header::greeting(passed, input) else {
                    return self.fail(emit);
                };
                if *passed == header::GREETING {
                    self.state = State::Header(header::Buffer::default());
                }
                rest
            }
            State::Header(buffer) => {
                let Some((header, rest)) = buffer.take(input) else {
                    return self.fail(emit);
                };
                if let Some(header) = header {
                    self.state = State::Body(Body { header, passed: 0, hole: Hole::None });
                    self.end_if_complete(emit);
                }
                rest
            }
            State::Body(_) => self.read_body(input, emit),
            State::Lost => &[],
        }
    }

    fn read_body<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'_>)) -> &'a [u8] {
        let State::Body(body) = &mut self.state else {
            return input;
        };
        let left = usize::try_from(body.left()).unwrap_or(usize::MAX);
        let (bytes, rest) = input.split_at_checked(left).unwrap_or((input, &[]));
        if body.passed == 0 && bytes.len() == left {
            // All of it lies in this push: nothing need be kept.
            let header = body.header;
            self.state = State::Header(header::Buffer::default());
            say(header, bytes, emit);
            return rest;
        }
        if body.hole == Hole::None && body.header.kind != Kind::Command {
            let room = MAX_KEPT.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        }
        body.passed = body.passed.saturating_add(bytes.len() as u64);
        self.end_if_complete(emit);
        rest
    }

    fn skip(&mut self, bytes: u64, emit: &mut dyn FnMut(Item<'_>)) {
        match &mut self.state {
            State::Body(body) if bytes <= body.left() => {
                body.hole = Hole::Some;
                body.passed = body.passed.saturating_add(bytes);
                self.end_if_complete(emit);
            }
            State::Body(body) => {
                body.passed = body.header.total;
                self.end_if_complete(emit);
                self.lose(emit);
            }
            _ => self.lose(emit),
        }
    }

    fn end_if_complete(&mut self, emit: &mut dyn FnMut(Item<'_>)) {
        let State::Body(body) = &self.state else {
            return;
        };
        if body.left() > 0 {
            return;
        }
        let header = body.header;
        self.state = State::Header(header::Buffer::default());
        say(header, &self.kept, emit);
        self.kept.clear();
    }

    fn fail(&mut self, emit: &mut dyn FnMut(Item<'_>)) -> &'static [u8] {
        if self.start == Start::Certain {
            emit(Item::Issue(Issue::ZmtpMalformed));
        }
        self.lose(emit);
        &[]
    }

    /// Gives up the frame under way and the place in the stream.
    fn lose(&mut self, emit: &mut dyn FnMut(Item<'_>)) {
        if !matches!(self.state, State::Lost) {
            emit(Item::Cut);
        }
        self.kept.clear();
        self.state = State::Lost;
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

impl Body {
    fn left(&self) -> u64 {
        self.header.total.saturating_sub(self.passed)
    }
}

fn say(header: Header, bytes: &[u8], emit: &mut dyn FnMut(Item<'_>)) {
    let more = match header.kind {
        Kind::Command => return,
        Kind::More => true,
        Kind::Last => false,
    };
    emit(Item::Frame { bytes: bytes.get(..MAX_KEPT).unwrap_or(bytes), total: header.total, more });
}
