//! Every metric of the product: one row each, with both of its names, unit, labels, buckets and help text.
//!
//! docs/metrics.md is generated from this file, and a test holds the sink to it.

/// One metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name in Prometheus: complete, with unit and `_total`.
    pub name: &'static str,
    /// Name in OTLP.
    pub otlp: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// Its labels, external ones excluded.
    pub labels: &'static [&'static str],
    /// One sentence or two without the last full stop, which the exposition format adds.
    pub help: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution, over these buckets.
    Histogram(BucketSet),
}

/// A list of bucket bounds in [`crate::config::Buckets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketSet {
    /// `request_duration_seconds`.
    RequestDuration,
    /// `time_to_first_token_seconds`.
    TimeToFirstToken,
    /// `inter_token_latency_seconds`.
    InterTokenLatency,
    /// `batch_size`.
    BatchSize,
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

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
           are seen. One for each server, never both",
};

/// llm_time_per_output_token_seconds
pub const TIME_PER_OUTPUT_TOKEN: Metric = Metric {
    name: "llm_time_per_output_token_seconds",
    otlp: "gen_ai.server.time_per_output_token",
    kind: Kind::Histogram(BucketSet::InterTokenLatency),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "From the first to the last content event, divided by the tokens after the first; only where the server stated its \
           token count",
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
    otlp: "inferscope.llm.tokens",
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

/// inferscope_build_info
pub const BUILD: Metric = Metric {
    name: "inferscope_build_info",
    otlp: "inferscope.build",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["version"],
    help: "Always 1; which agent this is",
};

/// inferscope_events_total
pub const EVENTS: Metric = Metric {
    name: "inferscope_events_total",
    otlp: "inferscope.events",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["hook"],
    help: "Records that the programs in the kernel sent",
};

/// inferscope_events_lost_total
pub const EVENTS_LOST: Metric = Metric {
    name: "inferscope_events_lost_total",
    otlp: "inferscope.events.lost",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["hook", "reason"],
    help: "What the programs in the kernel could not send; ring_full: enlarge capture.ring_bytes",
};

/// inferscope_issues_total
pub const ISSUES: Metric = Metric {
    name: "inferscope_issues_total",
    otlp: "inferscope.issues",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["issue"],
    help: "Things in the traffic or its capture that could not be used as they stand",
};

/// inferscope_requests_incomplete_total
pub const REQUESTS_INCOMPLETE: Metric = Metric {
    name: "inferscope_requests_incomplete_total",
    otlp: "inferscope.requests.incomplete",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "quality"],
    help: "Requests that were seen only in part: counted in llm_request_total, absent from every latency",
};

/// inferscope_probe_hits_total
pub const PROBE_HITS: Metric = Metric {
    name: "inferscope_probe_hits_total",
    otlp: "inferscope.probe.hits",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["hook"],
    help: "Times that a probe ran",
};

/// inferscope_probe_seconds_total
pub const PROBE_SECONDS: Metric = Metric {
    name: "inferscope_probe_seconds_total",
    otlp: "inferscope.probe.time",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    labels: &["program"],
    help: "Time that the kernel spent in a program of the agent, the trap into it excluded; absent where the kernel refuses \
           to count it",
};

/// inferscope_processes_attached
pub const PROCESSES_ATTACHED: Metric = Metric {
    name: "inferscope_processes_attached",
    otlp: "inferscope.processes.attached",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine"],
    help: "Processes of servers whose calls are seen",
};

/// inferscope_processes_unsupported
pub const PROCESSES_UNSUPPORTED: Metric = Metric {
    name: "inferscope_processes_unsupported",
    otlp: "inferscope.processes.unsupported",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "reason"],
    help: "Processes of servers whose calls cannot be seen, and why",
};

/// inferscope_crosscheck_difference
pub const CROSSCHECK_COUNT: Metric = Metric {
    name: "inferscope_crosscheck_difference",
    otlp: "inferscope.crosscheck.difference",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "quantity"],
    help: "What the agent counted more than the server's own metrics (requests, sequences, tokens, …), since both were first \
           read; only with cross_check",
};

