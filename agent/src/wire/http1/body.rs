//! Message bodies: removes the transfer coding and finds the end. It keeps no bytes.

use crate::issue::Issue;
use crate::wire::Item;

/// Longest chunk-size line and longest trailer section.
const MAX_LINE: u32 = 64 * 1024;
/// Most digits of a chunk size: those of a `u64`.
const MAX_DIGITS: u8 = 16;

/// A body under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes are to come (> 0).
    Length(u64),
    /// It ends with the connection.
    UntilClose,
    /// Chunked.
    Chunked(Chunk),
}

/// Where in the chunked coding the body stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    /// In the digits of a chunk's size.
    Size { value: u64, digits: u8 },
    /// Behind the digits, before the line's end.
    Extension { value: u64, seen: u32 },
    /// So many bytes of the chunk are to come.
    Data(u64),
    /// Behind a chunk's bytes, before its line end.
    DataEnd,
    /// Behind the last chunk.
    Trailer { line: u32, seen: u32 },
}

/// What a body says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// More is to come.
    More,
    /// It is complete.
    Complete,
}

const SIZE: Chunk = Chunk::Size { value: 0, digits: 0 };

impl Body {
    /// A body of `bytes` bytes; none at all where that is 0.
    pub(super) fn length(bytes: u64) -> Option<Body> {
        (bytes > 0).then_some(Body::Length(bytes))
    }

    pub(super) fn chunked() -> Body {
        Body::Chunked(SIZE)
    }

    pub(super) fn until_close() -> Body {
        Body::UntilClose
    }

    /// Takes from the front of `input` what belongs to the body; returns the rest.
    pub(super) fn take<'a>(
        &mut self,
        input: &'a [u8],
        emit: &mut dyn FnMut(Item<'a>),
    ) -> Result<(Progress, &'a [u8]), Issue> {
        match self {
            Body::UntilClose => {
                emit(Item::Body(input));
                Ok((Progress::More, &[]))
            }
            Body::Length(left) => {
                let rest = data(left, input, emit);
                Ok((if *left == 0 { Progress::Complete } else { Progress::More }, rest))
            }
            Body::Chunked(chunk) => chunk.take(input, emit),
        }
    }

    /// Counts `bytes` that were not copied. The answer is what of them lies behind the body (0 while it goes on);
    /// `None` where they hid what frames it.
    pub(super) fn elide(&mut self, bytes: u64, emit: &mut dyn FnMut(Item<'static>)) -> Option<(Progress, u64)> {
        match self {
            Body::UntilClose => {
                emit(Item::Elided(bytes));
                Some((Progress::More, 0))
            }
            Body::Length(left) => {
                let within = bytes.min(*left);
                emit(Item::Elided(within));
                *left -= within;
                let progress = if *left == 0 { Progress::Complete } else { Progress::More };
                Some((progress, bytes - within))
            }
            Body::Chunked(Chunk::Data(left)) if bytes <= *left => {
                emit(Item::Elided(bytes));
                *left -= bytes;
                if *left == 0 {
                    *self = Body::Chunked(Chunk::DataEnd);
                }
                Some((Progress::More, 0))
            }
            Body::Chunked(_) => None,
        }
    }
}

impl Chunk {
    fn take<'a>(&mut self, input: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) -> Result<(Progress, &'a [u8]), Issue> {
        let mut rest = input;
        loop {
            if let Chunk::Data(left) = self {
                rest = data(left, rest, emit);
                if *left == 0 {
                    *self = Chunk::DataEnd;
                }
            }
            let Some((&byte, behind)) = rest.split_first() else {
                return Ok((Progress::More, rest));
            };
            rest = behind;
            let Some(next) = self.after(byte)? else {
                return Ok((Progress::Complete, rest));
            };
            *self = next;
        }
    }

    /// The state after one byte of framing; `None` when it was the body's last.
    fn after(self, byte: u8) -> Result<Option<Chunk>, Issue> {
        let next = match (self, byte) {
            (Chunk::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < MAX_DIGITS => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Chunk::Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (Chunk::Size { value, digits: 1.. }, b'\n') | (Chunk::Extension { value, .. }, b'\n') => match value {
                0 => Chunk::Trailer { line: 0, seen: 0 },
                size => Chunk::Data(size),
            },
            (Chunk::Size { value, digits: 1.. }, b';' | b' ' | b'\t' | b'\r') => Chunk::Extension { value, seen: 0 },
            (Chunk::Extension { value, seen }, _) if seen < MAX_LINE => Chunk::Extension { value, seen: seen + 1 },
            (Chunk::DataEnd, b'\r') => Chunk::DataEnd,
            (Chunk::DataEnd, b'\n') => SIZE,
            (Chunk::Trailer { line: 0, .. }, b'\n') => return Ok(None),
            (Chunk::Trailer { seen, .. }, b'\n') => Chunk::Trailer { line: 0, seen },
            (Chunk::Trailer { line, seen }, b'\r') if seen < MAX_LINE => Chunk::Trailer { line, seen: seen + 1 },
            (Chunk::Trailer { line, seen }, _) if seen < MAX_LINE => Chunk::Trailer { line: line + 1, seen: seen + 1 },
            _ => return Err(Issue::HttpMalformed),
        };
        Ok(Some(next))
    }
}

/// Says the next at most `left` bytes of `input` and returns the rest.
fn data<'a>(left: &mut u64, input: &'a [u8], emit: &mut dyn FnMut(Item<'a>)) -> &'a [u8] {
    let within = usize::try_from(*left).unwrap_or(usize::MAX);
    let (body, rest) = input.split_at_checked(within).unwrap_or((input, &[]));
    if !body.is_empty() {
        emit(Item::Body(body));
        *left -= body.len() as u64;
    }
    rest
}
