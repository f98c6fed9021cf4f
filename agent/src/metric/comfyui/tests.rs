//! What jobs make of the metrics.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::event::{Nanos, Tgid};
use crate::job::{Ending, Gap, ImagesFrom, Source, Stretch, Turn};
use crate::metric::Metrics;
use crate::request::{Origin, Quality};
use prometheus_client::encoding::text;

const MS: u64 = 1_000_000;

/// A job that waited for 1 s and took 2 s, with steps of 100 ms.
pub(in crate::metric) fn job() -> Record {
    let at = |ms: u64| Some(Nanos(100_000 * MS + ms * MS));
    let gap = |steps| Gap { sampler: "euler".into(), steps, nanos: steps * 100 * MS };
    Record {
        tgid: Tgid(7),
        engine: "vllm",
        service: "s".into(),
        id: "p".into(),
        workflow: "845dc029c8b5".into(),
        model: "m".into(),
        status: Status::Success,
        error: None,
        quality: Quality::Complete,
        source: Source::Messages,
        trace: None,
        arrival: at(0),
        started: at(1_000),
        first_step: at(1_500),
        end: at(3_000).unwrap(),
        took: Some(2_000 * MS),
        steps: Some(4),
        gaps: vec![gap(1), gap(2)],
        turns: vec![turn("KSampler", 700)],
        cached: Some(2),
        loads: vec![Stretch { from: Nanos(0), to: Nanos(50 * MS) }],
        images: Some(3),
        images_from: ImagesFrom::Outputs,
    }
}

pub(in crate::metric) fn failed() -> Record {
    Record { status: Status::Error, error: Some("ValueError".into()), ..job() }
}

pub(in crate::metric) fn call(code: u16, error: Option<&str>) -> Reply {
    Reply { origin: origin(), endpoint: "prompt", code, error: error.map(str::to_owned) }
}

pub(in crate::metric) fn busy(waiting: u64) -> Busy {
    Busy { origin: origin(), active: 1, waiting }
}

fn turn(class: &str, ms: u64) -> Turn {
    let stretch = Stretch { from: Nanos(0), to: Nanos(ms * MS) };
    Turn { node: "1".into(), class: class.into(), stretch, ending: Ending::Done }
}

fn origin() -> Origin {
    Origin { tgid: Tgid(7), engine: "vllm", service: "s".into() }
}

fn metrics(yaml: &str) -> Metrics {
    Metrics::new(&Config::parse("test", yaml).unwrap())
}

/// Series about jobs, buckets left out.
fn series(metrics: &Metrics) -> Vec<String> {
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    let own = out.lines().filter(|line| line.starts_with("comfyui_") && !line.contains("_bucket{"));
    own.map(str::to_owned).collect()
}

