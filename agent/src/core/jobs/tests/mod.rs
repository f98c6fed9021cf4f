#![allow(clippy::unwrap_used)]

use super::*;
use crate::engine::job::{Graph, Lasted, Millis, Node, Outcome, Past, Report, Submission};
use crate::event::Tgid;
use crate::issue::Issue;
use crate::job::{Handover, Record};
use proptest::prelude::*;

mod others;

/// Milliseconds.
const MS: u64 = 1_000_000;

/// A queue under test. Times are milliseconds.
struct Scene {
    queue: Queue,
    out: Vec<Output>,
}

impl Scene {
    fn new() -> Scene {
        let origin = Origin { tgid: Tgid(7), engine: "comfyui", service: "comfyui:8188".into() };
        Scene { queue: Queue::new(origin), out: Vec::new() }
    }

    /// A job was accepted: its request came a millisecond before.
    fn submit(&mut self, ms: u64, id: &str, number: f64) {
        let nodes = [("1", "EmptyImage", None), ("3", "KSampler", Some("euler")), ("9", "SaveImage", None)];
        let node = |(id, class, sampler): (&str, &str, Option<&str>)| {
            (id.to_owned(), Node { class: class.into(), sampler: sampler.map(Into::into) })
        };
        let nodes = nodes.into_iter().map(node).collect();
        let graph = Graph { nodes, workflow: "w".into(), model: "m".into(), images: Some(1) };
        let submission = Submission { id: id.to_owned(), number: Some(number), graph };
        let handover = Handover { arrival: Nanos((ms - 1) * MS), answered: Nanos(ms * MS), trace: None };
        self.queue.submitted(submission, handover, &mut self.out);
    }

    fn say(&mut self, ms: u64, report: Report<'_>) {
        self.queue.heard(Nanos(ms * MS));
        self.queue.report(Nanos(ms * MS), report, &mut self.out);
    }

    /// A line: the job under way is over after so many milliseconds, which is rounded to ten.
    fn worked(&mut self, ms: u64, took: u64) {
        let rounded = (took + 5) / 10 * 10 * MS;
        let lasted = Lasted { least: rounded.saturating_sub(5 * MS), most: rounded + 5 * MS };
        self.say(ms, Report::Worked(lasted));
    }

    fn start(&mut self, ms: u64, id: &str) {
        self.say(ms, Report::Started { id, stamp: None });
        self.say(ms, Report::Cached { id, nodes: &["1".to_owned()] });
    }

    /// The messages of a job between its start and its end: a sampler with steps every 10 ms, then its image.
    fn sample(&mut self, ms: u64, id: &str, steps: u64) {
        self.say(ms, Report::Node { id, node: "3", shown: "3" });
        for value in 1..=steps {
            self.say(ms + 10 * value, Report::Progress { id, node: "3", value, max: steps });
        }
        self.say(ms + 10 * steps, Report::Node { id, node: "9", shown: "9" });
        self.say(ms + 10 * steps, Report::Executed { id, node: "9", images: 1 });
    }

    fn bar(&mut self, ms: u64, value: u64) {
        self.say(ms, Report::Bar { value, max: 8 });
    }

    fn finish(&mut self, ms: u64, id: &str, outcome: Outcome) {
        self.say(ms, Report::Finished { id, outcome, stamp: None });
        self.say(ms, Report::NoNode { id });
    }

    fn past(&mut self, ms: u64, past: Past) {
        self.queue.past(Nanos(ms * MS), past, &mut self.out);
    }

    fn tick(&mut self, ms: u64) {
        self.queue.tick(Nanos(ms * MS), &mut self.out);
    }

    /// What came out so far, one line each.
    fn lines(&mut self) -> Vec<String> {
        let line = |output| match output {
            Output::Job(record) => line(&record),
            Output::Issue(issue) => issue.name().to_owned(),
            other => format!("{other:?}"),
        };
        std::mem::take(&mut self.out).into_iter().map(line).collect()
    }

    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        let lines = self.lines();
        assert_eq!(lines, expected, "\n{}", lines.join("\n"));
    }
}

