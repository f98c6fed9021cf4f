//! A JSON string under way: decodes its escapes, holds its beginning, counts the rest.
//!
//! The text itself is skipped, not read: neither control characters nor broken UTF-8 are complained of.

use crate::wire::scan;

/// Most bytes of a string that are held.
pub(super) const MAX_HEAD: usize = 128;

/// A string between its quotes.
#[derive(Clone, Debug)]
pub(super) struct Text {
    head: [u8; MAX_HEAD],
    held: usize,
    len: u64,
    escape: Escape,
    /// The first half of a surrogate pair, whose second half must follow at once.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// Behind a backslash.
    Begun,
    /// In the four digits behind `\u`.
    Hex {
        value: u16,
        digits: u8,
    },
}

/// How far a string has come.
pub(super) enum Progress<'b> {
    More,
    /// Its closing quote has come; what lies behind it.
    Closed(&'b [u8]),
    /// An escape that does not exist.
    Malformed,
}

impl Default for Text {
    fn default() -> Text {
        Text { head: [0; MAX_HEAD], held: 0, len: 0, escape: Escape::None, high: None }
    }
}

impl Text {
    /// The first bytes, whole characters only; up to the first that is not UTF-8.
    pub(super) fn head(&self) -> &str {
        let held = self.head.get(..self.held).unwrap_or_default();
        match str::from_utf8(held) {
            Ok(head) => head,
            Err(error) => {
                held.get(..error.valid_up_to()).and_then(|head| str::from_utf8(head).ok()).unwrap_or_default()
            }
        }
    }

    /// Decoded length in bytes, beyond the head as well.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Makes room for the next string.
    pub(super) fn clear(&mut self) {
        (self.held, self.len, self.escape, self.high) = (0, 0, Escape::None, None);
    }

    /// Takes what belongs to the string.
    pub(super) fn take<'b>(&mut self, bytes: &'b [u8]) -> Progress<'b> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.escape == Escape::None {
                let plain = scan::either(rest, b'"', b'\\').unwrap_or(rest.len());
                let (text, behind) = rest.split_at_checked(plain).unwrap_or((rest, &[]));
                if !text.is_empty() {
                    self.add(text);
                }
                rest = behind;
            }
            let Some((&byte, behind)) = rest.split_first() else {
                break;
            };
            rest = behind;
            if self.escape == Escape::None && byte == b'"' {
                self.add(&[]);
                return Progress::Closed(rest);
            }
            let Some(escape) = self.unescape(byte) else {
                return Progress::Malformed;
            };
            self.escape = escape;
        }
        Progress::More
    }

    /// Reads one byte of an escape; the state after it.
    fn unescape(&mut self, byte: u8) -> Option<Escape> {
        let plain = match (self.escape, byte) {
            (Escape::None, _) => return Some(Escape::Begun),
            (Escape::Begun, b'u') => return Some(Escape::Hex { value: 0, digits: 0 }),
            (Escape::Begun, b'"' | b'\\' | b'/') => byte,
            (Escape::Begun, b'b') => 0x08,
            (Escape::Begun, b'f') => 0x0c,
            (Escape::Begun, b'n') => b'\n',
            (Escape::Begun, b'r') => b'\r',
            (Escape::Begun, b't') => b'\t',
            (Escape::Begun, _) => return None,
            (Escape::Hex { value, digits }, _) => {
                let digit = u16::try_from(char::from(byte).to_digit(16)?).ok()?;
                let value = value << 4 | digit;
                if digits < 3 {
                    return Some(Escape::Hex { value, digits: digits + 1 });
                }
                self.unit(value);
                return Some(Escape::None);
            }
        };
        self.add(&[plain]);
        Some(Escape::None)
    }

    /// Adds a `\u` escape. Halves of pairs that stand alone become U+FFFD, as in most readers.
    fn unit(&mut self, unit: u16) {
        let decoded = match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => char::decode_utf16([high, unit]).next().and_then(Result::ok),
            (high, _) => {
                self.high = high;
                self.add(&[]);
                if (0xd800..=0xdbff).contains(&unit) {
                    self.high = Some(unit);
                    return;
                }
                char::from_u32(u32::from(unit))
            }
        };
        let mut utf8 = [0; 4];
        let decoded = decoded.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut utf8);
        self.add(decoded.as_bytes());
    }

    /// Adds decoded bytes, behind the replacement of a half pair that they leave alone.
    fn add(&mut self, decoded: &[u8]) {
        if self.high.take().is_some() {
            self.add("\u{fffd}".as_bytes());
        }
        self.len = self.len.saturating_add(decoded.len() as u64);
        let Some(room) = self.head.get_mut(self.held..) else {
            return;
        };
        let fits = room.len().min(decoded.len());
        if let (Some(to), Some(from)) = (room.get_mut(..fits), decoded.get(..fits)) {
            to.copy_from_slice(from);
            self.held += fits;
        }
    }
}
