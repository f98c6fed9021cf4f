//! Triton: every model of the server, by its own stamps.

use super::board::{Board, Panel, Row, Unit, Variable};
use super::promql::{buckets, mean, mean_rate, p95, rate, ratio, share, sum};

/// The dashboard.
pub fn board() -> Board {
    Board {
        name: "triton",
        title: "Triton",
        purpose: "Which model is slow, and is it its queue, its computation or the front end? What does \
                 batching bring?",
        variables: Variable::of("triton_request_total", &["cluster", "k8s_namespace", "service", "model"]),
        rows: vec![glance(), latency(), stages(), batching()],
    }
}

fn glance() -> Row {
    Row::of(
        "Requests",
        vec![
            Panel::figure(
                "Requests",
                Unit::Requests,
                "Requests for models that ended, per second, whatever came of them.",
            )
            .query(&rate("triton_request_total", ""), "")
            .wide(4),
            Panel::figure(
                "Failed",
                Unit::Ratio,
                "Share of requests that ended with an error or were rejected because a queue was full.",
            )
            .query(&failed(""), "")
            .above(0.01, 0.05)
            .wide(4),
            Panel::figure(
                "Duration p95",
                Unit::Seconds,
                "One request in twenty that ended well took longer than this in the server.",
            )
            .query(&p95("triton_request_duration_seconds", ""), "")
            .wide(4),
            Panel::figure(
                "Queue p95",
                Unit::Seconds,
                "One request in twenty waited longer than this for an instance of its model.",
            )
            .query(&p95("triton_queue_duration_seconds", ""), "")
            .wide(4)
            .above(0.1, 0.5),
            Panel::figure("Pending", Unit::Count, "Requests that wait in the queues of all models now.")
                .query(&sum("triton_pending_requests", ""), "")
                .wide(4)
                .above(10.0, 100.0),
            Panel::figure(
                "Refused",
                Unit::Requests,
                "Requests that the front end refused before any model saw them: an unknown model, a body that \
                 cannot be read.",
            )
            .query(&rate("triton_api_errors_total{#}", ""), "")
            .wide(4)
            .above(0.1, 1.0),
            Panel::stack(
                "Requests by model",
                Unit::Requests,
                "Ensembles count once; their steps are not requests of their own.",
            )
            .query(&rate("triton_request_total", "model"), "{{model}}"),
            Panel::lines(
                "Failed by model",
                Unit::Ratio,
                "status=\"error\": the model failed. \"rejected\": its queue was full, so the server \
                 protected itself.",
            )
            .query(&failed("model"), "{{model}}")
            .above(0.01, 0.05),
            Panel::stack(
                "Requests by protocol",
                Unit::Requests,
                "How they came: http, grpc, or in_process, by callers within the server. Empty where it may \
                 have been several ways.",
            )
            .query(&rate("triton_request_total", "protocol"), "{{protocol}}"),
            Panel::table(
                "Outcomes",
                Unit::Requests,
                "What came of the requests for each model, with the server's own error code.",
            )
            .query(&mean_rate("triton_request_total", "service, model, version, status, reason, protocol"), "requests")
            .wide(14),
            Panel::table("Refusals", Unit::Requests, "What the front end refused, with its answer's code.")
                .query(&mean_rate("triton_api_errors_total{#}", "service, protocol, code"), "requests")
                .wide(10),
        ],
    )
}

fn latency() -> Row {
    Row::of(
        "Latency",
        vec![
            Panel::lines(
                "Duration",
                Unit::Seconds,
                "From a request's creation in the server until nothing more follows its last response; of \
                 requests that ended well.",
            )
            .quantiles("triton_request_duration_seconds"),
            Panel::lines("Duration p95 by model", Unit::Seconds, "Which model's callers wait.")
                .query(&p95("triton_request_duration_seconds", "model"), "{{model}}"),
            Panel::heat(
                "Duration, all of it",
                Unit::Seconds,
                "Two bands are two kinds of requests, or requests that waited for a batch and others that did \
                 not.",
            )
            .query(&buckets("triton_request_duration_seconds"), "{{le}}"),
        ],
    )
}

fn stages() -> Row {
    Row::of(
        "Where a request's time goes",
        vec![
            Panel::stack(
                "Mean of each stage",
                Unit::Seconds,
                "Reading the request, waiting for an instance, gathering inputs, computing, writing outputs, \
                 sending the answer. Each request of a batch has the whole batch's computation.",
            )
            .query(&stage("triton_frontend_duration_seconds", "receive"), "1 receive")
            .query(&mean("triton_queue_duration_seconds", ""), "2 queue")
            .query(&stage("triton_compute_duration_seconds", "input"), "3 input")
            .query(&stage("triton_compute_duration_seconds", "infer"), "4 infer")
            .query(&stage("triton_compute_duration_seconds", "output"), "5 output")
            .query(&stage("triton_frontend_duration_seconds", "send"), "6 send")
            .wide(12),
            Panel::lines(
                "Queue p95 by model",
                Unit::Seconds,
                "Grows when a model has too few instances, and by max_queue_delay_microseconds where its \
                 dynamic batcher waits.",
            )
            .query(&p95("triton_queue_duration_seconds", "model"), "{{model}}")
            .wide(6),
            Panel::lines(
                "Pending by model",
                Unit::Count,
                "Requests in each model's queue. One that only grows needs more instances, or its callers \
                 less haste.",
            )
            .query(&sum("triton_pending_requests", "model"), "{{model}}")
            .wide(6),
        ],
    )
}

fn batching() -> Row {
    Row::of(
        "Batching",
        vec![
            Panel::heat(
                "Batch size",
                Unit::Count,
                "Requests in one execution. Always 1 although requests wait: the model has no dynamic \
                 batcher, or its preferred sizes don't fit.",
            )
            .query(&buckets("triton_batch_size"), "{{le}}"),
            Panel::lines(
                "Executions",
                Unit::PerSecond,
                "By model and instance. Uneven instances are a slow device or a pinned one.",
            )
            .query(&rate("triton_batch_size_count", "model, instance"), "{{model}} {{instance}}"),
            Panel::lines(
                "Execution p95",
                Unit::Seconds,
                "One execution of a batch, from gathering its inputs to its end.",
            )
            .query(&p95("triton_execution_duration_seconds", "model"), "{{model}}"),
            Panel::lines(
                "Responses for each request",
                Unit::Count,
                "1, or more where a model is decoupled and streams.",
            )
            .query(&ratio("triton_responses_total", "triton_request_total", "model"), "{{model}}"),
        ],
    )
}

/// The mean of a stage.
fn stage(histogram: &str, stage: &str) -> String {
    mean(&format!("{histogram}{{@,stage=\"{stage}\"}}"), "")
}

/// The share of requests that failed.
fn failed(by: &str) -> String {
    share(r#"triton_request_total{@,status=~"error|rejected"}"#, "triton_request_total", by)
}