/// A record in one line. Times are milliseconds.
fn line(record: &Record) -> String {
    let mut line = format!("{} {}", record.id, record.status.name());
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" {name}={value}"));
        }
    };
    let ms = |nanos: u64| (nanos / MS).to_string();
    say("error", record.error.clone());
    say("quality", Some(record.quality.name().to_owned()).filter(|quality| quality != "complete"));
    say("by", Some(record.source.name().to_owned()));
    say("queue", record.queue().map(ms));
    say("took", record.took.map(ms));
    say("first", record.to_first_step().map(ms));
    say("steps", record.steps.map(|steps| steps.to_string()));
    let gap = |gap: &crate::job::Gap| match gap.steps {
        1 => ms(gap.nanos),
        steps => format!("{}/{steps}", ms(gap.nanos)),
    };
    let gaps: Vec<_> = record.gaps.iter().map(gap).collect();
    say("gaps", (!gaps.is_empty()).then(|| gaps.join(",")));
    let nodes: Vec<_> = record.nodes().iter().map(|node| format!("{}:{}", node.class, ms(node.nanos))).collect();
    say("nodes", (!nodes.is_empty()).then(|| nodes.join(",")));
    say("cached", record.cached.map(|cached| cached.to_string()));
    let loads: Vec<_> = record.loads.iter().map(|load| ms(load.nanos())).collect();
    say("loads", (!loads.is_empty()).then(|| loads.join(",")));
    say("images", record.images.map(|images| images.to_string()));
    line
}

#[test]
fn watched() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.start(102, "a");
    scene.say(103, Report::Loading);
    scene.say(108, Report::Loaded);
    scene.sample(110, "a", 3);
    assert_eq!(scene.queue.standing(), Some((1, 0)));
    // The line is written before the last messages leave.
    scene.bar(135, 3);
    scene.worked(150, 49);
    scene.check(&[]);
    scene.finish(151, "a", Outcome::Success);
    scene.check(&[
        "a success by=messages queue=3 took=48 first=21 steps=3 gaps=10,10 nodes=KSampler:30,SaveImage:10 cached=1 loads=5 images=1",
    ]);
    assert_eq!(scene.queue.standing(), Some((0, 0)));
}

#[test]
fn a_message_that_left_late_does_not_shorten_the_work() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.start(120, "a");
    scene.worked(150, 50);
    scene.finish(151, "a", Outcome::Success);
    scene.check(&["a success by=messages queue=6 took=45 steps=0 cached=1 images=0"]);
}

#[test]
fn unwatched() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.bar(110, 0);
    scene.bar(220, 5);
    scene.bar(252, 8);
    scene.worked(262, 160);
    scene.tick(5_000);
    scene.check(&[]);
    scene.tick(5_262);
    scene.check(&["a success by=log queue=1 took=162 first=33 steps=8 gaps=110/5,32/3 images=1"]);
}

#[test]
fn unwatched_and_asked_for_later() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.worked(160, 60);
    let outcome = Some(Outcome::Error("ValueError".into()));
    let images = [("1".to_owned(), 4), ("9".to_owned(), 2)].into();
    scene.past(300, Past { id: "a".into(), outcome, cached: Some(vec!["1".into()]), images, ..Past::default() });
    scene.check(&["a error error=ValueError by=log queue=1 took=60 steps=0 cached=1 images=2"]);
}

#[test]
fn neither_messages_nor_lines() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    let outcome = Some(Outcome::Success);
    scene.past(
        300,
        Past { id: "a".into(), started: Some(Millis(7)), ended: Some(Millis(57)), outcome, ..Past::default() },
    );
    // A line may still come.
    scene.check(&[]);
    scene.tick(5_301);
    scene.check(&["a success by=history took=50 images=0"]);
    assert_eq!(scene.queue.standing(), Some((0, 0)));
}