#[test]
fn a_job_is_counted_and_measured() {
    let metrics = metrics("workflows: {845dc029c8b5: portrait}");
    metrics.job(&job());
    let server = r#"engine="vllm",model="m",service="s""#;
    let of = format!(r#"{server},workflow="portrait""#);
    let expected = [
        format!(r#"comfyui_prompts_total{{{of},status="success"}} 1"#),
        format!("comfyui_images_generated_total{{{of}}} 3"),
        format!("comfyui_generation_duration_seconds_sum{{{of}}} 2.0"),
        format!("comfyui_generation_duration_seconds_count{{{of}}} 1"),
        format!("comfyui_queue_duration_seconds_sum{{{of}}} 1.0"),
        format!("comfyui_queue_duration_seconds_count{{{of}}} 1"),
        format!("comfyui_time_to_first_step_seconds_sum{{{of}}} 1.5"),
        format!("comfyui_time_to_first_step_seconds_count{{{of}}} 1"),
        format!(
            r#"comfyui_step_duration_seconds_sum{{{server},sampler="euler",source="messages"}} 0.30000000000000007"#
        ),
        format!(r#"comfyui_step_duration_seconds_count{{{server},sampler="euler",source="messages"}} 3"#),
        r#"comfyui_node_duration_seconds_sum{engine="vllm",service="s",class_type="KSampler"} 0.7"#.to_owned(),
        r#"comfyui_node_duration_seconds_count{engine="vllm",service="s",class_type="KSampler"} 1"#.to_owned(),
        format!("comfyui_nodes_cached_total{{{of}}} 2"),
        format!("comfyui_model_load_duration_seconds_sum{{{server}}} 0.05"),
        format!("comfyui_model_load_duration_seconds_count{{{server}}} 1"),
    ];
    assert_eq!(series(&metrics), expected);
}

#[test]
fn times_of_a_job_point_to_its_span() {
    let metrics = metrics("");
    let exemplar = Exemplar { trace: [1; 16], span: [2; 8], at: std::time::SystemTime::UNIX_EPOCH };
    metrics.job_traced(&job(), Some(&exemplar));
    let mut out = String::new();
    text::encode(&mut out, metrics.scrape()).unwrap();
    let traced: Vec<_> = out.lines().filter(|line| line.contains(&"01".repeat(16))).collect();
    let of = |family: &str| traced.iter().any(|line| line.starts_with(&format!("comfyui_{family}_seconds_bucket")));
    assert!(of("generation_duration") && of("time_to_first_step") && traced.len() == 2, "{traced:?}");
}

#[test]
fn a_job_that_failed_has_no_duration() {
    let metrics = metrics("");
    metrics.job(&failed());
    let series = series(&metrics);
    assert!(!series.iter().any(|line| line.starts_with("comfyui_generation_duration")), "{series:?}");
    assert!(series.iter().any(|line| line.starts_with("comfyui_queue_duration")), "{series:?}");
    let failure = r#"comfyui_generation_failures_total{engine="vllm",model="m",service="s",workflow="845dc029c8b5",error_type="ValueError"} 1"#;
    assert!(series.iter().any(|line| line == failure), "{series:?}");
}

#[test]
fn a_job_seen_in_part_is_counted_and_not_measured() {
    let metrics = metrics("");
    let (cached, images, loads) = (None, None, Vec::new());
    metrics.job(&Record { quality: Quality::JoinedMidway, cached, images, loads, ..job() });
    let of = r#"engine="vllm",model="m",service="s",workflow="845dc029c8b5""#;
    assert_eq!(series(&metrics), [format!(r#"comfyui_prompts_total{{{of},status="success"}} 1"#)]);
}

#[test]
fn calls_and_gauges() {
    let metrics = metrics("");
    metrics.replied(&call(200, None));
    metrics.replied(&call(400, Some("invalid_prompt")));
    metrics.busy(&[busy(2)]);
    metrics.busy(&[busy(1)]);
    let host = r#"engine="vllm",service="s""#;
    let expected = [
        format!("comfyui_active_jobs{{{host}}} 1"),
        format!("comfyui_queue_depth{{{host}}} 1"),
        format!(r#"comfyui_api_requests_total{{{host},endpoint="prompt",code="200"}} 1"#),
        format!(r#"comfyui_api_requests_total{{{host},endpoint="prompt",code="400"}} 1"#),
        format!(r#"comfyui_api_errors_total{{{host},endpoint="prompt",error_type="invalid_prompt"}} 1"#),
    ];
    assert_eq!(series(&metrics), expected);
}

#[test]
fn names_are_capped() {
    let metrics = metrics("limits: {names: 2}");
    for workflow in ["a", "b", "c"] {
        let turns = vec![turn(workflow, 1)];
        metrics.job(&Record { workflow: workflow.into(), turns, ..job() });
    }
    let series = series(&metrics);
    for (name, labels) in [
        ("comfyui_prompts_total", r#"workflow="other""#),
        ("comfyui_node_duration_seconds_count", r#"class_type="other""#),
    ] {
        let is_its = |line: &&String| line.starts_with(name) && line.contains(labels) && line.ends_with(" 1");
        assert_eq!(series.iter().filter(is_its).count(), 1, "{name}: {series:?}");
    }
}

#[test]
fn series_end_with_their_server() {
    let metrics = metrics("");
    metrics.server_started("vllm", &"s".into());
    metrics.job(&job());
    metrics.job(&failed());
    metrics.replied(&call(400, Some("x")));
    metrics.busy(&[busy(2)]);
    metrics.server_ended("vllm", &"s".into(), Nanos(1));
    metrics.tick(Nanos(100_000 * MS));
    assert_eq!(series(&metrics), [""; 0]);
}
