//! Answers of which only the edges are read.

use super::scene::*;
use crate::config::Http;
use crate::core::{Core, Input, Options, Output, ProcessChange, Volume};
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use crate::request::Record;
use inferscope_ebpf::Hook;
use std::collections::HashMap;

/// As vLLM 0.32 says them, with stamps around 1000 s: see engine/vllm/testdata.
const MESSAGES: &str = include_str!("../../engine/vllm/testdata/messages-0.32.0.txt");
/// Microseconds; behind the messages' stamps.
const START: u64 = 1_001_000_000;
const ENGINE: Tgid = Tgid(8);

struct Play {
    core: Core,
    player: Player,
    positions: HashMap<Direction, u64>,
    out: Vec<Output>,
}

impl Play {
    fn new(http: Http) -> Play {
        let core = Core::new(Options { http, ..Options::default() });
        let mut play = Play { core, player: Player::default(), positions: HashMap::new(), out: Vec::new() };
        let (engine, service) = ("vllm".to_owned(), "vllm:8000".to_owned());
        let (time, root, role, model) = (Nanos(0), SERVER, Role::Engine, String::new());
        let process = ProcessChange::Started {
            time,
            tgid: ENGINE,
            engine,
            service: service.into(),
            root,
            inside: None,
            role,
            model,
        };
        play.inputs([started(), Input::Process(process)]);
        play
    }

    fn inputs(&mut self, inputs: impl IntoIterator<Item = Input>) {
        inputs.into_iter().for_each(|input| self.core.step(input, &mut self.out));
    }

    fn act(&mut self, micros: u64, act: &Act) {
        let inputs = self.player.play(SOCKET, START + micros, act);
        self.inputs(inputs);
    }

    /// A call of the answer that was not copied.
    fn unread(&mut self, micros: u64, bytes: usize) {
        let Input::Kernel(mut event) = self.player.play(SOCKET, START + micros, &write("x".repeat(bytes))).remove(0)
        else {
            unreachable!()
        };
        let EventKind::Data(segment) = &mut event.kind else { unreachable!() };
        segment.bytes.clear();
        self.inputs([Input::Kernel(event)]);
    }

    /// A message of the fixtures: steps are sent, all else is received.
    fn message(&mut self, micros: u64, name: &str) {
        let line = MESSAGES.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        let frames: Vec<&str> = line.split(' ').collect();
        let direction = if frames.len() == 1 { Direction::Write } else { Direction::Read };
        for (index, hex) in frames.iter().enumerate() {
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
            let position = self.positions.entry(direction).or_default();
            let total = bytes.len() as u64;
            let segment = Segment { direction, position: *position, total, offset: 0, last: true, bytes };
            *position += total;
            let kind = EventKind::Frame { segment, more: index + 1 < frames.len() };
            let conn = ConnKey { tgid: ENGINE, layer: Layer::Message, id: 1, generation: 1 };
            let time = Nanos((START + micros) * 1000);
            self.inputs([Input::Kernel(Event { time, conn, hook: Hook::ZmqMsgRecv, midway: true, thread: 0, kind })]);
        }
    }

    /// A streamed completion up to its first content.
    fn begin(&mut self) {
        self.act(0, &read(post("/v1/completions", ASK)));
        self.act(10, &write(STREAM));
        self.message(20, "add");
        self.message(100, "first");
        self.act(110, &write(token(0, "a").replace("cmpl-9b", "cmpl-a")));
    }

    fn records(&self) -> Vec<&Record> {
        let records =
            self.out.iter().map(|output| if let Output::Record(record) = output { Some(&**record) } else { None });
        records.flatten().collect()
    }

    /// What the answer under way was asked to be cut down to.
    fn asked(&self) -> Option<Volume> {
        self.out.iter().find_map(|output| match output {
            Output::Volume { conn, direction: Direction::Write, volume } if conn.tgid == SERVER => Some(*volume),
            _ => None,
        })
    }
}

#[track_caller]
fn ended_at(record: &Record, micros: u64) {
    let line = (record.end.0 / 1000 - START, record.status.name(), record.quality.name(), record.content_events);
    assert_eq!(line, (micros, "ok", "complete", 0));
    assert_eq!(record.first_content.map(|time| time.0 / 1000 - START), Some(110));
    assert_eq!(record.sequences.len(), 1);
    assert_eq!(record.finish_reason.as_deref(), Some("length"));
}

#[test]
fn an_answer_ends_with_its_last_chunk() {
    let mut play = Play::new(Http::Edges);
    play.begin();
    let received = post("/v1/completions", ASK).len() as u64;
    assert_eq!(play.asked(), Some(Volume::SizeOnlyWhile { received }));
    play.unread(200, 300);
    play.message(290, "last");
    play.unread(300, 300);
    play.unread(310, 19);
    assert!(play.records().is_empty());
    play.unread(320, 5);
    ended_at(play.records()[0], 320);
    play.act(400, &read(post("/v1/completions", ASK)));
    play.act(410, &write(whole("200 OK", "{}")));
    assert_eq!(play.records().len(), 2, "the next answer is read whole");
    assert_eq!(play.records()[1].quality.name(), "complete");
}

#[test]
fn an_answer_ends_with_its_last_write_when_the_client_goes_on() {
    let after: [fn(&mut Play); 3] = [
        |play| play.act(900, &read(post("/v1/completions", ASK))),
        |play| play.act(900, &Act::Closed),
        |play| play.inputs([Input::Tick(Nanos((START + 2_000_000) * 1000))]),
    ];
    for after in after {
        let mut play = Play::new(Http::Edges);
        play.begin();
        play.message(290, "last");
        play.unread(300, 700);
        play.inputs([Input::Tick(Nanos((START + 500_000) * 1000))]);
        assert!(play.records().is_empty());
        after(&mut play);
        ended_at(play.records()[0], 300);
    }
}

#[test]
fn a_client_that_leaves_before_the_engine_is_done_has_cancelled() {
    let mut play = Play::new(Http::Edges);
    play.begin();
    play.unread(300, 700);
    play.unread(310, 5);
    assert!(play.records().is_empty(), "a short write may be as long as a last chunk");
    play.act(400, &Act::Eof);
    play.act(410, &Act::Closed);
    assert_eq!(play.records()[0].status.name(), "cancelled");
}

#[test]
fn what_comes_before_the_kernel_side_has_heard_is_read() {
    let mut play = Play::new(Http::Edges);
    play.begin();
    play.message(150, "last");
    play.act(200, &write(DONE));
    play.act(210, &write(END));
    let record = play.records()[0];
    assert_eq!((record.end.0 / 1000 - START, record.content_events, record.status.name()), (210, 1, "ok"));
}

#[test]
fn without_messages_everything_is_read() {
    let mut play = Play::new(Http::Edges);
    play.act(0, &read(post("/v1/completions", ASK)));
    play.act(10, &write(STREAM));
    play.act(110, &write(token(0, "a")));
    assert_eq!(play.asked(), None);
    let mut play = Play::new(Http::Full);
    play.begin();
    assert_eq!(play.asked(), None);
}
