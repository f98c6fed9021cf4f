//! Which spans an inference and a job become. Requests over HTTP are told through the whole export (`super::super::tests`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::engine::inference::Fault as Cause;
use crate::job::{self, Ending, ImagesFrom, Source, Stretch, Turn};
use crate::request::ask::{Answered, AskId, Asked, Cause as Asking, Protocol};
use crate::request::inference::{Answer, Execution};
use crate::request::{Inference, Origin, Quality, Status};
use opentelemetry_proto::tonic::common::v1::any_value::Value;

const TRACE: [u8; 16] = [1; 16];
const SPAN: [u8; 8] = [2; 8];

/// A span for each line, deeper where it is within another: name, from, to, and what went wrong.
fn tree(ended: &impl Traceable) -> Vec<String> {
    let head = ended.head();
    let place = Place { trace: TRACE, span: SPAN, parent: head.caller, link: None };
    let spans = ended.draft().spans(&head, &place, Offset(0));
    let depth = |span: &Span| {
        let parents =
            std::iter::successors(Some(span), |span| spans.iter().find(|other| other.span_id == span.parent_span_id));
        parents.count() - 1
    };
    let line = |span: &Span| {
        let (from, to) = (span.start_time_unix_nano, span.end_time_unix_nano);
        let status = span.status.as_ref().unwrap();
        let error = if status.code == 2 { format!(" ! {}", status.message) } else { String::new() };
        format!("{}{} {from}-{to}{error}", "  ".repeat(depth(span)), span.name)
    };
    spans.iter().map(line).collect()
}

