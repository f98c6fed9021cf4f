//! What the processes of a server tell each other, read from the bytes on a front end's socket.

use super::scene::{SERVER, line, step_all};
use crate::config::EngineMessages;
use crate::core::{Core, Input, Options, Output, ProcessChange};
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use inferscope_ebpf::Hook;
use proptest::prelude::*;
use std::collections::HashMap;

/// As vLLM's own classes encode them: prompts of canaries, an iteration at 1001 s and one at 1002 s.
const MESSAGES: &str = include_str!("../../engine/vllm/testdata/messages-0.32.0.txt");
const ENGINE: Tgid = Tgid(8);
/// As libzmq sends it: first what says that it is ZeroMQ, then the rest.
const SIGNATURE: &[u8] = b"\xff\0\0\0\0\0\0\0\x01\x7f";
const READY: &[u8] = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH";

const FIRST: &str = "iteration of 1: 3 tokens";
const LAST: [&str; 3] =
    ["sequence cmpl-a-0-11111111: 2 tokens", "sequence chatcmpl-b-33333333: 3 tokens", "iteration of 1: 2 tokens"];
const OFF: [&str; 2] = ["Read Off", "Write Off"];

pub fn frames(name: &str) -> Vec<Vec<u8>> {
    let is_it = |line: &&str| line.split(' ').next() == Some(name);
    let message = MESSAGES.lines().find(is_it).unwrap();
    let byte = |hex: &[u8]| u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap();
    message.split(' ').skip(1).map(|frame| frame.as_bytes().chunks(2).map(byte).collect()).collect()
}

/// A message as it stands on the wire.
fn message(name: &str) -> Vec<u8> {
    let frames = frames(name);
    let last = frames.len() - 1;
    let encode = |(nth, body): (usize, Vec<u8>)| {
        let more = u8::from(nth < last);
        let mut frame = match u8::try_from(body.len()) {
            Ok(len) => vec![more, len],
            Err(_) => [&[2 | more][..], &(body.len() as u64).to_be_bytes()].concat(),
        };
        frame.extend(body);
        frame
    };
    frames.into_iter().enumerate().flat_map(encode).collect()
}

fn greeting() -> Vec<u8> {
    let mut greeting = [SIGNATURE, b"\x03\x01NULL"].concat();
    greeting.resize(64, 0);
    greeting
}

/// A server under the agent's eyes. Times are milliseconds.
struct Scene {
    core: Core,
    positions: HashMap<(ConnKey, Direction), u64>,
}

/// A connection that the front end accepted.
#[derive(Clone, Copy)]
struct Conn {
    id: u64,
    midway: bool,
}

const INPUT: Conn = Conn { id: 30, midway: false };
const OUTPUT: Conn = Conn { id: 31, midway: false };

impl Scene {
    fn new(messages: EngineMessages) -> Scene {
        let core = Core::new(Options { messages, ..Options::default() });
        let mut scene = Scene { core, positions: HashMap::new() };
        scene.started(0, SERVER, Role::Frontend);
        scene
    }

    fn step(&mut self, input: Input) -> Vec<String> {
        let mut out: Vec<Output> = Vec::new();
        self.core.step(input, &mut out);
        assert!(!format!("{out:?}").contains("canary"), "no text leaves the core");
        out.iter().map(line).collect()
    }

    fn started(&mut self, at: u64, tgid: Tgid, role: Role) {
        let (engine, service, model) = ("vllm".into(), "vllm:8000".into(), String::new());
        let (time, root, inside) = (Nanos(at * 1_000_000), SERVER, None);
        self.step(Input::Process(ProcessChange::Started { time, tgid, engine, service, root, inside, role, model }));
    }

    fn ended(&mut self, at: u64, tgid: Tgid) {
        self.step(Input::Process(ProcessChange::Ended { time: Nanos(at * 1_000_000), tgid }));
    }

    /// A call of the front end that moves these bytes.
    fn call(&mut self, at: u64, conn: Conn, direction: Direction, bytes: &[u8]) -> Vec<String> {
        let key = ConnKey { tgid: SERVER, layer: Layer::Socket, id: conn.id, generation: 1 };
        let segment = self.segment(key, direction, bytes);
        self.step(event(at, key, conn.midway, EventKind::Data(segment)))
    }

    fn segment(&mut self, key: ConnKey, direction: Direction, bytes: &[u8]) -> Segment {
        let position = self.positions.entry((key, direction)).or_default();
        let total = bytes.len() as u64;
        let segment = Segment { direction, position: *position, total, offset: 0, last: true, bytes: bytes.to_vec() };
        *position += total;
        segment
    }

    /// The event of a call was lost.
    fn lost(&mut self, conn: Conn, direction: Direction, bytes: &[u8]) {
        let key = ConnKey { tgid: SERVER, layer: Layer::Socket, id: conn.id, generation: 1 };
        self.segment(key, direction, bytes);
    }

