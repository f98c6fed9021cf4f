#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::engine::report::{Finish, Iteration, Output, Scheduler};
use crate::event::Nanos;

/// A version's messages, as its own classes encode them: tests/engines/message_fixtures.py.
pub(super) struct Version {
    name: &'static str,
    messages: &'static str,
    /// It says how long the prompt is with the first output, and how many sequences are deferred.
    newer: bool,
}

macro_rules! version {
    ($name:literal, newer: $newer:literal) => {
        Version { name: $name, messages: include_str!(concat!("../testdata/messages-", $name, ".txt")), newer: $newer }
    };
}

pub(super) const VERSIONS: &[Version] = &[
    version!("0.11.2", newer: false),
    version!("0.14.1", newer: false),
    version!("0.18.1", newer: false),
    version!("0.23.0", newer: true),
    version!("0.28.0", newer: true),
    version!("0.32.0", newer: true),
];

impl Version {
    /// Each message's name and frames.
    pub(super) fn messages(&self) -> impl Iterator<Item = (&'static str, Vec<Vec<u8>>)> {
        self.messages.lines().map(|line| {
            let (name, frames) = line.split_once(' ').unwrap();
            (name, frames.split(' ').map(bytes).collect())
        })
    }

    fn message(&self, wanted: &str) -> Vec<Vec<u8>> {
        self.messages().find(|(name, _)| *name == wanted).unwrap().1
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn frame(bytes: &[u8], more: bool) -> Frame<'_> {
    Frame { direction: Direction::Read, bytes, total: bytes.len() as u64, more }
}

/// What is said of `message`, in words.
fn said(reader: &mut VllmMessages, message: &[Vec<u8>]) -> Vec<String> {
    let (mut said, mut issues) = (Vec::new(), Vec::new());
    for (nth, part) in message.iter().enumerate() {
        reader
            .frame(&frame(part, nth + 1 < message.len()), &mut issues, &mut |report| said.push(format!("{report:?}")));
    }
    said.extend(issues.iter().map(|issue| format!("!{}", issue.name())));
    said
}

fn check(version: &Version, name: &str, expected: &[Report<'_>]) {
    let expected: Vec<_> = expected.iter().map(|report| format!("{report:?}")).collect();
    assert_eq!(said(&mut VllmMessages::default(), &version.message(name)), expected, "{name} of {}", version.name);
}

const FIRST: &str = "cmpl-a-0-11111111";
const OTHER: &str = "chatcmpl-b-33333333";

fn seconds(seconds: f64) -> Option<Nanos> {
    Some(Nanos((seconds * 1e9) as u64))
}

#[test]
fn requests_are_read_in_every_version() {
    for version in VERSIONS {
        let added = Report::Added { id: FIRST, prompt_tokens: Some(5) };
        check(version, "add", std::slice::from_ref(&added));
        check(version, "add-from-the-front-end", &[added]);
        check(version, "add-embeddings", &[Report::Added { id: "cmpl-e-0-22222222", prompt_tokens: None }]);
        check(version, "abort", &[Report::Aborted { id: FIRST }, Report::Aborted { id: "cmpl-b-0-33333333" }]);
    }
}

#[test]
fn iterations_are_read_in_every_version() {
    for version in VERSIONS {
        // Before there were statistics of the prefill, every output said how much of the prompt was cached.
        let each_time = (!version.newer).then_some(0);
        let begun = Output {
            id: FIRST,
            tokens: 1,
            queued: seconds(1000.5),
            scheduled: seconds(1000.75),
            prompt_tokens: version.newer.then_some(5),
            cached_tokens: Some(4),
            ..Output::default()
        };
        let goes_on = Output { id: OTHER, tokens: 2, cached_tokens: each_time, ..Output::default() };
        let scheduler = Scheduler {
            running: 2,
            waiting: if version.newer { 7 } else { 3 },
            kv_cache_usage: Some(0.25),
            prefix_queries: Some(5),
            prefix_hits: Some(4),
        };
        let iteration = |at, outputs, scheduler| {
            Report::Iteration(Iteration {
                index: 1,
                at: seconds(at),
                outputs,
                scheduler: Some(scheduler),
                truncated: false,
            })
        };
        check(version, "first", &[iteration(1001.0, vec![begun, goes_on], scheduler)]);

        let ended = Output {
            id: FIRST,
            tokens: 1,
            finish: Some(Finish::Length),
            scheduled: seconds(1001.75),
            preemptions: 2,
            cached_tokens: each_time,
            ..Output::default()
        };
        let stopped =
            Output { id: OTHER, tokens: 1, finish: Some(Finish::Stop), cached_tokens: each_time, ..Output::default() };
        let nothing = Scheduler {
            kv_cache_usage: Some(0.0),
            prefix_queries: Some(0),
            prefix_hits: Some(0),
            ..Scheduler::default()
        };
        check(version, "last", &[iteration(1002.0, vec![ended, stopped], nothing)]);

        let output = Output { id: FIRST, tokens: 1, cached_tokens: each_time, ..Output::default() };
        let one = Scheduler { running: 1, kv_cache_usage: Some(0.5), ..nothing };
        check(version, "logprobs", &[iteration(1003.0, vec![output], one)]);
        check(version, "idle", &[iteration(1004.0, vec![], Scheduler { waiting: 7, ..nothing })]);
    }
}

#[test]
fn other_traffic_is_passed_over_in_silence() {
    for version in VERSIONS {
        for name in ["utility", "wave", "utility-output", "finished-only"] {
            check(version, name, &[]);
        }
    }
    let mut reader = VllmMessages::default();
    for message in [
        // A wake-up, and one to a worker.
        vec![vec![5], vec![]],
        vec![vec![1]],
        vec![vec![]],
        // An identity with a handshake; the answer; a subscription's acknowledgement.
        vec![vec![0, 0], b"\x82\xa6status\xa5READY\xa5local\xc3".to_vec()],
        vec![b"\x81\xadmax_model_len\x40".to_vec()],
        vec![b"READY".to_vec()],
        vec![b"ENGINE_CORE_DEAD".to_vec()],
        // Counts for the front ends ([[[1, 2]], 0, true]), a pickle.
        vec![b"\x93\x91\x92\x01\x02\x00\xc3".to_vec()],
        vec![b"\x80\x05\x95\x10\x00\x00\x00".to_vec(), b"\x90".to_vec()],
        // The events of a cache: topic, number, payload.
        vec![vec![], vec![0; 8], b"\x93\xcb\x40\x00\x00\x00\x00\x00\x00\x00\x90\x00".to_vec()],
    ] {
        assert_eq!(said(&mut reader, &message), Vec::<String>::new(), "{message:02x?}");
    }
    // And what follows it is read.
    assert_eq!(said(&mut reader, &VERSIONS[0].message("abort")).len(), 2);
}

#[test]
fn of_a_prompt_only_the_length_need_be_there() {
    for version in VERSIONS {
        let payload = &version.message("add")[1];
        for len in 0..payload.len() {
            let (mut said, mut issues) = (Vec::new(), Vec::new());
            let mut reader = VllmMessages::default();
            let mut read = |frame: &Frame<'_>| {
                reader.frame(frame, &mut issues, &mut |report| said.push(format!("{report:?}")));
            };
            read(&frame(&[0], true));
            read(&Frame { bytes: &payload[..len], ..frame(payload, false) });
            // Up to the header of the array of tokens.
            let header = FIRST.len() + 3;
            let whole = vec![format!("{:?}", Report::Added { id: FIRST, prompt_tokens: Some(5) })];
            let newer = usize::from(version.messages.lines().next().unwrap().starts_with("add 00 dc")) * 2;
            match len < header + newer {
                true => assert_eq!((said, issues), (vec![], vec![Issue::EngineMessageTruncated]), "{len}"),
                false => assert_eq!((said, issues), (whole, vec![]), "{len}"),
            }
        }
    }
}

#[test]
fn an_iteration_that_was_not_copied_to_its_end_says_what_it_can() {
    for version in VERSIONS {
        let whole = version.message("first").remove(0);
        let mut last = 0;
        for len in 4..whole.len() {
            let (mut outputs, mut issues) = (None, Vec::new());
            let mut say = |report: Report<'_>| {
                let Report::Iteration(iteration) = report else { unreachable!() };
                assert_eq!(iteration.truncated, iteration.at.is_none(), "{len}");
                assert!(iteration.scheduler.is_none() || iteration.outputs.len() == 2, "{len}");
                outputs = Some((iteration.outputs.len(), iteration.truncated));
            };
            let cut = Frame { bytes: &whole[..len], ..frame(&whole, false) };
            VllmMessages::default().frame(&cut, &mut issues, &mut say);
            let (outputs, truncated) = outputs.unwrap();
            assert_eq!(issues, if truncated { vec![Issue::EngineMessageTruncated] } else { vec![] }, "{len}");
            assert!(outputs >= last, "{len}");
            last = outputs;

            // The same bytes as all that there is are no message.
            issues.clear();
            VllmMessages::default().frame(&frame(&whole[..len], false), &mut issues, &mut |_| ());
            assert_eq!(issues, if truncated { vec![Issue::EngineMessageMalformed] } else { vec![] }, "{len}");
        }
        assert_eq!(last, 2);
    }
}

