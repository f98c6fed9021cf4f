//! The agent about itself.

use super::{Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const OWN: &[&Metric] = &[
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
    &EXPORTS,
    &EXPORTED_SPANS,
    &SERIES,
    &CPU,
    &RESIDENT_MEMORY,
];

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
    help: "Requests and jobs that were seen only in part: counted in llm_request_total, triton_request_total (where their model is \
           known) and comfyui_prompts_total, absent from every latency",
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

/// inferscope_export_total
pub const EXPORTS: Metric = Metric {
    name: "inferscope_export_total",
    otlp: "inferscope.exports",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["exporter", "destination", "outcome"],
    help: "Attempts to send metrics (exporter=\"otlp_metrics\") or spans (otlp_spans) to a collector, by how it answered: ok, \
           partial, throttled, unavailable, timeout, rejected, unreadable",
};

/// inferscope_export_spans_total
pub const EXPORTED_SPANS: Metric = Metric {
    name: "inferscope_export_spans_total",
    otlp: "inferscope.export.spans",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["destination", "fate"],
    help: "Spans for a collector: sent; rejected by it; dropped, the oldest first, because it was away for too long",
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