    /// Both sides of a connection greet.
    fn greet(&mut self, at: u64, conn: Conn) -> Vec<String> {
        let greeting = greeting();
        let mut said = Vec::new();
        for (direction, bytes) in [
            (Direction::Write, SIGNATURE),
            (Direction::Read, SIGNATURE),
            (Direction::Write, &greeting[10..]),
            (Direction::Read, &greeting[10..]),
            (Direction::Write, READY),
            (Direction::Read, READY),
        ] {
            said.extend(self.call(at, conn, direction, bytes));
        }
        said
    }

    /// The engine's own library sends a message.
    fn engine_sends(&mut self, at: u64, name: &str) -> Vec<String> {
        let key = ConnKey { tgid: ENGINE, layer: Layer::Message, id: 0x7f00, generation: 1 };
        let frames = frames(name);
        let last = frames.len() - 1;
        let mut said = Vec::new();
        for (nth, body) in frames.iter().enumerate() {
            let segment = self.segment(key, Direction::Write, body);
            said.extend(self.step(event(at, key, true, EventKind::Frame { segment, more: nth < last })));
        }
        said
    }

    /// Of a server that is idle since long, a request and what came of it.
    fn request(&mut self) -> Vec<String> {
        let mut said = self.call(1_000_400, INPUT, Direction::Write, &message("add"));
        said.extend(self.call(1_001_100, OUTPUT, Direction::Read, &message("first")));
        said.extend(self.call(1_002_100, OUTPUT, Direction::Read, &message("last")));
        said
    }
}

fn event(at: u64, conn: ConnKey, midway: bool, kind: EventKind) -> Input {
    Input::Kernel(Event { time: Nanos(at * 1_000_000), conn, hook: Hook::Recv, midway, thread: 0, kind })
}

fn everything() -> Vec<&'static str> {
    [FIRST].into_iter().chain(LAST).collect()
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn without_an_engine_in_sight_the_wire_is_read() {
    for messages in [EngineMessages::Auto, EngineMessages::Wire] {
        let mut scene = Scene::new(messages);
        assert_eq!([scene.greet(1000, INPUT), scene.greet(1000, OUTPUT)].concat(), NOTHING);
        // It is idle for longer than noise is remembered.
        scene.step(Input::Tick(Nanos(999_000_000_000)));
        assert_eq!(scene.request(), everything());
    }
}

#[test]
fn splitting_calls_changes_nothing() {
    let bytes = [&greeting()[..], READY, &message("first"), &message("last")].concat();
    for at in 1..bytes.len() {
        let mut scene = Scene::new(EngineMessages::Auto);
        let (one, other) = bytes.split_at(at);
        let mut said = scene.call(1_002_100, OUTPUT, Direction::Read, one);
        said.extend(scene.call(1_002_100, OUTPUT, Direction::Read, other));
        assert_eq!(said, everything(), "at {at}");
    }
}

#[test]
fn it_is_not_read_where_another_end_is_asked_for() {
    for messages in [EngineMessages::Engine, EngineMessages::Frontend, EngineMessages::Off] {
        let mut scene = Scene::new(messages);
        assert_eq!(scene.call(1000, OUTPUT, Direction::Write, SIGNATURE), OFF);
    }
}

#[test]
fn where_the_engine_was_just_attached_to_its_word_is_waited_for() {
    let mut scene = Scene::new(EngineMessages::Auto);
    scene.started(1000, ENGINE, Role::Engine);
    assert_eq!(scene.greet(60_000, INPUT), OFF);
    assert_eq!(scene.greet(62_000, OUTPUT), NOTHING, "it had time enough");
    assert_eq!(scene.step(Input::Tick(Nanos(62_000_000_000))), ["Read Full", "Write Full"]);
    assert_eq!(scene.request(), everything());

    let mut scene = Scene::new(EngineMessages::Auto);
    scene.started(1_000_000, ENGINE, Role::Engine);
    assert_eq!(scene.greet(1_000_500, OUTPUT), OFF);
    assert_eq!(scene.engine_sends(1_001_100, "first"), [FIRST]);
    assert_eq!(scene.step(Input::Tick(Nanos(1_100_000_000_000))), ["iteration of 1: 0 tokens"], "it keeps silent");
}

