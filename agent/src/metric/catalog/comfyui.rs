//! Jobs of image servers.

use super::{BucketSet, Kind, Metric, Unit};

/// All of them, in the order of docs/metrics.md.
pub(super) const COMFYUI: &[&Metric] = &[
    &PROMPTS,
    &IMAGES,
    &GENERATION_FAILURES,
    &GENERATION_DURATION,
    &JOB_QUEUE_DURATION,
    &TIME_TO_FIRST_STEP,
    &STEP_DURATION,
    &NODE_DURATION,
    &NODES_CACHED,
    &MODEL_LOAD_DURATION,
    &ACTIVE_JOBS,
    &JOB_QUEUE_DEPTH,
    &API_REQUESTS,
    &API_ERRORS,
];

/// comfyui_prompts_total
pub const PROMPTS: Metric = Metric {
    name: "comfyui_prompts_total",
    otlp: "inferscope.comfyui.prompts",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "workflow", "status"],
    help: "Jobs that are over, all of them: also those that were seen only in part. status is success, error, interrupted, \
           cancelled (taken out of the queue) or unknown. workflow is a hash of the graph's class types, or the name that \
           the configuration gives it",
};

/// comfyui_images_generated_total
pub const IMAGES: Metric = Metric {
    name: "comfyui_images_generated_total",
    otlp: "inferscope.comfyui.images",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "workflow"],
    help: "Images in the outputs of nodes that were executed, previews included, cached ones not. Where no output was seen: of \
           the SaveImage and PreviewImage nodes in the graphs of jobs that went well",
};

/// comfyui_generation_failures_total
pub const GENERATION_FAILURES: Metric = Metric {
    name: "comfyui_generation_failures_total",
    otlp: "inferscope.comfyui.failures",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "workflow", "error_type"],
    help: "Jobs that ended with an exception, by its type",
};

/// comfyui_generation_duration_seconds
pub const GENERATION_DURATION: Metric = Metric {
    name: "comfyui_generation_duration_seconds",
    otlp: "inferscope.comfyui.generation.duration",
    kind: Kind::Histogram(BucketSet::GenerationDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "workflow"],
    help: "Work on a job that went well, from the moment in which the worker took it, as in \"Prompt executed in …\"; jobs of \
           which all was cached are among them",
};

/// comfyui_queue_duration_seconds
pub const JOB_QUEUE_DURATION: Metric = Metric {
    name: "comfyui_queue_duration_seconds",
    otlp: "inferscope.comfyui.queue.duration",
    kind: Kind::Histogram(BucketSet::GenerationDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "workflow"],
    help: "From the first byte read of the request that hands a job over to the beginning of the work",
};

/// comfyui_time_to_first_step_seconds
pub const TIME_TO_FIRST_STEP: Metric = Metric {
    name: "comfyui_time_to_first_step_seconds",
    otlp: "inferscope.comfyui.time_to_first_step",
    kind: Kind::Histogram(BucketSet::GenerationDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "workflow"],
    help: "From the first byte read of the request to the end of the first sampler step",
};

/// comfyui_step_duration_seconds
pub const STEP_DURATION: Metric = Metric {
    name: "comfyui_step_duration_seconds",
    otlp: "inferscope.comfyui.step.duration",
    kind: Kind::Histogram(BucketSet::StepDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service", "sampler", "source"],
    help: "A sampler step. source=\"messages\": between consecutive messages about progress, each step's own time; \
           source=\"log\", where no client watches: by the lines of the progress bar, which is drawn every 0.1 s at most, so \
           steps between two lines count with their mean. One for each job, never both",
};

/// comfyui_node_duration_seconds
pub const NODE_DURATION: Metric = Metric {
    name: "comfyui_node_duration_seconds",
    otlp: "inferscope.comfyui.node.duration",
    kind: Kind::Histogram(BucketSet::NodeDuration),
    unit: Unit::Seconds,
    labels: &["engine", "service", "class_type"],
    help: "Work on a node, where a client watches",
};

/// comfyui_nodes_cached_total
pub const NODES_CACHED: Metric = Metric {
    name: "comfyui_nodes_cached_total",
    otlp: "inferscope.comfyui.nodes.cached",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "model", "service", "workflow"],
    help: "Nodes that needed no work, where a client watches or asks for the job's history",
};

/// comfyui_model_load_duration_seconds
pub const MODEL_LOAD_DURATION: Metric = Metric {
    name: "comfyui_model_load_duration_seconds",
    otlp: "inferscope.comfyui.model_load.duration",
    kind: Kind::Histogram(BucketSet::NodeDuration),
    unit: Unit::Seconds,
    labels: &["engine", "model", "service"],
    help: "Bringing models to where they compute, from \"Requested to load\" to the last \"loaded …\" line; reading a file from \
           disk is the time of its loader's node",
};

/// comfyui_active_jobs
pub const ACTIVE_JOBS: Metric = Metric {
    name: "comfyui_active_jobs",
    otlp: "inferscope.comfyui.jobs.active",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "service"],
    help: "Jobs that are worked on: one at most for each server",
};

/// comfyui_queue_depth
pub const JOB_QUEUE_DEPTH: Metric = Metric {
    name: "comfyui_queue_depth",
    otlp: "inferscope.comfyui.jobs.waiting",
    kind: Kind::Gauge,
    unit: Unit::Count,
    labels: &["engine", "service"],
    help: "Jobs that wait. Those that were handed over before the agent came are known once a client is told of the queue",
};

/// comfyui_api_requests_total
pub const API_REQUESTS: Metric = Metric {
    name: "comfyui_api_requests_total",
    otlp: "inferscope.comfyui.api.requests",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "service", "endpoint", "code"],
    help: "Answered requests to the API about jobs, pictures and nodes, by the first part of their path",
};

/// comfyui_api_errors_total
pub const API_ERRORS: Metric = Metric {
    name: "comfyui_api_errors_total",
    otlp: "inferscope.comfyui.api.errors",
    kind: Kind::Counter,
    unit: Unit::Count,
    labels: &["engine", "service", "endpoint", "error_type"],
    help: "Of these, requests that were refused, by the type of error in the answer, \"http_404\" and the like where it has \
           none. A graph that is refused is here, and no prompt",
};
