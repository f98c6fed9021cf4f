//! What stands where in an engine's messages, and what of it may stay. Everything that is not named here is masked: a
//! field that a server adds tomorrow is text until it stands here.
//!
//! Indexes are those of vLLM's `EngineCoreOutputs`, `EngineCoreOutput` and `EngineCoreRequest`, 0.11 to 0.32.

/// Keys that stay readable, wherever they stand.
pub(super) const KEYS: &[&str] = &[
    "current_wave",
    "hits",
    "kv_cache_usage",
    "num_cache_creation_tokens",
    "num_cached_tokens",
    "num_computed_tokens",
    "num_external_cached_tokens",
    "num_local_cached_tokens",
    "num_prompt_tokens",
    "num_running_reqs",
    "num_skipped_waiting_reqs",
    "num_waiting_reqs",
    "prefix_cache_stats",
    "queries",
    "requests",
    "reset",
    "step_counter",
    "timestamp",
    "type",
];

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// What an engine sends: what an iteration brought.
    Step,
    /// Which engine: a small number that stays.
    Rank,
    Outputs,
    Output,
    Events,
    Event,
    /// Of a prompt: a map of token counts, in older versions the cached ones alone.
    Cached,
    Prefill,
    Scheduler,
    PrefixCache,
    /// A request for an engine.
    Added,
    /// Those that are no longer wanted.
    Aborted,
    /// The id of a sequence: a string that stays.
    Id,
    /// A number that stays.
    Number,
    /// Anything else.
    Masked,
}

impl Place {
    /// An array's element.
    pub(super) fn element(self, index: u64) -> Place {
        match (self, index) {
            (Place::Step, 0) => Place::Rank,
            (Place::Step, 1) => Place::Outputs,
            (Place::Step, 2) => Place::Scheduler,
            (Place::Step, 3) => Place::Number,
            (Place::Outputs, _) => Place::Output,
            (Place::Output | Place::Added, 0) | (Place::Aborted, _) => Place::Id,
            (Place::Output, 5) => Place::Number,
            (Place::Output, 7) => Place::Events,
            (Place::Output, 9..=10) => Place::Cached,
            (Place::Output, 11..) => Place::Prefill,
            (Place::Events, _) => Place::Event,
            _ => Place::Masked,
        }
    }

    /// A map's value behind a key that stays readable.
    pub(super) fn member(self, key: &str) -> Place {
        match (self, key) {
            (Place::Scheduler, "prefix_cache_stats") => Place::PrefixCache,
            (Place::Event, "type" | "timestamp")
            | (
                Place::Cached | Place::Prefill,
                "num_prompt_tokens"
                | "num_computed_tokens"
                | "num_cached_tokens"
                | "num_local_cached_tokens"
                | "num_external_cached_tokens"
                | "num_cache_creation_tokens",
            )
            | (
                Place::Scheduler,
                "num_running_reqs"
                | "num_waiting_reqs"
                | "num_skipped_waiting_reqs"
                | "kv_cache_usage"
                | "step_counter"
                | "current_wave",
            )
            | (Place::PrefixCache, "requests" | "queries" | "hits") => Place::Number,
            _ => Place::Masked,
        }
    }

    /// Whether a value whose first byte is this can stand here. Where it cannot, the message is none that we know.
    pub(super) fn allows(self, first: u8) -> bool {
        match self {
            Place::Step | Place::Outputs | Place::Output | Place::Added | Place::Aborted => {
                matches!(first, 0x90..=0x9f | 0xdc | 0xdd)
            }
            Place::Rank => matches!(first, 0x00..=0x7f | 0xcc..=0xcf),
            _ => true,
        }
    }
}
