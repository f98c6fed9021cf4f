//! What must be true of any calls.

use super::play::{SERVER, inputs, play};
use super::{STREAM, WHOLE};
use crate::core::{Core, Input, Options, Output, ProcessChange};
use crate::event::{Call, ConnKey, Event, EventKind, Layer, Nanos};
use crate::request::{Inference, Quality};
use inferscope_ebpf::Hook;
use proptest::prelude::*;

fn ended(out: &[Output]) -> Vec<&Inference> {
    let inferences = out.iter().filter_map(|output| if let Output::Inference(i) = output { Some(i) } else { None });
    inferences.map(|inference| &**inference).collect()
}

/// The events of a script, its objects moved away from those of others.
fn moved(script: &str, by: u64) -> Vec<Event> {
    let events = inputs(script).filter_map(|input| if let Input::Kernel(event) = input { Some(event) } else { None });
    let moved = |event: Event| {
        let EventKind::Call(mut call) = event.kind else { unreachable!() };
        let pointers = call.words.iter_mut().filter(|word| **word >= 0x7ff0_0000_0000);
        pointers.for_each(|word| *word += if *word >= 0x7ff0_9000_0000 { 0 } else { by });
        let shift = if event.conn.id >= 0x7ff0_9000_0000 { 0 } else { by };
        let conn = ConnKey { id: event.conn.id + shift, ..event.conn };
        Event { conn, kind: EventKind::Call(call), ..event }
    };
    events.map(moved).collect()
}

/// Many requests at once, the calls of each in their order.
fn interleaved(choices: &[(bool, usize)]) -> Vec<Input> {
    let scripts = choices.iter().zip(1u64..);
    let mut queues: Vec<_> = scripts
        .map(|((stream, _), by)| moved(if *stream { STREAM } else { WHOLE }, by << 16).into_iter().peekable())
        .collect();
    let mut inputs: Vec<Input> = inputs("").collect();
    for turn in 0.. {
        let (_, step) = choices[turn % choices.len()];
        let left: Vec<usize> = (0..queues.len()).filter(|queue| queues[*queue].peek().is_some()).collect();
        let Some(queue) = left.get((step + turn) % left.len().max(1)) else { break };
        inputs.extend(queues[*queue].next().map(Input::Kernel));
    }
    inputs
}

/// Any call, about few objects.
fn any_call() -> impl Strategy<Value = Event> {
    let hooks: Vec<Hook> = Hook::ALL.into_iter().filter(|hook| hook.is_call()).collect();
    let word = prop_oneof![0..12u64, Just(u64::MAX), 0..1_000_000u64];
    let words = prop::collection::vec(word, 0..8);
    (prop::sample::select(hooks), 0..12u64, words, "[a-c]{0,2}").prop_map(|(hook, id, words, text)| {
        let conn = ConnKey { tgid: SERVER, layer: Layer::Call, id, generation: 0 };
        let call = Call { thread: 1, words, text: text.into_bytes() };
        Event { time: Nanos(0), conn, hook, midway: false, thread: 0, kind: EventKind::Call(call) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn requests_are_told_apart(choices in prop::collection::vec((any::<bool>(), 0..64usize), 1..24)) {
        let mut core = Core::new(Options::default());
        let out = play(&mut core, interleaved(&choices).into_iter());
        let ended = ended(&out);
        prop_assert_eq!(ended.len(), choices.len());
        for inference in ended {
            prop_assert_eq!(inference.quality, Quality::Complete);
            prop_assert_eq!(inference.responses, if inference.model == "stream" { 3 } else { 1 });
        }
        let mut rest = Vec::new();
        core.finish(Nanos(1), &mut rest);
        prop_assert!(rest.is_empty(), "{:?}", rest);
    }

    #[test]
    fn no_calls_break_the_core(calls in prop::collection::vec(any_call(), 1..200)) {
        let run = || {
            let mut core = Core::new(Options::default());
            let mut made = 0;
            let mut out = play(&mut core, inputs(""));
            for (at, mut event) in (1u64..).zip(calls.clone()) {
                event.time = Nanos(at * 1000);
                let EventKind::Call(call) = &event.kind else { unreachable!() };
                made += usize::from(match event.hook {
                    Hook::TritonRequestNew => call.words.len() > 1,
                    Hook::TritonInferAsync | Hook::TritonResponseSend | Hook::TritonFactorySendFlags => true,
                    _ => false,
                });
                core.step(Input::Kernel(event), &mut out);
            }
            let (time, tgid) = (Nanos(1_000_000), SERVER);
            core.step(Input::Process(ProcessChange::Ended { time, tgid }), &mut out);
            (out, made)
        };
        let (out, made) = run();
        let inferences = ended(&out);
        prop_assert!(inferences.len() <= made, "{} of {made}", inferences.len());
        for inference in inferences {
            prop_assert!(inference.end >= inference.arrival);
            prop_assert!(inference.gaps.len() as u64 <= inference.responses);
            prop_assert_eq!(inference.first_response.is_some(), inference.responses > 0);
        }
        prop_assert_eq!(out, run().0);
    }
}

/// Nothing that a server forgets to end makes the agent grow.
#[test]
fn what_is_under_way_has_a_bound() {
    let mut core = Core::new(Options::default());
    let mut out = play(&mut core, inputs(""));
    let requests = 70_000u64;
    let at = |number: u64, script: &str| moved(script, number << 16);
    for number in 0..requests {
        let calls = at(number, "1 new r1 echo -1\n2 infer r1\n3 factory f1 r1\n4 response p1 r1");
        calls.into_iter().for_each(|event| core.step(Input::Kernel(event), &mut out));
    }
    let cut = ended(&out).len() as u64;
    assert_eq!(cut, requests - 65_536);
    core.finish(Nanos(9_000_000), &mut out);
    assert_eq!(ended(&out).len() as u64, requests, "each is counted");
}
