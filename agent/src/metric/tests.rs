//! The sink against the catalog, and the catalog against docs/metrics.md.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod workload;

use super::catalog::{self, Kind, Metric, SECTIONS};
use super::comfyui::tests::{busy, call, failed, job};
use super::{Metrics, Running, SelfUsage};
use crate::config::Config;
use crate::core::{Executed, Finished, Iterated, Pending, Standing, Work};
use crate::crosscheck::exposition::Total;
use crate::crosscheck::reading::Subject;
use crate::crosscheck::{Quantity, Row};
use crate::engine::report::Scheduler;
use crate::engine::{Operation, Role, Usage};
use crate::event::{Nanos, Tgid};
use crate::issue::Issue;
use crate::request::ask::{Answered, AskId, Asked, Cause, Refusal};
use crate::request::inference::{Answer, Execution};
use crate::request::{Inference, Origin, Protocol, Quality, Record, Sequence, Status};
use crate::status::{Attachment, Process};
use inferscope_ebpf::{Counts, Hook};
use prometheus_client::encoding::text;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn config(yaml: &str) -> Config {
    Config::parse("test", yaml).unwrap()
}

/// A streamed chat: 10 s, first token after 0.2 s, five tokens.
pub(super) fn chat() -> Record {
    let start = 100_000 * MS;
    Record {
        tgid: Tgid(7),
        engine: "vllm",
        service: "s".into(),
        operation: Operation::Chat,
        path: "/v1/chat/completions".into(),
        stream: true,
        model: "m".into(),
        id: "chatcmpl-1".into(),
        code: 200,
        status: Status::Ok,
        quality: Quality::Complete,
        usage: Usage { prompt: Some(30), cached: Some(16), completion: Some(5) },
        finish_reason: Some("stop".into()),
        arrival: Nanos(start),
        request_end: Some(Nanos(start)),
        headers: Some(Nanos(start + MS)),
        first_event: Some(Nanos(start + 10 * MS)),
        first_content: Some(Nanos(start + 200 * MS)),
        last_content: Some(Nanos(start + 9_000 * MS)),
        end: Nanos(start + 10_000 * MS),
        content_events: 5,
        choices: 1,
        gaps: vec![2_200 * MS; 4],
        sequences: Vec::new(),
        tapped: false,
        protocol: Protocol::Http,
        grpc_status: None,
        trace: None,
        ask: None,
    }
}

fn iterated() -> Iterated {
    Iterated {
        origin: Origin { tgid: Tgid(8), engine: "vllm", service: "s".into() },
        model: "m".into(),
        index: 0,
        batch: Some(3),
        tokens: 4,
        wasted: 1,
        prompt_tokens: 30,
        cached_tokens: 16,
        preemptions: 1,
        gaps: vec![20 * MS; 2],
        scheduler: Some(Scheduler {
            running: 3,
            waiting: 2,
            kv_cache_usage: Some(0.25),
            prefix_queries: Some(30),
            prefix_hits: Some(16),
        }),
    }
}

/// Of [`chat`].
fn sequence() -> Sequence {
    let at = |ms: u64| Some(Nanos(100_000 * MS + ms * MS));
    Sequence {
        id: "chatcmpl-1-0123abcd".into(),
        handed_over: at(4),
        queued: at(5),
        scheduled: at(7),
        first_output: at(150),
        first_received: at(151),
        last_output: at(8_900),
        outputs: 5,
        tokens: 5,
        ..Sequence::default()
    }
}

/// Three responses of a decoupled model.
fn inference() -> Inference {
    let origin = Origin { tgid: Tgid(9), engine: "triton", service: "t".into() };
    let at = |ms: u64| Some(Nanos(100_000 * MS + ms * MS));
    let (status, last_byte) = (Status::Ok, Nanos(100_101 * MS));
    let answer = Answered { first_byte: at(51), last_byte, status, code: 200, grpc_status: Some(0) };
    let by = Cause { ask: AskId(1), arrival: Nanos(99_999 * MS), trace: None, answer: Some(answer) };
    Inference {
        model: "stream".into(),
        version: Some(2),
        status: Status::Ok,
        answer: Answer::Streamed,
        submitted: at(1),
        executed: at(4),
        execution: Some(Execution { begin: at(5), input: MS, infer: 2 * MS, output: 3 * MS, reported: Nanos(0) }),
        first_response: at(50),
        last_response: at(90),
        responses: 3,
        gaps: vec![20 * MS; 2],
        end: Nanos(100_100 * MS),
        asked: Some(Asked { protocol: Protocol::Grpc, by: Some(by) }),
        ..Inference::new(origin, 70, Nanos(100_000 * MS))
    }
}

