//! Frame headers (RFC 6455, 5.2): put together byte by byte, and refused where no frame begins so.

use super::Sender;

const FIN: u8 = 0x80;
const DEFLATED: u8 = 0x40;
const RESERVED: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;

/// Longest payload of a control frame, and the lengths that say that the real one follows in 2 or 8 bytes.
const MAX_CONTROL: u64 = 125;
const IN_TWO_BYTES: u64 = 126;
const IN_EIGHT_BYTES: u64 = 127;

/// Bytes of the longest header.
const MAX_BYTES: usize = 14;

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Whether its message goes on in another frame.
    pub(crate) end: End,
    pub(crate) coding: Coding,
    /// All zeros where it is not masked.
    pub(crate) mask: [u8; 4],
    pub(crate) payload: u64,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
    Continuation,
    Close,
    /// Ping or pong.
    Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Last,
    More,
}

/// How the message that begins here is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Plain,
    Deflated,
}

/// A header under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buffer {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

/// How far a header has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    Whole(Header),
    Malformed,
}

impl Buffer {
    /// Takes from the front of `input` what belongs to the header; returns the rest.
    pub(crate) fn take<'a>(&mut self, input: &'a [u8], sender: Sender) -> (Progress, &'a [u8]) {
        let mut rest = input;
        while let Some((&byte, behind)) = rest.split_first() {
            let Some(slot) = self.bytes.get_mut(self.len) else { return (Progress::Malformed, rest) };
            *slot = byte;
            self.len += 1;
            rest = behind;
            match self.read(sender) {
                Progress::More => {}
                done => return (done, rest),
            }
        }
        (Progress::More, rest)
    }

    fn read(&self, sender: Sender) -> Progress {
        let [first, second, behind @ ..] = self.bytes;
        let Some((kind, end, coding)) = first_byte(first) else { return Progress::Malformed };
        if self.len < 2 {
            return Progress::More;
        }
        let is_masked = second & MASKED != 0;
        let short = u64::from(second & !MASKED);
        let is_control = matches!(kind, Kind::Close | Kind::Life);
        if is_masked != (sender == Sender::Client) || (is_control && short > MAX_CONTROL) {
            return Progress::Malformed;
        }
        let length_bytes = match short {
            IN_TWO_BYTES => 2,
            IN_EIGHT_BYTES => 8,
            _ => 0,
        };
        let mask_bytes = if is_masked { 4 } else { 0 };
        if self.len < 2 + length_bytes + mask_bytes {
            return Progress::More;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte));
        let payload = behind.get(..length_bytes).map_or(0, number);
        let payload = match (short, payload) {
            // The shortest form is the only one.
            (IN_TWO_BYTES, ..IN_TWO_BYTES) | (IN_EIGHT_BYTES, 0..=0xffff | 0x8000_0000_0000_0000..) => {
                return Progress::Malformed;
            }
            (IN_TWO_BYTES | IN_EIGHT_BYTES, long) => long,
            (short, _) => short,
        };
        let mask = behind.get(length_bytes..length_bytes + mask_bytes).and_then(|mask| mask.try_into().ok());
        Progress::Whole(Header { kind, end, coding, mask: mask.unwrap_or_default(), payload })
    }
}

fn first_byte(byte: u8) -> Option<(Kind, End, Coding)> {
    let end = if byte & FIN == 0 { End::More } else { End::Last };
    let coding = if byte & DEFLATED == 0 { Coding::Plain } else { Coding::Deflated };
    let kind = match byte & OPCODE {
        0 => Kind::Continuation,
        1 => Kind::Text,
        2 => Kind::Binary,
        8 => Kind::Close,
        9 | 10 => Kind::Life,
        _ => return None,
    };
    let is_whole = (end, coding) == (End::Last, Coding::Plain);
    let fits = match kind {
        Kind::Text | Kind::Binary => true,
        // A message is deflated or not from its first frame on.
        Kind::Continuation => coding == Coding::Plain,
        Kind::Close | Kind::Life => is_whole,
    };
    (fits && byte & RESERVED == 0).then_some((kind, end, coding))
}
