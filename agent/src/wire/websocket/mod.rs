//! WebSocket (RFC 6455) of one direction, from the handshake on: its messages, put together from frames, unmasked and
//! inflated.
//!
//! Text comes whole up to a bound; of anything else only the length, so pictures are never held. It does not know what
//! texts say, nor who they are for.
//!
//! A hole of known length inside a frame leaves the message short and the place in the stream known. Where the thread is
//! lost (a hole around a header, garbage) it picks it up at the next push that is a row of whole frames, to its last
//! byte. That errs towards finding one; a guess that turns out wrong is dropped without an issue. Deflated messages that
//! refer to earlier ones (as most do) cannot be picked up again: behind a hole, and where the handshake was not seen,
//! the direction is unreadable for good, and says so.

mod extension;
pub(crate) mod frame;
mod inflate;
#[cfg(test)]
mod tests;

use super::Stretch;
use crate::issue::Issue;
use frame::{Coding, End, Header, Kind, Progress};
use inflate::{Failure, Inflater};

pub use extension::{Context, Extensions};

/// Most bytes of a text that are kept.
pub const MAX_KEPT: usize = 64 * 1024;

/// What the decoder says, in stream order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A text message.
    Text {
        /// Its first bytes: all of them, unless `total` is larger.
        bytes: &'a [u8],
        /// Its length.
        total: u64,
    },
    /// A message of another kind.
    Binary {
        /// Its length on the wire.
        total: u64,
    },
    /// The sender will send no more.
    Close,
    /// Messages are missing here.
    Cut,
    /// Nothing that follows can be read.
    Unreadable,
    /// Something was wrong; decoding went on.
    Issue(Issue),
}

/// Whose frames are read: clients mask theirs, servers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Sender {
    Client,
    Server,
}

/// Reads one direction of one connection.
#[derive(Debug)]
pub struct Decoder {
    sender: Sender,
    extensions: Extensions,
    state: State,
    start: Start,
    message: Option<Message>,
    /// What is kept of the text under way.
    kept: Vec<u8>,
    /// From the first deflated message on.
    inflater: Option<Inflater>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between frames or in a header.
    Header(frame::Buffer),
    Payload {
        header: Header,
        passed: u64,
    },
    /// Somewhere unknown.
    Lost,
    Unreadable,
}

/// How the place in the stream is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// From the handshake on.
    Certain,
    /// The bytes looked like it.
    Guessed,
}

/// The message under way; control frames may stand between its frames.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    coding: Coding,
    /// Bytes on the wire.
    wire: u64,
    hole: Hole,
}

/// Whether bytes of the message under way are missing; what follows a hole is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hole {
    None,
    Some,
}

impl Decoder {
    /// For a direction that is seen from the handshake on.
    #[must_use]
    pub fn new(sender: Sender, extensions: Extensions) -> Decoder {
        Decoder {
            sender,
            extensions,
            state: State::Header(frame::Buffer::default()),
            start: Start::Certain,
            message: None,
            kept: Vec::new(),
            inflater: None,
        }
    }

    /// For a connection that was joined midway: everything before the first push of whole frames is ignored.
    #[must_use]
    pub fn midway(sender: Sender) -> Decoder {
        Decoder { state: State::Lost, start: Start::Guessed, ..Decoder::new(sender, Extensions::Unknown) }
    }

