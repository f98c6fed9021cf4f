//! What of a server's JSON may stay readable on a tape. Everything else is masked: a key that a server adds tomorrow is
//! text until it stands here.

use super::comfyui;

/// The words of one kind of server.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Objects and arrays that are looked into, by the key that they stand behind. Inside all others every key, string and
    /// number is masked: what stands there belongs to the caller (messages, tool schemas, metadata).
    pub(super) open: &'static [&'static str],
    /// Keys whose strings are words of the protocol.
    pub(super) words: &'static [&'static str],
    /// Keys whose numbers count or identify something of the protocol.
    pub(super) numbers: &'static [&'static str],
    /// Keys of arrays whose strings are words of the protocol.
    pub(super) lists: &'static [&'static str],
    /// Keys that are only keys.
    pub(super) names: &'static [&'static str],
    /// Keys that are no words.
    pub(super) ids: Ids,
    /// Where else such servers tell of their work.
    pub(super) jobs: Jobs,
    /// Of a key in `words` or `numbers`: whether it is one behind this parent.
    pub(super) fits: fn(parent: &str, key: &str) -> bool,
}

/// Whether keys that are hexadecimal numbers (of nodes, of jobs) stay, and what stands behind them is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    Masked,
    Kept,
}

/// Whether jobs are told of to clients that watch, and in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Jobs {
    None,
    Told,
}

/// What an id is called, whichever it is.
pub(super) const ID: &str = "#";

/// What servers of OpenAI's API say.
static OPENAI: Vocabulary = Vocabulary {
    open: OPEN,
    words: WORDS,
    numbers: NUMBERS,
    lists: &[],
    names: NAMES,
    ids: Ids::Masked,
    jobs: Jobs::None,
    fits: |parent, key| match (parent, key) {
        // The caller's own stop string.
        ("choices", "stop_reason") => false,
        // Holds only numbers; behind missing bytes an object of the caller may pass for it.
        ("usage", _) => !WORDS.contains(&key),
        _ => true,
    },
};

/// The words of an engine's servers.
pub(super) fn of(engine: &str) -> &'static Vocabulary {
    match engine {
        "comfyui" => &comfyui::VOCABULARY,
        _ => &OPENAI,
    }
}

const OPEN: &[&str] = &[
    "choices",
    "completion_tokens_details",
    "content_block",
    "delta",
    "error",
    "incomplete_details",
    "input_tokens_details",
    "item",
    "message",
    "output_tokens_details",
    "part",
    "prompt_tokens_details",
    "response",
    "stream_options",
    "tool_calls",
    "usage",
];

const WORDS: &[&str] =
    &["code", "finish_reason", "id", "model", "object", "reason", "role", "status", "stop_reason", "type"];

const NUMBERS: &[&str] = &[
    "audio_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cached_tokens",
    "code",
    "completion_tokens",
    "content_index",
    "created",
    "created_at",
    "index",
    "input_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "n",
    "output_index",
    "output_tokens",
    "prompt_tokens",
    "reasoning_tokens",
    "sequence_number",
    "total_tokens",
];

const NAMES: &[&str] = &[
    "arguments",
    "content",
    "data",
    "echo",
    "embedding",
    "function",
    "include_usage",
    "input",
    "logprobs",
    "messages",
    "name",
    "output",
    "prompt",
    "reasoning",
    "reasoning_content",
    "results",
    "stream",
    "temperature",
    "text",
    "tools",
];

/// A key under way: it stays as long as it may become a known one, or an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Its length.
    len: usize,
    /// A known key that begins like it.
    known: Option<&'static str>,
    ids: Ids,
}

impl Key {
    /// With its first byte still to come.
    pub(super) fn begin(words: &Vocabulary) -> Key {
        Key { len: 0, known: Some(""), ids: words.ids }
    }

    /// One that does not stay.
    pub(super) const UNKNOWN: Key = Key { len: 0, known: None, ids: Ids::Masked };

    /// With one more byte.
    pub(super) fn then(self, byte: u8, words: &Vocabulary) -> Key {
        let Key { len, known, ids } = self;
        let begin = known.map(|key| key.get(..len).unwrap_or_default());
        let longer = begin.and_then(|begin| words.keys().find(|key| is_longer(key, begin, byte)));
        let is_id_byte = byte.is_ascii_hexdigit() || matches!(byte, b'-' | b':' | b'.');
        Key { len: len + 1, known: longer, ids: if is_id_byte { ids } else { Ids::Masked } }
    }

    /// Whether it may stay, as far as it has come.
    pub(super) fn stays(self) -> bool {
        self.known.is_some() || self.ids == Ids::Kept
    }

    /// The whole key; `None` where it does not stay.
    pub(super) fn whole(self, words: &Vocabulary) -> Option<&'static str> {
        let text = self.known.and_then(|of| of.get(..self.len));
        let known = text.and_then(|text| words.keys().find(|key| *key == text));
        known.or((self.ids == Ids::Kept && self.len > 0).then_some(ID))
    }
}

fn is_longer(key: &str, begin: &str, byte: u8) -> bool {
    key.starts_with(begin) && key.as_bytes().get(begin.len()) == Some(&byte)
}

impl Vocabulary {
    fn keys(&self) -> impl Iterator<Item = &'static str> {
        [self.open, self.words, self.numbers, self.lists, self.names].into_iter().flatten().copied()
    }

    /// Whether the object or array behind `key` is looked into.
    pub(super) fn is_open(&self, key: &str) -> bool {
        self.open.contains(&key) || self.lists.contains(&key) || key == ID
    }

    /// Whether the string behind `key` stays, in an object behind `parent`.
    pub(super) fn keeps_string(&self, parent: &str, key: &str) -> bool {
        self.words.contains(&key) && (self.fits)(parent, key)
    }

    /// Whether the number behind `key` stays, in an object behind `parent`.
    pub(super) fn keeps_number(&self, parent: &str, key: &str) -> bool {
        self.numbers.contains(&key) && (self.fits)(parent, key)
    }

    /// Whether strings in an array behind `key` stay.
    pub(super) fn keeps_elements(&self, key: &str) -> bool {
        self.lists.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_as_long_as_it_may_be_known() {
        for words in [&OPENAI, &comfyui::VOCABULARY] {
            let read = |text: &str| text.bytes().fold(Key::begin(words), |key, byte| key.then(byte, words));
            for key in words.keys() {
                assert_eq!(read(key).whole(words), Some(key));
                assert!(!read(&format!("{key}!")).stays());
            }
            for text in ["", "cont", "contention", "usages", "Usage"] {
                assert_eq!(read(text).whole(words), None, "{text}");
            }
            for text in ["9", "12:3.0", "cece71de-884b-46e3-b39d-4fd2cf3bc56d"] {
                let id = (words.ids == Ids::Kept).then_some(ID);
                assert_eq!(read(text).whole(words), id, "{text}");
                assert_eq!(read(&format!("{text}x")).whole(words), None, "{text}");
            }
        }
    }

    #[test]
    fn no_mask_is_a_key() {
        // A masked byte must not complete a known key: "inde?" is no "index".
        for words in [&OPENAI, &comfyui::VOCABULARY] {
            assert!(words.keys().all(|key| !key.contains('?') && key != ID));
        }
    }
}