/// Frames in hexadecimal, separated by blanks, and what is said of them.
#[test]
fn strange_messages() {
    let iteration = |iteration: Iteration<'_>| format!("{:?}", Report::Iteration(iteration));
    let a = Output { id: "a", tokens: 1, ..Output::default() };
    let of = |outputs| Iteration { outputs, ..Iteration::default() };
    #[rustfmt::skip]
    let cases: &[(&str, Vec<String>)] = &[
        // Tokens as an array of numbers with type and shape, tokens that are none.
        ("94 00 91 92 a161 93 a0 91 01 c4 00 c0 c0", vec!["!engine_message_malformed".into()]),
        ("94 00 91 92 a161 c0 c0 c0", vec!["!engine_message_malformed".into()]),
        // Without a time, and times that are none: NaN, -1, 0.
        ("94 00 91 92 a161 91 07 c0 c0", vec![iteration(of(vec![a.clone()]))]),
        ("94 00 91 92 a161 91 07 c0 cb 7ff8000000000000", vec![iteration(of(vec![a.clone()]))]),
        ("94 00 91 92 a161 91 07 c0 cb bff0000000000000", vec![iteration(of(vec![a.clone()]))]),
        ("94 00 91 92 a161 91 07 c0 cb 0000000000000000", vec![iteration(of(vec![a.clone()]))]),
        ("94 00 91 92 a161 91 07 c0 cb 7fefffffffffffff", vec![iteration(of(vec![a.clone()]))]),
        // Reasons that are unknown.
        ("94 00 91 96 a161 91 07 c0 c0 c0 63 c0 c0", vec![iteration(of(vec![Output { finish: Some(Finish::Other), ..a.clone() }]))]),
        ("94 00 91 96 a161 91 07 c0 c0 c0 a178 c0 c0", vec![iteration(of(vec![Output { finish: Some(Finish::Other), ..a.clone() }]))]),
        // An output that can't be read behind one that can, and figures under other names.
        ("94 00 92 92 a161 91 07 92 01 90 c0 c0", vec![iteration(Iteration { truncated: true, ..of(vec![a.clone()]) }), "!engine_message_malformed".into()]),
        ("94 00 91 92 a161 91 07 81 a162 01 c0", vec![iteration(of(vec![a])), "!engine_message_malformed".into()]),
        ("94 00 90 01 c0", vec!["!engine_message_malformed".into()]),
        // Too few or too many fields; an index that is none.
        ("93 00 90 c0", vec![]),
        ("dc0041 00 90 c1", vec![]),
        ("94 cf0000000100000000 90 c1", vec![]),
    ];
    for (hex, expected) in cases {
        let message = vec![bytes(&hex.replace(' ', ""))];
        assert_eq!(said(&mut VllmMessages::default(), &message), *expected, "{hex}");
    }
    for (payload, expected) in
        [("95a161a0", &["!engine_message_malformed"][..]), ("94a161c1", &[]), ("9501c1", &[]), ("90", &[])]
    {
        assert_eq!(said(&mut VllmMessages::default(), &[vec![0], bytes(payload)]), expected, "{payload}");
    }
    assert_eq!(said(&mut VllmMessages::default(), &[vec![1], bytes("9107")]), ["!engine_message_malformed"]);
}

