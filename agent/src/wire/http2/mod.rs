//! HTTP/2 (RFC 9113) of one direction: heads, trailers and bodies of its streams.
//!
//! It holds at most one header block, never a body; of heads only the fields that [`LISTED`] names. It neither pairs the
//! two directions nor follows the states of streams: the caller does. SETTINGS, PING, PRIORITY and WINDOW_UPDATE are
//! passed over.
//!
//! A hole of known length within a frame leaves the place in the stream known. Where the thread is lost (a gap, garbage,
//! a hole around a frame's header) it picks it up at the next push that begins like frames, and forgets the table of
//! header fields, because blocks may have been lost. A guess that turns out wrong is dropped without an issue.

mod frame;
mod payload;
#[cfg(test)]
mod tests;

use super::Stretch;
use crate::event::Nanos;
use crate::issue::Issue;
use crate::wire::hpack;
use frame::{END_HEADERS, END_STREAM, Header};
use payload::{Data, Kept};

pub(crate) use frame::{HEADER_BYTES, Header as Frame, Kind, PREFACE};
pub use frame::{is_greeting, is_plausible};

/// The fields that are kept of a head: what tells messages apart, how they end, and of which trace they are. Never
/// credentials, never texts.
pub const LISTED: &[&str] = &[
    ":method",
    ":path",
    ":status",
    "b3",
    "content-encoding",
    "content-type",
    "grpc-encoding",
    "grpc-status",
    "traceparent",
    "tracestate",
    "x-b3-flags",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-correlation-id",
    "x-request-id",
];

/// Most bytes of a header block.
const MAX_BLOCK: usize = 64 * 1024;

/// A head or trailers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Those of [`LISTED`], in order.
    pub fields: Vec<(&'static str, String)>,
    /// How many fields say something that was agreed upon before anybody looked; each may be any.
    pub unseen: u32,
}

impl Head {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
    }
}

/// What the decoder says, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// The connection begins here.
    Preface,
    /// A head or trailers of a stream are complete.
    Head {
        /// The stream.
        stream: u32,
        /// When its first byte passed.
        began: Nanos,
        /// What it says.
        head: Head,
    },
    /// A head or trailers of a stream can't be read.
    Unreadable {
        /// The stream.
        stream: u32,
        /// When its first byte passed.
        began: Nanos,
    },
    /// Bytes of a body.
    Data {
        /// The stream.
        stream: u32,
        /// They.
        bytes: &'a [u8],
    },
    /// Bytes of a body that were not copied.
    Elided {
        /// The stream.
        stream: u32,
        /// How many.
        bytes: u64,
    },
    /// Nothing more is said in this direction of a stream.
    End {
        /// The stream.
        stream: u32,
    },
    /// A stream was given up.
    Reset {
        /// The stream.
        stream: u32,
        /// Why: an error code of RFC 9113, 7.
        code: u32,
    },
    /// The thread was lost: anything may have been said on any stream.
    Cut,
    /// Something was wrong; decoding went on.
    Issue(Issue),
}

/// Reads one direction of one connection.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    start: Start,
    fields: hpack::Decoder,
    /// Header blocks have been read.
    used: Used,
    block: Option<Block>,
    /// Payload of a frame that is read whole.
    kept: Kept,
}

#[derive(Clone, Debug)]
enum State {
    /// So many bytes of the client's preface have passed.
    Preface(usize),
    /// Between frames or in a header.
    Header { bytes: [u8; HEADER_BYTES], have: usize, began: Nanos },
    /// In the body of a DATA frame.
    Data(Header, Data),
    /// In a frame that is kept until it is whole.
    Kept(Header, Nanos),
    /// So many bytes of a frame that says nothing to us are to come.
    Skip(u32),
    /// Somewhere unknown.
    Lost,
}

/// How the place in the stream is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// From the connection's beginning.
    Certain,
    /// The bytes looked like it.
    Guessed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Used {
    No,
    Yes,
}

/// A header block under way.
#[derive(Clone, Debug)]
struct Block {
    stream: u32,
    began: Nanos,
    of: Of,
    bytes: Vec<u8>,
    /// Bytes of it are missing.
    broken: bool,
}

/// What a header block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// A head or trailers, the last thing said on its stream or not.
    Head { ends: bool },
    /// A request that the server makes up itself: of no interest, but for the table.
    Promise,
}

