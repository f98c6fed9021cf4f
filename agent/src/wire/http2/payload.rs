//! What stands in frames: the bodies of DATA, and the fragments of header blocks. Padding and priorities are taken off.

use super::frame::{Header, Kind, PADDED, PRIORITY};

/// Most bytes of a frame that are kept.
const MAX_KEPT: u32 = 64 * 1024;
/// Room that an idle connection may keep for its next head.
const IDLE_BYTES: usize = 4 * 1024;

/// Where in a DATA frame the stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Data {
    /// The length of the padding is to come.
    padded: bool,
    /// Bytes of the body.
    left: u32,
    padding: u32,
}

impl Data {
    pub(super) fn new(header: &Header) -> Data {
        let padded = header.has(PADDED);
        Data { padded, left: header.length.saturating_sub(u32::from(padded)), padding: 0 }
    }

    pub(super) fn is_complete(&self) -> bool {
        !self.padded && self.left == 0 && self.padding == 0
    }

    /// Takes from the front of `input` what belongs to the frame, says what of it is body; returns the rest.
    pub(super) fn take<'a>(&mut self, input: &'a [u8], body: &mut dyn FnMut(&'a [u8])) -> &'a [u8] {
        let mut rest = input;
        if self.padded {
            let Some((padding, behind)) = rest.split_first() else { return rest };
            rest = behind;
            self.padded = false;
            // More padding than there are bytes is an error; nothing is body then.
            self.padding = u32::from(*padding).min(self.left);
            self.left -= self.padding;
        }
        let (bytes, behind) = rest.split_at_checked(self.left as usize).unwrap_or((rest, &[]));
        if !bytes.is_empty() {
            body(bytes);
            self.left -= u32::try_from(bytes.len()).unwrap_or(self.left);
        }
        if self.left > 0 {
            return behind;
        }
        let (padding, behind) = behind.split_at_checked(self.padding as usize).unwrap_or((behind, &[]));
        self.padding -= u32::try_from(padding.len()).unwrap_or(self.padding);
        behind
    }

    /// Counts bytes that were not copied: how many of them are body, and how many lie behind the frame. Where the length of
    /// the padding is among them, all are taken for body.
    pub(super) fn elide(&mut self, bytes: u64) -> (u64, u64) {
        let mut rest = bytes;
        if self.padded && rest > 0 {
            self.padded = false;
            rest -= 1;
        }
        let mut take = |left: &mut u32| {
            let within = rest.min(u64::from(*left));
            *left -= u32::try_from(within).unwrap_or(*left);
            rest -= within;
            within
        };
        let body = take(&mut self.left);
        take(&mut self.padding);
        (body, rest)
    }
}

/// The payload of a frame that is read when it is whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    left: u32,
    /// Bytes of it are missing, or it is longer than what is kept.
    broken: bool,
}

impl Kept {
    pub(super) fn restart(&mut self, length: u32) {
        self.bytes.clear();
        self.bytes.shrink_to(IDLE_BYTES);
        self.left = length;
        self.broken = length > MAX_KEPT;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.left == 0
    }

    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let (bytes, rest) = input.split_at_checked(self.left as usize).unwrap_or((input, &[]));
        self.left -= u32::try_from(bytes.len()).unwrap_or(self.left);
        if !self.broken {
            self.bytes.extend_from_slice(bytes);
        }
        rest
    }

    /// Counts bytes that were not copied: how many lie behind the frame.
    pub(super) fn elide(&mut self, bytes: u64) -> u64 {
        let within = bytes.min(u64::from(self.left));
        self.left -= u32::try_from(within).unwrap_or(self.left);
        self.broken |= within > 0;
        bytes - within
    }

    /// All of it, where none is missing.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        (!self.broken).then_some(self.bytes.as_slice())
    }
}

/// The piece of a header block in a frame; `None` where padding leaves none.
pub(super) fn fragment<'p>(header: &Header, payload: &'p [u8]) -> Option<&'p [u8]> {
    let mut rest = payload;
    let mut padding = 0;
    if header.kind == Kind::Continuation {
        return Some(rest);
    }
    if header.has(PADDED) {
        let (length, behind) = rest.split_first()?;
        padding = usize::from(*length);
        rest = behind;
    }
    let before = match header.kind {
        Kind::Headers if header.has(PRIORITY) => 5,
        Kind::PushPromise => 4,
        _ => 0,
    };
    let rest = rest.get(before..)?;
    rest.get(..rest.len().checked_sub(padding)?)
}
