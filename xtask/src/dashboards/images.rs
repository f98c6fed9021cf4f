//! Image generation: ComfyUI's jobs, steps and nodes.

use super::board::{Board, Panel, Row, Unit, Variable};
use super::promql::{buckets, p95, rate, ratio, share, sum};

/// The dashboard.
pub fn board() -> Board {
    Board {
        name: "images",
        title: "Image generation",
        purpose: "How many images come out, how long people wait for them, which workflow, node or model load \
                 takes the time, and what fails? ComfyUI.",
        variables: Variable::of("comfyui_prompts_total", &["cluster", "k8s_namespace", "service", "workflow", "model"]),
        rows: vec![glance(), jobs(), waiting(), work(), api()],
    }
}

fn glance() -> Row {
    Row::of(
        "At a glance",
        vec![
            Panel::figure("Images", Unit::Images, "Images per minute, previews included, cached ones not.")
                .query(&format!("60 * {}", rate("comfyui_images_generated_total", "")), "")
                .wide(4),
            Panel::figure(
                "Went well",
                Unit::Ratio,
                "Share of the jobs that were begun and went well. Jobs that people took out of the queue or \
                 interrupted are not failures.",
            )
            .query(&format!("1 - {}", failed("")), "")
            .below(0.99, 0.9)
            .wide(4),
            Panel::figure(
                "Generation p95",
                Unit::Seconds,
                "One job in twenty took longer than this, from the moment in which the worker took it.",
            )
            .query(&p95("comfyui_generation_duration_seconds", ""), "")
            .wide(4),
            Panel::figure("Queue p95", Unit::Seconds, "One job in twenty waited longer than this before it was begun.")
                .query(&p95("comfyui_queue_duration_seconds", ""), "")
                .above(30.0, 120.0)
                .wide(4),
            Panel::figure("Working", Unit::Count, "Servers that work on a job now: each works on one at a time.")
                .query(&sum("comfyui_active_jobs{#}", ""), "")
                .wide(4),
            Panel::figure(
                "Waiting",
                Unit::Count,
                "Jobs in the queues of all servers. Divided by the images per minute it is what a new job \
                 waits.",
            )
            .query(&sum("comfyui_queue_depth{#}", ""), "")
            .above(5.0, 20.0)
            .wide(4),
        ],
    )
}

fn jobs() -> Row {
    Row::of(
        "Jobs",
        vec![
            Panel::stack(
                "Jobs by status",
                Unit::PerSecond,
                "success, error, interrupted, cancelled (taken out of the queue), or unknown: the server \
                 ended under it.",
            )
            .query(&rate("comfyui_prompts_total", "status"), "{{status}}"),
            Panel::stack(
                "Images by workflow",
                Unit::Images,
                "A workflow is a hash of its graph's kinds of nodes; `workflows` in the configuration gives \
                 it a name.",
            )
            .query(&format!("60 * {}", rate("comfyui_images_generated_total", "workflow")), "{{workflow}}"),
            Panel::lines(
                "Failures by type",
                Unit::PerSecond,
                "The exceptions that ended jobs. OutOfMemoryError: the card is too small for the workflow, or \
                 something else is on it.",
            )
            .query(&rate("comfyui_generation_failures_total", "error_type"), "{{error_type}}")
            .above(0.01, 0.1),
            Panel::lines(
                "Failed by workflow",
                Unit::Ratio,
                "Share of begun jobs that failed. One workflow alone: its graph or its models. All of them: \
                 the server or its GPU.",
            )
            .query(&failed("workflow"), "{{workflow}}")
            .above(0.01, 0.1),
            Panel::lines(
                "Images for each joule",
                Unit::PerJoule,
                "Efficiency of the server's GPUs, where they are known.",
            )
            .query(
                &ratio(
                    "comfyui_images_generated_total{#}",
                    r#"llm_energy_joules_total{#,engine="comfyui"}"#,
                    "service",
                ),
                "{{service}}",
            ),
            Panel::lines(
                "Nodes that needed no work",
                Unit::PerSecond,
                "ComfyUI keeps results of nodes whose inputs did not change. It costs nothing to answer from \
                 them.",
            )
            .query(&rate("comfyui_nodes_cached_total", "workflow"), "{{workflow}}"),
        ],
    )
}

