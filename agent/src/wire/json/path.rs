//! Where in a document a value stands.

use super::text::MAX_HEAD;

/// The keys and indexes that lead to a value. Keys longer than 128 bytes, or not UTF-8, match nothing.
#[derive(Clone, Debug, Default)]
pub struct Path {
    steps: Vec<Step>,
    /// The keys of all steps, one behind the other.
    keys: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// In an object, at the key whose bytes begin there in `keys`.
    Key { start: usize, known: Known },
    /// In an array.
    Index(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Whole,
    TooLong,
}

/// What a step is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Object,
    Array,
}

impl Path {
    /// Whether the path is exactly these keys, with no array on the way.
    #[must_use]
    pub fn is(&self, keys: &[&str]) -> bool {
        keys.len() == self.steps.len()
            && keys.iter().enumerate().all(|(depth, key)| self.key(depth) == Some(key.as_bytes()))
    }

    /// Like [`Path::is`], where `"*"` stands for any array index (and never for a key).
    #[must_use]
    pub fn matches(&self, pattern: &[&str]) -> bool {
        pattern.len() == self.steps.len()
            && pattern.iter().enumerate().all(|(depth, wanted)| match self.index(depth) {
                Some(_) => *wanted == "*",
                None => self.key(depth) == Some(wanted.as_bytes()),
            })
    }

    /// The array index at a depth, counted from 0; `None` where there is an object.
    #[must_use]
    pub fn index(&self, depth: usize) -> Option<u64> {
        match self.steps.get(depth)? {
            Step::Index(index) => Some(*index),
            Step::Key { .. } => None,
        }
    }

    /// Number of steps: 0 for the document itself.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.steps.len()
    }

    /// The key at a depth, where there is one and it is known.
    #[must_use]
    pub fn key(&self, depth: usize) -> Option<&[u8]> {
        let Step::Key { start, known: Known::Whole } = *self.steps.get(depth)? else {
            return None;
        };
        // A key ends where the next one begins.
        let later = self.steps.get(depth + 1..).unwrap_or_default();
        let end = later.iter().find_map(|step| match step {
            Step::Key { start, .. } => Some(*start),
            Step::Index(_) => None,
        });
        self.keys.get(start..end.unwrap_or(self.keys.len()))
    }

    pub(super) fn clear(&mut self) {
        self.steps.clear();
        self.keys.clear();
    }

    pub(super) fn enter(&mut self, container: Container) {
        self.steps.push(match container {
            Container::Object => Step::Key { start: self.keys.len(), known: Known::Whole },
            Container::Array => Step::Index(0),
        });
    }

    pub(super) fn leave(&mut self) {
        if let Some(Step::Key { start, .. }) = self.steps.pop() {
            self.keys.truncate(start);
        }
    }

    pub(super) fn container(&self) -> Option<Container> {
        Some(match self.steps.last()? {
            Step::Key { .. } => Container::Object,
            Step::Index(_) => Container::Array,
        })
    }

    /// Goes to the next element of the array.
    pub(super) fn next_index(&mut self) {
        if let Some(Step::Index(index)) = self.steps.last_mut() {
            *index = index.saturating_add(1);
        }
    }

    /// Goes to a member of the object. `head` is the key's beginning, `len` its whole length.
    pub(super) fn set_key(&mut self, head: &str, len: u64) {
        let Some(Step::Key { start, known }) = self.steps.last_mut() else {
            return;
        };
        self.keys.truncate(*start);
        self.keys.extend_from_slice(head.as_bytes());
        let whole = len <= MAX_HEAD as u64 && head.len() as u64 == len;
        *known = if whole { Known::Whole } else { Known::TooLong };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_indexes() {
        let mut path = Path::default();
        assert!(path.is(&[]) && path.matches(&[]));
        path.enter(Container::Object);
        path.set_key("choices", 7);
        path.enter(Container::Array);
        path.next_index();
        path.enter(Container::Object);
        path.set_key("delta", 5);
        assert!(path.matches(&["choices", "*", "delta"]));
        assert!(!path.is(&["choices", "*", "delta"]) && !path.matches(&["choices", "1", "delta"]));
        assert!(!path.matches(&["*", "*", "delta"]) && !path.matches(&["choices", "*"]));
        assert_eq!((path.index(0), path.index(1), path.index(2), path.index(3)), (None, Some(1), None, None));
        path.set_key("x", 1);
        assert!(path.matches(&["choices", "*", "x"]));
        path.leave();
        path.leave();
        path.set_key("*", 1);
        assert!(path.is(&["*"]) && path.depth() == 1);
    }

    #[test]
    fn a_long_key_matches_nothing() {
        let mut path = Path::default();
        path.enter(Container::Object);
        path.set_key("abc", 300);
        assert!(!path.is(&["abc"]) && !path.matches(&["abc"]));
    }
}
