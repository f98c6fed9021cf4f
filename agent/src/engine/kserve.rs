//! The KServe dialect (protocol version 2), with Triton's generate endpoints: which model a request is for, and its id.
//!
//! It reads nothing else: inputs are prompts. Health, metadata, repository and shared-memory calls are no exchanges. What
//! became of the request is told by whoever computes it, so answers are not read.

use super::{Exchange, Facts, Operation, Requests, Step};
use crate::issue::Issue;
use crate::wire::{Message, RequestHead, Side, grpc, header, json, protobuf};

/// gRPC's methods that infer.
const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const MODEL_STREAM_INFER: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// Fields of `ModelInferRequest`.
const MODEL_NAME: u32 = 1;
const ID: u32 = 3;
/// The first of its fields that no other message of the service has.
const INPUTS: u32 = 5;

/// One request.
pub struct Ask {
    facts: Facts,
    requests: Requests,
    /// By its head it is known to infer.
    is_known: bool,
    body: Body,
}

/// How the request is read.
enum Body {
    /// A JSON document with the id in it, behind which tensors may follow.
    Json(Box<json::Reader>),
    /// A message. Of one whose method was not seen it is first to be known whether it infers.
    Message(protobuf::Reader),
    /// No more.
    Read,
}

impl Ask {
    /// Opens an exchange, or `None` for a request that is surely none for an inference.
    #[must_use]
    pub fn open(head: &RequestHead) -> Option<Ask> {
        if head.path.is_empty() || header(&head.headers, "content-type").is_some_and(is_grpc) {
            return Ask::call(&head.path);
        }
        let (model, operation) = target(&head.path).filter(|_| head.method == "POST")?;
        let facts = Facts { model: Some(model), operation, inference: true, ..Facts::default() };
        let body = if operation == Operation::Other { Body::Json(Box::default()) } else { Body::Read };
        Some(Ask { facts, requests: Requests::One, is_known: true, body })
    }

    fn call(path: &str) -> Option<Ask> {
        let requests = match path {
            MODEL_INFER => Requests::One,
            // A call whose method was not seen may be either: what is said of a single one would be a guess.
            MODEL_STREAM_INFER | "" => Requests::Many,
            _ => return None,
        };
        let is_known = !path.is_empty();
        let facts = Facts { inference: is_known, ..Facts::default() };
        Some(Ask { facts, requests, is_known, body: Body::message() })
    }

    fn json(&mut self, bytes: &[u8]) {
        let Body::Json(reader) = &mut self.body else { return };
        let mut id = None;
        let read = reader.push(bytes, &mut |path, value| {
            if let json::Value::Str { head, .. } = value
                && path.is(&["id"])
            {
                id = Some(head.to_owned());
            }
        });
        // Behind the document tensors may stand, as they are.
        if read.is_err() || id.is_some() {
            self.body = Body::Read;
        }
        self.facts.id = id.or(self.facts.id.take());
    }

    fn message(&mut self, item: &grpc::Item<'_>) {
        match (item, &mut self.body) {
            (grpc::Item::Begin { coding, .. }, _) => {
                self.facts = Facts { inference: self.is_known, ..Facts::default() };
                self.body = if *coding == grpc::Coding::Plain { Body::message() } else { Body::Read };
            }
            (grpc::Item::Lost, _) => self.body = Body::Read,
            (grpc::Item::Bytes(bytes), Body::Message(reader)) => {
                let facts = &mut self.facts;
                reader.push(bytes, &mut |field| note(facts, &field));
            }
            (grpc::Item::Elided(bytes), Body::Message(reader)) => reader.elide(*bytes),
            _ => {}
        }
    }
}

impl Body {
    fn message() -> Body {
        Body::Message(protobuf::Reader::new(&[MODEL_NAME, ID]))
    }
}

fn note(facts: &mut Facts, field: &protobuf::Field<'_>) {
    let text = match field.value {
        protobuf::Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        protobuf::Value::Unread => None,
    };
    match (field.number, text) {
        (MODEL_NAME, Some(text)) => facts.model = Some(text),
        (ID, Some(text)) => facts.id = Some(text),
        (INPUTS.., _) => facts.inference = true,
        _ => {}
    }
}

