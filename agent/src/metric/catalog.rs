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
           announcement are a token",
};

/// llm_inter_token_latency_seconds
pub const INTER_TOKEN_LATENCY: Metric = Metric {
    name: "llm_inter_token_latency_seconds",
    otlp: "inferscope.llm.inter_token_latency",
    kind: Kind::Histogram(BucketSet::InterTokenLatency),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "source"],
    help: "Between consecutive content events of one request and choice; source=\"wire\": as written to the client",
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
    help: "Generated tokens of finished requests; source=\"usage\": as the server stated in its answer, other answers are \
           not in it. Throughput is its rate()",
};

/// llm_prompt_tokens_total
pub const PROMPT_TOKENS: Metric = Metric {
    name: "llm_prompt_tokens_total",
    otlp: "inferscope.llm.tokens",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source"],
    help: "Prompt tokens of finished requests, where the server stated them",
};

/// llm_prompt_tokens_cached_total
pub const PROMPT_TOKENS_CACHED: Metric = Metric {
    name: "llm_prompt_tokens_cached_total",
    otlp: "inferscope.llm.tokens",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source"],
    help: "Prompt tokens that came from the prefix cache, where the server stated them",
};

/// llm_requests_running
pub const REQUESTS_RUNNING: Metric = Metric {
    name: "llm_requests_running",
    otlp: "inferscope.llm.requests.running",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "source"],
    help: "Requests that were read and are not yet answered to the end; source=\"inferred\": from the connections, not from \
           the scheduler",
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
