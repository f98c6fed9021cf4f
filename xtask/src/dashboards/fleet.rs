//! The fleet: providers, clusters, regions and environments beside each other.

use super::board::{Board, Panel, Row, Unit, Variable};
use super::promql::{avg, max, mean_rate, or_zero, p95, rate, ratio, share, sum};

/// The dashboard.
pub fn board() -> Board {
    Board {
        name: "fleet",
        title: "Fleet",
        purpose: "Which cluster serves well, which is full, which wastes its GPUs? For Prometheus servers that \
                 gather many agents whose configuration sets labels: {provider, cluster, region, \
                 environment}.",
        variables: Variable::of("inferscope_build_info", &["provider", "cluster", "region", "environment"]),
        rows: vec![glance(), service(), images(), gpus(), agents()],
    }
}

fn glance() -> Row {
    Row::of(
        "At a glance",
        vec![
            Panel::figure("Clusters", Unit::Count, "With at least one agent that answers.")
                .query("count(count by (provider, cluster, region, environment) (inferscope_build_info{@}))", ""),
            Panel::figure("Hosts", Unit::Count, "With an agent that answers.")
                .query("count(inferscope_build_info{@})", ""),
            Panel::figure("GPUs", Unit::Count, "Devices, not MIG instances.")
                .query(r#"count(gpu_info{@,mig_device=""})"#, ""),
            Panel::figure("LLM requests", Unit::Requests, "Of all servers.").query(&rate("llm_request_total", ""), ""),
            Panel::figure("Failed", Unit::Ratio, "Share of LLM requests that ended in an error.")
                .query(&errors(""), "")
                .above(0.01, 0.05),
            Panel::figure("Output", Unit::Tokens, "Tokens generated per second, everywhere.")
                .query(&rate("llm_tokens_generated_total", ""), ""),
            Panel::figure("Images", Unit::Images, "Per minute, everywhere.")
                .query(&format!("60 * {}", rate("comfyui_images_generated_total", "")), ""),
            Panel::figure("Power", Unit::Watts, "Of all GPUs.").query(&sum("gpu_power_usage_watts", ""), ""),
            Panel::table(
                "Servers",
                Unit::Requests,
                "LLM requests per second over the whole time shown, by model and place.",
            )
            .query(
                &mean_rate("llm_request_total", "provider, cluster, region, environment, engine, model"),
                "requests",
            ),
        ],
    )
}

fn service() -> Row {
    Row::of(
        "LLM serving by cluster",
        vec![
            Panel::stack("Requests", Unit::Requests, "Where the work is.")
                .query(&rate("llm_request_total", "cluster"), "{{cluster}}"),
            Panel::lines("Failed", Unit::Ratio, "A cluster of its own above the others: look there first.")
                .query(&errors("cluster"), "{{cluster}}")
                .above(0.01, 0.05),
            Panel::stack("Output", Unit::Tokens, "Tokens generated per second.")
                .query(&rate("llm_tokens_generated_total", "cluster"), "{{cluster}}"),
            Panel::lines(
                "TTFT p95",
                Unit::Seconds,
                "The same model in two clusters should be equally quick; where it is not, compare their \
                 queues and GPUs.",
            )
            .query(&p95("llm_time_to_first_token_seconds", "cluster, model"), "{{cluster}} {{model}}")
            .above(1.0, 2.0),
            Panel::lines("ITL p95", Unit::Seconds, "Differs with batch sizes and kinds of GPUs.")
                .query(&p95("llm_inter_token_latency_seconds", "cluster, model"), "{{cluster}} {{model}}")
                .above(0.1, 0.2),
            Panel::lines(
                "Waiting",
                Unit::Count,
                "Sequences that wait, by cluster: where there is too little for the work. One that waits \
                 beside one that idles is a question of routing.",
            )
            .query(&sum("llm_queue_depth", "cluster"), "{{cluster}}"),
            Panel::lines("KV cache", Unit::Ratio, "The fullest of each cluster.")
                .query(&max("llm_kv_cache_usage_ratio", "cluster"), "{{cluster}}")
                .above(0.85, 0.95),
            Panel::lines("Tokens for each joule", Unit::PerJoule, "Where tokens are cheap.").query(
                &ratio("llm_tokens_generated_total", "llm_energy_joules_total{@,engine!=\"comfyui\"}", "cluster"),
                "{{cluster}}",
            ),
            Panel::stack("By provider and region", Unit::Requests, "Where requests are answered.")
                .query(&rate("llm_request_total", "provider, region"), "{{provider}} {{region}}"),
        ],
    )
}

fn images() -> Row {
    Row::of(
        "Images and Triton by cluster",
        vec![
            Panel::stack("Images", Unit::Images, "Per minute.")
                .query(&format!("60 * {}", rate("comfyui_images_generated_total", "cluster")), "{{cluster}}"),
            Panel::lines("Jobs waiting", Unit::Count, "In ComfyUI's queues.")
                .query(&sum("comfyui_queue_depth", "cluster"), "{{cluster}}"),
            Panel::stack("Triton requests", Unit::Requests, "For all models.")
                .query(&rate("triton_request_total", "cluster"), "{{cluster}}"),
        ],
    )
}

fn gpus() -> Row {
    Row::of(
        "GPUs by cluster",
        vec![
            Panel::stack("Devices", Unit::Count, "By kind. A step down is a device or a host that went away.")
                .query(r#"count by (cluster, name) (gpu_info{@,mig_device=""})"#, "{{cluster}} {{name}}"),
            Panel::lines(
                "Utilisation",
                Unit::Percent,
                "The mean of each cluster. Low everywhere while requests wait: routing. Low without waiting: \
                 more GPUs than work.",
            )
            .query(&avg("gpu_utilization_percent", "cluster"), "{{cluster}}"),
            Panel::lines(
                "SM active",
                Unit::Ratio,
                "How much of the devices is used, where they can tell (Hopper and later).",
            )
            .query(&avg("gpu_sm_active_ratio{@,mig_device=\"\"}", "cluster"), "{{cluster}}"),
            Panel::stack("Power", Unit::Watts, "What the boards draw.")
                .query(&sum("gpu_power_usage_watts", "cluster"), "{{cluster}}"),
            Panel::lines("Hottest", Unit::Celsius, "The hottest device of each cluster.")
                .query(&max("gpu_temperature_celsius", "cluster"), "{{cluster}}")
                .above(80.0, 88.0),
            Panel::lines("XID errors", Unit::Count, "Since the agents run.")
                .query(&sum("gpu_xid_errors_total", "cluster"), "{{cluster}}"),
        ],
    )
}

fn agents() -> Row {
    Row::of(
        "Agents by cluster",
        vec![
            Panel::lines("Agents", Unit::Count, "That answer.")
                .query("count by (cluster, version) (inferscope_build_info{@})", "{{cluster}} {{version}}"),
            Panel::lines("Lost events", Unit::PerSecond, "Where numbers are incomplete: see the dashboard of agents.")
                .query(&rate("inferscope_events_lost_total", "cluster"), "{{cluster}}")
                .above(0.001, 10.0),
            Panel::lines("Not seen", Unit::Count, "Processes of servers that could not be attached to.")
                .query(
                    &or_zero(&sum("inferscope_processes_unsupported", "cluster"), "inferscope_build_info", "cluster"),
                    "{{cluster}}",
                )
                .above(1.0, 5.0),
        ],
    )
}

/// The share of LLM requests that failed.
fn errors(by: &str) -> String {
    share(r#"llm_request_total{@,status="error"}"#, "llm_request_total", by)
}
