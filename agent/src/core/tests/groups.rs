//! Sequences, schedulers and the requests that they belong to.

use crate::core::group::{End, Group};
use crate::core::{Iterated, Output};
use crate::engine::report::{Finish, Iteration, Output as Brought, Report, Scheduler};
use crate::engine::{Engine, Facts, Role, vllm::Vllm};
use crate::event::{Nanos, Tgid};
use crate::issue::Issue;
use crate::request::{Delivery, Ending, Origin, Record, Request, Sequence};

const FRONTEND: Tgid = Tgid(10);
const ENGINE: Tgid = Tgid(11);

fn origin() -> Origin {
    Origin { tgid: FRONTEND, engine: Vllm.name(), service: "vllm:8000".into() }
}

fn group() -> Group {
    let mut group = Group::new(&Vllm, origin());
    group.started(Nanos(0), FRONTEND, Role::Frontend, "tiny");
    group.started(Nanos(0), ENGINE, Role::Engine, "tiny");
    group
}

fn report(group: &mut Group, time: u64, end: End, report: Report<'_>) -> Vec<Output> {
    let mut out = Vec::new();
    group.report(Nanos(time), end, report, &mut out);
    out
}

fn add(group: &mut Group, time: u64, id: &str) {
    assert!(report(group, time, End::Engine, Report::Added { id, prompt_tokens: Some(4) }).is_empty());
}

fn first(id: &str, queued: u64) -> Brought<'_> {
    let (queued, scheduled) = (Some(Nanos(queued)), Some(Nanos(queued + 5)));
    Brought { id, tokens: 1, queued, scheduled, prompt_tokens: Some(4), cached_tokens: Some(1), ..Brought::default() }
}

fn next(id: &str, tokens: u64, finish: Option<Finish>) -> Brought<'_> {
    Brought { id, tokens, finish, ..Brought::default() }
}

fn step<'a>(at: u64, outputs: Vec<Brought<'a>>) -> Report<'a> {
    Report::Iteration(Iteration { at: Some(Nanos(at)), outputs, ..Iteration::default() })
}

fn figures(running: u64) -> Option<Scheduler> {
    Some(Scheduler { running, ..Scheduler::default() })
}

fn answered(id: &str, end: u64, ending: Ending) -> Record {
    let mut request = Request::new(origin(), "/v1/completions".into(), Nanos(90));
    request.headers(Nanos(95), 200, Delivery::Whole);
    request.end(Nanos(end), ending, &Facts { id: Some(id.to_owned()), ..Facts::default() })
}

fn claim(group: &mut Group, mut record: Record) -> (Record, Vec<Output>) {
    let mut out = Vec::new();
    group.claim(&mut record, &mut out);
    (record, out)
}

fn iterated(out: &[Output]) -> &Iterated {
    let said = out.iter().find_map(|output| if let Output::Iterated(said) = output { Some(said) } else { None });
    said.unwrap()
}

fn sequences(out: &[Output]) -> Vec<&Sequence> {
    let ended = out.iter().filter_map(|output| if let Output::Sequence(ended) = output { Some(ended) } else { None });
    ended.map(|ended| &ended.sequence).collect()
}