impl Exchange for Ask {
    fn interpret(&mut self, message: &Message<'_>, _: &mut Vec<Issue>) -> Step {
        match message {
            Message::Body(Side::Request, bytes) => self.json(bytes),
            Message::Elided(Side::Request, _) => self.body = Body::Read,
            Message::Rpc(Side::Request, item) => self.message(item),
            _ => {}
        }
        Step::Ignore
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn requests(&self) -> Requests {
        self.requests
    }
}

fn is_grpc(kind: &str) -> bool {
    kind.starts_with("application/grpc") && !kind.starts_with("application/grpc-web")
}

/// The model that a path asks to infer, and how: `/v2/models/NAME[/versions/V]/{infer,generate,generate_stream}`.
fn target(path: &str) -> Option<(String, Operation)> {
    // The server may be mounted under a prefix.
    let (_, rest) = path.split_once("/v2/models/")?;
    let (rest, method) = rest.rsplit_once('/')?;
    let operation = match method {
        "infer" => Operation::Other,
        "generate" | "generate_stream" => Operation::Generate,
        _ => return None,
    };
    let name = match rest.split_once("/versions/") {
        Some((name, version)) if !version.is_empty() && !version.contains('/') => name,
        Some(_) => return None,
        None => rest,
    };
    (!name.is_empty() && !name.contains('/')).then(|| (unescaped(name), operation))
}

/// Takes the percent signs off a path's segment.
fn unescaped(segment: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(segment.len()), segment);
    while let Some((before, behind)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = behind.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = if byte.is_some() { behind.get(2..).unwrap_or_default() } else { behind };
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ask(method: &str, path: &str, kind: &str) -> Option<Ask> {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Ask::open(&RequestHead { method: method.into(), path: path.into(), headers })
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/v2/models/echo/infer", Some("echo")),
            ("/v2/models/echo/versions/3/infer", Some("echo")),
            ("/v2/models/a%2Fb%20c%/generate", Some("a/b c%")),
            ("/proxy/v2/models/stream/versions/1/generate_stream", Some("stream")),
            ("/v2/models/echo", None),
            ("/v2/models/echo/ready", None),
            ("/v2/models/echo/versions/1/stats", None),
            ("/v2/models/echo/versions//infer", None),
            ("/v2/models/a/b/infer", None),
            ("/v2/models//infer", None),
            ("/v2/repository/models/echo/load", None),
            ("/v2/health/ready", None),
            ("/metrics", None),
        ] {
            let model = ask("POST", path, "application/json").and_then(|ask| ask.facts.model);
            assert_eq!(model.as_deref(), expected, "{path}");
        }
        assert!(ask("GET", "/v2/models/echo/infer", "").is_none());
    }

    #[test]
    fn the_id_is_read_and_tensors_behind_the_document_are_not() {
        let mut ask = ask("POST", "/v2/models/echo/infer", "application/octet-stream").unwrap();
        let mut issues = Vec::new();
        for piece in [&br#"{"id":"h"#[..], br#"1","inputs":[{"name":"canary"}]}"#, b"\x00\xff\x00\x00{]"] {
            ask.interpret(&Message::Body(Side::Request, piece), &mut issues);
        }
        assert_eq!(ask.facts().id.as_deref(), Some("h1"));
        assert!(issues.is_empty());
    }

    const REQUEST: &[u8] = b"\0\0\0\0\x19\x0a\x04echo\x12\x011\x1a\x02g1\x2a\x06canary\x3a\x00";

    fn read(mut ask: Ask, body: &[u8]) -> Ask {
        let mut reader = grpc::Reader::default();
        for piece in body.chunks(3) {
            reader.push(piece, &mut |item| {
                ask.interpret(&Message::Rpc(Side::Request, item), &mut Vec::new());
            });
        }
        ask
    }

    #[test]
    fn messages() {
        let called = |path| ask("POST", path, "application/grpc");
        let unary = read(called(MODEL_INFER).unwrap(), REQUEST);
        assert_eq!((unary.facts.model.as_deref(), unary.facts.id.as_deref()), (Some("echo"), Some("g1")));
        assert_eq!((unary.requests(), unary.facts.inference), (Requests::One, true));
        assert_eq!(called(MODEL_STREAM_INFER).unwrap().requests(), Requests::Many);
        assert!(called("/inference.GRPCInferenceService/ServerLive").is_none());
        assert!(called("/grpc.health.v1.Health/Check").is_none());
        // An unseen method: only the message tells.
        assert!(!called("").unwrap().facts.inference);
        assert!(read(called("").unwrap(), REQUEST).facts.inference);
        assert!(!read(called("").unwrap(), b"\0\0\0\0\x07\x0a\x05echo1").facts.inference, "ModelReady");
        let compressed = read(called(MODEL_INFER).unwrap(), b"\x01\0\0\0\x06\x0a\x04echo");
        assert_eq!(compressed.facts.model, None);
    }
}
