//! What the core says of a server of jobs: of its WebSockets, its log, and bodies that nobody reads.

use super::scene::{Player, SOCKET, TLS, Wire, line, post, started_as, step_all, whole};
use crate::core::{Core, Input, Options, Output};
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment};
use flate2::{Compress, Compression, FlushCompress};
use inferscope_ebpf::Hook;

const ASK: &str = "GET /ws?clientId=canary HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\r\n";
const AGREE_DEFLATE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const GRAPH: &str = r#"{"prompt": {"3": {"class_type": "KSampler", "inputs": {"text": "canary"}},
                        "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}}}}"#;
const WATCHED: Wire = Wire { key: ConnKey { id: 30, ..SOCKET.key }, midway: false };
const WATCHED_MIDWAY: Wire = Wire { midway: true, ..WATCHED };
const LOG: Wire = Wire { key: ConnKey { layer: Layer::Socket, id: 2, ..SOCKET.key }, midway: true };

/// A run of the server: calls on its connections, ten milliseconds after each other.
struct Scene {
    player: Player,
    inputs: Vec<Input>,
    now: u64,
}

impl Scene {
    fn new() -> Scene {
        Scene { player: Player::default(), inputs: vec![started_as("comfyui")], now: 0 }
    }

    fn event(&mut self, wire: Wire, kind: EventKind) -> &mut Scene {
        self.now += 10_000_000;
        let event =
            Event { time: Nanos(self.now), conn: wire.key, hook: Hook::Read, thread: 0, midway: wire.midway, kind };
        self.inputs.push(Input::Kernel(event));
        self
    }

    fn read(&mut self, wire: Wire, bytes: &str) -> &mut Scene {
        let kind = self.player.bytes(wire, Direction::Read, bytes.as_bytes());
        self.event(wire, kind)
    }

    fn write(&mut self, wire: Wire, bytes: impl AsRef<[u8]>) -> &mut Scene {
        let kind = self.player.bytes(wire, Direction::Write, bytes.as_ref());
        self.event(wire, kind)
    }

    /// A call of which only the first `copied` bytes are copied.
    fn large(&mut self, wire: Wire, direction: Direction, bytes: &[u8], copied: usize) -> &mut Scene {
        let EventKind::Data(segment) = self.player.bytes(wire, direction, bytes) else { unreachable!() };
        let segment = Segment { bytes: segment.bytes[..copied].to_vec(), ..segment };
        self.event(wire, EventKind::Data(segment))
    }

    fn lost(&mut self, wire: Wire, bytes: &[u8]) -> &mut Scene {
        let _ = self.player.bytes(wire, Direction::Write, bytes);
        self
    }

    fn submit(&mut self) -> &mut Scene {
        let answer = whole("200 OK", r#"{"prompt_id": "p1", "number": 0, "node_errors": {}}"#);
        self.read(SOCKET, &post("/prompt", GRAPH)).write(SOCKET, answer)
    }

    fn out(&mut self) -> Vec<Output> {
        let out = step_all(Core::new(Options::default()), std::mem::take(&mut self.inputs));
        assert!(!format!("{out:?}").contains("canary"), "no text leaves the core");
        out
    }

    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        let lines: Vec<String> = self.out().iter().map(line).collect();
        assert_eq!(lines, expected, "\n{}", lines.join("\n"));
    }
}

/// What a watching client is told of a job of two steps.
fn messages() -> Vec<String> {
    [
        r#"{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 1}}, "sid": "canary"}}"#,
        r#"{"type": "execution_start", "data": {"prompt_id": "p1"}}"#,
        r#"{"type": "execution_cached", "data": {"nodes": [], "prompt_id": "p1"}}"#,
        r#"{"type": "executing", "data": {"node": "3", "display_node": "3", "prompt_id": "p1"}}"#,
        r#"{"type": "progress", "data": {"value": 1, "max": 2, "prompt_id": "p1", "node": "3"}}"#,
        r#"{"type": "progress", "data": {"value": 2, "max": 2, "prompt_id": "p1", "node": "3"}}"#,
        r#"{"type": "executing", "data": {"node": "9", "display_node": "9", "prompt_id": "p1"}}"#,
        r#"{"type": "executed", "data": {"node": "9", "output": {"images": [{"filename": "canary"}]}, "prompt_id": "p1"}}"#,
        r#"{"type": "execution_success", "data": {"prompt_id": "p1"}}"#,
        r#"{"type": "executing", "data": {"node": null, "prompt_id": "p1"}}"#,
    ]
    .map(str::to_owned)
    .to_vec()
}

