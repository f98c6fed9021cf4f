//! LLM serving: what clients wait for, and where it goes.

use super::board::{Board, Panel, Row, Unit, Variable};
use super::promql::{buckets, max, mean, mean_rate, p95, rate, ratio, share, sum};

/// The dashboard.
pub fn board() -> Board {
    Board {
        name: "llm",
        title: "LLM serving",
        purpose: "Are clients served well, and if not, where does their time go: the front end, the queue, \
                 prefill or decode? vLLM, OpenAI-compatible servers, and Triton's decoupled models.",
        variables: Variable::of("llm_request_total", &["cluster", "k8s_namespace", "service", "model"]),
        rows: vec![glance(), requests(), latency(), stages(), tokens(), scheduler(), cost()],
    }
}

fn glance() -> Row {
    Row::of(
        "At a glance",
        vec![
            Panel::figure("Requests", Unit::Requests, "Finished requests per second, whatever came of them.")
                .query(&rate("llm_request_total", ""), ""),
            Panel::figure(
                "Failed",
                Unit::Ratio,
                "Share of finished requests that the server answered with an error. Requests that clients \
                 gave up are not among them.",
            )
            .query(&of_all("error", ""), "")
            .above(0.01, 0.05),
            Panel::figure(
                "TTFT p95",
                Unit::Seconds,
                "One request in twenty waited longer than this for its first token. People notice from about \
                 half a second on.",
            )
            .query(&p95("llm_time_to_first_token_seconds", ""), "")
            .above(1.0, 2.0),
            Panel::figure(
                "ITL p95",
                Unit::Seconds,
                "One gap in twenty between two tokens was longer than this. 0.2 s is 5 tokens per second: \
                 about as fast as people read.",
            )
            .query(&p95("llm_inter_token_latency_seconds", ""), "")
            .above(0.1, 0.2),
            Panel::figure("Output", Unit::Tokens, "Tokens generated per second, over all requests.")
                .query(&rate("llm_tokens_generated_total", ""), ""),
            Panel::figure(
                "Running",
                Unit::Count,
                "What is being generated now: as the schedulers say, and of servers whose scheduler is not \
                 seen as their connections show.",
            )
            .query(&format!("sum({})", running("service, model")), ""),
            Panel::figure(
                "Waiting",
                Unit::Count,
                "Sequences that have no place in the batch yet. More than a moment's worth means that the \
                 server has more work than it can do.",
            )
            .query(&sum("llm_queue_depth", ""), "")
            .above(1.0, 10.0),
            Panel::figure(
                "KV cache",
                Unit::Ratio,
                "The fullest KV cache. When it is full, new requests wait and running ones are preempted.",
            )
            .query(&max("llm_kv_cache_usage_ratio", ""), "")
            .above(0.85, 0.95),
        ],
    )
}

fn requests() -> Row {
    Row::of(
        "Requests",
        vec![
            Panel::stack(
                "Requests by status",
                Unit::Requests,
                "ok, error, or cancelled: the client left before the end. Many cancelled ones often mean that \
                 clients time out.",
            )
            .query(&rate("llm_request_total", "status"), "{{status}}"),
            Panel::lines(
                "Failed and given up",
                Unit::Ratio,
                "Shares of all finished requests, by model. Codes 4xx are the clients' mistakes, 5xx the \
                 server's: the table below tells them apart.",
            )
            .query(&of_all("error", "model"), "{{model}}: error")
            .query(&of_all("cancelled", "model"), "{{model}}: cancelled")
            .above(0.01, 0.05),
            Panel::lines(
                "Duration",
                Unit::Seconds,
                "From a request's first byte to its answer's last. It grows with the length of answers: judge \
                 a server by TTFT and ITL, and a client's patience by this.",
            )
            .quantiles("llm_request_duration_seconds")
            .with_exemplars(),
            Panel::table(
                "Answers by model and code",
                Unit::Requests,
                "How often each model was asked for what, and with which HTTP status it answered. A status of \
                 200 with status=\"cancelled\" is a client that left in the middle.",
            )
            .query(&mean_rate("llm_request_total", "service, model, operation, stream, status, code"), "requests"),
        ],
    )
}

