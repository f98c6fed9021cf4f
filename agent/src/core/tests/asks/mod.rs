//! How inferences came: requests over HTTP and gRPC, and the calls that follow. Times are milliseconds.

mod play;
mod wire;

use super::scene::step_all;
use crate::core::Output;
use crate::event::{Direction, EventKind, Layer};
use inferscope_ebpf::Hook;
use play::Scene;
use proptest::prelude::*;
use wire::{
    INFER, OK, PREFACE, SETTINGS, STREAM, TRACE, UNARY, answer, ask, data, field, frame, head, head_with, message, post,
};

const NONE: [&str; 0] = [];

#[test]
fn over_http() {
    let mut scene = Scene::new();
    assert_eq!(scene.read(5000, 10, 4, &post(INFER, r#"{"id":"h1","inputs":["canary"]}"#)), NONE);
    assert_eq!(scene.begin(5001, 0x100, 4, "echo", "h1"), NONE);
    assert_eq!(scene.compute(5002, 0x100), NONE, "it waits for its answer");
    assert_eq!(scene.write(5003, 10, OK), ["echo ok: http at=5000 traced answered=5003..5003 ok"]);
    // The answer may leave before the server is done with the request.
    scene.read(5010, 10, 4, &post(INFER, "{}"));
    scene.begin(5011, 0x100, 4, "echo", "");
    assert_eq!(scene.write(5012, 10, OK), NONE);
    assert_eq!(scene.compute(5013, 0x100), ["echo ok: http at=5010 traced answered=5012..5012 ok"]);
}

#[test]
fn over_http_the_thread_tells_them_apart() {
    let mut scene = Scene::new();
    scene.read(5000, 10, 4, &post(INFER, "{}"));
    scene.read(5001, 11, 5, &post(INFER, "{}"));
    scene.read(5002, 12, 5, &post(INFER, "{}"));
    scene.begin(5003, 0x100, 5, "echo", "");
    scene.begin(5004, 0x200, 4, "echo", "");
    scene.begin(5005, 0x300, 5, "echo", "");
    for request in [0x100, 0x200, 0x300] {
        scene.compute(5006, request);
    }
    let answers: Vec<_> = [10, 11, 12].into_iter().flat_map(|fd| scene.write(5007, fd, OK)).collect();
    let expected = [5000, 5001, 5002].map(|at| format!("echo ok: http at={at} traced answered=5007..5007 ok"));
    assert_eq!(answers, expected);
}

#[test]
fn over_grpc() {
    let mut scene = Scene::new();
    // grpc-core's server may speak first.
    scene.write(5000, 20, SETTINGS);
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS].concat());
    let (first, rest) = (ask(1, "echo", "g1"), answer(1, "0"));
    scene.read(5001, 20, 1, &first[..20]);
    scene.read(5002, 20, 1, &first[20..]);
    scene.begin(5003, 0x100, 2, "echo", "g1");
    assert_eq!(scene.compute(5004, 0x100), NONE);
    assert_eq!(scene.write(5005, 20, &rest[..12]), NONE);
    assert_eq!(scene.write(5006, 20, &rest[12..]), ["echo ok: grpc at=5001 answered=5005..5006 ok"]);
}

#[test]
fn the_callers_trace_comes_with_the_metadata() {
    let mut scene = Scene::new();
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS].concat());
    let b3 = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1";
    let cases = [field("traceparent", TRACE), field("b3", b3), field("traceparent", "00-broken")];
    for ((stream, metadata), traced) in [1, 3, 5].into_iter().zip(cases).zip([" traced", " traced", ""]) {
        let asked = [head_with(stream, UNARY, &metadata), frame(0, 1, stream, &message("echo", "g"))].concat();
        scene.read(5001, 20, 1, &asked);
        scene.begin(5002, 0x100, 2, "echo", "g");
        scene.compute(5003, 0x100);
        let answered = format!("echo ok: grpc at=5001{traced} answered=5004..5004 ok");
        assert_eq!(scene.write(5004, 20, &answer(stream, "0")), [answered]);
    }
    // Each of many on a stream belongs to the trace of the stream.
    let many = [head_with(7, STREAM, &field("traceparent", TRACE)), frame(0, 0, 7, &message("stream", "a"))].concat();
    scene.read(5010, 20, 1, &many);
    scene.begin(5011, 0x100, 2, "stream", "a");
    assert_eq!(scene.compute(5012, 0x100), ["stream ok: grpc at=5010 traced"]);
}

