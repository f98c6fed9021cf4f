//! What must be true of any input.

use super::scene::*;
use crate::core::{Core, Input, Options, Output};
use crate::event::{ConnKey, Direction, Nanos};
use crate::request::Status;
use proptest::prelude::*;

/// 24 streams at once, their calls interleaved.
fn crowd() -> Vec<Input> {
    let mut player = Player::default();
    let mut inputs = vec![started()];
    let tokens = |wire: u64| 3 + wire % 5;
    for step in 0..12 {
        for number in 0..24 {
            let wire = Wire { key: ConnKey { id: number, ..SOCKET.key }, ..SOCKET };
            let act = match step {
                0 => read(post(COMPLETIONS, ASK)),
                1 => write(STREAM),
                step if step < 2 + tokens(number) => write(token(0, "t")),
                step if step == 2 + tokens(number) => write(usage(4, tokens(number)) + DONE + END),
                _ => continue,
            };
            inputs.extend(player.play(wire, step * 1000 + number, &act));
        }
        inputs.push(Input::Tick(Nanos(step * 1_000_000 + 900_000)));
    }
    inputs
}

#[test]
fn a_crowd_is_told_apart() {
    let out = step_all(Core::new(Options::default()), crowd());
    assert_eq!(out.len(), 24);
    for output in &out {
        let Output::Record(record) = output else { panic!("{output:?}") };
        let tokens = record.content_events;
        assert_eq!(record.status, Status::Ok);
        assert_eq!(record.ttft(), Some(2_000_000));
        assert_eq!(record.usage.completion, Some(tokens));
        assert_eq!(record.gaps, vec![1_000_000; usize::try_from(tokens).unwrap() - 1]);
        assert_eq!(record.tpot(), Some(1_000_000));
        assert_eq!(record.duration(), Some((2 + tokens) * 1_000_000));
    }
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || step_all(Core::new(Options { connections: 20, ..Options::default() }), crowd());
    assert_eq!(run(), run());
}

fn act() -> impl Strategy<Value = Act> {
    let bytes = prop_oneof![
        Just(post(COMPLETIONS, ASK)),
        Just(post(CHAT, ASK)),
        Just("GET /health HTTP/1.1\r\n\r\n".to_owned()),
        Just(STREAM.to_owned()),
        Just(token(0, "a")),
        Just(token(70, "")),
        Just(usage(1, 2)),
        Just(DONE.to_owned()),
        Just(END.to_owned()),
        Just(whole("200 OK", "{\"model\":1}")),
        Just(whole("503 Busy", "")),
        ".{0,40}",
    ];
    // Any piece of it.
    let piece = (bytes, 0.0..1.0, 0.0..1.0f64).prop_map(|(bytes, from, to)| {
        let at = |share: f64| {
            let at = (bytes.len() as f64 * share) as usize;
            (0..=at).rev().find(|at| bytes.is_char_boundary(*at)).unwrap_or(0)
        };
        let (from, to) = if from < 0.7 { (0, bytes.len()) } else { (at(from), at(to)) };
        bytes.get(from..to.max(from)).unwrap_or_default().to_owned()
    });
    let piece = piece.prop_filter("a call moves bytes", |bytes| !bytes.is_empty());
    prop_oneof![
        6 => piece.clone().prop_map(Act::Read),
        9 => piece.clone().prop_map(Act::Write),
        1 => (piece.clone(), 1..5000u64, piece).prop_map(|(head, hole, tail)| Act::WriteElided(head, hole, tail)),
        1 => (any::<bool>(), 1..900u64).prop_map(|(read, bytes)| {
            Act::Lost(if read { Direction::Read } else { Direction::Write }, bytes)
        }),
        1 => Just(Act::Eof),
        1 => (1..120u32).prop_map(|errno| Act::Failed(Direction::Write, errno)),
        1 => Just(Act::Closed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_breaks_the_core(acts in prop::collection::vec((0..4u64, any::<bool>(), act()), 1..60)) {
        let mut player = Player::default();
        let mut inputs = vec![started()];
        for (at, (id, midway, act)) in (0u64..).zip(&acts) {
            let wire = Wire { key: ConnKey { id: *id, ..SOCKET.key }, midway: *midway };
            inputs.extend(player.play(wire, at * 10, act));
        }
        let out = step_all(Core::new(Options { connections: 3, ..Options::default() }), inputs.clone());
        let asked = acts.iter().filter(|(.., act)| matches!(act, Act::Read(_))).count();
        let seen = out.iter().filter_map(|output| if let Output::Record(record) = output { Some(record) } else { None });
        // Of those joined midway the request was not read.
        let seen: Vec<_> = seen.filter(|record| !record.path.is_empty()).collect();
        prop_assert!(seen.len() <= asked, "{} records of {asked} reads", seen.len());
        for record in seen {
            prop_assert!(record.end >= record.arrival);
            prop_assert!(record.headers.is_none_or(|headers| headers >= record.arrival));
            prop_assert!(record.first_content.is_none_or(|first| Some(first) >= record.headers));
            prop_assert!(record.gaps.len() as u64 <= record.content_events);
        }
        prop_assert_eq!(out, step_all(Core::new(Options { connections: 3, ..Options::default() }), inputs));
    }
}
