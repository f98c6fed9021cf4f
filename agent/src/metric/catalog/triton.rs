//! Models that a server's library executes: Triton's.

use super::{BucketSet, Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const TRITON: &[&Metric] = &[
    &TRITON_REQUESTS,
    &TRITON_REQUEST_DURATION,
    &TRITON_QUEUE_DURATION,
    &TRITON_COMPUTE_DURATION,
    &TRITON_FRONTEND_DURATION,
    &TRITON_API_ERRORS,
    &TRITON_RESPONSES,
    &TRITON_PENDING_REQUESTS,
    &TRITON_BATCH_SIZE,
    &TRITON_EXECUTION_DURATION,
];

/// triton_request_total
pub const TRITON_REQUESTS: Metric = Metric {
    name: "triton_request_total",
    otlp: "inferscope.triton.requests",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "version", "status", "reason", "protocol"],
    help: "Requests for a model that ended. version: as the request asked for it, else empty. status: ok, error (reason: the \
           server's own error code), cancelled, rejected (it was never put into the model's queue), or unknown (its end was \
           not seen, or it ended without an instance of the model). The steps of an ensemble are not among them. \
           protocol: how it came, http, grpc or in_process; empty where it may have come by several ways",
};

/// triton_request_duration_seconds
pub const TRITON_REQUEST_DURATION: Metric = Metric {
    name: "triton_request_duration_seconds",
    otlp: "inferscope.triton.request.duration",
    kind: Kind::Histogram(BucketSet::InferenceDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "version"],
    help: "From the request's creation in the server, its client's bytes read, until nothing more follows its last response; of \
           requests that ended well",
};

/// triton_queue_duration_seconds
pub const TRITON_QUEUE_DURATION: Metric = Metric {
    name: "triton_queue_duration_seconds",
    otlp: "inferscope.triton.queue.duration",
    kind: Kind::Histogram(BucketSet::InferenceDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "version"],
    help: "From the hand-over to the server until an instance began to execute it; of requests whose execution went well, as \
           nv_inference_queue_duration_us",
};

/// triton_compute_duration_seconds
pub const TRITON_COMPUTE_DURATION: Metric = Metric {
    name: "triton_compute_duration_seconds",
    otlp: "inferscope.triton.compute.duration",
    kind: Kind::Histogram(BucketSet::InferenceDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "version", "stage"],
    help: "stage=\"input\", \"infer\" and \"output\" of a request's execution, by its backend's own stamps, each request of a batch \
           with the whole batch's time, as nv_inference_compute_{input,infer,output}_duration_us; of requests whose execution \
           went well. A decoupled model's execution may return before its responses are made",
};

/// triton_frontend_duration_seconds
pub const TRITON_FRONTEND_DURATION: Metric = Metric {
    name: "triton_frontend_duration_seconds",
    otlp: "inferscope.triton.frontend.duration",
    kind: Kind::Histogram(BucketSet::InferenceDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "version", "protocol", "stage"],
    help: "What the front end adds. stage=\"receive\": from the first byte of the client's request until the request's creation in \
           the server; \"send\": from the last response until the last byte of the answer. Of requests that can only be one \
           client's; of streams that carry many requests only \"receive\"",
};

/// triton_api_errors_total
pub const TRITON_API_ERRORS: Metric = Metric {
    name: "triton_api_errors_total",
    otlp: "inferscope.triton.api_errors",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "service", "protocol", "code"],
    help: "Requests for an inference that the front end refused before it made one: an unknown model, a body that can't be read. \
           code: HTTP's status, or gRPC's where HTTP's says nothing. They are no model's requests",
};

/// triton_responses_total
pub const TRITON_RESPONSES: Metric = Metric {
    name: "triton_responses_total",
    otlp: "inferscope.triton.responses",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "version"],
    help: "Responses to requests that ended, errors excluded: one for each, or any number where the model is decoupled",
};

/// triton_pending_requests
pub const TRITON_PENDING_REQUESTS: Metric = Metric {
    name: "triton_pending_requests",
    otlp: "inferscope.triton.requests.pending",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "model", "service"],
    help: "Requests in the model's queue; of models that were seen to execute",
};

/// triton_batch_size
pub const TRITON_BATCH_SIZE: Metric = Metric {
    name: "triton_batch_size",
    otlp: "inferscope.triton.batch_size",
    kind: Kind::Histogram(BucketSet::BatchSize),
    unit: Unit::Count,
    labels: &["engine", "model", "service", "instance"],
    help: "Requests in one execution, by instance of the model: the steps of ensembles among them, and the empty ones with which \
           Triton fills the free slots of a direct sequence batcher. Its count is that of executions",
};

/// triton_execution_duration_seconds
pub const TRITON_EXECUTION_DURATION: Metric = Metric {
    name: "triton_execution_duration_seconds",
    otlp: "inferscope.triton.execution.duration",
    kind: Kind::Histogram(BucketSet::InferenceDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "instance"],
    help: "One execution, from gathering its inputs to its end, by the backend's own stamps; of models whose executions end behind \
           their responses, which those of decoupled models need not",
};
