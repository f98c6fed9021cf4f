//! Inferences that fail, are given up, are refused, or are seen in part.

use super::play::{SERVER, check, inputs, line, play, started};
use super::{STREAM, WHOLE};
use crate::core::{Core, Input, Options, ProcessChange};
use crate::engine::Role;
use crate::event::{EventKind, Nanos};

#[test]
fn a_failure_has_its_reason() {
    check(
        "100 new r1 fail -1
         101 infer r1
         110 execute i1 r1
         111 factory f1 r1
         120 response p1 r1
         121 send p1 final 1
         123 stats r1 i1 0 110 111 115 122
         130 delete r1",
        &["fail/0 executes 1", "fail/0 took 12", "error fail fault=internal at=100 batch=1 instance=0 end=21"],
    );
}

#[test]
fn a_stream_fails_in_its_middle() {
    check(
        "1000 new r1 stream -1
         1010 infer r1
         1050 execute i2 r1
         1052 factory f1 r1
         1060 stats r1 i2 1 1051 1053 1057 1059
         2000 send p1 more f1
         2500 send p2 more f1
         3300 send p1 final 3 f1
         3500 delete r1",
        &[
            "stream/0 executes 1",
            "error stream fault=invalid_argument answer=streamed at=1000 batch=1 instance=0 queue=41 compute=2+4+2 \
             first=1000 responses=2 gaps=500 end=2300 llm=yes",
        ],
    );
}

#[test]
fn the_backend_only_reports_the_failure() {
    check(
        &WHOLE.replace("stats r1 i1 1", "stats r1 i1 0"),
        &["echo/0 executes 1", "echo/0 took 17", "error echo id=h1 at=100 batch=1 instance=0 responses=1 end=65"],
    );
}

/// The server then answers in its place, by ways that are not seen.
#[test]
fn the_backend_does_not_take_the_batch() {
    check(
        "100 new r1 echo -1
         101 infer r1
         110 execute i1 r1
         130 delete r1",
        &["echo/0 executes 1", "error echo at=100 batch=1 instance=0 end=30"],
    );
}

#[test]
fn refused() {
    check(
        "100 new r1 echo -1
         101 infer r1
         105 refused r1 4
         130 delete r1
         200 new r1 echo -1
         230 delete r1",
        &["rejected echo fault=unavailable at=100 end=30", "rejected echo at=200 end=30"],
    );
}

#[test]
fn the_client_leaves() {
    let cancelled = STREAM.replace("3300 send p1 more f1", "2800 cancel r1\n2810 send p1 final 7 f1");
    check(
        &cancelled.replace("3400 flags f1 final", ""),
        &[
            "stream/0 executes 1",
            "cancelled stream fault=cancelled answer=streamed at=1000 batch=1 instance=0 queue=41 compute=2+4+2 first=1000 \
             responses=2 gaps=500 cancelled=1800 end=1810 llm=yes",
        ],
    );
    // In the queue; and after the last response, which every HTTP request may see.
    check(
        "100 new r1 echo -1
         101 infer r1
         120 cancel r1
         130 delete r1",
        &["cancelled echo at=100 cancelled=20 end=30"],
    );
    check(
        &WHOLE.replace("170 stats", "166 cancel r1\n170 stats"),
        &[
            "echo/0 executes 1",
            "echo/0 took 17",
            "ok echo id=h1 at=100 batch=1 instance=0 queue=41 compute=4+8+5 responses=1 end=65",
        ],
    );
}

#[test]
fn what_a_language_model_never_saw() {
    check(
        &format!("{STREAM}\n4000 new r1 stream -1\n4001 infer r1\n4002 refused r1 4\n4005 delete r1"),
        &[
            "stream/0 executes 1",
            "ok stream answer=streamed at=1000 batch=1 instance=0 queue=41 compute=2+4+2 first=1000 responses=3 \
             gaps=500,800 end=2400 llm=yes",
            "rejected stream fault=unavailable answer=whole at=4000 end=5 llm=yes",
        ],
    );
}

