//! What of a JSON body may stay readable on a tape. Everything else is masked: a key that a server adds tomorrow is
//! text until it stands here.

/// Objects and arrays that are looked into, by the key that they stand behind. Inside all others every key, string and
/// number is masked: what stands there belongs to the caller (messages, tool schemas, metadata).
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

/// Keys whose strings are words of the protocol.
const WORDS: &[&str] =
    &["code", "finish_reason", "id", "model", "object", "reason", "role", "status", "stop_reason", "type"];

/// Keys whose numbers count or identify something of the protocol.
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

/// Keys that are only keys.
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

/// A key under way: it stays as long as it may become one of those above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The beginning of a known key, of this length, for example of this one.
    Prefix { of: &'static str, len: usize },
    /// None of them.
    Unknown,
}

impl Key {
    /// Before the first byte of a key.
    pub(super) const BEGIN: Key = Key::Prefix { of: "", len: 0 };

    /// With one more byte.
    pub(super) fn then(self, byte: u8) -> Key {
        let Key::Prefix { of, len } = self else {
            return Key::Unknown;
        };
        let begin = of.get(..len).unwrap_or_default();
        let known = [OPEN, WORDS, NUMBERS, NAMES].into_iter().flatten();
        let mut longer =
            known.filter(|key| key.starts_with(begin) && key.as_bytes().get(len).is_some_and(|next| *next == byte));
        longer.next().map_or(Key::Unknown, |of| Key::Prefix { of, len: len + 1 })
    }

    /// The whole key; `None` where it is none of those above.
    pub(super) fn whole(self) -> Option<&'static str> {
        let Key::Prefix { of, len } = self else {
            return None;
        };
        let text = of.get(..len)?;
        [OPEN, WORDS, NUMBERS, NAMES].into_iter().flatten().copied().find(|key| *key == text)
    }
}

/// Whether the object or array behind `key` is looked into.
pub(super) fn is_open(key: &str) -> bool {
    OPEN.contains(&key)
}

/// Whether the string behind `key` stays, in an object behind `parent`.
pub(super) fn keeps_string(parent: &str, key: &str) -> bool {
    match (parent, key) {
        // The caller's own stop string.
        ("choices", "stop_reason") => false,
        // Holds only numbers; behind missing bytes an object of the caller may pass for it.
        ("usage", _) => false,
        _ => WORDS.contains(&key),
    }
}

/// Whether the number behind `key` stays.
pub(super) fn keeps_number(key: &str) -> bool {
    NUMBERS.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_as_long_as_it_may_be_known() {
        let read = |text: &str| text.bytes().fold(Key::BEGIN, Key::then);
        for key in [OPEN, WORDS, NUMBERS, NAMES].into_iter().flatten() {
            assert_eq!(read(key).whole(), Some(*key));
            assert_eq!(read(&format!("{key}!")), Key::Unknown);
        }
        for text in ["", "cont", "contention", "usages", "Usage"] {
            assert_eq!(read(text).whole(), None, "{text}");
        }
    }

    #[test]
    fn no_mask_is_a_key() {
        // A masked byte must not complete a known key: "inde?" is no "index".
        assert!([OPEN, WORDS, NUMBERS, NAMES].into_iter().flatten().all(|key| !key.contains('?')));
    }
}