#[test]
fn a_request_is_given_its_sequences() {
    let mut group = group();
    for id in ["cmpl-a-0-0123abcd", "cmpl-a-1-0123abcd", "cmpl-a-b-0-0123abcd"] {
        add(&mut group, 100, id);
    }
    let outputs = vec![first("cmpl-a-0-0123abcd", 110), first("cmpl-a-1-0123abcd", 111)];
    let out = report(&mut group, 205, End::Engine, step(200, outputs));
    assert_eq!((iterated(&out).tokens, iterated(&out).prompt_tokens, iterated(&out).cached_tokens), (2, 8, 2));
    let outputs = ["cmpl-a-0-0123abcd", "cmpl-a-1-0123abcd"].map(|id| next(id, 3, Some(Finish::Length)));
    let out = report(&mut group, 305, End::Engine, step(300, outputs.to_vec()));
    assert_eq!(iterated(&out).gaps, [100, 100]);
    assert_eq!(sequences(&out).len(), 2);
    let (record, out) = claim(&mut group, answered("cmpl-a", 400, Ending::Answered));
    assert!(out.is_empty() && record.tapped);
    let ids: Vec<_> = record.sequences.iter().map(|sequence| (sequence.id.as_str(), sequence.tokens)).collect();
    assert_eq!(ids, [("cmpl-a-0-0123abcd", 4), ("cmpl-a-1-0123abcd", 4)]);
    let sequence = &record.sequences[0];
    assert_eq!((sequence.dispatch(), sequence.queue(), sequence.prefill()), (Some(10), Some(5), Some(85)));
    assert_eq!(record.frontend(), Some(10));
    let (record, _) = claim(&mut group, answered("cmpl-a", 400, Ending::Answered));
    assert!(record.sequences.is_empty(), "each is given once");
}

#[test]
fn choices_are_sequences_of_one_request() {
    let mut group = group();
    for child in 0..12 {
        add(&mut group, 100, &format!("{child}_chatcmpl-a-0123abcd"));
    }
    let (record, _) = claim(&mut group, answered("chatcmpl-a", 400, Ending::Answered));
    assert_eq!(record.sequences.len(), 12);
}

#[test]
fn what_is_generated_for_nobody_is_wasted() {
    let mut group = group();
    add(&mut group, 100, "cmpl-a-0-0123abcd");
    report(&mut group, 200, End::Engine, step(200, vec![first("cmpl-a-0-0123abcd", 110)]));
    let (record, _) = claim(&mut group, answered("cmpl-a", 250, Ending::ClientLeft));
    assert_eq!(record.sequences[0].tokens, 1);
    let out = report(&mut group, 300, End::Engine, step(300, vec![next("cmpl-a-0-0123abcd", 2, None)]));
    assert_eq!((iterated(&out).tokens, iterated(&out).wasted), (2, 2));
    let out = report(&mut group, 310, End::Engine, Report::Aborted { id: "cmpl-a-0-0123abcd" });
    assert!(sequences(&out).is_empty(), "vLLM does not count it as finished either");
    let out = report(&mut group, 320, End::Engine, step(320, vec![next("cmpl-a-0-0123abcd", 1, None)]));
    assert_eq!(iterated(&out).wasted, 1);
}

#[test]
fn a_stop_string_ends_a_sequence_from_outside() {
    for abort_first in [true, false] {
        let mut group = group();
        add(&mut group, 100, "cmpl-a-0-0123abcd");
        report(&mut group, 200, End::Engine, step(200, vec![first("cmpl-a-0-0123abcd", 110)]));
        let aborted = Report::Aborted { id: "cmpl-a-0-0123abcd" };
        let mut out = Vec::new();
        if abort_first {
            out.extend(report(&mut group, 300, End::Engine, aborted.clone()));
        }
        out.extend(claim(&mut group, answered("cmpl-a", 310, Ending::Answered)).1);
        if !abort_first {
            out.extend(report(&mut group, 320, End::Engine, aborted));
        }
        assert_eq!(sequences(&out).len(), 1, "it is finished, once");
    }
}

#[test]
fn the_better_end_wins_and_nothing_counts_twice() {
    let mut group = group();
    assert!(!group.tapped());
    let at = |group: &mut Group, end, stamp: u64| {
        let out = report(group, stamp + 10, end, step(stamp, vec![next("s", 1, None)]));
        out.iter().filter(|output| matches!(output, Output::Iterated(_))).count()
    };
    assert_eq!(at(&mut group, End::Frontend, 100), 1);
    assert_eq!(at(&mut group, End::Engine, 100), 0, "read at the other end already");
    assert_eq!(at(&mut group, End::Engine, 200), 1);
    assert_eq!(at(&mut group, End::Frontend, 200), 0);
    assert_eq!(at(&mut group, End::Frontend, 300), 0);
    assert!(group.tapped());
    group.ended(ENGINE);
    assert!(!group.tapped(), "its engine is gone");
    assert_eq!(at(&mut group, End::Frontend, 400), 1);
}