fn executed(inference: &Inference, work: Work) -> Executed {
    Executed { origin: inference.origin.clone(), model: inference.model.clone(), instance: 1, work }
}

fn text(metrics: &Metrics) -> String {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    out
}

/// The series whose names begin with `prefix`, without the agent's word about the series themselves.
fn series(metrics: &Metrics, prefix: &str) -> Vec<String> {
    text(metrics).lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

/// Metrics to which everything was said once.
pub(crate) fn full() -> Metrics {
    let metrics = Metrics::new(&config("gpu: {dcgm_names: true}"));
    super::gpu::tests::say_all(&metrics, &chat());
    metrics.record(&chat());
    metrics.record(&Record { quality: Quality::Gap, ..chat() });
    metrics.issue(Issue::StreamGap);
    let sequence = sequence();
    metrics.iterated(&iterated());
    metrics.record(&Record { tapped: true, sequences: vec![sequence.clone()], ..chat() });
    let (origin, model) = (iterated().origin, iterated().model);
    metrics.sequence(&Finished { origin, model, sequence });
    let inference = inference();
    metrics.executed(&executed(&inference, Work::Batch(2)));
    metrics.executed(&executed(&inference, Work::Took(MS)));
    let (origin, model) = (inference.origin.clone(), inference.model.clone());
    metrics.inference(&inference);
    metrics.refused(&Refusal { origin: inference.origin.clone(), protocol: Protocol::Grpc, code: 5 });
    metrics.pending(vec![Pending { origin, model, count: 3 }]);
    metrics.running(&[Running { engine: "vllm", service: "s".into(), model: "m".into(), count: 2 }]);
    metrics.kernel(&[(Hook::Read, Counts { hits: 3, records: 2, bytes: 9, lost: [1, 0, 0, 0, 0] })]);
    metrics.programs(&[("socket_read", Duration::from_millis(1500))]);
    metrics.usage(SelfUsage { cpu: Duration::from_secs(2), resident_bytes: 4096 });
    let unsupported = Attachment::Unsupported { reason: "no_libc".into(), explanation: String::new() };
    metrics.processes(&[process(Attachment::Attached), process(unsupported), process(Attachment::NotNeeded)]);
    metrics.compared(vec![compared(3.0)], 0);
    workload::described(&metrics);
    metrics.exported("otlp_spans", &"c:4317".into(), "ok");
    metrics.spans_exported(&"c:4317".into(), "sent", 6);
    metrics.job(&job());
    metrics.job(&failed());
    metrics.replied(&call(400, Some("invalid_prompt")));
    metrics.busy(&[busy(2)]);
    metrics.tick(Nanos(110_000 * MS));
    metrics
}

/// The server counted 4 tokens, and 4 requests that waited for 2 s each.
fn compared(agent: f64) -> (Subject, Vec<Row>) {
    let row = |quantity, agent, server| Row { quantity, agent, inside: None, server };
    let rows = vec![
        row(Quantity::GeneratedTokens, Total::counted(agent), Total::counted(4.0)),
        row(Quantity::Queue, Total { count: 4.0, sum: agent }, Total { count: 4.0, sum: 8.0 }),
    ];
    (Subject { engine: "vllm", service: "s".into(), model: "m".into() }, rows)
}

#[test]
fn what_is_not_compared_any_more_has_no_difference() {
    let metrics = Metrics::new(&Config::default());
    let lines = |name: &str| series(&metrics, &format!("inferscope_crosscheck_{name}"));
    let values = |name: &str| -> Vec<String> {
        lines(name).iter().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    metrics.compared(vec![compared(6.0)], 0);
    assert_eq!(values("difference{"), ["2.0"]);
    assert_eq!(values("difference_seconds{"), ["-0.5"]);
    assert_eq!(values("difference_ratio{"), ["0.5", "-0.25"]);
    metrics.compared(Vec::new(), 1);
    assert!(lines("difference").is_empty(), "{:?}", lines("difference"));
    assert_eq!(values("readings_total"), ["1", "1"]);
}

fn process(attachment: Attachment) -> Process {
    let (service, evidence) = (String::new(), String::new());
    Process { tgid: 7, engine: "vllm".into(), role: Role::Frontend, service, container: None, evidence, attachment }
}

/// Name and label names of a line of the exposition.
fn shape(line: &str) -> (&str, BTreeSet<&str>) {
    let (series, _) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter_map(|label| Some(label.split_once('=')?.0));
    (name, labels.filter(|label| *label != "le").collect())
}

#[test]
fn the_sink_has_exactly_the_metrics_and_labels_of_the_catalog() {
    let text = text(&full());
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = shape(line);
        let is = |row: &&Metric| match row.kind {
            Kind::Histogram(_) => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{}{end}", row.name)),
            Kind::Counter | Kind::Gauge => name == row.name,
        };
        let row = catalog::all().find(is).unwrap_or_else(|| panic!("{name} is not in the catalog"));
        assert_eq!(labels, row.labels.iter().copied().collect(), "labels of {name}");
        seen.insert(row.name);
    }
    let missing: Vec<_> = catalog::all().map(|row| row.name).filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

#[test]
fn docs_metrics_md_is_generated_from_the_catalog() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let generated = document();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(path, &generated).unwrap();
    }
    let file = fs::read_to_string(path).unwrap();
    assert_eq!(file, generated, "stale: run this test with UPDATE_EXPECT=1 and review the change");
}

