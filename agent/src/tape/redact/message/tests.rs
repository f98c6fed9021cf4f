#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::core::Input;
use crate::event::{ConnKey, Event, EventKind, Layer, Nanos, Tgid};
use crate::tape::redact::tests::record;
use inferscope_ebpf::Hook;
use proptest::prelude::*;

/// What must not stay: as it is sent, and as it must be on a tape.
struct Secrets {
    token: u32,
    text: &'static str,
    key: &'static str,
    field: &'static str,
    number: f64,
    binary: &'static [u8],
}

const SENT: Secrets = Secrets {
    token: 77_342,
    text: "a CANARY in a text of more than 31 bytes",
    key: "CANARY",
    field: "waiting_lora_adapters",
    number: 0.77342,
    binary: b"CANARY",
};
const MASKED: Secrets = Secrets {
    token: 0,
    text: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    key: "??????",
    field: "?????????????????????",
    number: 0.0,
    binary: b"\0\0\0\0\0\0",
};

const NIL: &[u8] = b"\xc0";
const ID: &str = "cmpl-my-req-42-0-afa57659";

fn array(elements: &[Vec<u8>]) -> Vec<u8> {
    let count = elements.len() as u8;
    let head = if count < 16 { vec![0x90 | count] } else { vec![0xdc, 0, count] };
    [head, elements.concat()].concat()
}

fn map(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(key, value)| [text(key), value.clone()].concat()).collect();
    [vec![0xde, 0, members.len() as u8], members.concat()].concat()
}

fn text(text: &str) -> Vec<u8> {
    let len = text.len() as u8;
    let head = if len < 32 { vec![0xa0 | len] } else { vec![0xd9, len] };
    [head, text.as_bytes().to_vec()].concat()
}

fn float(value: f64) -> Vec<u8> {
    [&[0xcb][..], &value.to_be_bytes()].concat()
}

fn long(value: u32) -> Vec<u8> {
    [&[0xce][..], &value.to_be_bytes()].concat()
}

fn nils(count: usize) -> Vec<Vec<u8>> {
    vec![NIL.to_vec(); count]
}

/// EngineCoreOutputs of vLLM 0.32.
fn step(secrets: &Secrets) -> Vec<u8> {
    let event = |kind: u8, at: f64| map(&[("type", vec![kind]), ("timestamp", float(at))]);
    let logprobs = array(&[array(&[long(secrets.token)]), array(&[float(secrets.number)])]);
    let prefill = map(&[
        ("num_prompt_tokens", vec![0xcd, 1, 0x2c]),
        ("num_cached_tokens", vec![16]),
        (secrets.key, long(secrets.token)),
    ]);
    let first = [
        vec![text(ID), array(&[long(secrets.token), vec![0xcd, 0, 0]]), logprobs, NIL.to_vec(), NIL.to_vec()],
        vec![vec![1], long(secrets.token), array(&[event(1, 5131.25), event(2, 5131.5)])],
        nils(2),
        vec![map(&[(secrets.key, text(secrets.text))]), prefill],
        vec![[&[0xc4, 6], secrets.binary].concat(), vec![0xd6, 0, 0, 0, 0, 0], array(&[text(secrets.text)])],
        nils(3),
    ]
    .concat();
    let next = [vec![text("chatcmpl-7-1a2b3c4d"), array(&[long(secrets.token)])], nils(16)].concat();
    let scheduler = map(&[
        ("num_running_reqs", vec![16]),
        ("num_waiting_reqs", vec![0xcc, 200]),
        ("kv_cache_usage", float(0.125)),
        ("prefix_cache_stats", map(&[("reset", vec![0xc2]), ("queries", vec![0xcd, 1, 0x2c]), ("hits", vec![16])])),
        (secrets.key, map(&[("num_running_reqs", long(secrets.token))])),
        (secrets.field, vec![0x80]),
    ]);
    let rest = [nils(1), vec![array(&[text(secrets.text)])], nils(3)].concat();
    array(&[vec![vec![3], array(&[array(&first), array(&next)]), scheduler, float(5131.75)], rest].concat())
}

/// EngineCoreRequest.
fn added(secrets: &Secrets) -> Vec<u8> {
    let sampling = map(&[(secrets.key, float(secrets.number)), (secrets.field, vec![0xc3])]);
    let fields = vec![text(ID), array(&vec![long(secrets.token); 20]), NIL.to_vec(), sampling, text(secrets.text)];
    array(&[fields, nils(17)].concat())
}

/// A frame, and whether another one follows.
type Frame = (Vec<u8>, bool);

fn segment(position: u64, total: usize, offset: usize, bytes: &[u8]) -> Segment {
    let last = offset + bytes.len() == total;
    let (total, offset) = (total as u64, offset as u32);
    Segment { direction: Direction::Write, position, total, offset, last, bytes: bytes.to_vec() }
}

