//! The parts of a job; whole jobs are played in `core::jobs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::nodes::{Nodes, times};
use super::run::Run;
use super::steps::Steps;
use super::*;
use crate::event::Tgid;
use proptest::prelude::*;

/// What progress makes of `(milliseconds, node, value)`: steps, the first, gaps as `nanoseconds/steps`.
fn steps(progress: &[(u64, &str, u64)]) -> (u64, Option<u64>, Vec<String>) {
    let (mut steps, mut issues) = (Steps::default(), Vec::new());
    for (at, node, value) in progress {
        steps.reached(Nanos(*at), node, *value, &Arc::from("euler"), &mut issues);
    }
    assert_eq!(issues, []);
    let gaps = steps.gaps.iter().map(|gap| format!("{}/{}", gap.nanos, gap.steps)).collect();
    (steps.total, steps.first.map(|first| first.0), gaps)
}

#[test]
fn steps_and_the_time_between_them() {
    for (progress, total, first, gaps) in [
        (&[(10, "3", 1), (20, "3", 2), (35, "3", 3)][..], 3, Some(10), &["10/1", "15/1"][..]),
        // Said twice.
        (&[(10, "3", 1), (12, "3", 1), (20, "3", 2)], 2, Some(10), &["10/1"]),
        // A bar begins at 0, and is not drawn for every step.
        (&[(10, "", 0), (110, "", 4), (130, "", 5)], 5, Some(35), &["100/4", "20/1"]),
        (&[(10, "", 0)], 0, None, &[]),
        // A second sampler, or another round of the same.
        (&[(10, "3", 1), (20, "3", 2), (50, "7", 1), (60, "7", 2)], 4, Some(10), &["10/1", "10/1"]),
        (&[(10, "3", 1), (20, "3", 2), (50, "3", 1), (60, "3", 2)], 4, Some(10), &["10/1", "10/1"]),
        // Nothing samples like that.
        (&[(10, "3", 1), (20, "3", 5000)], 5000, Some(10), &[]),
    ] {
        let gaps: Vec<_> = gaps.iter().map(|&gap| gap.to_owned()).collect();
        assert_eq!(steps(progress), (total, first, gaps), "{progress:?}");
    }
}

#[test]
fn gaps_have_a_bound() {
    let (mut steps, mut issues) = (Steps::default(), Vec::new());
    (1..=5000).for_each(|value| steps.reached(Nanos(value), "3", value, &Arc::default(), &mut issues));
    assert_eq!((steps.total, steps.gaps.len()), (5000, 4096));
    assert!(issues.iter().all(|issue| *issue == Issue::GapsOverBound) && issues.len() == 4999 - 4096);
}

#[test]
fn nodes_follow_each_other_and_may_come_back() {
    let mut nodes = Nodes::default();
    for (at, node, class) in [(10, "1", "A"), (30, "2", "B"), (60, "1", "A"), (65, "1", "A")] {
        nodes.begins(Nanos(at), node, class.into());
    }
    nodes.over(Nanos(100), Ending::Done);
    let times: Vec<_> = times(nodes.turns()).into_iter().map(|time| (time.class.to_string(), time.nanos)).collect();
    assert_eq!(times, [("A".to_owned(), 60), ("B".to_owned(), 30)]);
    assert_eq!(nodes.turns().len(), 3);
}

#[test]
fn a_node_that_failed_has_no_time() {
    let mut nodes = Nodes::default();
    nodes.begins(Nanos(10), "1", "A".into());
    nodes.begins(Nanos(30), "2", "B".into());
    nodes.over(Nanos(100), Ending::Broken);
    assert_eq!(times(nodes.turns()).len(), 1);
    assert_eq!(nodes.turns().last().map(|turn| turn.ending), Some(Ending::Broken));
}

#[test]
fn a_node_whose_messages_left_when_all_was_over_has_no_time() {
    let origin = Origin { tgid: Tgid(7), engine: "comfyui", service: "comfyui:8188".into() };
    let mut job = Job::midway(origin, "p".to_owned());
    job.started(Nanos(1_000), None);
    job.node(Nanos(1_100), "1", "1");
    job.worked(Nanos(2_000), Lasted { least: 0, most: 5_000_000 }, Run::default());
    job.node(Nanos(3_000), "2", "2");
    job.node(Nanos(3_100), "3", "3");
    job.finished(Nanos(3_200), Outcome::Success, None);
    let times: Vec<_> = job.end(Nanos(3_200)).nodes().iter().map(|node| node.nanos).collect();
    assert_eq!(times, [900]);
}

#[test]
fn models_that_are_loaded_together() {
    let mut run = Run::default();
    run.loaded(Nanos(5));
    run.loading(Nanos(10));
    run.loading(Nanos(11));
    run.loaded(Nanos(30));
    run.loaded(Nanos(50));
    run.loading(Nanos(60));
    run.bar(Nanos(70), 0, &mut Vec::new());
    run.loaded(Nanos(80));
    run.loading(Nanos(90));
    run.loaded(Nanos(91));
    let loads: Vec<_> = run.loads.iter().map(|load| load.nanos()).collect();
    assert_eq!(loads, [40, 1], "one of which the end was not said has no time");
}

fn handover(arrival: u64, answered: u64) -> Handover {
    Handover { arrival: Nanos(arrival), answered: Nanos(answered), trace: None }
}

#[test]
fn a_job_as_a_line_of_json() {
    let origin = Origin { tgid: Tgid(7), engine: "comfyui", service: "comfyui:8188".into() };
    let submission = Submission { id: "p".into(), number: Some(0.0), graph: Graph::default() };
    let mut job = Job::submitted(origin, submission, handover(1_000_000, 2_000_000));
    job.started(Nanos(3_000_000), None);
    job.finished(Nanos(9_000_000), Outcome::Error("ValueError".into()), None);
    job.falls_silent(Nanos(9_500_000));
    let line = job.end(Nanos(9_500_000)).to_json();
    assert_eq!(line["record"], "job");
    assert_eq!(
        (&line["status"], &line["error"], &line["quality"]),
        (&"error".into(), &"ValueError".into(), &"complete".into())
    );
    assert_eq!((&line["started_us"], &line["end_us"]), (&2000.0.into(), &8500.0.into()));
    assert!(line["cached"].is_null() && line["first_step_us"].is_null());
}

proptest! {
    #[test]
    fn steps_never_exceed_what_was_said(progress in proptest::collection::vec((0..9_u64, 0..3_u8, 0..9_u64), 0..40)) {
        let (mut steps, mut at) = (Steps::default(), 0);
        let mut most = 0;
        for (after, node, value) in progress {
            at += after;
            most += value;
            steps.reached(Nanos(at), &node.to_string(), value, &Arc::default(), &mut Vec::new());
        }
        prop_assert!(steps.total <= most);
        let gaps: u64 = steps.gaps.iter().map(|gap| gap.nanos).sum();
        prop_assert!(gaps <= at);
    }
}
