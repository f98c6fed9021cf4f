//! HTTP/1.1 messages of one direction: where each begins and ends, its head, and its body without transfer coding.
//!
//! It holds at most one head, never a body, and does not decode content codings. It does not pair requests with
//! responses; the caller does, and says through [`Decoder::expect`] what a response answers.
//!
//! Where the thread is lost (a gap, garbage, bytes that nobody copied) it picks it up at the next push whose bytes begin
//! like a message. That errs towards finding one: body bytes that a call happens to begin with, and that are a whole
//! and valid head, are taken for a message. A guess that turns out wrong is dropped without an issue.

mod body;
mod head;
mod sniff;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::{Item, ResponseHead, Stretch};
use crate::issue::Issue;
use body::{Body, Progress};

pub use head::kept;
pub use sniff::{Opening, sniff};

/// Most requests whose methods are remembered. Behind them answers are read as answers to GET.
const MAX_EXPECTED: usize = 256;

/// Reads one direction of one connection.
#[derive(Clone, Debug)]
pub struct Decoder {
    reads: Reads,
    state: State,
    head: head::Buffer,
}

#[derive(Clone, Debug)]
enum Reads {
    Requests,
    /// With what the answers to come answer, oldest first.
    Responses(VecDeque<Asked>),
}

/// What decides whether a response has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Head,
    Connect,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a message or in its head.
    Head(Start),
    Body(Body),
    /// Somewhere unknown.
    Lost,
    Upgraded,
}

/// How it is known that a message begins here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Nothing else can stand here.
    Certain,
    /// The bytes look like it.
    Guessed,
}

/// What a byte is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first of a head.
    Start,
    /// A head.
    Head,
    /// A body or its transfer coding.
    Body,
    /// Nothing that is known.
    Nowhere,
}

impl Decoder {
    /// Reads what clients send.
    #[must_use]
    pub fn requests() -> Decoder {
        Decoder { reads: Reads::Requests, state: State::Head(Start::Certain), head: head::Buffer::default() }
    }

    /// Reads what servers answer.
    #[must_use]
    pub fn responses() -> Decoder {
        Decoder { reads: Reads::Responses(VecDeque::new()), ..Decoder::requests() }
    }

    /// For a connection that was joined midway: everything before the first push that begins like a message is ignored.
    #[must_use]
    pub fn midway(self) -> Decoder {
        Decoder { state: State::Lost, ..self }
    }

    /// Responses only: the method of the next request on this connection. The answer to HEAD has no body, the answer to
    /// CONNECT ends HTTP. What was not said is taken for GET.
    pub fn expect(&mut self, method: &str) {
        let Reads::Responses(asked) = &mut self.reads else {
            return;
        };
        if asked.len() < MAX_EXPECTED {
            asked.push_back(match method {
                "HEAD" => Asked::Head,
                "CONNECT" => Asked::Connect,
                _ => Asked::Other,
            });
        }
    }

    /// Reads on.
    pub fn push<'a>(&mut self, stretch: Stretch<'a>, emit: &mut dyn FnMut(Item<'a>)) {
        match stretch {
            Stretch::Bytes(bytes) => self.read(bytes, emit),
            Stretch::Elided(bytes) => self.skip(bytes, emit),
            Stretch::Gap(_) => self.gap(emit),
        }
    }

