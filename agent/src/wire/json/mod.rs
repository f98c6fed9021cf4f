//! Reads single fields out of JSON that arrives in pieces.
//!
//! It says each value with the path to it and keeps no text: of a string only the beginning is held. It is no
//! validator: text inside strings is skipped, duplicate keys are said twice. Bounds: depth 64, keys and string heads
//! 128 bytes; a number of more than 128 characters is not said.

pub(crate) mod fragment;
mod path;
#[cfg(test)]
mod tests;
mod text;

use crate::issue::Issue;
use fragment::Search;
use path::Container;
use text::{MAX_HEAD, Progress, Text};

pub use path::Path;

/// Deepest nesting.
pub(crate) const MAX_DEPTH: usize = 64;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A string, when it closes.
    Str {
        /// Its first at most 128 bytes: whole characters, escapes decoded.
        head: &'a str,
        /// Its decoded length in bytes.
        len: u64,
    },
    /// A number.
    Number(f64),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object, when it opens.
    Object,
    /// An array, when it opens.
    Array,
}

/// A count, or `None` for a number that is none.
#[must_use]
pub fn whole(number: f64) -> Option<u64> {
    // Every whole number below 2^53 is exact; nobody counts beyond.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    ((0.0..9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

/// Reads one document.
#[derive(Clone, Debug)]
pub struct Reader {
    state: State,
    path: Path,
    text: Text,
    word: Word,
    search: Search,
    scope: Scope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must begin.
    Value,
    /// Behind `[`: a value or the end.
    FirstElement,
    /// Behind `{`: a key or the end.
    FirstKey,
    /// Behind a comma in an object.
    NextKey,
    Key,
    Colon,
    Str,
    /// In a number, `true`, `false` or `null`.
    Word,
    /// Behind a value inside an object or array.
    AfterValue,
    Complete,
    /// Looking for a fragment.
    Searching,
    Failed,
}

/// What is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Document,
    /// Bytes are missing: single objects out of it.
    Fragment,
}

/// A number or literal under way.
#[derive(Clone, Debug)]
struct Word {
    bytes: [u8; MAX_HEAD],
    /// Its length, which may be more than is held.
    len: usize,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::with_fragments(&[])
    }
}