fn document() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Generated from `agent/src/metric/catalog`; a test fails when it is stale. A series is absent where its value is\n\
         not known, it is never 0 for that reason. Series about a server end a minute after its last process. Labels of\n\
         the configuration (`labels`) are on every metric. Where a server runs on exactly one GPU or MIG instance, its\n\
         metrics have one label more: `gpu`, the UUID of that.\n\n\
         Where a server runs in a pod, its metrics have three labels more: `k8s_namespace`, `k8s_pod` and `k8s_container`; in a\n\
         container outside of Kubernetes, or of a pod whose name is not known, one: `container`, its name or the first twelve\n\
         digits of its id. GPUs and MIG instances have the three where the kubelet gave them to one container only, by DCGM's\n\
         names as `namespace`, `pod` and `container`. Over OTLP a server's are attributes of its resource, `k8s.namespace.name`,\n\
         `k8s.pod.name`, `k8s.container.name` and `container.name`, beside `k8s.pod.uid` and `container.id`.\n",
    );
    for (section, metrics) in SECTIONS {
        let _ = write!(
            out,
            "\n## {section}\n\n| Prometheus | OTLP | type, unit | labels | what |\n|---|---|---|---|---|\n"
        );
        for Metric { name, otlp, kind, unit, labels, help } in *metrics {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram(_) => "histogram",
            };
            let unit = unit.ucum().map(|unit| format!(", {unit}")).unwrap_or_default();
            let otlp = if otlp.is_empty() { "not sent".to_owned() } else { format!("`{otlp}`") };
            let _ = writeln!(out, "| `{name}` | {otlp} | {kind}{unit} | {} | {help}. |", labels.join(", "));
        }
    }
    let buckets = Config::default().buckets;
    let bounds = |bounds: &[f64]| bounds.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let _ = write!(
        out,
        "\n## Buckets\n\nUpper bounds in seconds, configurable under `buckets`.\n\n\
         - request duration: {}\n- time to first token: {}\n- inter-token latency, time per output token: {}\n\
         - Triton's models: {}\n\
         - generation duration, queue duration, time to first step (ComfyUI): {}\n- step duration: {}\n\
         - node duration, model load duration: {}\n",
        bounds(&buckets.request_duration_seconds),
        bounds(&buckets.time_to_first_token_seconds),
        bounds(&buckets.inter_token_latency_seconds),
        bounds(&buckets.inference_duration_seconds),
        bounds(&buckets.generation_duration_seconds),
        bounds(&buckets.step_duration_seconds),
        bounds(&buckets.node_duration_seconds),
    );
    out
}

#[test]
fn there_is_nothing_before_there_is_something_to_say() {
    let metrics = Metrics::new(&Config::default());
    let lines = series(&metrics, "");
    let values: Vec<_> = lines.iter().filter(|line| !line.starts_with('#')).map(|line| shape(line).0).collect();
    assert_eq!(values, ["inferscope_build_info", "inferscope_series"]);
    metrics.kernel(&[(Hook::Read, Counts::default())]);
    assert!(series(&metrics, "inferscope_events").is_empty(), "a hook that never ran");
}

