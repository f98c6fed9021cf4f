#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::core::{Core, Input, Options, Output, ProcessChange};
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use crate::tape::redact::tests::record;
use inferscope_ebpf::Hook;

const SERVER: Tgid = Tgid(7);
const JOB: &str = "cece71de-884b-46e3-b39d-4fd2cf3bc56d";

/// What happens, in order: a descriptor, a direction, and the bytes of one call.
fn calls(agree: &str) -> Vec<(u64, Direction, Vec<u8>)> {
    let http = |head: &str, body: &str| {
        let head = format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        (head + body).into_bytes()
    };
    let frame = |text: &str| {
        let (len, text) = (u16::try_from(text.len()).unwrap(), text.as_bytes());
        let head = if len < 126 { vec![0x81, len as u8] } else { [&[0x81, 126], &len.to_be_bytes()[..]].concat() };
        (30, Direction::Write, [head.as_slice(), text].concat())
    };
    let line = |text: &str| (2, Direction::Write, text.as_bytes().to_vec());
    let read = |bytes: Vec<u8>| (20, Direction::Read, bytes);
    let write = |bytes: Vec<u8>| (20, Direction::Write, bytes);
    let graph = r#"{"client_id": "CANARY", "prompt": {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}, "_meta": {"title": "CANARY"}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "CANARY \"x\"", "clip": ["4", 1], "type": "CANARY", "node": "CANARY", "value": 77342}},
        "3": {"class_type": "KSampler", "inputs": {"seed": 77342, "steps": 2, "sampler_name": "euler", "model": ["4", 0], "CANARY": {"text": "CANARY"}}},
        "9:1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "CANARY", "images": ["3", 0]}}},
        "extra_data": {"extra_pnginfo": {"workflow": {"type": "CANARY", "nodes": ["CANARY"]}}, "class_type": "CANARY"}}"#;
    let submitted = format!(r#"{{"prompt_id": "{JOB}", "number": 3, "node_errors": {{}}}}"#);
    let refused = r#"{"error": {"type": "prompt_outputs_failed_validation", "message": "CANARY", "details": "CANARY", "extra_info": {"type": "CANARY"}}, "node_errors": {"6": {"errors": [{"type": "value_not_in_list", "message": "CANARY"}], "class_type": "CLIPTextEncode"}}}"#;
    let past = format!(
        r#"{{"{JOB}": {{"prompt": [3, "{JOB}", {{"6": {{"class_type": "CLIPTextEncode", "inputs": {{"text": "CANARY"}}}}}}, {{"client_id": "CANARY"}}, ["9:1"]],
        "outputs": {{"9:1": {{"images": [{{"filename": "CANARY", "subfolder": "", "type": "output"}}], "text": ["CANARY"]}}}},
        "status": {{"status_str": "error", "completed": false, "messages": [["execution_start", {{"prompt_id": "{JOB}", "timestamp": 1795334648229}}],
        ["execution_cached", {{"nodes": ["4"], "prompt_id": "{JOB}", "timestamp": 1795334648230}}],
        ["execution_error", {{"prompt_id": "{JOB}", "node_id": "3", "node_type": "KSampler", "executed": ["6"], "exception_message": "CANARY", "exception_type": "ValueError", "traceback": ["CANARY"], "current_inputs": {{"text": ["CANARY"]}}, "timestamp": 1795334648729}}]]}}, "meta": {{}}}}}}"#
    );
    let message =
        |kind: &str, data: &str| frame(&format!(r#"{{"type": "{kind}", "data": {{{data}"prompt_id": "{JOB}"}}}}"#));
    vec![
        (
            30,
            Direction::Read,
            b"GET /ws?clientId=CANARY HTTP/1.1\r\nUpgrade: websocket\r\nCookie: CANARY\r\n\r\n".to_vec(),
        ),
        (30, Direction::Write, format!("HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n{agree}\r\n").into_bytes()),
        frame(r#"{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "CANARY"}}"#),
        (30, Direction::Read, b"\x81\x86CANARYCANARY".to_vec()),
        line("got prompt\n"),
        read(http("POST /prompt HTTP/1.1", graph)),
        write(http("HTTP/1.1 200 OK", &submitted)),
        message("execution_start", r#""timestamp": 1795334648229, "#),
        message("execution_cached", r#""nodes": ["4"], "#),
        message("executing", r#""node": "6", "display_node": "6", "#),
        message(
            "progress_state",
            r#""nodes": {"6": {"value": 0.0, "max": 1.0, "state": "running", "CANARY": "CANARY"}}, "#,
        ),
        (30, Direction::Write, b"\x82\x06CANARY\x89\x06CANARY".to_vec()),
        message("executing", r#""node": "3", "display_node": "3", "#),
        line("\r  0%|          | 0/2 [00:00<?, ?it/s]"),
        message("progress", r#""value": 1, "max": 2, "node": "3", "#),
        line("\r 50%|\u{2588}\u{2588}   | 1/2 [00:00<00:00, 99.00it/s]CANARY"),
        message(
            "executed",
            r#""node": "9:1", "output": {"text": ["CANARY"], "images": [{"filename": "CANARY", "type": "output"}]}, "#,
        ),
        line("\nthe CANARY\n100% CANARY\nRequested to load CANARY\nProcessing CANARY\n"),
        line(
            "!!! Exception during processing !!! CANARY\nTraceback (most recent call last):\n  File \"CANARY\", line 1\n",
        ),
        line("ValueError: CANARY\nCANARY: CANARY\n\nPrompt executed in 0.05 seconds\n"),
        message(
            "execution_error",
            r#""exception_type": "ValueError", "exception_message": "CANARY", "current_inputs": {"text": ["CANARY"]}, "#,
        ),
        message("executing", r#""node": null, "#),
        read(format!("GET /history/{JOB} HTTP/1.1\r\n\r\n").into_bytes()),
        write(http("HTTP/1.1 200 OK", &past)),
        read(http("POST /prompt HTTP/1.1", graph)),
        write(http("HTTP/1.1 400 Bad Request", refused)),
        read(http("POST /queue HTTP/1.1", r#"{"delete": ["a-b-c"], "clear": false}"#)),
        write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec()),
    ]
}

/// As the kernel side sees it, each call in records of at most `most` bytes.
fn inputs(agree: &str, most: usize) -> Vec<Input> {
    let mut inputs = vec![Input::Process(ProcessChange::Started {
        time: Nanos(0),
        tgid: SERVER,
        engine: "comfyui".into(),
        service: "comfyui:8188".into(),
        root: SERVER,
        inside: None,
        role: Role::Frontend,
        model: String::new(),
    })];
    let mut positions = std::collections::HashMap::new();
    for (time, (id, direction, bytes)) in (1..).zip(calls(agree)) {
        let position: &mut u64 = positions.entry((id, direction)).or_default();
        let conn = ConnKey { tgid: SERVER, layer: Layer::Socket, id, generation: 1 };
        for (index, piece) in bytes.chunks(most).enumerate() {
            let offset = index * most;
            let segment = Segment {
                direction,
                position: *position,
                total: bytes.len() as u64,
                offset: u32::try_from(offset).unwrap(),
                last: offset + piece.len() == bytes.len(),
                bytes: piece.to_vec(),
            };
            let kind = EventKind::Data(segment);
            let time = Nanos(time * 10_000_000);
            inputs.push(Input::Kernel(Event { time, conn, hook: Hook::Write, thread: 0, midway: id == 2, kind }));
        }
        *position += bytes.len() as u64;
    }
    inputs
}

fn play(inputs: &[Input]) -> Vec<Output> {
    let (mut core, mut out) = (Core::new(Options::default()), Vec::new());
    inputs.iter().for_each(|input| core.step(input.clone(), &mut out));
    core.finish(Nanos(90_000_000_000), &mut out);
    out
}

#[test]
fn a_masked_tape_says_the_same_of_jobs() {
    let expected = play(&inputs("", usize::MAX));
    let said = format!("{expected:?}");
    for word in [JOB, "dream.safetensors", "ValueError", "prompt_outputs_failed_validation"] {
        assert!(said.contains(word), "{word} in {expected:#?}");
    }
    for most in [usize::MAX, 1, 2, 7, 100] {
        let inputs = inputs("", most);
        assert_eq!(play(&record(&inputs)), expected, "records of {most} bytes");
    }
}

#[test]
fn a_client_that_was_there_before_is_read_from_a_tape_as_well() {
    let mut inputs = inputs("", usize::MAX);
    // Its handshake.
    inputs.drain(1..3);
    for input in &mut inputs {
        let Input::Kernel(event) = input else { continue };
        event.midway |= event.conn.id == 30;
    }
    let expected = play(&inputs);
    assert!(format!("{expected:?}").contains("source: Messages"), "{expected:#?}");
    assert_eq!(play(&record(&inputs)), expected);
}

#[test]
fn deflated_messages_become_unreadable() {
    let agree = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut inputs = inputs(agree, usize::MAX);
    for input in &mut inputs {
        let Input::Kernel(Event { conn: ConnKey { id: 30, .. }, kind: EventKind::Data(segment), .. }) = input else {
            continue;
        };
        if segment.bytes[0] == 0x81 {
            segment.bytes[0] = 0xc1;
        }
    }
    let issues = |out: Vec<Output>| out.into_iter().filter(|output| matches!(output, Output::Issue(_))).count();
    assert_eq!(issues(play(&record(&inputs))), 2);
}

#[test]
fn behind_a_gap_nothing_stays() {
    for missing in 2..inputs("", usize::MAX).len() {
        let mut inputs = inputs("", usize::MAX);
        inputs.remove(missing);
        record(&inputs);
    }
    for (missing, _) in inputs("", 50).iter().enumerate().skip(1).step_by(7) {
        let mut inputs = inputs("", 50);
        inputs.remove(missing);
        record(&inputs);
    }
}