#[test]
fn ids_tell_requests_over_grpc_apart_and_nothing_else_does() {
    let mut scene = Scene::new();
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS, &ask(1, "echo", "a"), &ask(3, "echo", "b")].concat());
    scene.begin(5001, 0x100, 2, "echo", "b");
    scene.begin(5002, 0x200, 2, "echo", "a");
    scene.compute(5003, 0x100);
    scene.compute(5003, 0x200);
    assert_eq!(scene.write(5004, 20, &answer(1, "0")), ["echo ok: grpc at=5000 answered=5004..5004 ok"]);
    assert_eq!(scene.write(5005, 20, &answer(3, "0")), ["echo ok: grpc at=5000 answered=5005..5005 ok"]);

    scene.read(5010, 20, 1, &[ask(5, "echo", ""), ask(7, "echo", "")].concat());
    scene.begin(5011, 0x100, 2, "echo", "");
    scene.begin(5012, 0x200, 2, "echo", "");
    assert_eq!(scene.compute(5013, 0x100), ["echo ok: grpc"]);
    assert_eq!(scene.compute(5013, 0x200), ["echo ok: grpc"], "the other one is in doubt too");
    assert_eq!(scene.write(5014, 20, &[answer(5, "0"), answer(7, "0")].concat()), NONE);
}

#[test]
fn several_protocols_may_have_caused_it() {
    let mut scene = Scene::new();
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS, &ask(1, "echo", "")].concat());
    scene.read(5001, 10, 4, &post(INFER, "{}"));
    scene.begin(5002, 0x100, 4, "echo", "");
    scene.begin(5003, 0x200, 2, "echo", "");
    assert_eq!(scene.compute(5004, 0x200), NONE);
    assert_eq!(scene.write(5005, 20, &answer(1, "0")), ["echo ok: grpc at=5000 answered=5005..5005 ok"]);
}

#[test]
fn many_requests_on_one_stream() {
    let mut scene = Scene::new();
    let asked = [head(1, STREAM), frame(0, 0, 1, &message("stream", "a")), frame(0, 0, 1, &message("stream", "b"))];
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS, &asked.concat()].concat());
    scene.begin(5001, 0x100, 2, "stream", "a");
    scene.begin(5002, 0x200, 2, "stream", "b");
    assert_eq!(scene.compute(5003, 0x100), ["stream ok: grpc at=5000"]);
    assert_eq!(scene.compute(5004, 0x200), ["stream ok: grpc at=5000"]);
    assert_eq!(scene.write(5005, 20, &answer(1, "0")), NONE);
}

#[test]
fn refusals_are_no_models_requests() {
    let mut scene = Scene::new();
    scene.read(5000, 10, 4, &post("/v2/models/nope/infer", "{}"));
    let refused = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(scene.write(5001, 10, refused), ["refused http 404"]);
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS, &ask(1, "nope", "")].concat());
    let trailers = [&[0x88][..], &field("grpc-status", "5")].concat();
    assert_eq!(scene.write(5001, 20, &frame(1, 5, 1, &trailers)), ["refused grpc 5"]);
    // A client that gives up is not refused.
    scene.read(5002, 20, 1, &ask(3, "echo", ""));
    assert_eq!(scene.read(5003, 20, 1, &frame(3, 0, 3, &[0, 0, 0, 8])), NONE);
    // Nor is what was never an inference.
    scene.read(5004, 10, 4, &post("/v2/repository/models/nope/load", "{}"));
    assert_eq!(scene.write(5005, 10, refused), NONE);
}

#[test]
fn what_no_backend_saw_ended_as_it_was_answered() {
    let mut scene = Scene::new();
    scene.read(5000, 10, 4, &post(INFER, "{}"));
    scene.begin(5001, 0x100, 4, "echo", "");
    scene.call(5002, Hook::TritonRequestDelete, 0x100, 4, &[], "");
    assert_eq!(scene.write(5003, 10, OK), ["echo ok: http at=5000 traced answered=5003..5003 ok"]);
}

#[test]
fn from_inside() {
    let mut scene = Scene::new();
    scene.begin(5000, 0x100, 2, "echo", "");
    assert_eq!(scene.compute(5001, 0x100), ["echo ok: in_process"], "it has no connections");
    scene.read(6000, 20, 1, &[PREFACE, SETTINGS].concat());
    scene.begin(6500, 0x100, 2, "echo", "");
    assert_eq!(scene.compute(6501, 0x100), NONE);
    assert_eq!(scene.tick(7000), NONE);
    assert_eq!(scene.tick(7600), ["echo ok: in_process"]);
    // A loss behind it may have been a request.
    scene.begin(8000, 0x100, 2, "echo", "");
    scene.compute(8001, 0x100);
    *scene.positions.get_mut(&(20, Direction::Read)).unwrap() += 100;
    assert_eq!(scene.read(8500, 20, 1, SETTINGS), ["stream_gap"]);
    assert_eq!(scene.tick(9600), ["echo ok: ?"]);
}