#[test]
fn once_the_engine_speaks_the_wire_falls_silent_and_nothing_counts_twice() {
    let mut scene = Scene::new(EngineMessages::Auto);
    scene.started(1000, ENGINE, Role::Engine);
    scene.greet(100_000, INPUT);
    scene.greet(100_000, OUTPUT);
    assert_eq!(scene.call(1_000_400, INPUT, Direction::Write, &message("add")), NOTHING);
    assert_eq!(scene.call(1_001_100, OUTPUT, Direction::Read, &message("first")), [FIRST]);
    assert_eq!(scene.engine_sends(1_001_200, "first"), NOTHING, "it was read on the wire");
    assert_eq!(scene.engine_sends(1_002_100, "last"), LAST);
    assert_eq!(scene.call(1_002_200, OUTPUT, Direction::Read, &message("last")), OFF);
    assert_eq!(scene.call(1_003_100, OUTPUT, Direction::Read, &message("logprobs")), NOTHING);
    assert_eq!(scene.call(1_003_200, INPUT, Direction::Write, &message("abort")), OFF);
}

#[test]
fn when_the_engine_is_gone_the_next_one_is_read_on_the_wire() {
    let mut scene = Scene::new(EngineMessages::Auto);
    scene.started(1000, ENGINE, Role::Engine);
    assert_eq!(scene.engine_sends(1_001_100, "first"), [FIRST]);
    assert_eq!(scene.call(1_001_200, OUTPUT, Direction::Write, SIGNATURE), OFF);
    scene.ended(1_001_300, ENGINE);
    let later = Conn { id: 32, ..OUTPUT };
    assert_eq!(scene.greet(1_001_400, later), NOTHING);
    let said = scene.call(1_002_100, later, Direction::Read, &message("last"));
    assert_eq!(said.last().map(String::as_str), Some(LAST[2]));
}

#[test]
fn joined_midway_it_is_found_where_a_call_begins_like_a_frame() {
    let output = Conn { midway: true, ..OUTPUT };
    let mut scene = Scene::new(EngineMessages::Auto);
    let (first, last) = (message("first"), message("last"));
    assert_eq!(scene.call(1_001_100, output, Direction::Read, &first[200..]), NOTHING, "the rest of a frame");
    // What moves at once is one call, cut where the kernel's buffer ends.
    let both = [&first[..], &last].concat();
    assert_eq!(scene.call(1_002_100, output, Direction::Read, &both[..first.len() + 99]), [FIRST]);
    let said = scene.call(1_002_200, output, Direction::Read, &both[first.len() + 99..]);
    assert_eq!(said, LAST);
}

#[test]
fn what_only_looks_like_frames_is_given_up() {
    let mut scene = Scene::new(EngineMessages::Auto);
    let noise = Conn { id: 33, midway: true };
    let calls = |scene: &mut Scene, bytes: &[u8]| {
        (0..300_u64).position(|at| !scene.call(at, noise, Direction::Read, bytes).is_empty())
    };
    assert_eq!(calls(&mut scene, b"\0\x02hi"), Some(255));
    let mut scene = Scene::new(EngineMessages::Auto);
    scene.call(0, noise, Direction::Read, b"\0\x02hi");
    assert_eq!(calls(&mut scene, b"what"), Some(254));
    let mut scene = Scene::new(EngineMessages::Auto);
    assert_eq!(calls(&mut scene, &[0; 64]), Some(31), "empty frames are no evidence");
}

#[test]
fn a_loss_is_said_and_what_follows_is_read() {
    let mut scene = Scene::new(EngineMessages::Auto);
    scene.greet(1000, INPUT);
    scene.greet(1000, OUTPUT);
    scene.call(1_000_400, INPUT, Direction::Write, &message("add"));
    scene.lost(OUTPUT, Direction::Read, &message("first"));
    let mut out = Vec::new();
    let key = ConnKey { tgid: SERVER, layer: Layer::Socket, id: OUTPUT.id, generation: 1 };
    let segment = scene.segment(key, Direction::Read, &message("last"));
    scene.core.step(event(1_002_100, key, false, EventKind::Data(segment)), &mut out);
    let ended = out.iter().filter_map(|output| if let Output::Sequence(ended) = output { Some(ended) } else { None });
    let partial: Vec<_> = ended.map(|ended| (ended.sequence.id.as_str(), ended.sequence.partial)).collect();
    assert_eq!(partial, [("cmpl-a-0-11111111", true), ("chatcmpl-b-33333333", true)]);
    assert!(out.iter().any(|output| line(output) == "stream_gap"));
}

proptest! {
    #[test]
    fn no_bytes_break_the_core(
        midway in any::<bool>(),
        calls in prop::collection::vec((any::<bool>(), prop_oneof![
            prop::collection::vec(prop_oneof![0u8..8, any::<u8>()], 1..60),
            prop::sample::select(vec![SIGNATURE.to_vec(), greeting(), READY.to_vec(), message("add"), message("first")]),
        ]), 1..40),
    ) {
        let mut scene = Scene::new(EngineMessages::Wire);
        for (at, (sent, bytes)) in (1_001_100..).zip(&calls) {
            let direction = if *sent { Direction::Write } else { Direction::Read };
            scene.call(at, Conn { midway, ..INPUT }, direction, bytes);
        }
        step_all(scene.core, []);
    }
}
