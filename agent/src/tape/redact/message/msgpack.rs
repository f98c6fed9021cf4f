//! Masks one msgpack document byte for byte. Structure, lengths, nil and booleans stay; numbers become 0 of the same length,
//! strings become `x`, binary becomes zeros, keys become `?`, unless they stand where they may stay ([`Place`]). Behind
//! the document, and where it is none, everything becomes zeros. What can still be told: lengths, and of a number how many
//! bytes it took.

use super::place::{KEYS, Place};

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 32;

/// Masks one document.
#[derive(Debug)]
pub(super) struct Mask {
    at: At,
    /// The document.
    root: Place,
    stack: Vec<Open>,
}

/// An array or map under way.
#[derive(Clone, Copy, Debug)]
struct Open {
    container: Container,
    place: Place,
    /// Values (of a map: keys and values) that have ended, and that there are.
    index: u64,
    count: u64,
    /// The key of the value under way.
    key: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Map,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Before a value.
    Value,
    /// In a length: so many bytes of it are left.
    Length { of: Sized, left: u8, value: u64 },
    /// In the bytes of a scalar.
    Scalar { fill: Fill, left: u64 },
    /// In a key, of which so many bytes have come: it may become any key of its length that begins as this one.
    Key { of: Option<&'static str>, seen: usize, length: u64 },
    /// Behind the document, or where it is none.
    Over,
}

/// What a length is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sized {
    Text,
    Binary,
    /// With a byte for its type.
    Extension,
    Array,
    Map,
}

/// What becomes of a scalar's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Kept,
    Text,
    Zeros,
}

impl Mask {
    pub(super) fn new(root: Place) -> Mask {
        Mask { at: At::Value, root, stack: Vec::new() }
    }

    pub(super) fn byte(&mut self, byte: u8) -> u8 {
        match self.at {
            At::Value => self.value(byte),
            At::Length { of, left, value } => {
                let value = value << 8 | u64::from(byte);
                match left.checked_sub(1) {
                    None | Some(0) => self.sized(of, value),
                    Some(left) => self.at = At::Length { of, left, value },
                }
                byte
            }
            At::Scalar { fill, left } => {
                self.scalar(fill, left.saturating_sub(1));
                match fill {
                    Fill::Kept => byte,
                    Fill::Text => b'x',
                    Fill::Zeros => 0,
                }
            }
            At::Key { of, seen, length } => self.key(of, seen, length, byte),
            At::Over => 0,
        }
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8) -> u8 {
        let place = self.place();
        if !place.allows(byte) {
            self.at = At::Over;
            return 0;
        }
        let keep = if place == Place::Number || place == Place::Cached { Fill::Kept } else { Fill::Zeros };
        match byte {
            0x00..=0x7f | 0xe0..=0xff => {
                self.complete();
                return if keep == Fill::Kept || place == Place::Rank { byte } else { 0 };
            }
            0x80..=0x8f => self.sized(Sized::Map, u64::from(byte & 0x0f)),
            0x90..=0x9f => self.sized(Sized::Array, u64::from(byte & 0x0f)),
            0xa0..=0xbf => self.sized(Sized::Text, u64::from(byte & 0x1f)),
            // nil, false, true
            0xc0 | 0xc2 | 0xc3 => self.complete(),
            // Never used.
            0xc1 => {
                self.at = At::Over;
                return 0;
            }
            0xc4..=0xc6 => self.length(Sized::Binary, byte - 0xc4),
            0xc7..=0xc9 => self.length(Sized::Extension, byte - 0xc7),
            0xca => self.scalar(keep, 4),
            0xcb => self.scalar(keep, 8),
            0xcc..=0xcf => self.scalar(keep, 1 << (byte - 0xcc)),
            0xd0..=0xd3 => self.scalar(keep, 1 << (byte - 0xd0)),
            0xd4..=0xd8 => self.sized(Sized::Extension, 1 << (byte - 0xd4)),
            0xd9..=0xdb => self.length(Sized::Text, byte - 0xd9),
            0xdc..=0xdd => self.length(Sized::Array, byte - 0xdc + 1),
            0xde..=0xdf => self.length(Sized::Map, byte - 0xde + 1),
        }
        byte
    }

    /// A length of 1, 2 or 4 bytes follows.
    fn length(&mut self, of: Sized, doublings: u8) {
        self.at = At::Length { of, left: 1 << doublings, value: 0 };
    }

    /// A value of this length begins.
    fn sized(&mut self, of: Sized, length: u64) {
        match of {
            Sized::Text if self.is_key() => {
                let known = KEYS.iter().copied().find(|key| key.len() as u64 == length);
                self.at = At::Key { of: known, seen: 0, length };
                if length == 0 {
                    self.complete();
                }
            }
            Sized::Text => self.scalar(if self.place() == Place::Id { Fill::Kept } else { Fill::Text }, length),
            Sized::Binary => self.scalar(Fill::Zeros, length),
            Sized::Extension => self.scalar(Fill::Zeros, length.saturating_add(1)),
            Sized::Array => self.open(Container::Array, length),
            Sized::Map => self.open(Container::Map, length.saturating_mul(2)),
        }
    }

    /// A scalar of which so many bytes are left.
    fn scalar(&mut self, fill: Fill, left: u64) {
        match left {
            0 => self.complete(),
            _ => self.at = At::Scalar { fill, left },
        }
    }

    fn key(&mut self, of: Option<&'static str>, seen: usize, length: u64, byte: u8) -> u8 {
        let begun = of.and_then(|key| key.as_bytes().get(..seen));
        let known = begun.and_then(|begun| {
            KEYS.iter().copied().find(|key| {
                let bytes = key.as_bytes();
                bytes.len() as u64 == length && bytes.starts_with(begun) && bytes.get(seen) == Some(&byte)
            })
        });
        let seen = seen.saturating_add(1);
        self.at = At::Key { of: known, seen, length };
        if seen as u64 >= length {
            if let Some(map) = self.stack.last_mut() {
                map.key = known;
            }
            self.complete();
        }
        if known.is_some() { byte } else { b'?' }
    }

    fn open(&mut self, container: Container, count: u64) {
        if count == 0 {
            return self.complete();
        }
        let place = self.place();
        if self.stack.len() >= MAX_DEPTH {
            self.at = At::Over;
            return;
        }
        self.stack.push(Open { container, place, index: 0, count, key: None });
        self.at = At::Value;
    }

    /// A value has ended, and with it all that it is the last of.
    fn complete(&mut self) {
        while let Some(open) = self.stack.last_mut() {
            // A key stands before one value.
            if !open.index.is_multiple_of(2) {
                open.key = None;
            }
            open.index = open.index.saturating_add(1);
            if open.index < open.count {
                self.at = At::Value;
                return;
            }
            self.stack.pop();
        }
        self.at = At::Over;
    }

    /// Whether the value under way is a map's key.
    fn is_key(&self) -> bool {
        self.stack.last().is_some_and(|open| open.container == Container::Map && open.index.is_multiple_of(2))
    }

    /// What the value under way is.
    fn place(&self) -> Place {
        match self.stack.last() {
            None => self.root,
            Some(Open { container: Container::Array, place, index, .. }) => place.element(*index),
            Some(_) if self.is_key() => Place::Masked,
            Some(Open { place, key, .. }) => key.map_or(Place::Masked, |key| place.member(key)),
        }
    }
}
