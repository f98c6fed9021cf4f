//! Jobs that the server has and the agent does not know, or no longer.

use super::*;

#[test]
fn the_agent_comes_in_the_middle() {
    let mut scene = Scene::new();
    assert_eq!(scene.queue.standing(), None);
    scene.say(90, Report::Queue { remaining: 2 });
    assert_eq!(scene.queue.standing(), Some((1, 1)));
    scene.submit(100, "a", 5.0);
    assert_eq!(scene.queue.standing(), Some((1, 2)));
    scene.say(101, Report::Node { id: "x", node: "3", shown: "3" });
    scene.say(102, Report::Progress { id: "x", node: "3", value: 3, max: 8 });
    scene.worked(110, 60);
    scene.finish(111, "x", Outcome::Success);
    scene.worked(200, 90);
    scene.tick(1_200);
    scene.worked(1_300, 1_100);
    scene.tick(9_000);
    scene.check(&[
        "x success quality=joined_midway by=messages took=60 steps=3 nodes=:9 images=0",
        " success quality=joined_midway by=log took=90 steps=0",
        "a success by=log queue=101 took=1100 steps=0 images=1",
    ]);
}

#[test]
fn lines_about_jobs_that_nobody_asked_for_are_not_taken_for_this_one() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.worked(110, 60);
    scene.worked(150, 40);
    scene.tick(9_000);
    scene.check(&[
        " success quality=joined_midway by=log took=60 steps=0",
        " success quality=joined_midway by=log took=40 steps=0",
    ]);
}

#[test]
fn the_worker_was_idle_so_there_are_no_others() {
    let mut scene = Scene::new();
    scene.queue.heard(Nanos(100 * MS));
    // Jobs from before the agent are under way; whether `a` and `b` are among what ends, nobody knows.
    scene.submit(110, "a", 7.0);
    scene.worked(400, 250);
    scene.submit(410, "b", 8.0);
    scene.worked(600, 190);
    scene.tick(5_600);
    scene.check(&[
        " success quality=joined_midway by=log took=250 steps=0",
        " success quality=joined_midway by=log took=190 steps=0",
    ]);
    scene.submit(11_000, "c", 9.0);
    scene.worked(11_050, 50);
    scene.submit(11_060, "d", 10.0);
    scene.worked(11_100, 40);
    scene.tick(20_000);
    scene.check(&[
        "c success by=log queue=1 took=50 steps=0 images=1",
        "d success by=log queue=1 took=40 steps=0 images=1",
    ]);
    assert_eq!(scene.queue.standing(), Some((0, 0)));
}

#[test]
fn an_answer_names_a_job_among_others() {
    let mut scene = Scene::new();
    scene.queue.heard(Nanos(100 * MS));
    scene.submit(110, "a", 7.0);
    scene.submit(111, "b", 8.0);
    scene.worked(300, 180);
    scene.worked(400, 100);
    scene.worked(700, 300);
    let stamps = |started, ended| Past {
        started: Some(Millis(started)),
        ended: Some(Millis(ended)),
        outcome: Some(Outcome::Success),
        ..Past::default()
    };
    scene.past(710, Past { id: "a".into(), ..stamps(10_000, 10_098) });
    scene.worked(900, 190);
    scene.past(910, Past { id: "b".into(), ..stamps(10_700, 10_890) });
    scene.tick(9_000);
    scene.check(&[
        "a success by=log queue=191 took=98 steps=0 images=0",
        " success quality=joined_midway by=log took=180 steps=0",
        "b success by=log queue=600 took=190 steps=0 images=0",
        " success quality=joined_midway by=log took=300 steps=0",
    ]);
}

#[test]
fn lines_that_are_lost() {
    let mut scene = Scene::new();
    scene.submit(100, "a", 0.0);
    scene.submit(101, "b", 1.0);
    scene.queue.missed_lines();
    scene.worked(300, 100);
    scene.tick(5_400);
    scene.submit(11_000, "c", 2.0);
    scene.worked(11_050, 50);
    scene.tick(20_000);
    scene.check(&[
        " success quality=joined_midway by=log took=100 steps=0",
        "job_end_unseen",
        "b unknown quality=gap by=none",
        "c success by=log queue=1 took=50 steps=0 images=1",
    ]);
}