const BETWEEN: State = State::Header { bytes: [0; HEADER_BYTES], have: 0, began: Nanos(0) };

impl Decoder {
    /// Reads what clients send.
    #[must_use]
    pub fn requests() -> Decoder {
        Decoder { state: State::Preface(0), ..Decoder::responses() }
    }

    /// Reads what servers send.
    #[must_use]
    pub fn responses() -> Decoder {
        Decoder {
            state: BETWEEN,
            start: Start::Certain,
            fields: hpack::Decoder::new(LISTED),
            used: Used::No,
            block: None,
            kept: Kept::default(),
        }
    }

    /// For a connection that was joined midway: everything before the first push that begins like frames is ignored.
    #[must_use]
    pub fn midway() -> Decoder {
        Decoder {
            state: State::Lost,
            start: Start::Guessed,
            fields: hpack::Decoder::midway(LISTED),
            ..Decoder::responses()
        }
    }

    /// The connection began just now: no header block was missed, unless some were read already.
    pub fn begins(&mut self) {
        if self.used == Used::No {
            self.fields = hpack::Decoder::new(LISTED);
        }
    }

    /// Reads on; `time` is when these bytes passed.
    pub fn push<'a>(&mut self, time: Nanos, stretch: Stretch<'a>, emit: &mut dyn FnMut(Item<'a>)) {
        match stretch {
            Stretch::Bytes(bytes) => {
                self.resume(bytes);
                let mut rest = bytes;
                while !rest.is_empty() {
                    rest = self.step(time, rest, emit);
                }
            }
            Stretch::Elided(bytes) => self.skip(bytes, emit),
            Stretch::Gap(_) => self.lose(emit),
        }
    }

    /// Picks up the thread at `pushed`, the beginning of a push, if it was lost and they begin like frames.
    fn resume(&mut self, pushed: &[u8]) {
        if !matches!(self.state, State::Lost) {
            return;
        }
        if pushed.starts_with(PREFACE) {
            self.state = State::Preface(0);
        } else if is_plausible(pushed) {
            self.start = Start::Guessed;
            self.state = BETWEEN;
        }
    }

    /// Reads the bytes at the front of `input` that are of one piece; the rest.
    fn step<'a>(&mut self, time: Nanos, input: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) -> &'a [u8] {
        match &mut self.state {
            State::Preface(have) => {
                let wanted = PREFACE.get(*have..).unwrap_or_default();
                let (came, rest) = input.split_at_checked(wanted.len()).unwrap_or((input, &[]));
                if !wanted.starts_with(came) {
                    return self.fail(emit);
                }
                *have += came.len();
                if *have == PREFACE.len() {
                    emit(Item::Preface);
                    self.start = Start::Certain;
                    self.state = BETWEEN;
                    self.used = Used::No;
                    self.begins();
                }
                rest
            }
            State::Header { bytes, have, began } => {
                if *have == 0 {
                    *began = time;
                }
                let room = bytes.get_mut(*have..).unwrap_or_default();
                let (came, rest) = input.split_at_checked(room.len()).unwrap_or((input, &[]));
                room.iter_mut().zip(came).for_each(|(to, from)| *to = *from);
                *have += came.len();
                if *have == HEADER_BYTES {
                    let (bytes, began) = (*bytes, *began);
                    self.begin(bytes, began, emit);
                }
                rest
            }
            State::Data(header, data) => {
                let stream = header.stream;
                let rest = data.take(input, &mut |bytes| emit(Item::Data { stream, bytes }));
                self.end_data_if_complete(emit);
                rest
            }
            State::Kept(..) => {
                let rest = self.kept.take(input);
                self.end_kept_if_complete(emit);
                rest
            }
            State::Skip(left) => {
                let rest = input.get(*left as usize..).unwrap_or_default();
                *left -= u32::try_from(input.len() - rest.len()).unwrap_or(*left);
                if *left == 0 {
                    self.state = BETWEEN;
                }
                rest
            }
            State::Lost => &[],
        }
    }