fn latency() -> Row {
    Row::of(
        "First token and pace",
        vec![
            Panel::lines(
                "Time to first token",
                Unit::Seconds,
                "From a request's first byte to the first content written to its client. It holds the queue \
                 and the prefill: long prompts and full batches raise it.",
            )
            .quantiles("llm_time_to_first_token_seconds")
            .with_exemplars()
            .above(1.0, 2.0),
            Panel::lines(
                "Inter-token latency",
                Unit::Seconds,
                "Between consecutive outputs of one request. Larger batches make it longer for everybody; \
                 single long gaps are often prefills of other requests.",
            )
            .quantiles("llm_inter_token_latency_seconds")
            .above(0.1, 0.2),
            Panel::lines("TTFT p95 by model", Unit::Seconds, "Which model's clients wait.")
                .query(&p95("llm_time_to_first_token_seconds", "model"), "{{model}}"),
            Panel::heat(
                "Time to first token, all of it",
                Unit::Seconds,
                "Two bands are two kinds of requests: cached and uncached prompts, or short and long ones. \
                 Quantiles hide that.",
            )
            .query(&buckets("llm_time_to_first_token_seconds"), "{{le}}"),
            Panel::heat(
                "Inter-token latency, all of it",
                Unit::Seconds,
                "A second band far above the first is stalls: preemptions, prefills in between, or a \
                 throttled GPU.",
            )
            .query(&buckets("llm_inter_token_latency_seconds"), "{{le}}"),
            Panel::lines(
                "Time per output token",
                Unit::Seconds,
                "The mean pace of each request, where the server or its engine tells how many tokens there were. It evens \
                 out what ITL shows.",
            )
            .quantiles("llm_time_per_output_token_seconds"),
        ],
    )
}

/// The stages of a request, in their order.
const STAGES: [(&str, &str); 6] = [
    ("llm_frontend_duration_seconds", "1 front end"),
    ("llm_dispatch_duration_seconds", "2 hand-over"),
    ("llm_queue_duration_seconds", "3 queue"),
    ("llm_prefill_duration_seconds", "4 prefill"),
    ("llm_decode_duration_seconds", "5 decode"),
    ("llm_detokenize_duration_seconds", "6 detokenize"),
];

fn stages() -> Row {
    let stages = Panel::stack(
        "Where a request's time goes",
        Unit::Seconds,
        "The mean of each stage; together about the duration of a request. Queue: too much work. \
                 Prefill: long prompts. Decode: long answers or a slow GPU. Front end: the Python process is \
                 busy (tokenising, JSON). Decode and detokenize overlap a little.",
    );
    let stages = STAGES.iter().fold(stages, |panel, (stage, legend)| panel.query(&mean(stage, ""), legend));
    Row::of(
        "Inside the engine (where its messages are seen)",
        vec![
            stages.wide(12),
            Panel::lines(
                "Queue",
                Unit::Seconds,
                "In the scheduler's queue. Near zero while the server keeps up; from there on it grows \
                 without bound.",
            )
            .quantiles("llm_queue_duration_seconds")
            .wide(6),
            Panel::lines(
                "Prefill",
                Unit::Seconds,
                "From the first place in a batch to the first output. It grows with the uncached part of \
                 prompts.",
            )
            .quantiles("llm_prefill_duration_seconds")
            .wide(6),
        ],
    )
}

fn tokens() -> Row {
    Row::of(
        "Tokens",
        vec![
            Panel::stack(
                "Generated",
                Unit::Tokens,
                "Throughput of generation by model, every token counted where the engine's messages are seen, \
                 else as servers state it at a request's end.",
            )
            .query(&rate("llm_tokens_generated_total", "model"), "{{model}}"),
            Panel::stack("Prompts", Unit::Tokens, "Prompt tokens of requests, those from the prefix cache included.")
                .query(&rate("llm_prompt_tokens_total", "model"), "{{model}}"),
            Panel::lines(
                "Saved and wasted",
                Unit::Ratio,
                "Cached: prompt tokens that came from the prefix cache, which costs nothing. Wasted: tokens \
                 that were generated for clients who had left.",
            )
            .query(&ratio("llm_prompt_tokens_cached_total", "llm_prompt_tokens_total", ""), "cached")
            .query(&ratio("llm_tokens_wasted_total", "llm_tokens_generated_total", ""), "wasted"),
        ],
    )
}

