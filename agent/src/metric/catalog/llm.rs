//! Requests to language models.

use super::{BucketSet, Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const LLM: &[&Metric] = &[
    &REQUESTS,
    &REQUEST_DURATION,
    &TIME_TO_FIRST_TOKEN,
    &INTER_TOKEN_LATENCY,
    &TIME_PER_OUTPUT_TOKEN,
    &TOKENS_GENERATED,
    &PROMPT_TOKENS,
    &PROMPT_TOKENS_CACHED,
    &REQUESTS_RUNNING,
];

/// llm_request_total
pub const REQUESTS: Metric = Metric {
    name: "llm_request_total",
    otlp: "inferscope.llm.requests",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "operation", "stream", "status", "code"],
    help: "Finished requests, all of them: also those that were seen only in part",
};

/// llm_request_duration_seconds
pub const REQUEST_DURATION: Metric = Metric {
    name: "llm_request_duration_seconds",
    otlp: "gen_ai.server.request.duration",
    kind: Kind::Histogram(BucketSet::RequestDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "operation", "stream"],
    help: "From the request's first byte read to the answer's last byte written, whatever the status; only requests that \
           were seen completely",
};

/// llm_time_to_first_token_seconds
pub const TIME_TO_FIRST_TOKEN: Metric = Metric {
    name: "llm_time_to_first_token_seconds",
    otlp: "gen_ai.server.time_to_first_token",
    kind: Kind::Histogram(BucketSet::TimeToFirstToken),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "operation", "stream"],
    help: "From the request's first byte read to the first streamed event with content written: neither headers nor a role \
           announcement are a token. Of answers that are not streamed: to the engine's first output, where its messages are \
           seen",
};

/// llm_inter_token_latency_seconds
pub const INTER_TOKEN_LATENCY: Metric = Metric {
    name: "llm_inter_token_latency_seconds",
    otlp: "inferscope.llm.inter_token_latency",
    kind: Kind::Histogram(BucketSet::InterTokenLatency),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "source"],
    help: "source=\"wire\": between consecutive content events of one request and choice, as written to the client; \
           source=\"engine\": between consecutive outputs of one sequence, by the engine's own stamps, where its messages \
           are seen, or between consecutive responses that a backend hands over, of Triton's decoupled models. One for each \
           server, never both",
};

/// llm_time_per_output_token_seconds
pub const TIME_PER_OUTPUT_TOKEN: Metric = Metric {
    name: "llm_time_per_output_token_seconds",
    otlp: "gen_ai.server.time_per_output_token",
    kind: Kind::Histogram(BucketSet::InterTokenLatency),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the first to the last content event, where the answer is not streamed to the last output of the engine, divided \
           by the tokens after the first; only of single answers whose tokens the server stated or its engine's messages count",
};

/// llm_tokens_generated_total
pub const TOKENS_GENERATED: Metric = Metric {
    name: "llm_tokens_generated_total",
    otlp: "inferscope.llm.tokens",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source"],
    help: "Generated tokens. source=\"usage\": of finished requests, as the server stated in its answer; source=\"engine\": all, \
           with each iteration, where the engine's messages are seen. Throughput is its rate()",
};

/// llm_prompt_tokens_total
pub const PROMPT_TOKENS: Metric = Metric {
    name: "llm_prompt_tokens_total",
    otlp: "inferscope.llm.tokens",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source"],
    help: "Prompt tokens. source=\"usage\": of finished requests, where the server stated them; source=\"engine\": of every \
           sequence that had its first output",
};

/// llm_prompt_tokens_cached_total
pub const PROMPT_TOKENS_CACHED: Metric = Metric {
    name: "llm_prompt_tokens_cached_total",
    otlp: "inferscope.llm.prompt_tokens.cached",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source"],
    help: "Prompt tokens that came from the prefix cache, where the server stated them or its engine did",
};

/// llm_requests_running
pub const REQUESTS_RUNNING: Metric = Metric {
    name: "llm_requests_running",
    otlp: "inferscope.llm.requests.running",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source", "engine_index"],
    help: "source=\"inferred\": requests that were read and are not yet answered to the end, from the connections; \
           source=\"engine\": sequences that have a place in the batch, as the scheduler says, for each engine of the server",
};