    /// A frame's header is whole.
    fn begin<'a>(&mut self, bytes: [u8; HEADER_BYTES], began: Nanos, emit: &mut dyn FnMut(Item<'a>)) {
        let Some(header) = Header::read(bytes) else {
            self.fail(emit);
            return;
        };
        let continues = self.block.as_ref().map(|block| block.stream);
        let expected = match header.kind {
            Kind::Continuation => continues == Some(header.stream),
            _ => continues.is_none(),
        };
        if !expected {
            self.fail(emit);
            return;
        }
        match header.kind {
            Kind::Data => {
                self.state = State::Data(header, Data::new(&header));
                self.end_data_if_complete(emit);
            }
            Kind::Headers | Kind::Continuation | Kind::PushPromise | Kind::Reset => {
                self.kept.restart(header.length);
                self.state = State::Kept(header, began);
                self.end_kept_if_complete(emit);
            }
            _ if header.length == 0 => self.state = BETWEEN,
            _ => self.state = State::Skip(header.length),
        }
    }

    fn end_data_if_complete<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        let State::Data(header, data) = &self.state else { return };
        if !data.is_complete() {
            return;
        }
        if header.has(END_STREAM) {
            emit(Item::End { stream: header.stream });
        }
        self.state = BETWEEN;
    }

    fn end_kept_if_complete<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        let State::Kept(header, began) = self.state else { return };
        if !self.kept.is_complete() {
            return;
        }
        self.state = BETWEEN;
        if header.kind == Kind::Reset {
            if let Some(code) = self.kept.bytes().and_then(|bytes| bytes.first_chunk()) {
                emit(Item::Reset { stream: header.stream, code: u32::from_be_bytes(*code) });
            }
            return;
        }
        let fragment = self.kept.bytes().and_then(|bytes| payload::fragment(&header, bytes));
        let block = self.block.get_or_insert_with(|| Block {
            stream: header.stream,
            began,
            of: match header.kind {
                Kind::PushPromise => Of::Promise,
                _ => Of::Head { ends: header.has(END_STREAM) },
            },
            bytes: Vec::new(),
            broken: false,
        });
        match fragment {
            Some(fragment) if block.bytes.len() + fragment.len() <= MAX_BLOCK => {
                block.bytes.extend_from_slice(fragment)
            }
            _ => block.broken = true,
        }
        if header.has(END_HEADERS) {
            self.end_block(emit);
        }
    }

    fn end_block<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        let Some(Block { stream, began, of, bytes, broken }) = self.block.take() else { return };
        self.used = Used::Yes;
        let mut head = Head::default();
        let read = if broken {
            self.fields.forget();
            Err(Issue::HpackMalformed)
        } else {
            self.fields.decode(&bytes, &mut |field| match field {
                hpack::Field::Known { name, value } => head.fields.push((name, value.to_owned())),
                hpack::Field::Unseen => head.unseen = head.unseen.saturating_add(1),
            })
        };
        if let Err(issue) = read {
            if self.start == Start::Guessed && !broken {
                // It was no header block.
                return self.lose(emit);
            }
            emit(Item::Issue(issue));
        }
        let Of::Head { ends } = of else { return };
        emit(if read.is_ok() { Item::Head { stream, began, head } } else { Item::Unreadable { stream, began } });
        if ends {
            emit(Item::End { stream });
        }
    }

    fn skip<'a>(&mut self, bytes: u64, emit: &mut dyn FnMut(Item<'a>)) {
        let behind = match &mut self.state {
            State::Data(header, data) => {
                let (within, behind) = data.elide(bytes);
                if within > 0 {
                    emit(Item::Elided { stream: header.stream, bytes: within });
                }
                self.end_data_if_complete(emit);
                behind
            }
            State::Kept(..) => {
                let behind = self.kept.elide(bytes);
                self.end_kept_if_complete(emit);
                behind
            }
            State::Skip(left) => {
                let within = bytes.min(u64::from(*left));
                *left -= u32::try_from(within).unwrap_or(*left);
                if *left == 0 {
                    self.state = BETWEEN;
                }
                bytes - within
            }
            State::Preface(_) | State::Header { .. } | State::Lost => bytes,
        };
        if behind > 0 {
            self.lose(emit);
        }
    }

    fn fail<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) -> &'static [u8] {
        if self.start == Start::Certain {
            emit(Item::Issue(Issue::Http2Malformed));
        }
        self.lose(emit);
        &[]
    }

    /// Gives up the place in the stream, and what hung on it.
    fn lose<'a>(&mut self, emit: &mut dyn FnMut(Item<'a>)) {
        if !matches!(self.state, State::Lost) {
            emit(Item::Cut);
        }
        self.state = State::Lost;
        self.block = None;
        self.fields.forget();
        self.used = Used::Yes;
    }
}