fn waiting() -> Row {
    Row::of(
        "What people wait for",
        vec![
            Panel::lines(
                "Generation",
                Unit::Seconds,
                "Work on jobs that went well; jobs of which all was cached are among them, and make a low \
                 band.",
            )
            .quantiles("comfyui_generation_duration_seconds")
            .with_exemplars(),
            Panel::lines(
                "Queue",
                Unit::Seconds,
                "From handing a job over to the beginning of its work. A server works on one job at a time: \
                 more of them need more servers.",
            )
            .quantiles("comfyui_queue_duration_seconds"),
            Panel::lines(
                "Time to first step",
                Unit::Seconds,
                "From the request to the end of the first sampler step: the queue, loading models, and \
                 encoding the prompt.",
            )
            .quantiles("comfyui_time_to_first_step_seconds"),
            Panel::heat(
                "Generation, all of it",
                Unit::Seconds,
                "Bands are workflows, sizes and step counts; a band that drifts upwards is a server or a GPU \
                 that grows slower.",
            )
            .query(&buckets("comfyui_generation_duration_seconds"), "{{le}}"),
            Panel::lines("Generation p95 by workflow", Unit::Seconds, "Which workflow takes long.")
                .query(&p95("comfyui_generation_duration_seconds", "workflow"), "{{workflow}}"),
            Panel::lines(
                "Working and waiting",
                Unit::Count,
                "Per server. Waiting that only grows: more jobs come than it can do.",
            )
            .query(&sum("comfyui_active_jobs{#}", "service"), "{{service}}: working")
            .query(&sum("comfyui_queue_depth{#}", "service"), "{{service}}: waiting"),
        ],
    )
}

fn work() -> Row {
    Row::of(
        "Where a job's time goes",
        vec![
            Panel::lines(
                "Sampler step p95",
                Unit::Seconds,
                "One step of the sampler, what inter-token latency is to an LLM. It grows with the picture's \
                 size; by itself it grows only when the GPU is slowed or shared.",
            )
            .query(&p95(r#"comfyui_step_duration_seconds{#,model=~"$model"}"#, "sampler"), "{{sampler}}"),
            Panel::stack(
                "Work by kind of node",
                Unit::Ratio,
                "Share of the time that is spent in each kind of node, where a client watches. Loaders at the \
                 top: models are read again and again.",
            )
            .query(&rate("comfyui_node_duration_seconds_sum{#}", "class_type"), "{{class_type}}"),
            Panel::lines("Node p95", Unit::Seconds, "The slowest kinds of nodes.").query(
                &format!("topk(10, {})", p95("comfyui_node_duration_seconds{#}", "class_type")),
                "{{class_type}}",
            ),
            Panel::lines(
                "Loading models",
                Unit::Seconds,
                "Bringing models to where they compute. Often and long: the card is too small to keep them, \
                 and each job pays for it.",
            )
            .query(&p95(r#"comfyui_model_load_duration_seconds{#,model=~"$model"}"#, "model"), "{{model}}"),
        ],
    )
}

fn api() -> Row {
    Row::of(
        "API",
        vec![
            Panel::stack(
                "Requests by endpoint",
                Unit::Requests,
                "What clients ask the server about: jobs, pictures, nodes. Clients that poll /history can ask \
                 more than the server likes.",
            )
            .query(&rate("comfyui_api_requests_total{#}", "endpoint"), "{{endpoint}}")
            .wide(12),
            Panel::lines(
                "Refused by type",
                Unit::Requests,
                "A graph that ComfyUI refuses is no job and is counted only here: a missing model or node, a \
                 value out of its range.",
            )
            .query(&rate("comfyui_api_errors_total{#}", "endpoint, error_type"), "{{endpoint}}: {{error_type}}")
            .wide(12)
            .above(0.1, 1.0),
        ],
    )
}

/// The share of begun jobs that failed.
fn failed(by: &str) -> String {
    let jobs = |status: &str| format!("comfyui_prompts_total{{@,status=~\"{status}\"}}");
    share(&jobs("error"), &jobs("success|error"), by)
}
