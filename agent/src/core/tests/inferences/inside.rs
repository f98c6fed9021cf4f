//! What a server does inside itself: ensembles, caches, queues, and engines that run in its process tree.

use super::super::wire;
use super::STREAM;
use super::play::{SERVER, check, inputs, line, play, started};
use crate::core::{Core, Input, Options, Output, Pending};
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use inferscope_ebpf::Hook;

/// One request for `echo` tells whose instance i1 is.
const KNOWN: &str = "
    10 new r1 echo -1
    11 infer r1
    12 execute i1 r1
    13 response p1 r1
    14 send p1 final
    16 stats r1 i1 1 12 13 14 15
    17 delete r1
";
const KNOWN_LINES: [&str; 3] =
    ["echo/0 executes 1", "echo/0 took 3", "ok echo at=10 batch=1 instance=0 queue=1 compute=1+1+1 responses=1 end=4"];

/// An ensemble of two steps: the server makes their requests, r8 and r9, inside.
const ENSEMBLE: &str = "
    100 new r1 pipeline -1
    101 infer r1
    110 execute i1 r8
    111 factory f8 r8
    112 response p8 r8
    113 send p8 final
    115 stats r8 i1 1 110 111 112 114
    116 delete r8
    120 execute i1 r9
    121 factory f9 r9
    122 response p9 r9
    123 send p9 final
    125 stats r9 i1 1 120 121 122 124
    126 delete r9
    130 delete r1
";

fn check_known(script: &str, expected: &[&str]) {
    check(&format!("{KNOWN}{script}"), &[&KNOWN_LINES, expected].concat());
}

#[test]
fn the_steps_of_an_ensemble_are_executions_and_no_requests() {
    let steps = ["echo/0 executes 1", "echo/0 took 4", "echo/0 executes 1", "echo/0 took 4"];
    check_known(ENSEMBLE, &[&steps[..], &["ok pipeline at=100 end=30"]].concat());
}

#[test]
fn steps_of_a_model_that_nobody_named() {
    let unknown = "execution_unattributed";
    check(ENSEMBLE, &[unknown, unknown, "ok pipeline at=100 end=30"]);
}

#[test]
fn a_step_fails() {
    let failed = ENSEMBLE.replace("123 send p9 final", "123 send p9 final 1");
    let steps = ["echo/0 executes 1", "echo/0 took 4", "echo/0 executes 1", "echo/0 took 4"];
    check_known(&failed, &[&steps[..], &["error pipeline at=100 end=30"]].concat());
    // Whose step it was can't be told where two ensembles are under way.
    let two = failed.replace("130 delete r1", "127 new r2 pipeline -1\n128 infer r2\n130 delete r1");
    let ends = ["unknown pipeline at=100 end=30", "unknown pipeline quality=truncated at=127 end=999873"];
    check_known(&two, &[&steps[..], &ends[..]].concat());
}

#[test]
fn what_never_reached_an_instance() {
    // A cached answer, or one that waited for too long: the calls are the same.
    check_known("100 new r1 echo -1\n101 infer r1\n120 delete r1", &["unknown echo at=100 end=20"]);
    check("100 new r1 new -1\n101 infer r1\n120 delete r1", &["unknown new at=100 end=20"]);
}

#[test]
fn who_waits_is_known_of_models_that_execute() {
    let mut core = Core::new(Options::default());
    play(&mut core, inputs("10 new r5 echo -1\n11 infer r5\n12 new r6 pipeline -1\n13 infer r6"));
    assert!(core.view().pending.is_empty());
    play(&mut core, inputs(KNOWN).skip(1));
    let pending = |core: &Core| {
        let waiting = core.view().pending;
        waiting.into_iter().map(|Pending { model, count, .. }| (model, count)).collect::<Vec<_>>()
    };
    assert_eq!(pending(&core), [("echo".to_owned(), 1)]);
    play(&mut core, inputs("20 execute i1 r5").skip(1));
    assert_eq!(pending(&core), [("echo".to_owned(), 0)]);
}

#[test]
fn a_stream_under_way_runs() {
    let mut core = Core::new(Options::default());
    let (begun, rest) = STREAM.split_at(STREAM.find("2500").unwrap());
    play(&mut core, inputs(STREAM));
    play(&mut core, inputs(begun).skip(1));
    let running: Vec<_> = core.view().running.into_iter().map(|(key, count)| (key.model, count)).collect();
    assert_eq!(running, [("stream".to_owned(), 1)]);
    play(&mut core, inputs(rest).skip(1));
    assert!(core.view().running.is_empty());
}

/// vLLM's engine, started by Triton's vLLM backend: its own messages tell of every token.
#[test]
fn an_engine_inside_is_counted_once() {
    let engine = Tgid(9);
    let of_llm = |inside, speaks: bool| {
        let mut core = Core::new(Options::default());
        let mut out = play(&mut core, inputs(""));
        core.step(started(engine, "vllm", Role::Engine, inside), &mut out);
        if speaks {
            let conn = ConnKey { tgid: engine, layer: Layer::Message, id: 1, generation: 1 };
            let bytes = wire::frames("first").remove(0);
            let total = bytes.len() as u64;
            let segment = Segment { direction: Direction::Write, position: 0, total, offset: 0, last: true, bytes };
            let (time, kind) = (Nanos(1_002_000_000_000), EventKind::Frame { segment, more: false });
            let event = Event { time, conn, hook: Hook::ZmqMsgSend, midway: true, thread: 0, kind };
            core.step(Input::Kernel(event), &mut out);
            assert!(out.iter().any(|output| matches!(output, Output::Iterated(_))), "{out:?}");
        }
        let out = play(&mut core, inputs(STREAM).skip(1));
        let last = out.last().map(line).unwrap();
        (last.contains("responses=3"), last.ends_with("llm=yes"))
    };
    assert_eq!(of_llm(Some(SERVER), true), (true, false));
    assert_eq!(of_llm(Some(SERVER), false), (true, true), "it is not read");
    assert_eq!(of_llm(None, true), (true, true), "another server on the same host");
}