const LINES: [&str; 5] = [
    "got prompt\n",
    "\r  0%|          | 0/2 [00:00<?, ?it/s]",
    "\r 50%|#####     | 1/2 [00:00<00:00, 99.00it/s]",
    "\r100%|##########| 2/2 [00:00<00:00, 99.00it/s]\n",
    "Prompt executed in 0.05 seconds\n",
];

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let head = match len {
        ..126 => vec![first, u8::try_from(len).unwrap()],
        _ => [vec![first, 126], u16::try_from(len).unwrap().to_be_bytes().to_vec()].concat(),
    };
    [head.as_slice(), payload].concat()
}

fn plain() -> Vec<Vec<u8>> {
    messages().iter().map(|message| frame(0x81, message.as_bytes())).collect()
}

fn deflated() -> Vec<Vec<u8>> {
    let mut deflater = Compress::new(Compression::default(), false);
    let mut deflate = |message: &String| {
        let mut out = Vec::with_capacity(4096);
        deflater.compress_vec(message.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        frame(0xc1, &out)
    };
    messages().iter().map(&mut deflate).collect()
}

const CALL: &str = "call prompt 200";
const BY_MESSAGES: &str = "job p1 success complete by messages steps=Some(2) cached=Some(0) images=Some(1)";

#[test]
fn a_client_watches() {
    let mut scene = Scene::new();
    scene.read(WATCHED, ASK).write(WATCHED, AGREE).submit();
    for frame in plain() {
        scene.write(WATCHED, frame);
    }
    scene.check(&["Read Off", CALL, BY_MESSAGES]);
}

#[test]
fn a_job_belongs_to_the_trace_that_it_was_asked_for_in() {
    let mut scene = Scene::new();
    scene.read(WATCHED, ASK).write(WATCHED, AGREE);
    let traced = "\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    let answer = whole("200 OK", r#"{"prompt_id": "p1", "number": 0, "node_errors": {}}"#);
    scene.read(SOCKET, &post("/prompt", GRAPH).replacen("\r\n", traced, 1)).write(SOCKET, answer);
    for frame in plain() {
        scene.write(WATCHED, frame);
    }
    let out = scene.out();
    let job = out.iter().find_map(|output| if let Output::Job(job) = output { Some(job) } else { None }).unwrap();
    assert_eq!(job.trace.as_ref().map(|caller| caller.parent), Some(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()));
    let nodes: Vec<_> = job.turns.iter().map(|turn| (&*turn.node, turn.stretch.nanos() / 1_000_000)).collect();
    assert_eq!(nodes, [("3", 30), ("9", 20)]);
}

#[test]
fn a_browser_watches() {
    let mut scene = Scene::new();
    scene.read(WATCHED, ASK).write(WATCHED, AGREE_DEFLATE).submit();
    for frame in deflated() {
        scene.write(WATCHED, frame);
    }
    scene.check(&["Read Off", "Write Head(131072)", CALL, BY_MESSAGES]);
}

#[test]
fn over_tls_behind_other_requests_and_in_one_call() {
    for (agree, frames, volume) in [(AGREE, plain(), None), (AGREE_DEFLATE, deflated(), Some("Write Head(131072)"))] {
        let mut scene = Scene::new();
        scene.submit();
        scene.read(TLS, "GET /api/userdata HTTP/1.1\r\n\r\n").write(TLS, whole("404 Not Found", "{}"));
        scene.read(TLS, "GET / HTTP/1.1\r\n\r\n").write(TLS, whole("200 OK", "<html>"));
        scene.read(TLS, ASK);
        let first = [agree.as_bytes(), &frames.concat()].concat();
        scene.write(TLS, first);
        let expected: Vec<_> = [CALL, "Read Off"].into_iter().chain(volume).chain([BY_MESSAGES]).collect();
        scene.check(&expected);
    }
}

#[test]
fn nobody_watches() {
    let mut scene = Scene::new();
    scene.submit();
    for line in LINES {
        scene.write(LOG, line);
    }
    scene.check(&[CALL, "job p1 success complete by log steps=Some(2) cached=None images=Some(1)"]);
}

#[test]
fn a_browser_that_was_there_before_is_not_understood_and_the_log_is() {
    let mut scene = Scene::new();
    scene.submit();
    for (frame, line) in deflated().iter().zip(LINES) {
        scene.write(WATCHED_MIDWAY, frame).write(LOG, line);
    }
    let lines: Vec<String> = scene.out().iter().map(line).collect();
    assert!(lines.contains(&"websocket_unreadable".to_owned()), "{lines:?}");
    assert!(lines.contains(&"Write Off".to_owned()), "{lines:?}");
    let job = lines.iter().find(|line| line.starts_with("job")).unwrap();
    assert!(job.starts_with("job p1 success") && job.contains("by log steps=Some(2)"), "{job}");
}

#[test]
fn a_client_that_was_there_before() {
    let mut scene = Scene::new();
    scene.read(WATCHED_MIDWAY, "\u{1}\u{1}");
    scene.submit();
    for frame in plain() {
        scene.write(WATCHED_MIDWAY, frame);
    }
    scene.check(&[CALL, "Read Off", BY_MESSAGES]);
}

#[test]
fn a_lost_call_is_a_gap() {
    let mut scene = Scene::new();
    scene.read(WATCHED, ASK).write(WATCHED, AGREE).submit();
    for (number, frame) in plain().iter().enumerate() {
        let _ = if number == 4 { scene.lost(WATCHED, frame) } else { scene.write(WATCHED, frame) };
    }
    let lines: Vec<String> = scene.out().iter().map(line).collect();
    let job = lines.iter().find(|line| line.starts_with("job")).unwrap();
    assert!(lines.contains(&"stream_gap".to_owned()) && job.contains("success gap by messages"), "{lines:?}");
}

#[test]
fn pictures_are_not_copied_once_one_was_seen() {
    let mut scene = Scene::new();
    scene.read(WATCHED, ASK).write(WATCHED, AGREE).submit();
    let picture = vec![7; 38_000];
    // As asyncio sends large frames: the header alone.
    let head = [&[0x82, 126][..], &u16::try_from(picture.len()).unwrap().to_be_bytes()].concat();
    for frame in plain() {
        scene.write(WATCHED, frame).write(WATCHED, &head).large(WATCHED, Direction::Write, &picture, 16_384);
    }
    scene.check(&["Read Off", CALL, "Write Head(16384)", BY_MESSAGES]);
}

#[test]
fn an_upload_costs_no_copy() {
    let mut scene = Scene::new();
    let body = vec![b'x'; 1 << 20];
    let head = format!("POST /upload/image HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
    scene.read(SOCKET, &head);
    let (first, rest) = body.split_at(1 << 18);
    scene.large(SOCKET, Direction::Read, first, 65_536);
    for chunk in rest.chunks(1 << 18) {
        scene.large(SOCKET, Direction::Read, chunk, 0);
    }
    scene.write(SOCKET, whole("200 OK", "{}")).submit();
    let end = head.len() + body.len() - 1;
    let asked = format!("Read SizeOnlyWhile {{ received: {end} }}");
    // The next request on it is read.
    let given_up = "job p1 unknown truncated by none steps=None cached=None images=None";
    scene.check(&[&asked, "call upload 200", CALL, given_up]);
}

#[test]
fn a_file_that_is_sent_by_the_kernel() {
    let mut scene = Scene::new();
    scene.read(SOCKET, "GET /view?filename=canary HTTP/1.1\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 300000\r\n\r\n";
    scene.write(SOCKET, head).large(SOCKET, Direction::Write, &vec![0; 300_000], 0).submit();
    let asked = format!("Write SizeOnlyWhile {{ received: {} }}", "GET /view?filename=canary HTTP/1.1\r\n\r\n".len());
    let given_up = "job p1 unknown truncated by none steps=None cached=None images=None";
    scene.check(&[&asked, "call view 200", CALL, given_up]);
}

#[test]
fn what_is_accepted_at_a_descriptor_of_a_log_is_no_log() {
    let mut scene = Scene::new();
    let accepted = Wire { key: LOG.key, midway: false };
    scene.event(accepted, EventKind::Opened);
    let answer = whole("200 OK", r#"{"prompt_id": "p1", "number": 0, "node_errors": {}}"#);
    scene.read(accepted, &post("/prompt", GRAPH)).write(accepted, answer);
    let given_up = "job p1 unknown truncated by none steps=None cached=None images=None";
    scene.check(&[CALL, given_up]);
}

#[test]
fn of_too_many_clients_the_newest_is_not_heard() {
    let mut scene = Scene::new();
    for number in 0..1025 {
        let wire = Wire { key: ConnKey { id: 100 + number, ..SOCKET.key }, midway: false };
        scene.read(wire, ASK).write(wire, AGREE);
    }
    let lines: Vec<String> = scene.out().iter().map(line).collect();
    assert_eq!(lines.iter().filter(|line| *line == "websocket_unreadable").count(), 1);
    assert_eq!(lines.last().map(String::as_str), Some("Write Off"));
}