#[test]
fn the_first_line_of_all_may_come_behind_the_last_message() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.start(102, "a");
    scene.finish(150, "a", Outcome::Success);
    scene.worked(151, 50);
    scene.tick(9_000);
    scene.check(&["a success by=messages queue=3 took=49 steps=0 cached=1 images=0"]);
}

#[test]
fn messages_and_no_lines() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.submit(101, "b", 1.0);
    scene.start(102, "a");
    scene.finish(150, "a", Outcome::Interrupted);
    scene.start(151, "b");
    scene.finish(171, "b", Outcome::Error("E".into()));
    scene.tick(5_172);
    scene.check(&[
        "a interrupted by=messages queue=3 took=48 steps=0 cached=1 images=0",
        "b error error=E by=messages queue=51 took=20 steps=0 cached=1 images=0",
    ]);
}

#[test]
fn lines_that_stop() {
    let mut scene = Scene::new();
    for (at, id) in [(100, "a"), (200, "b")] {
        scene.submit(at, id, 0.0);
        scene.start(at + 1, id);
        if id == "a" {
            scene.worked(at + 50, 50);
        }
        scene.finish(at + 51, id, Outcome::Success);
    }
    scene.lines();
    scene.tick(5_000);
    scene.check(&[]);
    scene.tick(5_251);
    scene.check(&["b success by=messages queue=2 took=50 steps=0 cached=1 images=0"]);
}

#[test]
fn several_wait_and_one_jumps_the_queue() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.submit(101, "b", 1.0);
    scene.submit(102, "c", 2.0);
    scene.submit(103, "d", -3.0);
    assert_eq!(scene.queue.standing(), Some((1, 3)));
    for ms in [200, 300, 400, 500] {
        scene.worked(ms, 99);
    }
    scene.tick(9_000);
    scene.check(&[
        "a success by=log queue=1 took=100 steps=0 images=1",
        "d success by=log queue=98 took=100 steps=0 images=1",
        "b success by=log queue=200 took=100 steps=0 images=1",
        "c success by=log queue=299 took=100 steps=0 images=1",
    ]);
}

#[test]
fn a_message_corrects_who_is_next() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 5.0);
    scene.submit(101, "b", 4.0);
    scene.start(102, "b");
    scene.worked(122, 20);
    scene.finish(123, "b", Outcome::Success);
    scene.worked(150, 30);
    scene.tick(9_000);
    scene.check(&[
        "b success by=messages queue=2 took=20 steps=0 cached=1 images=0",
        "a success by=log queue=23 took=28 steps=0 images=1",
    ]);
}

#[test]
fn several_clients() {
    let mut scene = Scene::new();
    scene.submit(100, "mine", 0.0);
    scene.submit(101, "yours", 1.0);
    scene.start(102, "mine");
    scene.sample(103, "mine", 1);
    // Every watching client is told of an interrupt.
    scene.say(120, Report::Finished { id: "mine", outcome: Outcome::Interrupted, stamp: None });
    scene.say(120, Report::Finished { id: "mine", outcome: Outcome::Interrupted, stamp: None });
    scene.worked(121, 20);
    scene.say(121, Report::NoNode { id: "mine" });
    scene.start(122, "yours");
    scene.worked(130, 8);
    scene.finish(131, "yours", Outcome::Success);
    scene.check(&[
        "mine interrupted by=messages queue=3 took=19 first=14 steps=1 nodes=KSampler:10 cached=1 images=1",
        "yours success by=messages queue=22 took=8 steps=0 cached=1 images=0",
    ]);
}

#[test]
fn the_client_leaves_in_the_middle() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.start(101, "a");
    scene.sample(110, "a", 2);
    scene.bar(110, 0);
    scene.bar(131, 2);
    scene.bar(231, 8);
    scene.worked(240, 140);
    scene.tick(9_000);
    scene.check(&[
        "a success by=log queue=2 took=139 first=21 steps=8 gaps=21/2,100/6 nodes=KSampler:20 cached=1 images=1",
    ]);
}