fn scheduler() -> Row {
    Row::of(
        "Scheduler",
        vec![
            Panel::lines(
                "Running and waiting",
                Unit::Count,
                "Waiting above zero while running stands at its limit (max_num_seqs) asks for a larger limit \
                 or another replica; while the KV cache is full, for shorter contexts or more memory.",
            )
            .query(&running("service"), "{{service}}: running")
            .query(&sum("llm_queue_depth", "service"), "{{service}}: waiting"),
            Panel::heat(
                "Batch size",
                Unit::Count,
                "Sequences in each iteration of the scheduler. Small batches under load mean that something \
                 else limits: the front end, or the KV cache.",
            )
            .query(&buckets("llm_batch_size"), "{{le}}"),
            Panel::lines(
                "Iterations",
                Unit::PerSecond,
                "How often each scheduler turned. Iterations times batch size is the throughput; iterations \
                 that grow rarer are a GPU that grows slower.",
            )
            .query(&rate("llm_batch_size_count", "service, engine_index"), "{{service}} {{engine_index}}"),
            Panel::lines(
                "KV cache in use",
                Unit::Ratio,
                "Of each engine. A cache that stands at 1 preempts: see the next panel.",
            )
            .query(&max("llm_kv_cache_usage_ratio", "service, engine_index"), "{{service}} {{engine_index}}")
            .above(0.85, 0.95),
            Panel::lines(
                "Preemptions",
                Unit::PerSecond,
                "Sequences that lost their place and will be computed again: work that is done twice. More \
                 memory for the cache or fewer sequences at a time help.",
            )
            .query(&rate("llm_preemptions_total", "service, model"), "{{service}} {{model}}")
            .above(0.1, 1.0),
            Panel::lines(
                "Prefix cache hits",
                Unit::Ratio,
                "Share of prompt tokens found in the prefix cache. A shared system prompt should keep it \
                 high; routing that ignores it lowers it.",
            )
            .query(&ratio("llm_prefix_cache_hits_total", "llm_prefix_cache_queries_total", "model"), "{{model}}"),
        ],
    )
}

fn cost() -> Row {
    Row::of(
        "Energy and disturbances (where a server's GPUs are known)",
        vec![
            Panel::lines(
                "Tokens for each joule",
                Unit::PerJoule,
                "Efficiency of the GPUs. Fuller batches raise it most; an idle GPU that waits for requests \
                 lowers it.",
            )
            .query(
                &ratio("llm_tokens_generated_total", "llm_energy_joules_total", "service, model"),
                "{{service}} {{model}}",
            ),
            Panel::stack(
                "Power",
                Unit::Watts,
                "What each server's GPUs draw. Absent where servers share a GPU that cannot tell them apart.",
            )
            .query(&rate("llm_energy_joules_total", "service, model"), "{{service}} {{model}}"),
            Panel::lines(
                "Requests on an impaired GPU",
                Unit::Ratio,
                "Share of requests during which a GPU of their server was held back by power or heat, or its \
                 driver reported an error. Slow requests that are in it are the machine's fault.",
            )
            .query(
                &format!(
                    "{} / ignoring (condition) group_left () ({} > 0)",
                    rate("llm_requests_impaired_total", "condition"),
                    rate("llm_request_total", "")
                ),
                "{{condition}}",
            )
            .above(0.05, 0.2),
        ],
    )
}

/// The share of requests with this status.
fn of_all(status: &str, by: &str) -> String {
    share(&format!("llm_request_total{{@,status=\"{status}\"}}"), "llm_request_total", by)
}

/// What is under way by these labels: the schedulers' own number where it is known.
fn running(by: &str) -> String {
    let of = |source: &str| sum(&format!("llm_requests_running{{@,source=\"{source}\"}}"), by);
    format!("{} or {}", of("engine"), of("inferred"))
}
