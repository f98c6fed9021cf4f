//! Masks lines that a server writes for people: a list of phrases stays, the time that a job took, progress bars, and of
//! an exception its type. All else becomes `x`.

use crate::event::{Direction, Segment};
use crate::wire::Stretch;
use crate::wire::stream::Stream;

/// How lines begin that are read, and what of them stays behind that.
const PHRASES: &[(&str, Tail)] = &[
    ("!!! Exception during processing !!!", Tail::Nothing),
    ("Processing interrupted", Tail::Nothing),
    ("Prompt executed in ", Tail::Time),
    ("Requested to load ", Tail::Nothing),
    ("Starting server", Tail::Nothing),
    (TRACEBACK, Tail::Nothing),
    ("got prompt", Tail::Nothing),
    ("loaded completely", Tail::Nothing),
    ("loaded partially", Tail::Nothing),
];

const TRACEBACK: &str = "Traceback (most recent call last):";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Nothing,
    Time,
}

/// Masks one descriptor.
pub(super) struct Mask {
    stream: Stream,
    at: At,
    frames: Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    /// So many bytes of a phrase, for example of this one.
    Phrase {
        of: &'static str,
        len: usize,
    },
    Time,
    /// In blanks and digits that may begin a bar.
    Percent,
    /// Behind a percent sign.
    Sign,
    Bar,
    /// In the type of an exception.
    Type,
    Masked,
}

/// Whether the lines are the frames of a traceback: the next that is not indented begins with the exception's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frames {
    No,
    Under,
}

impl Default for Mask {
    fn default() -> Mask {
        Mask { stream: Stream::new(None), at: At::Start, frames: Frames::No }
    }
}

impl Mask {
    pub(super) fn segment(&mut self, segment: &Segment) -> Vec<u8> {
        if segment.direction == Direction::Read {
            return vec![0; segment.bytes.len()];
        }
        let mut stretches = Vec::new();
        self.stream.push(segment, &mut Vec::new(), &mut |stretch| stretches.push(stretch));
        let mut out = Vec::with_capacity(segment.bytes.len());
        for stretch in stretches {
            match stretch {
                Stretch::Bytes(bytes) => {
                    // What the stream dropped was seen before.
                    out.resize(super::offset(&segment.bytes, bytes), 0);
                    out.extend(bytes.iter().map(|byte| self.byte(*byte)));
                }
                Stretch::Elided(_) | Stretch::Gap(_) => self.at = At::Masked,
            }
        }
        out.resize(segment.bytes.len(), 0);
        out
    }

    fn byte(&mut self, byte: u8) -> u8 {
        if matches!(byte, b'\n' | b'\r') {
            self.at = At::Start;
            return byte;
        }
        self.at = self.after(byte);
        if self.at == At::Masked { b'x' } else { byte }
    }

    fn after(&mut self, byte: u8) -> At {
        match self.at {
            At::Start => self.start(byte),
            At::Phrase { of, len } => self.phrase(of.get(..len).unwrap_or_default(), byte),
            At::Time if byte.is_ascii_digit() || b".: second".contains(&byte) => At::Time,
            At::Percent if byte == b' ' || byte.is_ascii_digit() => At::Percent,
            At::Percent if byte == b'%' => At::Sign,
            At::Sign if byte == b'|' => At::Bar,
            At::Bar if byte.is_ascii_digit() || b" #|/[<:,.?its".contains(&byte) || is_block(byte) => At::Bar,
            At::Type if byte.is_ascii_alphanumeric() || b"._".contains(&byte) => At::Type,
            _ => At::Masked,
        }
    }

    fn start(&mut self, byte: u8) -> At {
        match byte {
            b' ' | b'0'..=b'9' => At::Percent,
            _ if self.frames == Frames::Under => {
                self.frames = Frames::No;
                self.at = At::Type;
                self.after(byte)
            }
            _ => self.phrase("", byte),
        }
    }

    fn phrase(&mut self, begun: &str, byte: u8) -> At {
        let fits = |phrase: &str| phrase.strip_prefix(begun).is_some_and(|rest| rest.as_bytes().first() == Some(&byte));
        let Some((of, tail)) = PHRASES.iter().find(|(phrase, _)| fits(phrase)) else { return At::Masked };
        let len = begun.len() + 1;
        if len == TRACEBACK.len() && *of == TRACEBACK {
            self.frames = Frames::Under;
        }
        if *tail == Tail::Time && len == of.len() { At::Time } else { At::Phrase { of, len } }
    }
}

/// Whether a byte is of a block that bars are drawn with (U+2588 to U+258F).
fn is_block(byte: u8) -> bool {
    matches!(byte, 0xe2 | 0x96 | 0x88..=0x8f)
}
