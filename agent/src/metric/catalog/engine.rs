//! What only an engine's own messages tell: stages, batches, caches.

use super::{BucketSet, Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const ENGINE: &[&Metric] = &[
    &FRONTEND_DURATION,
    &DISPATCH_DURATION,
    &QUEUE_DURATION,
    &PREFILL_DURATION,
    &DECODE_DURATION,
    &DETOKENIZE_DURATION,
    &QUEUE_DEPTH,
    &KV_CACHE_USAGE,
    &BATCH_SIZE,
    &BATCH_SIZE_LAST,
    &PREFIX_CACHE_QUERIES,
    &PREFIX_CACHE_HITS,
    &PREEMPTIONS,
    &TOKENS_WASTED,
];

/// llm_frontend_duration_seconds
pub const FRONTEND_DURATION: Metric = Metric {
    name: "llm_frontend_duration_seconds",
    otlp: "inferscope.llm.frontend.duration",
    kind: Kind::Histogram(BucketSet::TimeToFirstToken),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the request's first byte read to the front end's message that hands it to the engine",
};

/// llm_dispatch_duration_seconds
pub const DISPATCH_DURATION: Metric = Metric {
    name: "llm_dispatch_duration_seconds",
    otlp: "inferscope.llm.dispatch.duration",
    kind: Kind::Histogram(BucketSet::TimeToFirstToken),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the hand-over to the scheduler's queue: transport, and the wait for the iteration under way to end",
};

/// llm_queue_duration_seconds
pub const QUEUE_DURATION: Metric = Metric {
    name: "llm_queue_duration_seconds",
    otlp: "inferscope.llm.queue.duration",
    kind: Kind::Histogram(BucketSet::TimeToFirstToken),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "In the scheduler's queue, by the engine's own stamps; of finished sequences",
};

/// llm_prefill_duration_seconds
pub const PREFILL_DURATION: Metric = Metric {
    name: "llm_prefill_duration_seconds",
    otlp: "inferscope.llm.prefill.duration",
    kind: Kind::Histogram(BucketSet::TimeToFirstToken),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the first place in a batch to the first output, by the engine's own stamps; of finished sequences",
};

/// llm_decode_duration_seconds
pub const DECODE_DURATION: Metric = Metric {
    name: "llm_decode_duration_seconds",
    otlp: "inferscope.llm.decode.duration",
    kind: Kind::Histogram(BucketSet::RequestDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the first output to the last, by the engine's own stamps; of finished sequences",
};

/// llm_detokenize_duration_seconds
pub const DETOKENIZE_DURATION: Metric = Metric {
    name: "llm_detokenize_duration_seconds",
    otlp: "inferscope.llm.detokenize.duration",
    kind: Kind::Histogram(BucketSet::TimeToFirstToken),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the engine's message with the first output to the first streamed event with content written",
};

/// llm_queue_depth
pub const QUEUE_DEPTH: Metric = Metric {
    name: "llm_queue_depth",
    otlp: "inferscope.llm.requests.waiting",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source", "engine_index"],
    help: "Sequences that wait for a place in the batch, as the scheduler says; one for each engine of the server",
};

/// llm_kv_cache_usage_ratio
pub const KV_CACHE_USAGE: Metric = Metric {
    name: "llm_kv_cache_usage_ratio",
    otlp: "inferscope.llm.kv_cache.usage",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "engine_index"],
    help: "Share of the KV cache in use, 0 to 1, as the scheduler says",
};

/// llm_batch_size
pub const BATCH_SIZE: Metric = Metric {
    name: "llm_batch_size",
    otlp: "inferscope.llm.batch_size",
    kind: Kind::Histogram(BucketSet::BatchSize),
    unit: Unit::Count,
    labels: &["engine", "model", "service", "engine_index"],
    help: "Sequences that one iteration of the scheduler brought something for",
};

/// llm_batch_size_last
pub const BATCH_SIZE_LAST: Metric = Metric {
    name: "llm_batch_size_last",
    otlp: "inferscope.llm.batch_size.last",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "engine_index"],
    help: "The same of the last iteration",
};

/// llm_prefix_cache_queries_total
pub const PREFIX_CACHE_QUERIES: Metric = Metric {
    name: "llm_prefix_cache_queries_total",
    otlp: "inferscope.llm.prefix_cache.queries",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service"],
    help: "Prompt tokens looked up in the prefix cache",
};

/// llm_prefix_cache_hits_total
pub const PREFIX_CACHE_HITS: Metric = Metric {
    name: "llm_prefix_cache_hits_total",
    otlp: "inferscope.llm.prefix_cache.hits",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service"],
    help: "Prompt tokens found in the prefix cache",
};

/// llm_preemptions_total
pub const PREEMPTIONS: Metric = Metric {
    name: "llm_preemptions_total",
    otlp: "inferscope.llm.preemptions",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service"],
    help: "Sequences that lost their place in the batch and had to wait again",
};

/// llm_tokens_wasted_total
pub const TOKENS_WASTED: Metric = Metric {
    name: "llm_tokens_wasted_total",
    otlp: "inferscope.llm.tokens.wasted",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service"],
    help: "Tokens that were generated after their client had left, or their request had been given up; they count as generated, too",
};
