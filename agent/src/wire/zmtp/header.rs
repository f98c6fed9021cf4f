//! What stands between the frames: the greeting, and each frame's flags and length.

/// Length of a greeting.
pub(super) const GREETING: usize = 64;

/// Bytes of a greeting that say what it is: `FF`, eight that don't matter, `7F`, and the version's first number.
const SIGNATURE: [(usize, u8); 3] = [(0, 0xff), (9, 0x7f), (10, 3)];

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The longest frame that a guess believes in.
const MAX_GUESSED: u64 = 1 << 30;

/// What a connection's first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A ZMTP 3 greeting.
    Greeting,
    /// Something else.
    Other,
}

/// What `first`, the first bytes of a stream, begin; `None` while they are too few to tell.
#[must_use]
pub fn sniff(first: &[u8]) -> Option<Opening> {
    for (at, expected) in SIGNATURE {
        if *first.get(at)? != expected {
            return Some(Opening::Other);
        }
    }
    Some(Opening::Greeting)
}

/// Passes over the greeting, of which `passed` bytes have passed; what is behind it. `None` where it is none.
pub(super) fn greeting<'a>(passed: &mut usize, input: &'a [u8]) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(GREETING.saturating_sub(*passed)).unwrap_or((input, &[]));
    let fits = |(at, expected): (usize, u8)| {
        let byte = at.checked_sub(*passed).and_then(|at| taken.get(at));
        byte.is_none_or(|byte| *byte == expected)
    };
    if !SIGNATURE.into_iter().all(fits) {
        return None;
    }
    *passed = passed.saturating_add(taken.len());
    Some(rest)
}

/// Flags and length of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) total: u64,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message's last.
    Last,
    /// Of a message, and another follows.
    More,
    /// Between the libraries.
    Command,
}

/// The beginning of a header.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffer {
    flags: Option<u8>,
    /// Bytes of the length so far, and their number.
    length: u64,
    read: u8,
}

impl Buffer {
    /// Takes what belongs to the header off the front of `input`; the header once it is whole, and the rest. `None`
    /// where no frame begins so.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> Option<(Option<Header>, &'a [u8])> {
        let mut rest = input;
        while let Some((byte, behind)) = rest.split_first() {
            rest = behind;
            let Some(flags) = self.flags else {
                self.flags = Some(*byte);
                kind(*byte)?;
                continue;
            };
            self.length = self.length << 8 | u64::from(*byte);
            self.read += 1;
            let width = if flags & LONG == 0 { 1 } else { 8 };
            if self.read == width {
                // The standard keeps the highest bit free.
                let total = Some(self.length).filter(|length| i64::try_from(*length).is_ok())?;
                return Some((Some(Header { kind: kind(flags)?, total }), rest));
            }
        }
        Some((None, rest))
    }
}

fn kind(flags: u8) -> Option<Kind> {
    match flags & !LONG {
        0 => Some(Kind::Last),
        MORE => Some(Kind::More),
        COMMAND => Some(Kind::Command),
        _ => None,
    }
}

/// Whether `pushed` begins with a header and goes on like frames as far as it reaches, not all of them empty: zeros look
/// like empty frames.
#[must_use]
pub fn is_plausible(pushed: &[u8]) -> bool {
    let mut rest = pushed;
    let mut seen = false;
    while !rest.is_empty() {
        let is_long = rest.first().is_some_and(|flags| flags & LONG != 0);
        let (total, behind) = match Buffer::default().take(rest) {
            Some((Some(header), behind)) => (header.total, behind),
            // A header that this push cuts is no evidence of its own.
            Some((None, _)) => return seen,
            None => return false,
        };
        // Nobody spends eight bytes on a length that fits one.
        let is_usual = if is_long { (0x100..=MAX_GUESSED).contains(&total) } else { true };
        if !is_usual {
            return false;
        }
        seen |= total > 0;
        rest = usize::try_from(total).ok().and_then(|total| behind.get(total..)).unwrap_or_default();
    }
    seen
}