/// The frames as they are on a tape, each copied in pieces of this size.
fn masked(frames: &[Frame], piece: usize) -> Vec<Vec<u8>> {
    let mut socket = Socket::new(1);
    let mut position = 0;
    let mut out = Vec::new();
    for (bytes, more) in frames {
        let pieces = bytes.chunks(piece).enumerate().map(|(index, part)| {
            let segment = segment(position, bytes.len(), index * piece, part);
            let masked = socket.segment(&segment, *more);
            assert_eq!(masked.len(), part.len());
            masked
        });
        out.push(pieces.collect::<Vec<_>>().concat());
        position += bytes.len() as u64;
    }
    out
}

fn request(kind: u8, payload: Vec<u8>) -> Vec<Frame> {
    vec![(vec![0, 0], true), (vec![kind], true), (payload, false)]
}

#[test]
fn a_step_keeps_ids_counts_and_times() {
    assert_eq!(masked(&[(step(&SENT), false)], usize::MAX), [step(&MASKED)]);
}

#[test]
fn requests_keep_their_ids() {
    assert_eq!(masked(&request(ADD, added(&SENT)), usize::MAX)[1..], [vec![ADD], added(&MASKED)]);
    let aborted = |number| array(&[text(ID), text("cmpl-2"), long(number)]);
    assert_eq!(masked(&request(ABORT, aborted(77_342)), usize::MAX)[1..], [vec![ABORT], aborted(0)]);
    // As it begins on the wire.
    let real = b"\xdc\x00\x16\xb9cmpl-my-req-42-0-afa57659\x94\xcd\x01\xa0\xcd\x01\x42\xcd\x01\x94\xcd\x01\x7b\xc0\xde\x00\x10\xb0presence_penalty";
    let kept = b"\xdc\x00\x16\xb9cmpl-my-req-42-0-afa57659\x94\xcd\x00\x00\xcd\x00\x00\xcd\x00\x00\xcd\x00\x00\xc0\xde\x00\x10\xb0????????????????";
    assert_eq!(masked(&request(ADD, real.to_vec()), usize::MAX)[2], kept);
}

#[test]
fn what_is_not_known_becomes_zeros() {
    let utility = array(&[vec![0], long(1), text("get_CANARY"), array(&[text("CANARY")])]);
    let zeros = |bytes: &[u8]| vec![0; bytes.len()];
    assert_eq!(masked(&request(3, utility.clone()), usize::MAX), [vec![0, 0], vec![3], zeros(&utility)]);
    for frame in [
        b"\x80\x04\x95CANARY".to_vec(),
        map(&[("num_running_reqs", text("CANARY"))]),
        text("CANARY"),
        b"\xc1CANARY".to_vec(),
        b"\x91".to_vec(),
        b"A".to_vec(),
    ] {
        assert_eq!(masked(&[(frame.clone(), false)], usize::MAX), [zeros(&frame)], "{}", frame.escape_ascii());
    }
    // Arrays of other things keep what they share with a step.
    let other = |elements: &[Vec<u8>], kept: &[u8]| {
        let frame = array(elements);
        let expected = [kept, &vec![0; frame.len() - kept.len()]].concat();
        assert_eq!(masked(&[(frame, false)], usize::MAX), [expected]);
    };
    other(&[text("CANARY")], b"\x91");
    other(&[float(0.77342), array(&[])], b"\x92");
    other(&[vec![7], text("CANARY")], b"\x92\x07");
    other(&[vec![7], array(&[text("CANARY")])], b"\x92\x07\x91");
    other(&[long(77_342), array(&[text("CANARY")])], b"\x92\xce\0\0\0\0\x91");
}

#[test]
fn a_key_stays_as_long_as_it_may_be_known() {
    let scheduler = |key| array(&[vec![0], array(&[]), map(&[(key, vec![9])])]);
    for (key, kept) in [("num_waiting_reqs", true), ("num_waiting_seqs", false), ("", false)] {
        let masked_key = if kept { key } else { "num_waiting_????".get(..key.len()).unwrap() };
        let mut expected = scheduler(masked_key);
        if !kept {
            *expected.last_mut().unwrap() = 0;
        }
        assert_eq!(masked(&[(scheduler(key), false)], usize::MAX), [expected], "{key}");
    }
}

#[test]
fn frames_behind_a_step_become_zeros() {
    let tensor = step(&SENT);
    let frames = [(step(&SENT), true), (tensor.clone(), true), (vec![ADD], true), (tensor.clone(), false)];
    let zeros = vec![0; tensor.len()];
    assert_eq!(masked(&frames, usize::MAX), [step(&MASKED), zeros.clone(), vec![ADD], zeros]);
    assert_eq!(masked(&[frames[0].clone(), (vec![5], true)], usize::MAX)[1], [0], "a byte of a tensor is no type");
}

#[test]
fn splits_change_nothing() {
    let frames = [request(ADD, added(&SENT)), vec![(step(&SENT), true), (step(&SENT), false)]].concat();
    let whole = masked(&frames, usize::MAX);
    for piece in 1..step(&SENT).len() {
        assert_eq!(masked(&frames, piece), whole, "in pieces of {piece}");
    }
}