/// inferscope_crosscheck_difference_seconds
pub const CROSSCHECK_SECONDS: Metric = Metric {
    name: "inferscope_crosscheck_difference_seconds",
    otlp: "inferscope.crosscheck.difference.duration",
    kind: Kind::Gauge,
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "quantity"],
    help: "How much longer the mean time is (queue, prefill, decode, …) by the agent than by the server's own metrics. What \
           the server cannot see of a time, because it begins later or ends earlier, is no difference",
};

/// inferscope_crosscheck_difference_ratio
pub const CROSSCHECK_RATIO: Metric = Metric {
    name: "inferscope_crosscheck_difference_ratio",
    otlp: "inferscope.crosscheck.difference.ratio",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "quantity"],
    help: "Either difference as a share of the server's own count or mean",
};

/// inferscope_crosscheck_readings_total
pub const CROSSCHECK_READINGS: Metric = Metric {
    name: "inferscope_crosscheck_readings_total",
    otlp: "inferscope.crosscheck.readings",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["outcome"],
    help: "Models that were compared (ok), and servers whose metrics could not be read (failed; the log says why at level \
           debug)",
};

/// inferscope_series
pub const SERIES: Metric = Metric {
    name: "inferscope_series",
    otlp: "inferscope.series",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["family"],
    help: "Series that this exposition holds, by metric; a histogram has one for each bucket, its sum and its count",
};

/// process_cpu_seconds_total
pub const CPU: Metric = Metric {
    name: "process_cpu_seconds_total",
    otlp: "process.cpu.time",
    kind: Kind::Counter,
    unit: Unit::Seconds,
    labels: &[],
    help: "Processor time of the agent, user and system",
};

/// process_resident_memory_bytes
pub const RESIDENT_MEMORY: Metric = Metric {
    name: "process_resident_memory_bytes",
    otlp: "process.memory.usage",
    kind: Kind::Gauge,
    unit: Unit::Bytes,
    labels: &[],
    help: "Resident memory of the agent",
};

/// The sections of docs/metrics.md and their metrics, in order.
pub const SECTIONS: &[(&str, &[&Metric])] = &[
    (
        "LLM requests",
        &[
            &REQUESTS,
            &REQUEST_DURATION,
            &TIME_TO_FIRST_TOKEN,
            &INTER_TOKEN_LATENCY,
            &TIME_PER_OUTPUT_TOKEN,
            &TOKENS_GENERATED,
            &PROMPT_TOKENS,
            &PROMPT_TOKENS_CACHED,
            &REQUESTS_RUNNING,
        ],
    ),
    (
        "Inside the engine",
        &[
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
        ],
    ),
    (
        "The agent about itself",
        &[
            &BUILD,
            &EVENTS,
            &EVENTS_LOST,
            &ISSUES,
            &REQUESTS_INCOMPLETE,
            &PROBE_HITS,
            &PROBE_SECONDS,
            &PROCESSES_ATTACHED,
            &PROCESSES_UNSUPPORTED,
            &CROSSCHECK_COUNT,
            &CROSSCHECK_SECONDS,
            &CROSSCHECK_RATIO,
            &CROSSCHECK_READINGS,
            &SERIES,
            &CPU,
            &RESIDENT_MEMORY,
        ],
    ),
];

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|(_, metrics)| metrics.iter().copied())
}

impl Metric {
    /// The name without what the exposition format adds to it: `_total` of a counter, and the unit.
    #[must_use]
    pub fn stem(&self) -> &'static str {
        let name = self.name.strip_suffix("_total").filter(|_| self.kind == Kind::Counter).unwrap_or(self.name);
        let stem = self.unit.suffix().and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'));
        stem.unwrap_or(name)
    }
}

impl Unit {
    /// The unit as the end of a name; absent where names do not carry it.
    #[must_use]
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Unit::Seconds => Some("seconds"),
            Unit::Bytes => Some("bytes"),
            Unit::Count => None,
        }
    }
}
