#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::core::{Input, ProcessChange};
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use inferscope_ebpf::Hook;

fn header(text: Text) -> Header {
    Header { created_at: "2026-01-02T03:04:05Z".to_owned(), agent_version: "0.1.0".to_owned(), text }
}

fn event(hook: Hook, kind: EventKind) -> Input {
    let conn = ConnKey { tgid: Tgid(7), layer: Layer::of(hook), id: u64::MAX, generation: 3 };
    Input::Kernel(Event { time: Nanos(99), conn, hook, midway: true, thread: 0, kind })
}

/// One of each kind.
fn inputs() -> Vec<Input> {
    let segment = Segment {
        direction: Direction::Write,
        position: 1 << 40,
        total: 70_000,
        offset: 4_032,
        last: true,
        bytes: b"anything".to_vec(),
    };
    vec![
        Input::Process(ProcessChange::Started {
            time: Nanos(1),
            tgid: Tgid(7),
            engine: "vllm".to_owned(),
            service: "vllm:8000".into(),
            root: Tgid(6),
            inside: Some(Tgid(5)),
            role: Role::Engine,
            model: "tiny".to_owned(),
        }),
        event(Hook::Accept4, EventKind::Opened),
        event(Hook::SslWriteEx, EventKind::Data(segment.clone())),
        event(Hook::ZmqMsgSend, EventKind::Frame { segment: segment.clone(), more: true }),
        event(Hook::Read, EventKind::Eof),
        event(Hook::Send, EventKind::Failed { direction: Direction::Write, errno: 32 }),
        event(Hook::SslFree, EventKind::Closed),
        Input::Tick(Nanos(u64::MAX)),
        Input::Process(ProcessChange::Ended { time: Nanos(2), tgid: Tgid(7) }),
    ]
}

fn tape() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, &header(Text::Kept)).unwrap();
    for input in inputs() {
        writer.write(&input).unwrap();
    }
    writer.flush().unwrap();
    let written = writer.written();
    drop(writer);
    assert_eq!(written, Written { inputs: inputs().len() as u64, bytes: bytes.len() as u64 });
    bytes
}

#[test]
fn what_is_written_is_read() {
    let tape = tape();
    let reader = Reader::new(&tape[..]).unwrap();
    assert_eq!(*reader.header(), header(Text::Kept));
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), inputs());
}

#[test]
fn what_stands_before_a_cut_is_read() {
    let tape = tape();
    let mut most = 0;
    for cut in 0..tape.len() {
        let Ok(reader) = Reader::new(&tape[..cut]) else {
            assert_eq!(most, 0, "cut at {cut}");
            continue;
        };
        let mut read = Vec::new();
        let mut errors = Vec::new();
        for input in reader {
            match input {
                Ok(input) => read.push(input),
                Err(error) => errors.push(error),
            }
        }
        assert_eq!(read, inputs()[..read.len()]);
        assert!(read.len() >= most);
        most = read.len();
        match &errors[..] {
            [] => {}
            [TapeError::CutShort { at }] => assert_eq!(*at, cut as u64),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
    assert_eq!(most, inputs().len() - 1);
}

#[test]
fn what_is_no_tape_is_said_clearly() {
    for (bytes, expected) in [
        (&b""[..], "this is not a tape: it does not begin with \"inferscope tape\""),
        (b"GET / HTTP/1.1\r\n", "this is not a tape: it does not begin with \"inferscope tape\""),
        (b"inferscope tape 1", "this is not a tape: it does not begin with \"inferscope tape\""),
        (b"inferscope tape 2\n", "this tape has format 2, this build reads formats up to 1: use a newer inferscope"),
        (b"inferscope tape 1\n", "the tape is cut short at byte 18; what stands before that was read"),
        (b"inferscope tape 1\n\x05ab", "the tape is cut short at byte 21; what stands before that was read"),
        (b"inferscope tape 1\n\x02\xff\xff", "the tape is damaged at byte 18; what stands before that was read"),
        (
            b"inferscope tape 1\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            "the tape is damaged at byte 18; what stands before that was read",
        ),
        (
            b"inferscope tape 1\n\xff\xff\xff\xff\x7f",
            "the tape is damaged at byte 18; what stands before that was read",
        ),
    ] {
        let error = Reader::new(bytes).err().unwrap();
        assert_eq!(error.to_string(), expected, "{}", bytes.escape_ascii());
    }
    let empty_entry = b"inferscope tape 1\n\x00\x00";
    let mut reader = Reader::new(&empty_entry[..]).unwrap();
    assert!(matches!(reader.next(), Some(Err(TapeError::Unknown { at: 19 }))));
    assert!(reader.next().is_none());
}
