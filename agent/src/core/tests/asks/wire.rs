//! Requests for inferences and their answers, as they are on the wire.

use crate::event::{Direction, EventKind, Segment};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
pub const UNARY: &str = "/inference.GRPCInferenceService/ModelInfer";
pub const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";
pub const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
pub const INFER: &str = "/v2/models/echo/infer";
pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[0x40][..], &text(name), &text(value)].concat()
}

pub fn head(stream: u32, path: &str) -> Vec<u8> {
    head_with(stream, path, &[])
}

/// With fields of metadata.
pub fn head_with(stream: u32, path: &str, metadata: &[u8]) -> Vec<u8> {
    let block = [&[0x83][..], &field(":path", path), &field("content-type", "application/grpc"), metadata].concat();
    frame(1, 4, stream, &block)
}

/// A `ModelInferRequest` behind its prefix.
pub fn message(model: &str, id: &str) -> Vec<u8> {
    let text = |key: u8, text: &str| [&[key, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let message = [text(0x0a, model), text(0x12, ""), text(0x1a, id), text(0x2a, "canary")].concat();
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

pub fn ask(stream: u32, model: &str, id: &str) -> Vec<u8> {
    [head(stream, UNARY), frame(0, 1, stream, &message(model, id))].concat()
}

pub fn answer(stream: u32, status: &str) -> Vec<u8> {
    [
        frame(1, 4, stream, b"\x88"),
        frame(0, 0, stream, b"\0\0\0\0\x02ab"),
        frame(1, 5, stream, &field("grpc-status", status)),
    ]
    .concat()
}

pub fn post(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\ntraceparent: {TRACE}\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

/// Clear text of a TLS library.
pub fn data(bytes: &[u8]) -> EventKind {
    let (direction, total) = (Direction::Read, bytes.len() as u64);
    EventKind::Data(Segment { direction, position: 0, total, offset: 0, last: true, bytes: bytes.to_vec() })
}