#[test]
fn what_cannot_be_read_may_have_asked() {
    for (bytes, expected) in [
        (&b"\0\0\0\0zeros"[..], "echo ok: ?"),
        // Of TLS the clear text is seen elsewhere, or is not.
        (b"\x16\x03\x01\x02\0\x01", "echo ok: ?"),
    ] {
        let mut scene = Scene::new();
        scene.read(5000, 20, 1, bytes);
        scene.begin(8000, 0x100, 2, "echo", "");
        scene.compute(8001, 0x100);
        assert_eq!(scene.tick(9100), [expected]);
        scene.event(9200, Layer::Socket, 20, 1, Hook::Close, EventKind::Closed);
        scene.begin(19_000, 0x100, 2, "echo", "");
        scene.compute(19_001, 0x100);
        assert_eq!(scene.tick(20_100), ["echo ok: in_process"]);
    }
    let mut scene = Scene::new();
    scene.read(5000, 20, 1, b"\x16\x03\x01\x02\0\x01");
    scene.midway = true;
    scene.event(5001, Layer::Tls, 0x7000, 1, Hook::SslRead, data(&[PREFACE, SETTINGS].concat()));
    scene.begin(8000, 0x100, 2, "echo", "");
    scene.compute(8001, 0x100);
    assert_eq!(scene.tick(9100), ["echo ok: in_process"]);
}

#[test]
fn joined_midway_a_message_tells_what_its_head_does_not() {
    let mut scene = Scene::new();
    scene.midway = true;
    let ping = frame(6, 0, 0, &[0; 8]);
    let unseen = [frame(1, 4, 9, b"\x83\xbf\xbe"), frame(0, 1, 9, &message("echo", "g1"))].concat();
    scene.read(5000, 20, 1, &[ping, unseen].concat());
    scene.begin(5001, 0x100, 2, "echo", "g1");
    // Whether it is the only one on its stream is not known.
    assert_eq!(scene.compute(5002, 0x100), ["echo ok: grpc at=5000"]);
}

#[test]
fn of_long_messages_the_beginning_is_enough() {
    let mut scene = Scene::new();
    scene.read(5000, 20, 1, &[PREFACE, SETTINGS].concat());
    for (stream, at) in [(1, 5001), (3, 5011)] {
        let text = message("echo", "big");
        let mut body = text[..5].to_vec();
        body[1..5].copy_from_slice(&600_000_u32.to_be_bytes());
        body.extend(&text[5..]);
        let mut data = frame(0, 0, stream, &body);
        data[..3].copy_from_slice(&[0, 0x40, 0]);
        scene.elided(at, 20, 1, Direction::Read, &[head(stream, UNARY), data].concat(), 599_000);
        scene.begin(at + 1, 0x100, 2, "echo", "big");
        assert_eq!(scene.compute(at + 2, 0x100), [format!("echo ok: grpc at={at}")]);
    }
}

proptest! {
    #[test]
    fn no_order_breaks_it(acts in prop::collection::vec((0u8..12, 0u64..4, 0u32..3), 1..80), midway in any::<bool>()) {
        let mut scene = Scene { midway, ..Scene::new() };
        let (mut begun, mut ended) = (0, 0);
        let inferences = |said: Vec<String>| said.iter().filter(|line| line.contains(": ")).count();
        for (at, (what, which, thread)) in (5000..).zip(&acts) {
            let (fd, stream) = (20 + which, 2 * thread + 1);
            ended += inferences(match what {
                0 => scene.read(at, fd, *thread, &[PREFACE, SETTINGS].concat()),
                1 => scene.read(at, fd, *thread, &ask(stream, "echo", "")),
                2 => scene.write(at, fd, &answer(stream, "0")),
                3 => scene.read(at, fd, *thread, &post(INFER, "{}")),
                4 => scene.write(at, fd, OK),
                5 => scene.event(at, Layer::Socket, fd, *thread, Hook::Close, EventKind::Closed),
                6 => scene.tick(at * 1000),
                7 => scene.elided(at, fd, *thread, Direction::Read, &ask(stream, "echo", "x"), 70_000),
                8 => scene.compute(at, 0x100 * which),
                _ => {
                    // Its address is used again: what had it before has ended.
                    let said = scene.call(at, Hook::TritonRequestDelete, 0x100 * which, *thread, &[], "");
                    begun += 1;
                    [said, scene.begin(at, 0x100 * which, *thread, "echo", "")].concat()
                }
            });
        }
        let rest = step_all(scene.core, []);
        ended += rest.iter().filter(|output| matches!(output, Output::Inference(_))).count();
        prop_assert_eq!(begun, ended, "each inference is said once");
    }
}