#[test]
fn a_complete_request_is_counted_and_measured() {
    let metrics = Metrics::new(&config("labels: {region: eu}"));
    metrics.record(&chat());
    let server = r#"region="eu",engine="vllm",model="m",service="s""#;
    let expected = [
        format!(r#"llm_request_total{{{server},operation="chat",stream="true",status="ok",code="200"}} 1"#),
        format!(r#"llm_request_duration_seconds_sum{{{server},operation="chat",stream="true"}} 10.0"#),
        format!(r#"llm_time_to_first_token_seconds_sum{{{server},operation="chat",stream="true"}} 0.2"#),
        format!(r#"llm_inter_token_latency_seconds_sum{{{server},source="wire"}} 8.8"#),
        format!(r#"llm_inter_token_latency_seconds_count{{{server},source="wire"}} 4"#),
        format!(r#"llm_time_per_output_token_seconds_sum{{{server}}} 2.2"#),
        format!(r#"llm_tokens_generated_total{{{server},source="usage"}} 5"#),
        format!(r#"llm_prompt_tokens_total{{{server},source="usage"}} 30"#),
        format!(r#"llm_prompt_tokens_cached_total{{{server},source="usage"}} 16"#),
    ];
    let text = text(&metrics);
    for line in expected {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}

#[test]
fn an_incomplete_request_is_counted_and_never_measured() {
    for quality in [Quality::Gap, Quality::JoinedMidway, Quality::Truncated] {
        let metrics = Metrics::new(&Config::default());
        metrics.record(&Record { quality, ..chat() });
        assert_eq!(series(&metrics, "llm_request_total").len(), 1);
        let quality = quality.name();
        let incomplete = series(&metrics, "inferscope_requests_incomplete_total");
        assert_eq!(
            incomplete,
            [format!(r#"inferscope_requests_incomplete_total{{engine="vllm",quality="{quality}"}} 1"#)]
        );
        assert!(!text(&metrics).contains("_bucket{"), "{quality} fed a histogram");
    }
}

#[test]
fn what_a_request_does_not_tell_is_absent() {
    let metrics = Metrics::new(&Config::default());
    let (usage, gaps) = (Usage::default(), Vec::new());
    let silent = Record { stream: false, first_content: None, last_content: None, code: 0, usage, gaps, ..chat() };
    metrics.record(&silent);
    metrics.tick(Nanos(110_000 * MS));
    let names: BTreeSet<_> = series(&metrics, "llm_").iter().map(|line| shape(line).0.to_owned()).collect();
    let duration = ["bucket", "count", "sum"].map(|part| format!("llm_request_duration_seconds_{part}"));
    assert_eq!(names, duration.into_iter().chain(["llm_request_total".to_owned()]).collect());
    assert!(series(&metrics, "llm_request_total")[0].contains(r#"code="""#));
}

#[test]
fn series_end_with_their_server_after_a_grace() {
    let metrics = full();
    let second = |second: u64| Nanos(second * 1_000 * MS);
    metrics.server_started("vllm", &"s".into());
    metrics.server_started("vllm", &"s".into());
    metrics.server_ended("vllm", &"s".into(), second(110));
    metrics.tick(second(300));
    assert!(!series(&metrics, "llm_").is_empty(), "one of its processes is left");
    metrics.server_ended("vllm", &"s".into(), second(300));
    metrics.tick(second(359));
    assert!(!series(&metrics, "llm_").is_empty(), "two more scrapes");
    metrics.server_started("vllm", &"s".into());
    metrics.tick(second(400));
    assert!(!series(&metrics, "llm_").is_empty(), "it came back");
    metrics.server_ended("vllm", &"s".into(), second(400));
    metrics.tick(second(460));
    let of_triton = |line: &String| line.contains(r#"engine="triton""#);
    assert!(series(&metrics, "llm_").iter().all(of_triton), "{:?}", series(&metrics, "llm_"));
    metrics.server_started("triton", &"t".into());
    metrics.server_ended("triton", &"t".into(), second(460));
    metrics.tick(second(519));
    assert!(!series(&metrics, "triton_").is_empty(), "two more scrapes");
    metrics.tick(second(520));
    for prefix in ["llm_", "triton_", "inferscope_series{family=\"llm_", "inferscope_series{family=\"triton_"] {
        assert_eq!(series(&metrics, prefix), Vec::<String>::new());
    }
}

#[test]
fn models_are_capped_and_labels_sanitised() {
    let metrics = Metrics::new(&config("limits: {models: 2}"));
    for model in ["a", "b\n\"\\", "c", "d"] {
        metrics.record(&Record { model: model.into(), service: "é".repeat(100).into(), ..chat() });
    }
    let service = "é".repeat(64);
    let requests = series(&metrics, "llm_request_total");
    let expected = [("a", 1), (r#"b_\"\\"#, 1), ("other", 2)];
    for (line, (model, count)) in requests.iter().zip(expected) {
        let begin = format!(r#"llm_request_total{{engine="vllm",model="{model}",service="{service}","#);
        assert!(line.starts_with(&begin) && line.ends_with(&format!(" {count}")), "{line}");
    }
    assert_eq!(requests.len(), expected.len());
    assert_eq!(series(&metrics, "inferscope_issues"), [r#"inferscope_issues_total{issue="model_over_bound"} 2"#]);
}

#[test]
fn running_requests_are_a_snapshot() {
    let metrics = Metrics::new(&Config::default());
    let running = |model: &str, count| Running { engine: "vllm", service: "s".into(), model: model.into(), count };
    metrics.running(&[running("m", 2), running("", 1)]);
    metrics.running(&[running("m", 1)]);
    assert_eq!(
        series(&metrics, "llm_requests_running"),
        [
            r#"llm_requests_running{engine="vllm",model="",service="s",source="inferred",engine_index=""} 0"#,
            r#"llm_requests_running{engine="vllm",model="m",service="s",source="inferred",engine_index=""} 1"#,
        ]
    );
}

#[test]
fn series_are_counted_by_metric() {
    let metrics = full();
    let text = text(&metrics);
    for line in series(&metrics, "inferscope_series{") {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let family = labels.split('"').nth(1).unwrap();
        let own = |found: &&str| {
            let name = found.split(['{', ' ']).next().unwrap();
            name.strip_prefix(family).is_some_and(|end| matches!(end, "" | "_bucket" | "_sum" | "_count"))
        };
        assert_eq!(text.lines().filter(own).count().to_string(), count, "{family}");
    }
}

#[test]
fn an_engine_counts_once_and_times_alone() {
    let metrics = Metrics::new(&Config::default());
    metrics.iterated(&iterated());
    metrics.record(&Record { tapped: true, sequences: vec![sequence()], ..chat() });
    let generated = r#"llm_tokens_generated_total{engine="vllm",model="m",service="s",source="engine"} 4"#;
    assert_eq!(series(&metrics, "llm_tokens_generated_total"), [generated]);
    let gaps = series(&metrics, "llm_inter_token_latency_seconds_count");
    assert_eq!(
        gaps,
        [r#"llm_inter_token_latency_seconds_count{engine="vllm",model="m",service="s",source="engine"} 2"#]
    );
    let frontend = series(&metrics, "llm_frontend_duration_seconds_sum");
    assert_eq!(frontend, [r#"llm_frontend_duration_seconds_sum{engine="vllm",model="m",service="s"} 0.004"#]);
    let detokenize = series(&metrics, "llm_detokenize_duration_seconds_sum");
    assert_eq!(detokenize, [r#"llm_detokenize_duration_seconds_sum{engine="vllm",model="m",service="s"} 0.049"#]);
}

#[test]
fn a_scheduler_that_is_gone_has_no_series() {
    let metrics = Metrics::new(&Config::default());
    metrics.iterated(&iterated());
    let Iterated { origin, model, index, scheduler, .. } = iterated();
    let standing = Standing { origin, model, index, scheduler: scheduler.unwrap() };
    metrics.schedulers(vec![standing]);
    let running = |metrics: &Metrics| series(metrics, "llm_requests_running").concat();
    assert!(running(&metrics).ends_with(r#"source="engine",engine_index="0"} 3"#), "{}", running(&metrics));
    metrics.schedulers(Vec::new());
    for name in ["llm_requests_running", "llm_queue_depth", "llm_kv_cache_usage_ratio", "llm_batch_size_last"] {
        assert_eq!(series(&metrics, name), Vec::<String>::new());
    }
    assert!(!series(&metrics, "llm_batch_size_count").is_empty(), "what was observed stays");
}
