//! Frames of ZeroMQ messages through the real libzmq: those on a tape are those that were sent and received.

use inferscope::core::Input;
use inferscope::event::{Direction, Event, EventKind, Layer, Segment, Tgid};
use inferscope::tape::Reader;
use inferscope_tests::recorder::{Recorder, Text};
use inferscope_tests::vllm;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Byte i of a frame is (seed + i) % PERIOD.
const PERIOD: u64 = 251;
/// Of a frame the first bytes are copied, and where that is not all, its last ones.
const FIRST: u64 = 128 * 1024;
const LAST: u64 = 1024;
/// A real vLLM on this machine is none of our business.
const CONFIGURATION: &str = "engines: {vllm: {enabled: false}}\nservers: [{engine: vllm, argv: zmq_talk.py}]\n";

/// One call that moved a frame: as the program says, and as the tape has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    socket: u64,
    direction: Direction,
    size: u64,
    more: bool,
}

#[test]
#[ignore = "needs root and pyzmq: cargo xtask test --engines"]
fn every_frame_is_on_the_tape() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("engines-frames");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let mut talker = Talker::start();
    let tape = folder.join("messages.tape");
    let recorder = Recorder::start(&tape, &folder.join("recorder.log"), Text::Kept, CONFIGURATION);
    let mut recorder = recorder.expect("the recorder starts");
    recorder.attached(Some(talker.child.id())).expect("libzmq's functions are probed");
    let said = talker.talk();
    recorder.stop().expect("a tape");
    let taped = taped(&tape, Tgid(talker.child.id()), &said);
    println!("{} frames, {} bytes", said.len(), said.iter().map(|(frame, _)| frame.size).sum::<u64>());
    let on_tape: Vec<Frame> = taped.iter().map(|(frame, _)| *frame).collect();
    let moved: Vec<Frame> = said.iter().map(|(frame, _)| *frame).collect();
    assert_eq!(on_tape, moved);
    let mut positions: BTreeMap<(u64, Direction), u64> = BTreeMap::new();
    for ((frame, seed), (_, segments)) in said.iter().zip(&taped) {
        let position = positions.entry((frame.socket, frame.direction)).or_default();
        assert!(segments.iter().all(|segment| segment.position == *position), "{frame:?} at {position}");
        *position += frame.size;
        assert_eq!(copied(segments, *seed), bound(frame.size), "{frame:?}");
    }
}

/// How many bytes are copied of a frame.
fn bound(size: u64) -> u64 {
    size.min(FIRST) + size.saturating_sub(FIRST).min(LAST)
}

/// How many different bytes of a frame its segments hold; all of them must be right.
fn copied(segments: &[Segment], seed: u64) -> u64 {
    let mut end = 0;
    for segment in segments {
        let offset = u64::from(segment.offset);
        assert!(offset >= end, "segments come in order");
        let expected = (offset..).map(|at| ((seed + at) % PERIOD) as u8);
        let wrong = segment.bytes.iter().zip(expected).position(|(byte, expected)| *byte != expected);
        assert_eq!(wrong, None, "of {} bytes at {offset}", segment.bytes.len());
        end = offset + segment.bytes.len() as u64;
    }
    segments.iter().map(|segment| segment.bytes.len() as u64).sum()
}

/// The frames on a tape that moved on the sockets of `said`: pyzmq has some of its own.
fn taped(tape: &Path, tgid: Tgid, said: &[(Frame, u64)]) -> Vec<(Frame, Vec<Segment>)> {
    let reader = Reader::new(File::open(tape).expect("a tape")).expect("a tape");
    let (mut frames, mut segments) = (Vec::new(), Vec::new());
    for input in reader {
        let Input::Kernel(Event { conn, kind: EventKind::Frame { segment, more }, .. }) = input.expect("a whole tape")
        else {
            continue;
        };
        let ours = said.iter().any(|(frame, _)| frame.socket == conn.id);
        if conn.tgid != tgid || conn.layer != Layer::Message || !ours {
            continue;
        }
        let frame = Frame { socket: conn.id, direction: segment.direction, size: segment.total, more };
        let last = segment.last;
        segments.push(segment);
        if last {
            frames.push((frame, std::mem::take(&mut segments)));
        }
    }
    frames
}

/// tests/engines/zmq_talk.py.
struct Talker {
    child: Child,
}

impl Talker {
    /// Starts it and waits until it has loaded libzmq.
    fn start() -> Talker {
        let mut command = Command::new(vllm::engines().join("venv-vllm/bin/python"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("engines/zmq_talk.py"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let mut ready = [0; "ready\n".len()];
        let stdout = child.stdout.as_mut().expect("a piped stdout");
        std::io::Read::read_exact(stdout, &mut ready).expect("zmq_talk.py is ready");
        Talker { child }
    }

    /// Lets it talk to its end. The frames that it says to have moved, with their seeds.
    fn talk(&mut self) -> Vec<(Frame, u64)> {
        writeln!(self.child.stdin.as_mut().expect("a piped stdin")).expect("it waits");
        let lines = BufReader::new(self.child.stdout.take().expect("a piped stdout")).lines();
        let said = lines.map(|line| frame(&line.expect("a line"))).collect();
        assert!(self.child.wait().expect("it ends").success(), "zmq_talk.py fails");
        said
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn frame(line: &str) -> (Frame, u64) {
    let said: Value = serde_json::from_str(line).expect("a line of JSON");
    let number = |name: &str| said[name].as_u64().expect("a number");
    let write = said["write"].as_bool().expect("write");
    let direction = if write { Direction::Write } else { Direction::Read };
    let more = said["more"].as_bool().expect("more");
    (Frame { socket: number("socket"), direction, size: number("size"), more }, number("seed"))
}