#[test]
fn with_several_front_ends_an_iteration_is_several_messages() {
    let mut group = group();
    let mut message = |time, outputs: &[&'static str], scheduler| {
        let outputs = outputs.iter().map(|id| next(id, 1, None)).collect();
        let iteration = Iteration { at: Some(Nanos(time)), outputs, scheduler, ..Iteration::default() };
        iterated(&report(&mut group, time, End::Engine, Report::Iteration(iteration))).batch
    };
    assert_eq!(message(100, &["a", "b"], figures(3)), None);
    assert_eq!(message(101, &["c"], None), None);
    assert_eq!(message(200, &["a"], figures(1)), Some(3));
    assert_eq!(message(300, &[], figures(0)), Some(1));
    let mut out = Vec::new();
    group.tick(Nanos(u64::MAX), &mut out);
    assert_eq!(out, [], "no batch is left");
}

#[test]
fn a_scheduler_without_figures_has_batches_all_the_same() {
    let mut group = group();
    let out = report(&mut group, 100, End::Engine, step(100, vec![next("a", 1, None), next("b", 1, None)]));
    assert_eq!(iterated(&out).batch, None);
    let mut out = Vec::new();
    group.tick(Nanos(2_000_000_000), &mut out);
    assert_eq!(iterated(&out).batch, Some(2));
    assert_eq!(group.standing().count(), 0, "it says nothing of itself");
}

#[test]
fn what_cannot_be_read_of_iterations_leaves_http_alone() {
    let mut group = group();
    add(&mut group, 100, "cmpl-a-0-0123abcd");
    assert!(!group.tapped());
    let (record, _) = claim(&mut group, answered("cmpl-a", 250, Ending::Answered));
    assert!(!record.tapped, "its tokens are those of its usage");
    assert_eq!((record.frontend(), record.sequences.len()), (Some(10), 1));
}

#[test]
fn offline_generation_makes_requests() {
    let mut group = Group::new(&Vllm, Origin { tgid: ENGINE, ..origin() });
    group.started(Nanos(0), ENGINE, Role::Engine, "");
    add(&mut group, 100, "0-0123abcd");
    report(&mut group, 200, End::Engine, step(200, vec![first("0-0123abcd", 110)]));
    let out = report(&mut group, 305, End::Engine, step(300, vec![next("0-0123abcd", 3, Some(Finish::Stop))]));
    let record = out.iter().find_map(|output| if let Output::Record(record) = output { Some(record) } else { None });
    let record = record.unwrap();
    assert_eq!((record.duration(), record.ttft(), record.frontend()), (Some(205), Some(100), None));
    assert_eq!((record.tpot(), record.operation.name(), record.status.name()), (Some(33), "generate_content", "ok"));
}

#[test]
fn another_clock_is_not_believed() {
    let mut group = group();
    add(&mut group, 100, "s");
    let out = report(&mut group, 200, End::Engine, step(70_000_000_000, vec![next("s", 1, None)]));
    assert!(out.contains(&Output::Issue(Issue::EngineClock)));
    let out = report(&mut group, 250, End::Engine, step(70_000_000_050, vec![next("s", 1, None)]));
    assert_eq!(iterated(&out).gaps, [50], "times are those of the messages");
}

#[test]
fn lost_messages_leave_no_wrong_latency() {
    let mut group = group();
    add(&mut group, 100, "s");
    group.lost();
    report(&mut group, 200, End::Engine, step(200, vec![next("s", 1, None)]));
    let out = report(&mut group, 300, End::Engine, step(300, vec![next("s", 1, Some(Finish::Length))]));
    let [sequence] = sequences(&out)[..] else { panic!("{out:?}") };
    assert!(sequence.partial && sequence.decode().is_none() && sequence.prefill().is_none());
    assert_eq!(sequence.tokens, 2);
}