impl Reader {
    /// A reader that finds objects behind these keys also where bytes are missing, see [`Reader::elide`].
    #[must_use]
    pub fn with_fragments(keys: &'static [&'static str]) -> Reader {
        Reader {
            state: State::Value,
            path: Path::default(),
            text: Text::default(),
            word: Word { bytes: [0; MAX_HEAD], len: 0 },
            search: Search::new(keys),
            scope: Scope::Document,
        }
    }

    /// Reads on. Fails once, then stays silent.
    ///
    /// # Errors
    /// [`Issue::JsonMalformed`] or [`Issue::JsonTooDeep`].
    pub fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(&Path, Value<'_>)) -> Result<(), Issue> {
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let read = match self.state {
                State::Failed => return Ok(()),
                State::Searching => Ok(self.find(rest, emit)),
                State::Key | State::Str => self.string(rest, emit),
                State::Word => self.word(rest, emit),
                _ if is_space(byte) => Ok(rest.get(1..).unwrap_or_default()),
                _ => self.structure(byte, rest, emit),
            };
            match read {
                Ok(behind) => rest = behind,
                Err(issue) => {
                    self.state = State::Failed;
                    return Err(issue);
                }
            }
        }
        Ok(())
    }

    /// Bytes that were not copied. From here on the structure is unknown: only whole objects behind a key of
    /// [`Reader::with_fragments`] are found, at whatever depth, and said with a path that begins at that key.
    ///
    /// Text never passes for such an object, even where the bytes go on inside a string: a quote inside a string
    /// stands behind a backslash. It errs towards finding too much only where a deeper object has the same key, and
    /// towards finding nothing where the key itself is missing.
    pub fn elide(&mut self) {
        if matches!(self.state, State::Failed | State::Complete) {
            return;
        }
        self.state = State::Searching;
        self.scope = Scope::Fragment;
        self.search.restart();
    }

    /// Whether the top-level value has closed. A bare number closes with the white space behind it. Never true where
    /// bytes are missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    fn find<'b>(&mut self, bytes: &'b [u8], emit: &mut dyn FnMut(&Path, Value<'_>)) -> &'b [u8] {
        let Some((key, behind)) = self.search.take(bytes) else {
            return &[];
        };
        self.path.clear();
        self.path.enter(Container::Object);
        self.path.set_key(key, key.len() as u64);
        emit(&self.path, Value::Object);
        self.path.enter(Container::Object);
        self.state = State::FirstKey;
        behind
    }

    /// Reads one byte that is neither white space nor inside a string or word.
    fn structure<'b>(
        &mut self,
        byte: u8,
        rest: &'b [u8],
        emit: &mut dyn FnMut(&Path, Value<'_>),
    ) -> Result<&'b [u8], Issue> {
        let behind = rest.get(1..).unwrap_or_default();
        match (self.state, byte) {
            (State::FirstKey | State::NextKey, b'"') => {
                self.text.clear();
                self.state = State::Key;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::FirstKey, b'}') | (State::FirstElement, b']') => self.leave(),
            (State::AfterValue, _) => self.after_value(byte)?,
            (State::Value | State::FirstElement, b'"') => {
                self.text.clear();
                self.state = State::Str;
            }
            (State::Value | State::FirstElement, b'{') => self.enter(Container::Object, emit)?,
            (State::Value | State::FirstElement, b'[') => self.enter(Container::Array, emit)?,
            (State::Value | State::FirstElement, _) if is_word(byte) => {
                self.word.len = 0;
                self.state = State::Word;
                return Ok(rest);
            }
            _ => return Err(Issue::JsonMalformed),
        }
        Ok(behind)
    }

    fn after_value(&mut self, byte: u8) -> Result<(), Issue> {
        match (self.path.container(), byte) {
            (Some(Container::Object), b',') => self.state = State::NextKey,
            (Some(Container::Array), b',') => {
                self.path.next_index();
                self.state = State::Value;
            }
            (Some(Container::Object), b'}') | (Some(Container::Array), b']') => self.leave(),
            _ => return Err(Issue::JsonMalformed),
        }
        Ok(())
    }

    fn string<'b>(&mut self, bytes: &'b [u8], emit: &mut dyn FnMut(&Path, Value<'_>)) -> Result<&'b [u8], Issue> {
        let behind = match self.text.take(bytes) {
            Progress::More => return Ok(&[]),
            Progress::Malformed => return Err(Issue::JsonMalformed),
            Progress::Closed(behind) => behind,
        };
        let (head, len) = (self.text.head(), self.text.len());
        if self.state == State::Key {
            self.path.set_key(head, len);
            self.state = State::Colon;
        } else {
            emit(&self.path, Value::Str { head, len });
            self.close();
        }
        Ok(behind)
    }

    fn word<'b>(&mut self, bytes: &'b [u8], emit: &mut dyn FnMut(&Path, Value<'_>)) -> Result<&'b [u8], Issue> {
        let end = bytes.iter().position(|byte| !is_word(*byte));
        let (part, behind) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or((bytes, &[]));
        self.word.add(part);
        if end.is_none() {
            return Ok(&[]);
        }
        if let Some(value) = self.word.value()? {
            emit(&self.path, value);
        }
        self.close();
        Ok(behind)
    }

    fn enter(&mut self, container: Container, emit: &mut dyn FnMut(&Path, Value<'_>)) -> Result<(), Issue> {
        if self.path.depth() == MAX_DEPTH {
            return Err(Issue::JsonTooDeep);
        }
        let (value, state) = match container {
            Container::Object => (Value::Object, State::FirstKey),
            Container::Array => (Value::Array, State::FirstElement),
        };
        emit(&self.path, value);
        self.path.enter(container);
        self.state = state;
        Ok(())
    }

    fn leave(&mut self) {
        self.path.leave();
        self.close();
    }

    /// A value has ended.
    fn close(&mut self) {
        self.state = match (self.scope, self.path.depth()) {
            (Scope::Document, 0) => State::Complete,
            // The fragment's own key is the first step.
            (Scope::Fragment, 1) => State::Searching,
            _ => State::AfterValue,
        };
    }
}

impl Word {
    fn add(&mut self, part: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(part) {
            *to = *from;
        }
        self.len = self.len.saturating_add(part.len());
    }

    /// What it says; nothing where it is longer than what is held.
    fn value(&self) -> Result<Option<Value<'static>>, Issue> {
        let Some(word) = self.bytes.get(..self.len) else {
            return Ok(None);
        };
        let value = match word {
            b"true" => Value::Bool(true),
            b"false" => Value::Bool(false),
            b"null" => Value::Null,
            word => Value::Number(number(word).ok_or(Issue::JsonMalformed)?),
        };
        Ok(Some(value))
    }
}

/// Reads a number. `str::parse` knows more forms than JSON does: names, `+1`, `01`, `.5`, `1.`.
fn number(word: &[u8]) -> Option<f64> {
    let word = str::from_utf8(word).ok()?;
    let digits = word.strip_prefix('-').unwrap_or(word).as_bytes();
    let (whole, behind) = digits.split_at_checked(digits.iter().take_while(|byte| byte.is_ascii_digit()).count())?;
    let is_json = match (whole, behind) {
        ([], _) | ([b'0', _, ..], _) => false,
        (_, [b'.', next, ..]) => next.is_ascii_digit(),
        (_, [b'.']) => false,
        _ => true,
    };
    word.parse().ok().filter(|_| is_json)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}