#[test]
fn a_very_short_job_is_over_before_its_answer_leaves() {
    let mut scene = Scene::new();
    scene.worked(100, 1);
    scene.submit(101, "a", 0.0);
    scene.start(102, "a");
    scene.finish(103, "a", Outcome::Success);
    scene.check(&["a success by=messages queue=0 took=0 steps=0 cached=1 images=0"]);
    scene.start(110, "b");
    scene.worked(112, 3);
    scene.submit(113, "b", 1.0);
    scene.finish(114, "b", Outcome::Success);
    scene.check(&["b success by=messages queue=0 took=2 steps=0 cached=1 images=0"]);
}

#[test]
fn failures_in_lines() {
    let mut scene = Scene::new();
    for (id, outcome) in [("a", Outcome::Error("E".into())), ("b", Outcome::Interrupted)] {
        scene.submit(100, id, 0.0);
        scene.say(110, Report::Failed(outcome));
        scene.worked(120, 20);
    }
    scene.tick(9_000);
    scene.check(&["a error error=E by=log queue=1 took=20 steps=0", "b interrupted by=log queue=6 took=15 steps=0"]);
}

#[test]
fn taken_out_of_the_queue() {
    let mut scene = Scene::new();
    for (id, number) in [("a", 0.0), ("b", 1.0), ("c", 2.0), ("d", 3.0)] {
        scene.submit(100, id, number);
    }
    scene.queue.removed(Nanos(110 * MS), &["c".to_owned(), "a".to_owned()], false, &mut scene.out);
    scene.check(&["c cancelled by=none"]);
    scene.queue.removed(Nanos(120 * MS), &[], true, &mut scene.out);
    scene.check(&["b cancelled by=none", "d cancelled by=none"]);
    assert_eq!(scene.queue.standing(), Some((1, 0)), "what is worked on is not in the queue");
}

#[test]
fn taken_out_in_the_moment_in_which_it_seemed_to_be_next() {
    for (took, expected) in [
        (
            500,
            &[
                "a success by=log queue=1 took=100 steps=0 images=1",
                "b cancelled by=none",
                "c success by=log queue=209 took=500 steps=0 images=1",
            ][..],
        ),
        // It was worked on already.
        (
            600,
            &[
                "a success by=log queue=1 took=100 steps=0 images=1",
                "b success by=log queue=108 took=600 steps=0 images=1",
                "c unknown quality=truncated by=none",
            ],
        ),
    ] {
        let mut scene = Scene::new();
        for (id, number) in [("a", 0.0), ("b", 1.0), ("c", 2.0)] {
            scene.submit(100 + number as u64, id, number);
        }
        scene.worked(200, 100);
        scene.queue.removed(Nanos(250 * MS), &["b".to_owned()], false, &mut scene.out);
        scene.worked(if took == 500 { 810 } else { 808 }, took);
        scene.queue.truncate(Nanos(9_000 * MS), &mut scene.out);
        let mut lines = scene.lines();
        lines.sort_unstable();
        assert_eq!(lines, expected);
    }
}

#[test]
fn history_sets_the_order_right() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.submit(101, "b", 1.0);
    // The line of one of them was lost.
    scene.worked(200, 50);
    let past = |id: &str| Past { id: id.into(), outcome: Some(Outcome::Success), ..Past::default() };
    scene.past(210, past("a"));
    scene.submit(211, "c", 2.0);
    scene.worked(260, 40);
    scene.past(270, past("c"));
    scene.past(280, past("b"));
    scene.tick(5_270);
    let lines = scene.lines();
    let ended: Vec<_> = lines.iter().map(|line| line.split(" by").next().unwrap()).collect();
    assert_eq!(ended, ["a success", "b success", "c success"]);
    assert_eq!(scene.queue.standing(), Some((0, 0)));
}

#[test]
fn a_server_that_has_no_job_has_none() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.submit(101, "b", 1.0);
    scene.say(200, Report::Queue { remaining: 0 });
    scene.tick(5_000);
    scene.submit(5_100, "c", 2.0);
    scene.check(&[]);
    scene.tick(5_200);
    scene.check(&[
        "job_end_unseen",
        "a unknown quality=gap by=none",
        "job_end_unseen",
        "b unknown quality=gap by=none",
    ]);
    assert_eq!(scene.queue.standing(), Some((1, 0)));
}

