//! The agent itself: does it see everything, and what does it cost?

use super::board::{Board, Panel, Row, Unit, Variable};
use super::promql::{max, or_zero, rate, ratio, sum};

/// The agents among all that have metrics of a process.
const AGENTS: &str = "and on (instance, job) inferscope_build_info{@}";

/// The dashboard.
pub fn board() -> Board {
    Board {
        name: "agent",
        title: "Agent health",
        purpose: "Can the other dashboards be believed? What the agents see, what they missed and why, and \
                 what they cost.",
        variables: Variable::of("inferscope_build_info", &["cluster", "instance"]),
        rows: vec![glance(), sight(), losses(), cost(), sending(), agreement()],
    }
}

fn glance() -> Row {
    Row::of(
        "At a glance",
        vec![
            Panel::figure("Agents", Unit::Count, "Agents that answer their scrapes.")
                .query("count(inferscope_build_info{@})", "")
                .wide(4),
            Panel::figure("Servers' processes", Unit::Count, "Processes of inference servers whose calls are seen.")
                .query(&sum("inferscope_processes_attached", ""), "")
                .wide(4),
            Panel::figure(
                "Not seen",
                Unit::Count,
                "Processes of servers whose calls cannot be seen: `inferscope check` on their host says why.",
            )
            .query(&or_zero(&sum("inferscope_processes_unsupported", ""), "inferscope_build_info", ""), "")
            .above(1.0, 5.0)
            .wide(4),
            Panel::figure(
                "Lost events",
                Unit::PerSecond,
                "What the programs in the kernel saw and could not send. Latencies are never derived from a \
                 request with a gap; it is counted and left out.",
            )
            .query(&rate("inferscope_events_lost_total", ""), "")
            .above(0.001, 10.0)
            .wide(4),
            Panel::figure(
                "Processor",
                Unit::Cores,
                "Of all agents together. What the probes cost the servers is not in it: see below.",
            )
            .query(&format!("sum(rate(process_cpu_seconds_total[$__rate_interval]) {AGENTS})"), "")
            .wide(4),
            Panel::figure(
                "Memory",
                Unit::Bytes,
                "The largest agent. All that grows has a bound; reaching it is an issue below.",
            )
            .query(&format!("max(process_resident_memory_bytes {AGENTS})"), "")
            .above(256e6, 512e6)
            .wide(4),
        ],
    )
}

fn sight() -> Row {
    Row::of(
        "What is seen",
        vec![
            Panel::lines(
                "Processes by engine",
                Unit::Count,
                "A step down is a server that ended, or one whose new processes could not be attached to.",
            )
            .query(&sum("inferscope_processes_attached", "instance, engine"), "{{instance}} {{engine}}"),
            Panel::stack("Events", Unit::PerSecond, "What the programs in the kernel sent, by kind of call.")
                .query(&rate("inferscope_events_total", "hook"), "{{hook}}"),
            Panel::lines(
                "Time series",
                Unit::Count,
                "Of each agent's page: what a scrape costs Prometheus. Models and workflows have bounds \
                 (limits.models, limits.names).",
            )
            .query(&sum("inferscope_series", "instance"), "{{instance}}"),
            Panel::table("Agents", Unit::Labels, "Versions, and the labels that the configuration puts on everything.")
                .query("inferscope_build_info{@}", "one"),
        ],
    )
}

fn losses() -> Row {
    Row::of(
        "What is missed",
        vec![
            Panel::lines(
                "Lost events",
                Unit::PerSecond,
                "By reason. ring_full: the agent was not scheduled in time or the buffer is too small \
                 (capture.ring_bytes). Others: docs/troubleshooting.md.",
            )
            .query(
                "sum by (instance, reason) (rate(inferscope_events_lost_total{@}[$__rate_interval]))",
                "{{instance}} {{reason}}",
            )
            .above(0.001, 10.0),
            Panel::lines(
                "Issues",
                Unit::PerSecond,
                "Things in the traffic that could not be used as they stand, by name. Most are harmless once, \
                 and telling when they keep growing.",
            )
            .query(&rate("inferscope_issues_total", "issue"), "{{issue}}"),
            Panel::lines(
                "Seen only in part",
                Unit::PerSecond,
                "Requests and jobs that are counted but have no latency: their beginning, middle or end was \
                 not seen. Some are normal after an agent's start.",
            )
            .query(&rate("inferscope_requests_incomplete_total", "engine, quality"), "{{engine}}: {{quality}}"),
        ],
    )
}

fn cost() -> Row {
    Row::of(
        "What it costs",
        vec![
            Panel::lines("Processor", Unit::Cores, "Of each agent.").query(
                &format!("sum by (instance) (rate(process_cpu_seconds_total[$__rate_interval]) {AGENTS})"),
                "{{instance}}",
            ),
            Panel::lines("Memory", Unit::Bytes, "Resident, of each agent.")
                .query(&format!("max by (instance) (process_resident_memory_bytes {AGENTS})"), "{{instance}}")
                .above(256e6, 512e6),
            Panel::stack("Probes", Unit::PerSecond, "How often probes ran. Only the traced servers pay for them.")
                .query(&rate("inferscope_probe_hits_total", "hook"), "{{hook}}"),
            Panel::lines(
                "Time in the programs",
                Unit::Cores,
                "What the programs in the kernel take from the servers' processors, the trap into them \
                 excluded: about as much again.",
            )
            .query(&rate("inferscope_probe_seconds_total", "instance, program"), "{{instance}} {{program}}"),
            Panel::lines(
                "Time for each run",
                Unit::Seconds,
                "The mean over all programs: about a microsecond. More of it is a program that copies long \
                 buffers.",
            )
            .query(&ratio("inferscope_probe_seconds_total", "inferscope_probe_hits_total", "instance"), "{{instance}}"),
        ],
    )
}

fn sending() -> Row {
    Row::of(
        "Sending by OTLP (with destinations)",
        vec![
            Panel::lines(
                "Attempts",
                Unit::PerSecond,
                "By how the collector answered. unavailable and timeout: it is away. throttled: it asks for \
                 patience. rejected, partial, unreadable: it and the agent do not agree, and the log says \
                 about what.",
            )
            .query(
                &rate("inferscope_export_total", "instance, exporter, outcome"),
                "{{instance}} {{exporter}}: {{outcome}}",
            )
            .wide(12),
            Panel::lines(
                "Spans",
                Unit::PerSecond,
                "Sent, rejected by the collector, or dropped because it was away for longer than the queue \
                 lasts (spans.queue).",
            )
            .query(&rate("inferscope_export_spans_total", "instance, destination, fate"), "{{destination}}: {{fate}}")
            .wide(12),
        ],
    )
}

fn agreement() -> Row {
    Row::of(
        "Agreement with the servers' own metrics (with cross_check)",
        vec![
            Panel::lines(
                "Difference",
                Unit::Ratio,
                "How far the agent's counts and means are from what servers say of themselves. It should stay \
                 near 0; docs/accuracy.md has what was measured.",
            )
            .query(
                &max("inferscope_crosscheck_difference_ratio", "service, model, quantity"),
                "{{service}} {{model}}: {{quantity}}",
            )
            .wide(12),
            Panel::table("Differences now", Unit::Count, "What the agent counted more than the servers.")
                .query(&max("inferscope_crosscheck_difference", "service, model, quantity"), "difference")
                .wide(6),
            Panel::lines("Readings", Unit::PerSecond, "Servers whose own metrics could be read, and not.")
                .query(&rate("inferscope_crosscheck_readings_total", "outcome"), "{{outcome}}")
                .wide(6),
        ],
    )
}
