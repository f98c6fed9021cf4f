//! Reads one JSON document of the dialect: a whole answer, or one event of a streamed one.
//!
//! # Which events carry output
//! The rule counts what a client would count as a piece of the answer:
//! - completions: a choice with a `text`, empty or not (the detokeniser holds incomplete characters back);
//! - chat: a choice whose `delta` has `content`, `reasoning` or `reasoning_content`, empty or not, or a tool call. With a
//!   `role` beside it only what is not empty counts: vLLM announces `{"role":"assistant","content":""}`. A `delta` that
//!   is empty, with a finish reason or log probabilities, carries nothing;
//! - responses: an event whose `type` ends in `.delta`;
//! - messages: `content_block_delta`, except the signature that closes a thinking block.
//!
//! # Token counts
//! `message_start` states counts of which vLLM does not know the values yet and writes 0; they are not read. Anthropic's
//! `input_tokens` leaves out what the cache gave; it is added, so that `prompt` always means the whole prompt.

use crate::engine::{Choices, Facts, Usage};
use crate::issue::Issue;
use crate::wire::json::{Path, Value, whole};

/// What one document said.
#[derive(Default)]
pub(super) struct Scan {
    /// What its `type` makes it.
    pub kind: Kind,
    /// The choices that it speaks of, with output or without.
    pub choices: Choices,
    /// The token counts in it.
    pub usage: Counts,
    output: Choices,
    choice: Option<Choice>,
    /// Its delta is the signature of a thinking block.
    signature: bool,
    over_bound: bool,
}

/// What an event is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its choices say what it is.
    #[default]
    Other,
    /// The server has begun.
    Announce,
    /// A piece of the answer.
    Output,
    /// The last event.
    Finish,
}

/// One element of `choices`, while it is read. Its keys come in any order.
#[derive(Default)]
struct Choice {
    index: u64,
    role: bool,
    /// A key for output stands in it.
    present: bool,
    /// And its value is not empty.
    filled: bool,
}

/// Token counts as they stand in a document.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    stated: Usage,
    /// Prompt tokens that Anthropic's `input_tokens` leaves out.
    beside: u64,
}

#[derive(Clone, Copy)]
enum Count {
    Prompt,
    Completion,
    Cached,
    CacheRead,
    CacheCreation,
}

#[rustfmt::skip]
const COUNTS: &[(&[&str], Count)] = &[
    (&["usage", "prompt_tokens"], Count::Prompt),
    (&["usage", "completion_tokens"], Count::Completion),
    (&["usage", "prompt_tokens_details", "cached_tokens"], Count::Cached),
    (&["usage", "input_tokens"], Count::Prompt),
    (&["usage", "output_tokens"], Count::Completion),
    (&["usage", "input_tokens_details", "cached_tokens"], Count::Cached),
    (&["usage", "cache_read_input_tokens"], Count::CacheRead),
    (&["usage", "cache_creation_input_tokens"], Count::CacheCreation),
    (&["response", "usage", "input_tokens"], Count::Prompt),
    (&["response", "usage", "output_tokens"], Count::Completion),
    (&["response", "usage", "input_tokens_details", "cached_tokens"], Count::Cached),
];

impl Scan {
    /// Reads one value.
    pub fn read(&mut self, path: &Path, value: &Value<'_>, facts: &mut Facts) {
        match value {
            Value::Str { head, len } => self.text(path, head, *len, facts),
            Value::Number(number) => self.number(path, *number),
            Value::Object if path.matches(&["choices", "*"]) => self.open_choice(),
            Value::Object if path.matches(&["choices", "*", "delta", "tool_calls", "*"]) => self.output(1),
            Value::Object if path.is(&["error"]) || path.is(&["response", "error"]) => facts.stream_error = true,
            Value::Object | Value::Array | Value::Bool(_) | Value::Null => {}
        }
    }

    /// The document is over: the choices with output.
    pub fn finish(&mut self, issues: &mut Vec<Issue>) -> Choices {
        self.close_choice();
        if self.signature && self.kind == Kind::Output {
            self.kind = Kind::Other;
        }
        if self.over_bound {
            issues.push(Issue::ChoiceOverBound);
        }
        self.output
    }