fn of(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn says(ended: &impl Traceable, key: &str) -> Option<String> {
    match of(&ended.draft().attributes, key)? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn caller() -> Caller {
    Caller { trace: [7; 16], parent: [9; 8], decision: Decision::Recorded, state: String::new() }
}

fn origin() -> Origin {
    Origin { tgid: Tgid(7), engine: "triton", service: "triton:8000".into() }
}

fn inference() -> Inference {
    let at = |nanos| Some(Nanos(nanos));
    let answer =
        Answered { first_byte: at(1_095), last_byte: Nanos(1_100), status: Status::Ok, code: 200, grpc_status: None };
    let by = Asking { ask: AskId(1), arrival: Nanos(990), trace: Some(caller()), answer: Some(answer) };
    Inference {
        model: "resnet".into(),
        version: Some(3),
        id: "42".into(),
        status: Status::Ok,
        submitted: at(1_005),
        executed: at(1_020),
        execution: Some(Execution { begin: at(1_022), input: 8, infer: 40, output: 10, reported: Nanos(1_085) }),
        batch: Some(4),
        instance: Some(1),
        first_response: at(1_082),
        last_response: at(1_082),
        responses: 1,
        end: Nanos(1_084),
        asked: Some(Asked { protocol: Protocol::Grpc, by: Some(by) }),
        ..Inference::new(origin(), 9, Nanos(1_000))
    }
}

fn job() -> job::Record {
    let at = |nanos| Some(Nanos(nanos));
    let turn = |node: &str, class: &str, from, to| Turn {
        node: node.into(),
        class: class.into(),
        stretch: Stretch { from: Nanos(from), to: Nanos(to) },
        ending: Ending::Done,
    };
    job::Record {
        tgid: Tgid(7),
        engine: "comfyui",
        service: "comfyui:8188".into(),
        id: "p".into(),
        workflow: "845dc029c8b5".into(),
        model: "sd15".into(),
        status: job::Status::Success,
        error: None,
        quality: Quality::Complete,
        source: Source::Messages,
        trace: Some(caller()),
        arrival: at(100),
        started: at(200),
        first_step: at(400),
        end: Nanos(1_000),
        took: Some(800),
        steps: Some(4),
        gaps: Vec::new(),
        turns: vec![turn("4", "CheckpointLoader", 200, 300), turn("3", "KSampler", 300, 900), turn("x", "", 900, 950)],
        cached: Some(2),
        loads: vec![Stretch { from: Nanos(210), to: Nanos(290) }],
        images: Some(1),
        images_from: ImagesFrom::Outputs,
    }
}

#[test]
fn an_inference_waits_and_is_computed() {
    let expected = [
        "infer resnet 990-1100",
        "  receive 990-1000",
        "  queue 1005-1022",
        "  compute 1022-1080",
        "    compute input 1022-1030",
        "    compute infer 1030-1070",
        "    compute output 1070-1080",
        "  send 1082-1100",
    ];
    assert_eq!(tree(&inference()), expected);
    assert_eq!(inference().head().caller, Some(&caller()));
    for (key, expected) in [
        ("gen_ai.operation.name", Some("infer")),
        ("gen_ai.request.model", Some("resnet")),
        ("inferscope.version", Some("3")),
        ("inferscope.batch", Some("4")),
        ("inferscope.protocol", Some("grpc")),
        ("error.type", None),
    ] {
        assert_eq!(says(&inference(), key).as_deref(), expected, "{key}");
    }
}

#[test]
fn a_caller_is_the_parent_or_only_linked_to() {
    let (inference, caller) = (inference(), caller());
    let head = inference.head();
    let spans = |place: Place<'_>| inference.draft().spans(&head, &place, Offset(0));
    let continued = spans(Place { trace: caller.trace, span: SPAN, parent: Some(&caller), link: None });
    assert_eq!((&continued[0].parent_span_id[..], continued[0].flags), (&caller.parent[..], 0x301));
    assert!(continued[0].links.is_empty());
    // The server has told its own part of the caller's trace.
    let linked = spans(Place { trace: TRACE, span: SPAN, parent: None, link: Some(&caller) });
    assert_eq!((&linked[0].trace_id[..], linked[0].parent_span_id.len()), (&TRACE[..], 0));
    let link = &linked[0].links[0];
    assert_eq!((&link.trace_id[..], &link.span_id[..]), (&caller.trace[..], &caller.parent[..]));
    assert!(linked[1..].iter().all(|part| part.links.is_empty() && part.trace_id == TRACE));
}

#[test]
fn a_backend_with_a_clock_of_its_own_began_when_it_was_called() {
    let execution = inference().execution.map(|execution| Execution { begin: None, ..execution });
    let lines = tree(&Inference { execution, ..inference() });
    assert!(lines.contains(&"  queue 1005-1020".to_owned()) && lines.contains(&"  compute 1020-1078".to_owned()));
}

#[test]
fn an_inference_that_came_to_nothing() {
    let (execution, fault) = (None, Some(Cause::Unavailable));
    let none = Inference { status: Status::Error, execution, fault, ..inference() };
    assert_eq!(tree(&none)[0], "infer resnet 990-1100 ! unavailable");
    let cut = Inference { quality: Quality::Gap, asked: None, ..inference() };
    assert_eq!(tree(&cut), ["infer resnet 1000-1084"], "stages of what was not seen whole are not known");
    assert_eq!(says(&cut, "inferscope.quality").as_deref(), Some("gap"));
    let bare = Inference { model: String::new(), answer: Answer::Streamed, ..Inference::new(origin(), 9, Nanos(5)) };
    assert_eq!(tree(&bare), ["infer 5-5"]);
}

#[test]
fn a_job_waits_and_its_nodes_are_worked_on() {
    let expected = [
        "generate_content sd15 100-1000",
        "  queue 100-200",
        "  execute 200-1000",
        "    node CheckpointLoader 200-300",
        "    load models 210-290",
        "    node KSampler 300-900",
        "    node 900-950",
    ];
    assert_eq!(tree(&job()), expected);
    assert_eq!(job().head().caller, Some(&caller()));
    assert_eq!(says(&job(), "inferscope.nodes").as_deref(), Some("3"));
    let sampler = &job().draft().stages[1].stages[2];
    assert_eq!(of(&sampler.attributes, "inferscope.class_type"), Some(Value::StringValue("KSampler".into())));
    assert_eq!(of(&sampler.attributes, "inferscope.node"), Some(Value::StringValue("3".into())));
}

#[test]
fn nodes_are_within_the_work_that_they_are_part_of() {
    let mut job = job();
    job.turns[0].stretch.from = Nanos(195);
    job.turns[2].stretch.to = Nanos(1_003);
    let lines = tree(&job);
    assert_eq!(lines[3], "    node CheckpointLoader 200-300", "the message that says so was taken for late");
    assert_eq!(lines[6], "    node 900-1000");
}

#[test]
fn a_job_says_in_which_node_it_failed() {
    let mut failed = job::Record { status: job::Status::Error, error: Some("OutOfMemoryError".into()), ..job() };
    failed.turns.truncate(2);
    failed.turns[1].ending = Ending::Broken;
    let lines = tree(&failed);
    assert_eq!(lines[0], "generate_content sd15 100-1000 ! OutOfMemoryError");
    assert_eq!(lines.last().unwrap(), "    node KSampler 300-900 ! OutOfMemoryError");
    let interrupted = job::Record { status: job::Status::Interrupted, error: None, ..failed };
    assert!(tree(&interrupted).iter().all(|line| !line.contains('!')), "nobody failed");
}

#[test]
fn a_job_that_only_its_log_told_of() {
    let (turns, loads, trace) = (Vec::new(), Vec::new(), None);
    let logged = job::Record { source: Source::Log, arrival: None, turns, loads, trace, ..job() };
    assert_eq!(tree(&logged), ["generate_content sd15 200-1000", "  execute 200-1000"]);
}

#[test]
fn of_a_job_of_many_nodes_the_longest_are_told() {
    let mut many = job::Record { end: Nanos(20_000), started: Some(Nanos(0)), ..job() };
    let turn = many.turns[0].clone();
    let stretch = |index: u64| Stretch { from: Nanos(index * 10), to: Nanos(index * 10 + index % 7) };
    many.turns = (0..1_000).map(|index| Turn { stretch: stretch(index), ..turn.clone() }).collect();
    let stages = &many.draft().stages[1].stages;
    assert_eq!(stages.iter().filter(|stage| stage.name.starts_with("node")).count(), 256);
    assert!(
        stages.iter().filter(|stage| stage.name.starts_with("node")).all(|stage| stage.end.since(stage.start) >= 5)
    );
    assert_eq!(says(&many, "inferscope.nodes").as_deref(), Some("1000"));
}