    /// Reads on.
    pub fn push(&mut self, stretch: Stretch<'_>, emit: &mut dyn FnMut(Item<'_>)) {
        match stretch {
            Stretch::Bytes(bytes) => self.read(bytes, emit),
            Stretch::Elided(bytes) | Stretch::Gap(bytes) => self.skip(bytes, emit),
        }
    }

    fn read(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Item<'_>)) {
        if matches!(self.state, State::Lost) && is_row_of_frames(bytes, self.sender) {
            self.start = Start::Guessed;
            self.state = State::Header(frame::Buffer::default());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.state {
                State::Header(_) => self.read_header(rest, emit),
                State::Payload { .. } => self.read_payload(rest, emit),
                State::Lost | State::Unreadable => return,
            };
        }
    }

    fn read_header<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'_>)) -> &'a [u8] {
        let State::Header(buffer) = &mut self.state else { return input };
        let (progress, rest) = buffer.take(input, self.sender);
        match progress {
            Progress::More => {}
            Progress::Whole(header) => match self.begin(&header, emit) {
                Next::Payload => {
                    self.state = State::Payload { header, passed: 0 };
                    self.end_if_complete(emit);
                }
                Next::Malformed => self.fail(emit),
                Next::Unreadable => self.give_up(emit),
            },
            Progress::Malformed => self.fail(emit),
        }
        rest
    }

    /// What follows a header that stands here.
    fn begin(&mut self, header: &Header, emit: &mut dyn FnMut(Item<'_>)) -> Next {
        match (header.kind, &self.message) {
            (Kind::Close, _) => emit(Item::Close),
            (Kind::Life, _) | (Kind::Continuation, Some(_)) => {}
            (Kind::Text | Kind::Binary, Some(_)) | (Kind::Continuation, None) => return Next::Malformed,
            (Kind::Text | Kind::Binary, None) => {
                let Header { kind, coding, .. } = *header;
                self.kept.clear();
                self.message = Some(Message { kind, coding, wire: 0, hole: Hole::None });
                return match (coding, self.extensions) {
                    (Coding::Deflated, Extensions::None) => Next::Malformed,
                    (Coding::Deflated, Extensions::Unknown) => Next::Unreadable,
                    (Coding::Deflated, Extensions::Deflate { .. }) | (Coding::Plain, _) => Next::Payload,
                };
            }
        }
        Next::Payload
    }

    fn read_payload<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'_>)) -> &'a [u8] {
        let State::Payload { header, passed } = &mut self.state else { return input };
        let left = usize::try_from(header.payload.saturating_sub(*passed)).unwrap_or(usize::MAX);
        let (bytes, rest) = input.split_at_checked(left).unwrap_or((input, &[]));
        let (mask, from) = (header.mask, *passed);
        *passed = passed.saturating_add(bytes.len() as u64);
        if header.carries_content() {
            let read = if mask == [0; 4] { self.content(bytes) } else { self.content(&unmasked(bytes, mask, from)) };
            if let Err(failure) = read {
                self.cannot_inflate(failure, emit);
            }
        }
        self.end_if_complete(emit);
        rest
    }

    /// Bytes of the message under way.
    fn content(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let context = self.extensions.context(self.sender);
        let Some(message) = &mut self.message else { return Ok(()) };
        message.wire = message.wire.saturating_add(bytes.len() as u64);
        let (kept, kind) = (&mut self.kept, message.kind);
        match (message.coding, context) {
            _ if message.hole == Hole::Some => {}
            (Coding::Plain, _) => keep(kept, kind, bytes),
            (Coding::Deflated, Some(context)) if matters(kind, context) => {
                return inflater(&mut self.inflater, context).push(bytes, &mut |bytes| keep(kept, kind, bytes));
            }
            (Coding::Deflated, _) => {}
        }
        Ok(())
    }

    fn skip(&mut self, bytes: u64, emit: &mut dyn FnMut(Item<'_>)) {
        let State::Payload { header, passed } = &mut self.state else { return self.lose(emit) };
        let left = header.payload.saturating_sub(*passed);
        *passed = passed.saturating_add(bytes.min(left));
        if header.carries_content()
            && let Some(message) = &mut self.message
        {
            message.wire = message.wire.saturating_add(bytes.min(left));
            message.hole = Hole::Some;
            if message.coding == Coding::Deflated && self.refers_back() {
                return self.give_up(emit);
            }
        }
        self.end_if_complete(emit);
        if bytes > left {
            self.lose(emit);
        }
    }

    fn end_if_complete(&mut self, emit: &mut dyn FnMut(Item<'_>)) {
        let State::Payload { header, passed } = &self.state else { return };
        if *passed < header.payload {
            return;
        }
        let is_last = header.carries_content() && header.end == End::Last;
        self.state = State::Header(frame::Buffer::default());
        if let Some(message) = self.message.take_if(|_| is_last) {
            self.finish(message, emit);
        }
    }

    /// Says a message.
    fn finish(&mut self, message: Message, emit: &mut dyn FnMut(Item<'_>)) {
        let Message { kind, coding, wire, hole } = message;
        let kept = &mut self.kept;
        let total = match (coding, self.extensions.context(self.sender)) {
            (Coding::Plain, _) => Ok(Some(wire)),
            (Coding::Deflated, Some(context)) if matters(kind, context) && hole == Hole::None => {
                inflater(&mut self.inflater, context).finish(&mut |bytes| keep(kept, kind, bytes)).map(Some)
            }
            (Coding::Deflated, _) => Ok(None),
        };
        match (total, kind) {
            (Err(failure), _) => self.cannot_inflate(failure, emit),
            (Ok(_), Kind::Binary) => emit(Item::Binary { total: wire }),
            (Ok(Some(total)), _) => emit(Item::Text { bytes: &self.kept, total }),
            (Ok(None), _) => {
                self.inflater = None;
                emit(Item::Cut);
            }
        }
    }

    /// A deflated message cannot be read.
    fn cannot_inflate(&mut self, failure: Failure, emit: &mut dyn FnMut(Item<'_>)) {
        emit(Item::Issue(match failure {
            Failure::Malformed => Issue::WebSocketMalformed,
            Failure::TooLong => Issue::WebSocketTooLong,
        }));
        if self.refers_back() {
            return self.give_up(emit);
        }
        match &mut self.message {
            Some(message) => message.hole = Hole::Some,
            None => emit(Item::Cut),
        }
        self.inflater = None;
    }

    /// Whether messages of this direction refer to earlier ones.
    fn refers_back(&self) -> bool {
        self.extensions.context(self.sender) == Some(Context::Connection)
    }

    fn fail(&mut self, emit: &mut dyn FnMut(Item<'_>)) {
        if self.start == Start::Certain {
            emit(Item::Issue(Issue::WebSocketMalformed));
        }
        self.lose(emit);
    }

    /// Gives up the message under way and the place in the stream.
    fn lose(&mut self, emit: &mut dyn FnMut(Item<'_>)) {
        if matches!(self.state, State::Lost | State::Unreadable) {
            return;
        }
        if self.refers_back() {
            return self.give_up(emit);
        }
        emit(Item::Cut);
        self.forget(State::Lost);
    }

    /// Gives up the direction.
    fn give_up(&mut self, emit: &mut dyn FnMut(Item<'_>)) {
        emit(Item::Unreadable);
        self.forget(State::Unreadable);
    }

    fn forget(&mut self, state: State) {
        self.state = state;
        self.message = None;
        self.kept = Vec::new();
        self.inflater = None;
    }
}

/// What follows a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Payload,
    Malformed,
    Unreadable,
}

impl Header {
    /// Whether it is a piece of a message.
    pub(crate) fn carries_content(&self) -> bool {
        matches!(self.kind, Kind::Text | Kind::Binary | Kind::Continuation)
    }
}

/// Holds what of a message is said.
fn keep(kept: &mut Vec<u8>, kind: Kind, bytes: &[u8]) {
    let room = if kind == Kind::Text { MAX_KEPT.saturating_sub(kept.len()) } else { 0 };
    kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}

/// Whether a deflated message is inflated: a picture only where later messages may refer to it.
fn matters(kind: Kind, context: Context) -> bool {
    kind == Kind::Text || context == Context::Connection
}

fn inflater(held: &mut Option<Inflater>, context: Context) -> &mut Inflater {
    held.get_or_insert_with(|| Inflater::new(context))
}

/// Payload bytes that begin `from` bytes into their frame.
fn unmasked(bytes: &[u8], mask: [u8; 4], from: u64) -> Vec<u8> {
    let skipped = usize::try_from(from % 4).unwrap_or_default();
    bytes.iter().zip(mask.iter().cycle().skip(skipped)).map(|(byte, mask)| byte ^ mask).collect()
}

/// Whether `bytes` are whole frames to the last byte, the first of which begins a message or stands between messages.
#[must_use]
pub fn is_row_of_frames(bytes: &[u8], sender: Sender) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (Progress::Whole(header), behind) = frame::Buffer::default().take(rest, sender) else { return false };
        let is_first = rest.len() == bytes.len();
        let payload = usize::try_from(header.payload).ok().and_then(|payload| behind.get(payload..));
        match payload {
            Some(behind) if !is_first || header.kind != Kind::Continuation => rest = behind,
            _ => return false,
        }
    }
    !bytes.is_empty()
}