    fn text(&mut self, path: &Path, head: &str, len: u64, facts: &mut Facts) {
        if path.matches(&["choices", "*", "text"])
            || path.matches(&["choices", "*", "delta", "content"])
            || path.matches(&["choices", "*", "delta", "reasoning"])
            || path.matches(&["choices", "*", "delta", "reasoning_content"])
        {
            self.output(len);
        } else if path.matches(&["choices", "*", "delta", "role"]) {
            if let Some(choice) = &mut self.choice {
                choice.role = true;
            }
        } else if path.is(&["type"]) {
            self.kind(head, facts);
        } else if path.is(&["delta", "type"]) && head == "signature_delta" {
            self.signature = true;
        } else if path.is(&["model"]) || path.is(&["message", "model"]) || path.is(&["response", "model"]) {
            set(&mut facts.model, head);
        } else if path.is(&["id"]) || path.is(&["message", "id"]) || path.is(&["response", "id"]) {
            set(&mut facts.id, head);
        } else if path.matches(&["choices", "*", "finish_reason"])
            || path.is(&["stop_reason"])
            || path.is(&["delta", "stop_reason"])
            || path.is(&["incomplete_details", "reason"])
            || path.is(&["response", "incomplete_details", "reason"])
        {
            set(&mut facts.finish_reason, head);
        } else if (path.is(&["status"]) || path.is(&["response", "status"])) && matches!(head, "completed" | "failed") {
            // The other states are not ends; "incomplete" has its reason in `incomplete_details`.
            set(&mut facts.finish_reason, head);
        }
    }

    fn kind(&mut self, kind: &str, facts: &mut Facts) {
        let known = match kind {
            "message_start" | "response.created" | "response.queued" | "response.in_progress" => Kind::Announce,
            "message_stop" | "response.completed" | "response.incomplete" => Kind::Finish,
            "response.failed" | "error" => {
                facts.stream_error = true;
                Kind::Finish
            }
            "content_block_delta" => Kind::Output,
            kind if kind.ends_with(".delta") => Kind::Output,
            _ => return,
        };
        self.kind = known;
    }

    fn number(&mut self, path: &Path, number: f64) {
        let Some(number) = whole(number) else { return };
        if path.matches(&["choices", "*", "index"]) {
            self.over_bound |= number > 63;
            if let Some(choice) = &mut self.choice {
                choice.index = number;
            }
        } else if let Some((_, count)) = COUNTS.iter().find(|(keys, _)| path.is(keys)) {
            self.usage.take(*count, number);
        }
    }

    fn open_choice(&mut self) {
        self.close_choice();
        self.choice = Some(Choice::default());
    }

    fn output(&mut self, len: u64) {
        if let Some(choice) = &mut self.choice {
            choice.present = true;
            choice.filled |= len > 0;
        }
    }

    fn close_choice(&mut self) {
        let Some(choice) = self.choice.take() else { return };
        self.choices.insert(choice.index);
        if choice.role && self.kind == Kind::Other {
            self.kind = Kind::Announce;
        }
        if choice.filled || (choice.present && !choice.role) {
            self.output.insert(choice.index);
        }
    }
}

impl Counts {
    fn take(&mut self, count: Count, number: u64) {
        match count {
            Count::Prompt => self.stated.prompt = Some(number),
            Count::Completion => self.stated.completion = Some(number),
            Count::Cached => self.stated.cached = Some(number),
            Count::CacheRead => {
                self.stated.cached = Some(number);
                self.beside = self.beside.saturating_add(number);
            }
            Count::CacheCreation => self.beside = self.beside.saturating_add(number),
        }
    }

    /// Writes what was stated over what was known; what was not stated stays.
    pub fn state(&self, known: &mut Usage) {
        known.prompt = self.stated.prompt.map(|prompt| prompt.saturating_add(self.beside)).or(known.prompt);
        known.cached = self.stated.cached.or(known.cached);
        known.completion = self.stated.completion.or(known.completion);
    }
}

fn set(fact: &mut Option<String>, value: &str) {
    // Every event says it again.
    if fact.as_deref() != Some(value) {
        *fact = Some(value.to_owned());
    }
}
