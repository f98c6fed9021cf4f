//! Masks a JSON document byte for byte, in pieces of any size.
//!
//! Structure, `true`, `false` and `null` stay; text becomes `x`, digits become `1`, unknown keys become `?`, escapes stay
//! escapes, an empty string stays empty. What stays readable stands in [`super::keys`]. Where the document is not JSON, neither
//! is the masked one, from the same byte on. Behind missing bytes it looks for the same fragments as
//! [`crate::wire::json`]; of the rest only quotes, and where a blank, comma or brace stood, can be told.

use super::keys::{Key, Vocabulary};
use crate::wire::json::MAX_DEPTH;
use crate::wire::json::fragment::Search;

/// Objects that engines look for where bytes are missing.
const FRAGMENTS: &[&str] = &["usage"];
/// The end of an OpenAI stream stands where JSON stands.
const DONE: &[u8] = b"[DONE]";

/// Masks one document.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    words: &'static Vocabulary,
    at: At,
    stack: Vec<Frame>,
    /// The key of the member under way.
    key: Option<&'static str>,
    search: Search,
}

/// An object or array that is open.
#[derive(Clone, Copy, Debug)]
struct Frame {
    container: Container,
    /// What it stands behind ("" for the document); `None` where nothing in it may stay.
    name: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Object,
    Array,
    /// What a fragment is in.
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Value,
    FirstElement,
    FirstKey,
    NextKey,
    Key(Key, Escape),
    Colon,
    Str(Keep, Escape),
    /// In a number; whether its first digit is a lone zero.
    Number(Keep, Zero),
    /// In `true`, `false` or `null`: what is left of it.
    Literal(&'static [u8]),
    AfterValue,
    /// In `[DONE]`, behind so many bytes.
    Done(usize),
    Complete,
    Searching,
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Text,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zero {
    /// No digit yet.
    Ahead,
    First,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// Behind `\u` and so many digits.
    Hex(usize),
}

impl Mask {
    /// Of a document in which these words may stay.
    pub(super) fn new(words: &'static Vocabulary) -> Mask {
        Mask { words, at: At::Value, stack: Vec::new(), key: Some(""), search: Search::new(FRAGMENTS) }
    }

    pub(super) fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend(bytes.iter().map(|byte| self.byte(*byte)));
    }

    /// Bytes are missing here.
    pub(super) fn elide(&mut self) {
        if !matches!(self.at, At::Broken | At::Complete) {
            self.at = At::Searching;
            self.search.restart();
        }
    }

    pub(super) fn byte(&mut self, byte: u8) -> u8 {
        let (at, masked) = match self.at {
            At::Searching => self.search(byte),
            At::Key(key, escape) => self.in_key(key, escape, byte),
            At::Str(keep, escape) => self.in_string(keep, escape, byte),
            At::Number(keep, zero) => self.in_number(keep, zero, byte),
            At::Literal(left) => self.in_literal(left, byte),
            At::Broken => (At::Broken, 0),
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => (self.at, byte),
            _ => self.structure(byte),
        };
        self.at = at;
        masked
    }

    fn structure(&mut self, byte: u8) -> (At, u8) {
        let at = match (self.at, byte) {
            (At::FirstElement, b'D') if self.stack.len() == 1 && self.key == Some("") => At::Done(2),
            (At::Done(seen), _) if DONE.get(seen) == Some(&byte) => At::Done(seen + 1),
            (At::FirstKey | At::NextKey, b'"') => At::Key(Key::begin(self.words), Escape::None),
            (At::Colon, b':') => At::Value,
            (At::FirstKey, b'}') | (At::FirstElement, b']') => self.leave(),
            (At::AfterValue, _) => self.after_value(byte),
            (At::Value | At::FirstElement, b'"') => At::Str(self.keeps_string(), Escape::None),
            (At::Value | At::FirstElement, b'{') => self.enter(Container::Object),
            (At::Value | At::FirstElement, b'[') => self.enter(Container::Array),
            (At::Value | At::FirstElement, b't') => At::Literal(b"rue"),
            (At::Value | At::FirstElement, b'f') => At::Literal(b"alse"),
            (At::Value | At::FirstElement, b'n') => At::Literal(b"ull"),
            (At::Value | At::FirstElement, b'-' | b'0'..=b'9') => {
                return self.in_number(self.keeps_number(), Zero::Ahead, byte);
            }
            _ => At::Broken,
        };
        (at, if at == At::Broken { 0 } else { byte })
    }

    fn after_value(&mut self, byte: u8) -> At {
        match (self.stack.last().map(|frame| frame.container), byte) {
            (Some(Container::Object), b',') => At::NextKey,
            (Some(Container::Array), b',') => At::Value,
            (Some(Container::Object), b'}') | (Some(Container::Array), b']') => self.leave(),
            _ => At::Broken,
        }
    }

    fn in_key(&mut self, key: Key, escape: Escape, byte: u8) -> (At, u8) {
        if escape == Escape::None && byte == b'"' {
            self.key = key.whole(self.words);
            return (At::Colon, byte);
        }
        if escape != Escape::None || byte == b'\\' {
            return escaped(escape, byte)
                .map_or((At::Broken, 0), |(escape, masked)| (At::Key(Key::UNKNOWN, escape), masked));
        }
        let is_known_place = self.stack.last().is_some_and(|frame| frame.name.is_some());
        let key = if is_known_place { key.then(byte, self.words) } else { Key::UNKNOWN };
        (At::Key(key, Escape::None), if key.stays() { byte } else { b'?' })
    }

    fn in_string(&mut self, keep: Keep, escape: Escape, byte: u8) -> (At, u8) {
        if escape == Escape::None && byte == b'"' {
            return (self.close(), byte);
        }
        let (escape, masked) = match (escape, byte) {
            (Escape::None, byte) if byte != b'\\' => (Escape::None, b'x'),
            _ => match escaped(escape, byte) {
                Some(next) => next,
                None => return (At::Broken, 0),
            },
        };
        (At::Str(keep, escape), if keep == Keep::Text { byte } else { masked })
    }

    fn in_number(&mut self, keep: Keep, zero: Zero, byte: u8) -> (At, u8) {
        let zero = match (zero, byte) {
            // No JSON. One of the two would be, were it masked.
            (Zero::First, b'0'..=b'9') => return (At::Broken, 0),
            (Zero::Ahead, b'0') => Zero::First,
            (_, b'0'..=b'9' | b'.' | b'e' | b'E') => Zero::No,
            (_, b'+' | b'-') => zero,
            _ => {
                self.at = self.close();
                return self.behind_word(byte);
            }
        };
        let digit = byte.is_ascii_digit() && keep == Keep::Nothing;
        (At::Number(keep, zero), if digit { b'1' } else { byte })
    }

    fn in_literal(&mut self, left: &'static [u8], byte: u8) -> (At, u8) {
        match left.split_first() {
            Some((next, left)) if *next == byte => (At::Literal(left), byte),
            Some(_) => (At::Broken, 0),
            None => {
                self.at = self.close();
                self.behind_word(byte)
            }
        }
    }

    /// A byte right behind a number or literal.
    fn behind_word(&mut self, byte: u8) -> (At, u8) {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') { (self.at, byte) } else { self.structure(byte) }
    }

    fn search(&mut self, byte: u8) -> (At, u8) {
        let Some(key) = self.search.step(byte) else {
            let masked = match byte {
                _ if self.search.is_hopeful() => byte,
                b'"' => b'"',
                b'{' | b',' | b' ' | b'\t' | b'\n' | b'\r' => b',',
                _ => b'x',
            };
            return (At::Searching, masked);
        };
        self.stack.clear();
        self.stack.push(Frame { container: Container::Missing, name: Some("") });
        self.key = Some(key);
        (self.enter(Container::Object), byte)
    }

    fn enter(&mut self, container: Container) -> At {
        if self.stack.len() >= MAX_DEPTH {
            return At::Broken;
        }
        let name = match self.stack.last() {
            None => Some(""),
            // Elements stand behind the array's own key.
            Some(Frame { container: Container::Array, name }) => *name,
            Some(Frame { name: None, .. }) => None,
            Some(Frame { name: Some(_), .. }) => self.key.filter(|key| self.words.is_open(key)),
        };
        self.stack.push(Frame { container, name });
        if container == Container::Array { At::FirstElement } else { At::FirstKey }
    }

    fn leave(&mut self) -> At {
        self.stack.pop();
        self.close()
    }

    fn close(&mut self) -> At {
        match self.stack.last() {
            None => At::Complete,
            Some(Frame { container: Container::Missing, .. }) => At::Searching,
            Some(_) => At::AfterValue,
        }
    }

    fn keeps_string(&self) -> Keep {
        if let Some(Frame { container: Container::Array, name: Some(name) }) = self.stack.last() {
            return if self.words.keeps_elements(name) { Keep::Text } else { Keep::Nothing };
        }
        self.keeps(Vocabulary::keeps_string)
    }

    fn keeps_number(&self) -> Keep {
        self.keeps(Vocabulary::keeps_number)
    }

    fn keeps(&self, rule: fn(&Vocabulary, &str, &str) -> bool) -> Keep {
        let Some(Frame { container: Container::Object, name: Some(parent) }) = self.stack.last() else {
            return Keep::Nothing;
        };
        if self.key.is_some_and(|key| rule(self.words, parent, key)) { Keep::Text } else { Keep::Nothing }
    }
}

/// The state after a byte of an escape and what stands in its place; `None` where there is no such escape.
fn escaped(escape: Escape, byte: u8) -> Option<(Escape, u8)> {
    match (escape, byte) {
        (Escape::None, _) => Some((Escape::Begun, byte)),
        (Escape::Begun, b'u') => Some((Escape::Hex(0), byte)),
        (Escape::Begun, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Some((Escape::None, b'/')),
        (Escape::Begun, _) => None,
        (Escape::Hex(digits), _) if byte.is_ascii_hexdigit() => {
            let next = if digits < 3 { Escape::Hex(digits + 1) } else { Escape::None };
            Some((next, b"0078".get(digits).copied().unwrap_or(b'8')))
        }
        (Escape::Hex(_), _) => None,
    }
}
