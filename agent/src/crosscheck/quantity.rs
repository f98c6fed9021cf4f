//! What is compared, by name.

/// A quantity that the agent has, and that a server may state too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Finished requests, `n` parallel answers counted once.
    Requests,
    /// Finished sequences: each of a request's answers.
    Sequences,
    /// Tokens of prompts.
    PromptTokens,
    /// Of these, tokens that came from the prefix cache.
    CachedTokens,
    /// Tokens of answers.
    GeneratedTokens,
    /// Tokens looked up in the prefix cache.
    PrefixQueries,
    /// Of these, tokens found there.
    PrefixHits,
    /// Places in a batch that were lost again.
    Preemptions,
    /// Requests that failed.
    Failures,
    /// Batches that were executed.
    Executions,
    /// From the hand-over to the scheduler's queue. No server states it.
    Dispatch,
    /// From the scheduler's queue to a place in a batch.
    Queue,
    /// From there to the first output.
    Prefill,
    /// From the first output to the last.
    Decode,
    /// Gathering a request's inputs.
    ComputeInput,
    /// Computing.
    ComputeInfer,
    /// Handing its outputs out.
    ComputeOutput,
    /// Between the outputs of one sequence.
    InterToken,
    /// From a request to its first token.
    FirstToken,
    /// From a request to its end.
    EndToEnd,
}

impl Quantity {
    /// Every quantity, in the order of a table.
    pub const ALL: [Quantity; 20] = [
        Quantity::Requests,
        Quantity::Sequences,
        Quantity::PromptTokens,
        Quantity::CachedTokens,
        Quantity::GeneratedTokens,
        Quantity::PrefixQueries,
        Quantity::PrefixHits,
        Quantity::Preemptions,
        Quantity::Failures,
        Quantity::Executions,
        Quantity::Dispatch,
        Quantity::Queue,
        Quantity::Prefill,
        Quantity::Decode,
        Quantity::ComputeInput,
        Quantity::ComputeInfer,
        Quantity::ComputeOutput,
        Quantity::InterToken,
        Quantity::FirstToken,
        Quantity::EndToEnd,
    ];

    /// In tables and labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Quantity::Requests => "requests",
            Quantity::Sequences => "sequences",
            Quantity::PromptTokens => "prompt_tokens",
            Quantity::CachedTokens => "cached_tokens",
            Quantity::GeneratedTokens => "generated_tokens",
            Quantity::PrefixQueries => "prefix_queries",
            Quantity::PrefixHits => "prefix_hits",
            Quantity::Preemptions => "preemptions",
            Quantity::Failures => "failures",
            Quantity::Executions => "executions",
            Quantity::Dispatch => "dispatch",
            Quantity::Queue => "queue",
            Quantity::Prefill => "prefill",
            Quantity::Decode => "decode",
            Quantity::ComputeInput => "compute_input",
            Quantity::ComputeInfer => "compute_infer",
            Quantity::ComputeOutput => "compute_output",
            Quantity::InterToken => "inter_token",
            Quantity::FirstToken => "first_token",
            Quantity::EndToEnd => "end_to_end",
        }
    }

    /// Whether it is a time: then means are compared, else counts.
    #[must_use]
    pub fn is_time(self) -> bool {
        self >= Quantity::Dispatch
    }
}
