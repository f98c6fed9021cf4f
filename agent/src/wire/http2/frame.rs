//! HTTP/2 frames (RFC 9113, 4 and 6): headers, and what is certainly none.

use super::payload;

/// Bytes of a frame's header.
pub(crate) const HEADER_BYTES: usize = 9;
/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest frame of an unknown kind: what every peer may send unless told otherwise.
const MAX_UNKNOWN: u32 = 16 * 1024;

/// Flags.
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    /// Bytes behind the header.
    pub(crate) length: u32,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// To be passed over (RFC 9113, 5.5).
    Unknown,
}

impl Header {
    /// Reads a header; `None` where it breaks a rule of its frame's kind.
    pub(crate) fn read(bytes: [u8; HEADER_BYTES]) -> Option<Header> {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        let header = Header {
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
            length: u32::from_be_bytes([0, l0, l1, l2]),
        };
        header.is_allowed().then_some(header)
    }

    fn is_allowed(&self) -> bool {
        let on_stream = self.stream != 0;
        let most_padding = if self.has(PADDED) { 1 } else { 0 };
        match self.kind {
            Kind::Data => on_stream && self.length >= most_padding,
            Kind::Headers => on_stream && self.length >= most_padding + if self.has(PRIORITY) { 5 } else { 0 },
            Kind::PushPromise => on_stream && self.length >= most_padding + 4,
            Kind::Continuation => on_stream,
            Kind::Priority => on_stream && self.length == 5,
            Kind::Reset => on_stream && self.length == 4,
            Kind::WindowUpdate => self.length == 4,
            Kind::Settings if self.has(ACK) => !on_stream && self.length == 0,
            Kind::Settings => !on_stream && self.length.is_multiple_of(6),
            Kind::Ping => !on_stream && self.length == 8,
            Kind::GoAway => !on_stream && self.length >= 8,
            // Another protocol would else be passed over for megabytes.
            Kind::Unknown => self.length <= MAX_UNKNOWN,
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether its payload begins with the length of its padding.
    pub(crate) fn is_padded(&self) -> bool {
        self.has(PADDED)
    }

    /// Whether nothing follows on its stream.
    pub(crate) fn ends_stream(&self) -> bool {
        self.has(END_STREAM)
    }

    /// The header block in its payload, where it has a whole one.
    pub(crate) fn whole_block<'p>(&self, payload: &'p [u8]) -> Option<&'p [u8]> {
        let is_whole = self.kind != Kind::Continuation && self.has(END_HEADERS);
        payload::fragment(self, payload).filter(|_| is_whole)
    }

    /// Whether a peer of ours would send it: only then is it taken for a header where nothing says that one stands.
    fn is_usual(&self) -> bool {
        let flags = match self.kind {
            Kind::Data => END_STREAM | PADDED,
            Kind::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Kind::Settings | Kind::Ping => ACK,
            Kind::Continuation => END_HEADERS,
            Kind::PushPromise => END_HEADERS | PADDED,
            Kind::Reset | Kind::GoAway | Kind::WindowUpdate | Kind::Priority => 0,
            Kind::Unknown => return false,
        };
        // Servers open no streams with even numbers: nobody has pushed for years.
        self.flags & !flags == 0 && (self.stream == 0 || self.stream % 2 == 1)
    }

    /// Whether so much of it is fixed that it is hardly anything else.
    fn is_telling(&self) -> bool {
        match self.kind {
            Kind::WindowUpdate | Kind::Ping | Kind::Reset | Kind::Priority => true,
            Kind::Settings => self.length <= 6 * 16,
            _ => false,
        }
    }
}

impl Kind {
    fn of(kind: u8) -> Kind {
        match kind {
            0 => Kind::Data,
            1 => Kind::Headers,
            2 => Kind::Priority,
            3 => Kind::Reset,
            4 => Kind::Settings,
            5 => Kind::PushPromise,
            6 => Kind::Ping,
            7 => Kind::GoAway,
            8 => Kind::WindowUpdate,
            9 => Kind::Continuation,
            _ => Kind::Unknown,
        }
    }
}

/// Whether `bytes`, the first of a call on a connection of which nothing is known, begin like frames and go on like frames
/// as far as they reach: two frames, or one that ends where they end, or one of a kind that looks like nothing else.
///
/// It errs towards saying no: a call that only begins a large frame is not known by it.
#[must_use]
pub fn is_plausible(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut frames = 0_u32;
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let Some(header) = Header::read(*header).filter(Header::is_usual) else { return false };
        // What continues a block can't begin anything.
        if frames == 0 && header.kind == Kind::Continuation {
            return false;
        }
        frames += 1;
        match behind.get(header.length as usize..) {
            Some([]) => return true,
            Some(_) if header.is_telling() || frames > 1 => return true,
            Some(after) => rest = after,
            None => return frames > 1,
        }
    }
    false
}

/// Whether `bytes` are the first that a server says: its settings.
#[must_use]
pub fn is_greeting(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk::<HEADER_BYTES>().and_then(|header| Header::read(*header));
    header.is_some_and(|header| header.kind == Kind::Settings && header.flags == 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x40\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";

    #[test]
    fn what_breaks_a_rule_is_no_header() {
        for (bytes, is_header) in [
            (b"\0\0\x04\x08\0\0\0\0\0", true),
            (b"\0\0\x04\x08\0\x80\0\0\x01", true), // the reserved bit is to be ignored
            (b"\0\0\x05\x08\0\0\0\0\0", false),
            (b"\0\0\x00\x00\0\0\0\0\0", false),
            (b"\0\0\x00\x00\x08\0\0\0\x01", false),
            (b"\0\0\x04\x01\x24\0\0\0\x01", false),
            (b"\0\0\x06\x04\x01\0\0\0\0", false),
            (b"\0\0\x07\x04\0\0\0\0\0", false),
            (b"\0\0\x08\x06\0\0\0\0\x01", false),
            (b"\0\x10\x00\xaa\xff\0\0\0\x01", true),
        ] {
            assert_eq!(Header::read(*bytes).is_some(), is_header, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn frames_are_told_from_other_bytes() {
        let data = b"\0\0\x03\0\x01\0\0\0\x01abc";
        for frames in
            [SETTINGS, PING, data, &[PING, b"x"].concat(), &[data, PING].concat(), &[data, &PING[..11]].concat()]
        {
            assert!(is_plausible(frames), "{}", frames.escape_ascii());
        }
        for other in [
            &b""[..],
            b"\0\0\x04\x08\0",
            &[0; 64],
            &[0xff; 64],
            b"GET / HTTP/1.1\r\n\r\n",
            b"\0\x40\0\0\0\0\0\0\x01the beginning of a large frame",
            b"\0\0\x03\0\x01\0\0\0\x01abcd",
            b"\0\0\x03\0\x01\0\0\0\x01abcwhat is this",
            b"\0\0\x03\x09\x04\0\0\0\x01abc",
            b"\x01\x0bcmpl-a-0-111",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\0\0\0\0\0\0",
        ] {
            assert!(!is_plausible(other), "{}", other.escape_ascii());
        }
        assert!(is_greeting(SETTINGS) && !is_greeting(PING) && !is_greeting(b"\0\0\0\x04\x01\0\0\0\0"));
    }
}