    /// The stream ended: a body that ends with the connection is complete, anything else half-read is cut.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Item<'static>)) {
        if self.state == State::Body(Body::UntilClose) {
            emit(Item::End);
            self.state = State::Lost;
            return;
        }
        self.cut(emit);
    }

    /// Whether it does not know where it is.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Whether a message is half-read.
    #[must_use]
    pub fn in_message(&self) -> bool {
        match self.state {
            State::Head(Start::Certain) => !self.head.is_empty(),
            State::Body(_) => true,
            State::Head(Start::Guessed) | State::Lost | State::Upgraded => false,
        }
    }

    /// How many bytes of the body under way are to come, where its head says its length.
    #[must_use]
    pub fn body_left(&self) -> Option<u64> {
        if let State::Body(Body::Length(left)) = self.state { Some(left) } else { None }
    }

    fn read<'a>(&mut self, bytes: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) {
        self.resume(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = self.step(rest, emit);
        }
    }

    /// Picks up the thread at `pushed`, the beginning of a push, if it was lost and they begin like a message.
    pub(crate) fn resume(&mut self, pushed: &[u8]) {
        if self.state == State::Lost && self.could_begin(pushed) {
            self.state = State::Head(Start::Guessed);
        }
    }

    /// What the next byte is part of.
    pub(crate) fn place(&self) -> Place {
        match self.state {
            State::Head(_) if self.head.is_empty() => Place::Start,
            State::Head(_) => Place::Head,
            State::Body(_) => Place::Body,
            State::Lost | State::Upgraded => Place::Nowhere,
        }
    }

    /// Reads the bytes at the front of `input` that are of one place; the rest. Empty where the thread is lost: then
    /// nothing more can be read of this push.
    pub(crate) fn step<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) -> &'a [u8] {
        let read = match &mut self.state {
            State::Head(_) => self.read_head(input, emit),
            State::Body(body) => {
                let read = body.take(input, emit);
                if let Ok((Progress::Complete, _)) = read {
                    self.end(emit);
                }
                read.map(|(_, rest)| rest)
            }
            State::Upgraded => {
                emit(Item::Body(input));
                return &[];
            }
            State::Lost => return &[],
        };
        read.unwrap_or_else(|issue| {
            self.fail(issue, emit);
            &[]
        })
    }

    fn read_head<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) -> Result<&'a [u8], Issue> {
        let (progress, rest) = self.head.take(input);
        match progress {
            head::Progress::TooLong => return Err(Issue::HttpHeadTooLong),
            // Garbage shows in its first bytes: it must not swallow what follows it while it waits for a blank line,
            // nor pass for a message because the blank line came in the same push.
            _ if !self.could_begin(self.head.bytes()) => return Err(Issue::HttpMalformed),
            head::Progress::More => return Ok(rest),
            head::Progress::Whole => {}
        }
        match self.reads {
            Reads::Requests => {
                let (head, body) = head::request(self.head.bytes())?;
                emit(Item::Request(head));
                self.begin(body, emit);
            }
            Reads::Responses(_) => {
                let (head, body) = head::response(self.head.bytes())?;
                self.answer(head, body, emit);
            }
        }
        Ok(rest)
    }

    fn answer<'a>(&mut self, head: ResponseHead, body: Option<Body>, emit: &mut dyn FnMut(Item<'a>)) {
        let status = head.status;
        self.head.clear();
        self.state = State::Head(Start::Certain);
        match status {
            101 => {
                emit(Item::Upgraded(head));
                self.state = State::Upgraded;
                return;
            }
            // Interim: the answer itself is still to come.
            100..200 => return,
            _ => emit(Item::Response(head)),
        }
        match (self.asked(), status) {
            (Asked::Connect, 200..300) => {
                emit(Item::Upgraded(ResponseHead { status, ..ResponseHead::default() }));
                self.state = State::Upgraded;
            }
            (Asked::Head, _) | (_, 204 | 304) => self.end(emit),
            _ => self.begin(body, emit),
        }
    }

    fn asked(&mut self) -> Asked {
        let Reads::Responses(asked) = &mut self.reads else {
            return Asked::Other;
        };
        asked.pop_front().unwrap_or(Asked::Other)
    }

    fn begin<'a>(&mut self, body: Option<Body>, emit: &mut dyn FnMut(Item<'a>)) {
        self.head.clear();
        match body {
            Some(body) => self.state = State::Body(body),
            None => self.end(emit),
        }
    }

    fn end<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        emit(Item::End);
        self.state = State::Head(Start::Certain);
    }

    fn skip<'a>(&mut self, bytes: u64, emit: &mut dyn FnMut(Item<'a>)) {
        let body = match &mut self.state {
            State::Body(body) => body,
            State::Upgraded => return emit(Item::Elided(bytes)),
            State::Head(_) | State::Lost => return self.cut(emit),
        };
        let Some((progress, behind)) = body.elide(bytes, &mut |item| emit(item)) else {
            return self.cut(emit);
        };
        if progress == Progress::Complete {
            self.end(emit);
        }
        if behind > 0 {
            self.cut(emit);
        }
    }

    fn gap<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        // Which answers were in the gap is unknown, so what they answered is as well.
        if let Reads::Responses(asked) = &mut self.reads {
            asked.clear();
        }
        self.cut(emit);
    }

    fn fail<'a>(&mut self, issue: Issue, emit: &mut dyn FnMut(Item<'a>)) {
        if self.state != State::Head(Start::Guessed) {
            emit(Item::Issue(issue));
            emit(Item::Cut);
        }
        self.lose();
    }

    /// Gives up the message under way, if there is one, and the place in the stream.
    fn cut<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        if self.in_message() {
            emit(Item::Cut);
        }
        self.lose();
    }

    fn lose(&mut self) {
        self.head.clear();
        if self.state != State::Upgraded {
            self.state = State::Lost;
        }
    }

    fn could_begin(&self, bytes: &[u8]) -> bool {
        let wanted = match self.reads {
            Reads::Requests => Opening::Request,
            Reads::Responses(_) => Opening::Response,
        };
        sniff(bytes).is_none_or(|opening| opening == wanted)
    }
}