#[test]
fn a_usage_that_nobody_filled_in_is_absent() {
    let usage = |running: u8, usage: f64| {
        let mut message = b"\x94\x00\x90\x83\xb0num_running_reqs".to_vec();
        message.push(running);
        message.extend(b"\xb0num_waiting_reqs\x00\xaekv_cache_usage\xcb");
        message.extend(usage.to_be_bytes());
        message.push(0xc0);
        let mut usage = None;
        VllmMessages::default().frame(&frame(&message, false), &mut Vec::new(), &mut |report| {
            let Report::Iteration(iteration) = report else { unreachable!() };
            usage = iteration.scheduler.unwrap().kv_cache_usage;
        });
        usage
    };
    assert_eq!(usage(0, 0.0), Some(0.0));
    assert_eq!(usage(1, 0.5), Some(0.5));
    assert_eq!(usage(1, 0.0), None);
    assert_eq!(usage(1, 1.5), None);
    assert_eq!(usage(1, f64::NAN), None);
}

#[test]
fn the_two_directions_of_a_socket_are_apart_and_a_lost_payload_costs_one_message() {
    let version = &VERSIONS[0];
    let (add, abort) = (version.message("add"), version.message("abort"));
    let (mut reader, mut reports) = (VllmMessages::default(), 0);
    let mut read = |direction, bytes: &[u8], more| {
        let frame = Frame { direction, ..frame(bytes, more) };
        reader.frame(&frame, &mut Vec::new(), &mut |_| reports += 1);
    };
    read(Direction::Read, &add[0], true);
    read(Direction::Write, b"\x81\xa1a\x00", false);
    read(Direction::Read, &add[1], false);
    // Of the next only the type comes.
    read(Direction::Read, &add[0], true);
    read(Direction::Read, &abort[0], true);
    read(Direction::Read, &abort[1], false);
    assert_eq!(reports, 3);
}
