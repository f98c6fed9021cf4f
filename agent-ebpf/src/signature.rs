//! What a record says of a call of a library's interface: which argument is the object, which are words, which is text.
//!
//! A signature is packed into the attach cookie, so that one program serves all functions of a kind and never branches on
//! the hook. It names arguments by their place only; what they mean is for the engine that asked for the hook.

use crate::Hook;

/// Words that a signature may name, and the most that a record carries beside text and lists.
pub const MAX_WORDS: usize = 6;
/// Bytes copied of a text argument, its NUL included.
pub const TEXT_BYTES: u32 = 256;
/// Objects copied of a list.
pub const MAX_LISTED: u64 = 128;

/// An error is said as one more than its code, the first four bytes that it points to; this says that there is none.
pub const NO_ERROR: u64 = 0;
/// And this that its code could not be read, or is none.
pub const UNREADABLE_ERROR: u64 = u64::MAX;
/// Codes that errors have are below this.
pub const ERROR_CODES: u32 = 8;

/// Which programs see the calls of a function, and when they speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At its entry.
    Told,
    /// At its return, where the result is 0: it stores the object at its first argument.
    Makes,
    /// At its entry, and at its return where the result is an error: then with it as a last word, see [`NO_ERROR`].
    Tried,
    /// At its entry: `(object, list, count)`; the words are the count and the listed objects.
    Lists,
    /// Not at all: `(where to store the object, its maker)` is remembered for [`Kind::Sent`].
    Made,
    /// At its entry: the last word is an error, see [`NO_ERROR`]; behind it comes the maker where the thread's last
    /// [`Kind::Made`] stored exactly this object.
    Sent,
}

/// An argument, by its place, and how much of its register means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A pointer or 64 bits.
    Whole(u8),
    /// An `int` or an enumeration.
    Int(u8),
    /// A `bool`.
    Bool(u8),
}

impl Word {
    /// Place and bits to shift away: 6 bits.
    const fn packed(self) -> u64 {
        let (place, bytes) = match self {
            Word::Whole(place) => (place, 0),
            Word::Int(place) => (place, 4),
            Word::Bool(place) => (place, 7),
        };
        place as u64 | bytes << 3
    }
}

/// How a call becomes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// When.
    pub kind: Kind,
    /// The argument that is the object, where the kind does not say it.
    pub object: u8,
    /// The words, at most [`MAX_WORDS`].
    pub words: &'static [Word],
    /// The argument that points to text.
    pub text: Option<u8>,
}

/// The seventh argument, which lies on the stack on some machines.
const SEVENTH: u8 = 6;

impl Signature {
    const WORDS_BIT: u32 = 23;
    const STACK_BIT: u32 = 63;
    /// Stands for no text.
    const NO_TEXT: u64 = 7;

    /// The signature of a call hook, `None` for every other.
    #[must_use]
    pub const fn of(hook: Hook) -> Option<Signature> {
        use Kind::{Lists, Made, Makes, Sent, Told, Tried};
        use Word::{Bool, Int, Whole};
        Some(match hook {
            // (request **, server, model name, version)
            Hook::TritonRequestNew => Signature::new(Makes, 0, &[Whole(1), Whole(3)], Some(2)),
            Hook::TritonRequestSetId => Signature::new(Told, 0, &[], Some(1)),
            // (server, request, trace)
            Hook::TritonInferAsync => Signature::new(Tried, 1, &[Whole(0)], None),
            Hook::TritonRequestCancel | Hook::TritonRequestDelete | Hook::TritonInstanceFinalize => {
                Signature::new(Told, 0, &[], None)
            }
            // (instance, request **, count)
            Hook::TritonExecute => Signature::new(Lists, 0, &[], None),
            // (factory **, request), (response **, request)
            Hook::TritonFactoryNew | Hook::TritonResponseNew => Signature::new(Makes, 0, &[Whole(1)], None),
            // (response **, factory)
            Hook::TritonResponseNewFromFactory => Signature::new(Made, 0, &[], None),
            // (response, flags, error)
            Hook::TritonResponseSend => Signature::new(Sent, 0, &[Int(1), Whole(2)], None),
            // (factory, flags)
            Hook::TritonFactorySendFlags => Signature::new(Told, 0, &[Int(1)], None),
            // (instance, request, success, four times)
            Hook::TritonReportStatistics => {
                Signature::new(Told, 1, &[Whole(0), Bool(2), Whole(3), Whole(4), Whole(5), Whole(SEVENTH)], None)
            }
            _ => return None,
        })
    }

    const fn new(kind: Kind, object: u8, words: &'static [Word], text: Option<u8>) -> Signature {
        Signature { kind, object, words, text }
    }

    /// As the upper bits of a cookie.
    #[must_use]
    pub(crate) const fn packed(self) -> u64 {
        let text = match self.text {
            Some(place) => place as u64,
            None => Self::NO_TEXT,
        };
        let mut packed = (self.object as u64) << 16 | text << 19;
        let mut index = 0;
        // `for` is not for constants.
        while index < self.words.len() {
            let word = self.words[index];
            packed |= word.packed() << (Self::WORDS_BIT + 3 + 6 * index as u32);
            if matches!(word, Word::Whole(SEVENTH)) {
                packed |= 1 << Self::STACK_BIT;
            }
            index += 1;
        }
        packed | (self.words.len() as u64) << Self::WORDS_BIT
    }
}

/// A packed signature: the cookie of a call hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed(pub u64);

impl Packed {
    /// Place of the object.
    #[must_use]
    pub const fn object(self) -> usize {
        (self.0 >> 16 & 7) as usize
    }

    /// Place of the text, if there is one.
    #[must_use]
    pub const fn text(self) -> Option<usize> {
        let place = self.0 >> 19 & 7;
        if place == Signature::NO_TEXT { None } else { Some(place as usize) }
    }

    /// Number of words.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.0 >> Signature::WORDS_BIT & 7
    }

    /// Place of the word `index`, and the bits of its register that mean nothing.
    #[must_use]
    pub const fn word(self, index: usize) -> (usize, u32) {
        let packed = self.0 >> (Signature::WORDS_BIT + 3 + 6 * index as u32);
        ((packed & 7) as usize, (packed >> 3 & 7) as u32 * 8)
    }

    /// Whether the seventh argument is a word.
    #[must_use]
    pub const fn wants_seventh(self) -> bool {
        self.0 >> Signature::STACK_BIT == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cookie;

    #[test]
    fn a_signature_survives_its_cookie() {
        for hook in Hook::ALL {
            let Some(signature) = Signature::of(hook) else {
                assert!(!hook.is_call());
                continue;
            };
            assert!(hook.is_call());
            let cookie = Cookie::of(hook);
            let packed = Packed(cookie.0);
            assert_eq!(cookie.hook(), hook as u16);
            assert_eq!(packed.object(), signature.object as usize);
            assert_eq!(packed.text(), signature.text.map(usize::from));
            assert_eq!(packed.count(), signature.words.len() as u64);
            assert_eq!(packed.wants_seventh(), hook == Hook::TritonReportStatistics);
            for (index, word) in signature.words.iter().enumerate() {
                let expected = match *word {
                    Word::Whole(place) => (place as usize, 0),
                    Word::Int(place) => (place as usize, 32),
                    Word::Bool(place) => (place as usize, 56),
                };
                assert_eq!(packed.word(index), expected, "{hook:?}");
            }
        }
    }
}