#[test]
fn what_was_under_way_before() {
    check(
        "100 infer r1
         110 execute i1 r1
         112 response p1 r1
         113 send p1 final
         114 stats r1 i1 1 111 111 112 113
         120 send p7 more f7
         121 send p8 more f7
         122 send p9 final f7
         130 flags f6 final
         140 send p6 final
         150 cancel r9
         160 delete r9",
        &[
            // A request of the batch had to name the model.
            "execution_unattributed",
            "ok  quality=joined_midway at=100 responses=1 end=13",
            "response_unattributed",
            "response_unattributed",
            "unknown  quality=joined_midway at=122 end=0",
            "response_unattributed",
            "unknown  quality=joined_midway at=130 end=0",
            "unknown  quality=joined_midway at=140 end=0",
            "response_unattributed",
        ],
    );
}

#[test]
fn a_last_response_that_nobody_saw() {
    let lost = WHOLE.replace("165 send p1 final\n", "");
    check(
        &format!("{WHOLE}{lost}"),
        &[
            "echo/0 executes 1",
            "echo/0 took 17",
            "ok echo id=h1 at=100 batch=1 instance=0 queue=41 compute=4+8+5 responses=1 end=65",
            "echo/0 executes 1",
            "unknown echo id=h1 quality=gap at=100 batch=1 instance=0 end=100",
        ],
    );
}

#[test]
fn the_server_ends() {
    let mut core = Core::new(Options::default());
    let (begun, rest) = STREAM.split_at(STREAM.find("2500").unwrap());
    let mut out = play(&mut core, inputs(begun));
    let (time, tgid) = (Nanos(2_200_000), SERVER);
    core.step(Input::Process(ProcessChange::Ended { time, tgid }), &mut out);
    // What is on its way when a process ends is nobody's.
    out.extend(play(&mut core, inputs(rest).skip(1)));
    core.step(started(SERVER, "triton", Role::Frontend, None), &mut out);
    out.extend(play(&mut core, inputs(WHOLE)));
    let lines: Vec<_> = out.iter().map(line).collect();
    let expected = [
        "stream/0 executes 1",
        "unknown stream quality=truncated at=1000 batch=1 instance=0 responses=1 end=1200",
        "echo/0 executes 1",
        "echo/0 took 17",
        "ok echo id=h1 at=100 batch=1 instance=0 queue=41 compute=4+8+5 responses=1 end=65",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn nothing_is_waited_for_without_end() {
    let mut core = Core::new(Options::default());
    let (begun, _) = STREAM.split_at(STREAM.find("2500").unwrap());
    let mut out = play(&mut core, inputs(begun));
    out.clear();
    let hour = 3_600_000_000_000;
    core.step(Input::Tick(Nanos(hour)), &mut out);
    assert!(out.is_empty(), "{out:?}");
    core.step(Input::Tick(Nanos(hour + 2_000_000)), &mut out);
    let lines: Vec<_> = out.iter().map(line).collect();
    assert_eq!(lines, ["unknown stream quality=truncated at=1000 batch=1 instance=0 responses=1 end=3600001000"]);
}

#[test]
fn a_call_without_its_arguments() {
    let mut core = Core::new(Options::default());
    let mut calls: Vec<_> = inputs(WHOLE).collect();
    for call in &mut calls {
        let Input::Kernel(event) = call else { continue };
        let EventKind::Call(call) = &mut event.kind else { continue };
        call.words.clear();
    }
    let out = play(&mut core, calls.into_iter());
    let lines: Vec<_> = out.iter().map(line).collect();
    // New, Execute, FactoryNew, ResponseNew, ResponseSend and ReportStatistics; InferAsync needs none.
    let expected = [&["call_unreadable"; 6][..], &["unknown  quality=joined_midway at=110 end=90"]].concat();
    assert_eq!(lines, expected);
}
