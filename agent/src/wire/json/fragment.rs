//! Finds `"key":{` in a document of which bytes are missing.
//!
//! In valid JSON an opening quote stands behind `{`, `,` or white space, and a quote inside a string stands behind a
//! backslash. So what is found is an object with that key, never text that looks like one, even where the bytes begin
//! inside a string. It errs in two other ways: the depth is unknown, so an object of the same name deeper down is
//! found as well; and a key that bytes are missing of is not found.

use super::text::MAX_HEAD;

/// A search under way.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    keys: &'static [&'static str],
    at: At,
    /// The byte before the next one.
    before: u8,
    /// What has come of a string that may be a key.
    candidate: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Anywhere,
    /// Behind a quote that may open a key.
    Candidate,
    /// Behind the closing quote of one of the keys.
    Key(&'static str),
    /// Behind its colon.
    Colon(&'static str),
}

impl Search {
    pub(crate) fn new(keys: &'static [&'static str]) -> Search {
        Search { keys, at: At::Anywhere, before: 0, candidate: Vec::new() }
    }

    /// Starts over behind missing bytes.
    pub(crate) fn restart(&mut self) {
        *self = Search::new(self.keys);
    }

    /// Takes bytes up to and with an opening brace behind a key; the key, and what lies behind the brace.
    pub(super) fn take<'b>(&mut self, bytes: &'b [u8]) -> Option<(&'static str, &'b [u8])> {
        if self.keys.is_empty() {
            return None;
        }
        bytes
            .iter()
            .enumerate()
            .find_map(|(at, &byte)| Some((self.step(byte)?, bytes.get(at + 1..).unwrap_or_default())))
    }

    /// Takes one byte; the key whose object it opens.
    pub(crate) fn step(&mut self, byte: u8) -> Option<&'static str> {
        if let (At::Colon(key), b'{') = (self.at, byte) {
            self.restart();
            return Some(key);
        }
        self.at = self.after(byte);
        self.before = byte;
        None
    }

    /// Whether the last byte is part of what may become a find.
    pub(crate) fn is_hopeful(&self) -> bool {
        match self.at {
            At::Anywhere => false,
            At::Candidate => self.keys.iter().any(|key| key.as_bytes().starts_with(&self.candidate)),
            At::Key(_) | At::Colon(_) => true,
        }
    }

    fn after(&mut self, byte: u8) -> At {
        match (self.at, byte) {
            (At::Key(_) | At::Colon(_), b' ' | b'\t' | b'\n' | b'\r') => self.at,
            (At::Key(key), b':') => At::Colon(key),
            (At::Candidate, b'"') => {
                let key = self.keys.iter().find(|key| key.as_bytes() == self.candidate);
                // A quote that closes nothing we want may itself open a key.
                key.map_or_else(|| self.open(), |key| At::Key(key))
            }
            (At::Candidate, _) if byte != b'\\' && self.candidate.len() < MAX_HEAD => {
                self.candidate.push(byte);
                At::Candidate
            }
            (_, b'"') => self.open(),
            _ => At::Anywhere,
        }
    }

    fn open(&mut self) -> At {
        if !matches!(self.before, b'{' | b',' | b' ' | b'\t' | b'\n' | b'\r') {
            return At::Anywhere;
        }
        self.candidate.clear();
        At::Candidate
    }
}