#[test]
fn behind_missing_bytes_there_are_zeros() {
    let bytes = step(&SENT);
    let mut socket = Socket::new(1);
    let begin = socket.segment(&segment(0, bytes.len(), 0, &bytes[..40]), false);
    assert_eq!(begin, step(&MASKED)[..40]);
    let end = socket.segment(&segment(0, bytes.len(), 60, &bytes[60..]), false);
    assert_eq!(end, vec![0; bytes.len() - 60]);
    let next = bytes.len() as u64;
    assert_eq!(socket.segment(&segment(next, bytes.len(), 0, &bytes), false), step(&MASKED), "the next is whole");
    let other = socket.segment(&segment(2 * next, bytes.len(), 40, &bytes[40..]), true);
    assert_eq!(other, vec![0; bytes.len() - 40], "its beginning was lost");
    let behind = socket.segment(&segment(3 * next, bytes.len(), 0, &bytes), false);
    assert_eq!(behind, vec![0; bytes.len()], "of the same message");
}

#[test]
fn behind_lost_frames_there_are_zeros_up_to_the_next_message() {
    let bytes = step(&SENT);
    let mut socket = Socket::new(1);
    socket.segment(&segment(0, 2, 0, &[0, 0]), true);
    let lost = 5;
    assert_eq!(socket.segment(&segment(2 + lost, bytes.len(), 0, &bytes), true), vec![0; bytes.len()]);
    let position = 2 + lost + bytes.len() as u64;
    assert_eq!(socket.segment(&segment(position, bytes.len(), 0, &bytes), false), vec![0; bytes.len()]);
    let position = position + bytes.len() as u64;
    assert_eq!(socket.segment(&segment(position, bytes.len(), 0, &bytes), false), step(&MASKED));
}

#[test]
fn a_send_that_was_tried_again_is_understood() {
    let once = request(ADD, added(&SENT));
    let again = [vec![once[0].clone()], vec![once[0].clone(), once[1].clone()], once[1..].to_vec()].concat();
    assert_eq!(masked(&again, usize::MAX).last().unwrap(), &added(&MASKED));
}

#[test]
fn directions_and_sockets_are_apart() {
    let bytes = added(&SENT);
    let event = |id, direction, position, bytes: &[u8], more| {
        let conn = ConnKey { tgid: Tgid(1), layer: Layer::Message, id, generation: 1 };
        let segment = Segment { direction, ..segment(position, bytes.len(), 0, bytes) };
        let kind = EventKind::Frame { segment, more };
        Input::Kernel(Event { time: Nanos(1), conn, hook: Hook::ZmqMsgSend, midway: true, thread: 0, kind })
    };
    let inputs = [
        event(1, Direction::Read, 0, &[ADD], true),
        event(1, Direction::Write, 0, &step(&SENT), false),
        event(2, Direction::Read, 0, &step(&SENT), false),
        event(1, Direction::Read, 1, &bytes, false),
    ];
    let frames: Vec<_> = record(&inputs)
        .into_iter()
        .map(|input| match input {
            Input::Kernel(Event { kind: EventKind::Frame { segment, .. }, .. }) => segment.bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(frames, [vec![ADD], step(&MASKED), step(&MASKED), added(&MASKED)]);
}

#[test]
fn nesting_has_a_bound() {
    let deep = [vec![0x94, 0x00, 0x90], vec![0x91; 10_000]].concat();
    let kept = masked(&[(deep, false)], usize::MAX).concat().iter().filter(|byte| **byte == 0x91).count();
    assert!(kept < 64, "{kept}");
}

proptest! {
    #[test]
    fn anything_is_masked_the_same_however_it_is_split(
        frames in prop::collection::vec((prop::collection::vec(prop_oneof![any::<u8>(), 0x80u8..=0xdf], 1..200), any::<bool>()), 1..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        piece in 1usize..50,
    ) {
        prop_assert_eq!(masked(&frames, piece), masked(&frames, usize::MAX));
        let mut damaged = step(&SENT);
        for (index, byte) in damage {
            *index.get_mut(&mut damaged) = byte;
        }
        prop_assert_eq!(masked(&[(damaged.clone(), false)], piece), masked(&[(damaged, false)], usize::MAX));
    }

    #[test]
    fn no_cut_reveals_a_secret(cut in any::<prop::sample::Index>(), len in 1usize..400) {
        let bytes = step(&SENT);
        let from = cut.index(bytes.len());
        let part = &bytes[from..bytes.len().min(from + len)];
        // Recording begins in the middle of a frame's message: a part of another frame may pass for a step.
        let tape = masked(&[(part.to_vec(), false)], usize::MAX).concat();
        prop_assert!(!tape.windows(6).any(|window| window == b"CANARY"));
        prop_assert!(!tape.windows(3).any(|window| window == [1, 0x2e, 0x1e]));
    }
}