#[test]
fn an_id_that_is_used_again() {
    let mut scene = Scene::new();
    for ms in [100, 200] {
        scene.submit(ms, "a", 0.0);
        scene.worked(ms + 50, 50);
    }
    scene.tick(9_000);
    assert_eq!(scene.lines().len(), 2);
}

#[test]
fn lost() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.start(101, "a");
    scene.queue.unheard();
    scene.submit(102, "b", 1.0);
    scene.start(150, "b");
    scene.check(&["job_end_unseen", "a unknown quality=gap by=log steps=0 cached=1"]);
    scene.worked(200, 50);
    scene.finish(201, "b", Outcome::Success);
    scene.check(&["b success by=messages queue=49 took=50 steps=0 cached=1 images=0"]);
}

#[test]
fn the_server_ends_or_starts_anew() {
    for restart in [false, true] {
        let mut scene = Scene::new();
        for (id, number) in [("a", 0.0), ("b", 1.0), ("c", 2.0)] {
            scene.submit(100, id, number);
        }
        scene.worked(120, 20);
        scene.start(121, "b");
        if restart {
            scene.say(200, Report::Listening);
        } else {
            scene.queue.truncate(Nanos(200 * MS), &mut scene.out);
        }
        scene.check(&[
            "a success by=log queue=1 took=20 steps=0 images=1",
            "b unknown quality=truncated by=log steps=0 cached=1",
            "c unknown quality=truncated by=none",
        ]);
        assert_eq!(scene.queue.standing(), Some((0, 0)));
    }
}

#[test]
fn bounds() {
    let mut scene = Scene::new();
    for number in 0..5000 {
        scene.submit(100, &number.to_string(), f64::from(number));
    }
    assert_eq!(scene.queue.standing(), Some((1, 4096)));
    let over = scene.out.iter().filter(|output| **output == Output::Issue(Issue::JobsOverBound)).count();
    assert_eq!(over, 5000 - 4097);
}

proptest! {
    #[test]
    fn every_job_ends_once(script in proptest::collection::vec((0..12_u8, 0..4_u8), 0..60)) {
        let mut scene = Scene::new();
        let mut submitted = 0;
        for (step, (act, which)) in script.into_iter().enumerate() {
            let (ms, id) = (100 + step as u64 * 10, which.to_string());
            match act {
                0..3 => {
                    submitted += 1;
                    scene.submit(ms, &format!("job {submitted}"), f64::from(which));
                }
                3 => scene.start(ms, &format!("job {which}")),
                4 => scene.finish(ms, &format!("job {which}"), Outcome::Success),
                5 => scene.worked(ms, u64::from(which) * 10),
                6 => scene.bar(ms, u64::from(which)),
                7 => scene.say(ms, Report::Queue { remaining: u64::from(which) }),
                8 => scene.past(ms, Past { id: format!("job {which}"), outcome: Some(Outcome::Success), ..Past::default() }),
                9 => scene.queue.removed(Nanos(ms * MS), &[id], which == 0, &mut scene.out),
                10 => scene.tick(ms + 5_000),
                _ => scene.sample(ms, &format!("job {which}"), 3),
            }
        }
        scene.queue.truncate(Nanos(9_000 * MS), &mut scene.out);
        let ended = scene.out.iter().filter_map(|output| match output {
            Output::Job(record) => Some((record.arrival.is_some(), record.id.clone())),
            _ => None,
        });
        let (named, unnamed): (Vec<_>, Vec<_>) = ended.partition(|(asked, _)| *asked);
        let mut ids = named.clone();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), named.len(), "a job ends once");
        prop_assert!(named.len() <= submitted && named.len() + unnamed.len() >= submitted, "every job ends");
        prop_assert_eq!(scene.queue.standing().unwrap_or_default().1, 0);
    }
}
