//! Plays bytes of connections and calls of Triton's library, and writes down what comes out. Times are milliseconds.

use crate::core::{Core, Input, Options, Output, ProcessChange};
use crate::engine::Role;
use crate::event::{Call, ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use inferscope_ebpf::Hook;
use std::collections::HashMap;

const SERVER: Tgid = Tgid(70);
const INSTANCE: u64 = 0x9000;

/// A Triton server under the agent's eyes.
pub struct Scene {
    pub core: Core,
    pub positions: HashMap<(u64, Direction), u64>,
    pub midway: bool,
}

impl Scene {
    pub fn new() -> Scene {
        let mut core = Core::new(Options::default());
        core.step(
            Input::Process(ProcessChange::Started {
                time: Nanos(0),
                tgid: SERVER,
                engine: "triton".into(),
                service: "triton:8000".into(),
                root: SERVER,
                inside: None,
                role: Role::Frontend,
                model: String::new(),
            }),
            &mut Vec::new(),
        );
        Scene { core, positions: HashMap::new(), midway: false }
    }

    pub fn event(&mut self, at: u64, layer: Layer, id: u64, thread: u32, hook: Hook, kind: EventKind) -> Vec<String> {
        let conn = ConnKey { tgid: SERVER, layer, id, generation: 1 };
        let time = Nanos(at * 1_000_000);
        let mut out = Vec::new();
        self.core.step(Input::Kernel(Event { time, conn, hook, midway: self.midway, thread, kind }), &mut out);
        assert!(!format!("{out:?}").contains("canary"), "no text leaves the core");
        out.iter().filter_map(line).collect()
    }

    pub fn bytes(&mut self, at: u64, fd: u64, thread: u32, direction: Direction, bytes: &[u8]) -> Vec<String> {
        self.elided(at, fd, thread, direction, bytes, 0)
    }

    /// A call of whose bytes only the first were copied.
    pub fn elided(
        &mut self,
        at: u64,
        fd: u64,
        thread: u32,
        direction: Direction,
        bytes: &[u8],
        hole: u64,
    ) -> Vec<String> {
        let position = self.positions.entry((fd, direction)).or_default();
        let total = bytes.len() as u64 + hole;
        let segment = Segment { direction, position: *position, total, offset: 0, last: true, bytes: bytes.to_vec() };
        *position += total;
        self.event(at, Layer::Socket, fd, thread, Hook::Recvmsg, EventKind::Data(segment))
    }

    pub fn read(&mut self, at: u64, fd: u64, thread: u32, bytes: &[u8]) -> Vec<String> {
        self.bytes(at, fd, thread, Direction::Read, bytes)
    }

    pub fn write(&mut self, at: u64, fd: u64, bytes: &[u8]) -> Vec<String> {
        self.bytes(at, fd, 1, Direction::Write, bytes)
    }

    pub fn call(&mut self, at: u64, hook: Hook, object: u64, thread: u32, words: &[u64], text: &str) -> Vec<String> {
        let call = Call { thread, words: words.to_vec(), text: text.into() };
        self.event(at, Layer::Call, object, thread, hook, EventKind::Call(call))
    }

    /// A front end makes an inference.
    pub fn begin(&mut self, at: u64, request: u64, thread: u32, model: &str, id: &str) -> Vec<String> {
        let mut said = self.call(at, Hook::TritonRequestNew, request, thread, &[1, u64::MAX], model);
        if !id.is_empty() {
            said.extend(self.call(at, Hook::TritonRequestSetId, request, thread, &[], id));
        }
        said.extend(self.call(at, Hook::TritonInferAsync, request, thread, &[1], ""));
        said
    }

    /// It is executed and answered.
    pub fn compute(&mut self, at: u64, request: u64) -> Vec<String> {
        let (factory, response, now) = (request + 1, request + 2, at * 1_000_000);
        let mut said = self.call(at, Hook::TritonExecute, INSTANCE, 3, &[1, request], "");
        said.extend(self.call(at, Hook::TritonFactoryNew, factory, 3, &[request], ""));
        said.extend(self.call(at, Hook::TritonResponseNew, response, 3, &[request], ""));
        said.extend(self.call(at, Hook::TritonResponseSend, response, 3, &[1, 0], ""));
        let words = [INSTANCE, 1, now, now, now, now];
        said.extend(self.call(at, Hook::TritonReportStatistics, request, 3, &words, ""));
        said.extend(self.call(at, Hook::TritonRequestDelete, request, 3, &[], ""));
        said
    }

    pub fn tick(&mut self, at: u64) -> Vec<String> {
        let mut out = Vec::new();
        self.core.step(Input::Tick(Nanos(at * 1_000_000)), &mut out);
        out.iter().filter_map(line).collect()
    }
}

/// What is said of inferences, and whatever else is not usual.
fn line(output: &Output) -> Option<String> {
    match output {
        Output::Inference(inference) => {
            let asked = inference.asked.as_ref().map_or("?".to_owned(), |asked| {
                let by = asked.by.as_ref().map_or(String::new(), |by| {
                    let offset = |time: Nanos| time.0 / 1_000_000;
                    let answer = by.answer.map_or(String::new(), |answer| {
                        let first = answer.first_byte.map_or(0, offset);
                        format!(" answered={}..{} {}", first, offset(answer.last_byte), answer.status.name())
                    });
                    let trace = by.trace.as_ref().map_or("", |_| " traced");
                    format!(" at={}{trace}{answer}", offset(by.arrival))
                });
                format!("{}{by}", asked.protocol.name())
            });
            Some(format!("{} {}: {asked}", inference.model, inference.status.name()))
        }
        Output::Executed(_) | Output::Volume { .. } => None,
        other => Some(crate::core::tests::scene::line(other)),
    }
}
