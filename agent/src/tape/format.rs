//! The messages of a tape. Tags are for ever: what is added gets a new one.
//!
//! [`wire::Entry`] mirrors [`Input`]; both conversions take their source apart exhaustively, so that a new field can't
//! be forgotten.

use crate::core::{Input, ProcessChange};
use crate::engine::Role;
use crate::event::{Call, ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use crate::service::{Pod, Service, Workload};
use inferscope_ebpf::Hook;
use std::sync::Arc;

use super::{Header, Text};

/// The protobuf messages.
#[allow(missing_docs)] // their fields are those of the types that they mirror
pub(super) mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Header {
        #[prost(string, tag = "1")]
        pub created_at: String,
        #[prost(string, tag = "2")]
        pub agent_version: String,
        #[prost(bool, tag = "3")]
        pub text_kept: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Entry {
        #[prost(oneof = "Input", tags = "1, 2, 3, 4")]
        pub input: Option<Input>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Input {
        #[prost(message, tag = "1")]
        Kernel(Event),
        #[prost(message, tag = "2")]
        Started(Started),
        #[prost(message, tag = "3")]
        Ended(Ended),
        #[prost(uint64, tag = "4")]
        Tick(u64),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Started {
        #[prost(uint64, tag = "1")]
        pub time: u64,
        #[prost(uint32, tag = "2")]
        pub tgid: u32,
        #[prost(string, tag = "3")]
        pub engine: String,
        #[prost(string, tag = "4")]
        pub service: String,
        /// 0 on tapes from before there was one: the process itself.
        #[prost(uint32, tag = "5")]
        pub root: u32,
        #[prost(enumeration = "Role", tag = "6")]
        pub role: i32,
        #[prost(string, tag = "7")]
        pub model: String,
        #[prost(uint32, optional, tag = "8")]
        pub inside: Option<u32>,
        #[prost(message, optional, tag = "9")]
        pub workload: Option<Workload>,
    }

    /// In a pod all three; else `container` alone.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Workload {
        #[prost(string, tag = "1")]
        pub namespace: String,
        #[prost(string, tag = "2")]
        pub pod: String,
        #[prost(string, tag = "3")]
        pub container: String,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
    #[repr(i32)]
    pub enum Role {
        Frontend = 0,
        Engine = 1,
        Worker = 2,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Ended {
        #[prost(uint64, tag = "1")]
        pub time: u64,
        #[prost(uint32, tag = "2")]
        pub tgid: u32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Event {
        #[prost(uint64, tag = "1")]
        pub time: u64,
        #[prost(uint32, tag = "2")]
        pub tgid: u32,
        #[prost(bool, tag = "3")]
        pub tls: bool,
        #[prost(uint64, tag = "4")]
        pub id: u64,
        #[prost(uint32, tag = "5")]
        pub generation: u32,
        #[prost(uint32, tag = "6")]
        pub hook: u32,
        #[prost(bool, tag = "7")]
        pub midway: bool,
        #[prost(uint32, tag = "15")]
        pub thread: u32,
        #[prost(oneof = "Kind", tags = "8, 9, 10, 11, 12, 13, 14")]
        pub kind: Option<Kind>,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "8")]
        Opened(()),
        #[prost(message, tag = "9")]
        Closed(()),
        #[prost(message, tag = "10")]
        Eof(()),
        #[prost(message, tag = "11")]
        Data(Segment),
        #[prost(message, tag = "12")]
        Failed(Failed),
        #[prost(message, tag = "13")]
        Frame(Frame),
        #[prost(message, tag = "14")]
        Call(Call),
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Call {
        #[prost(uint32, tag = "1")]
        pub thread: u32,
        #[prost(uint64, repeated, tag = "2")]
        pub words: Vec<u64>,
        #[prost(bytes = "vec", tag = "3")]
        pub text: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Frame {
        #[prost(message, required, tag = "1")]
        pub segment: Segment,
        #[prost(bool, tag = "2")]
        pub more: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Segment {
        #[prost(bool, tag = "1")]
        pub write: bool,
        #[prost(uint64, tag = "2")]
        pub position: u64,
        #[prost(uint64, tag = "3")]
        pub total: u64,
        #[prost(uint32, tag = "4")]
        pub offset: u32,
        #[prost(bool, tag = "5")]
        pub last: bool,
        #[prost(bytes = "vec", tag = "6")]
        pub bytes: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Failed {
        #[prost(bool, tag = "1")]
        pub write: bool,
        #[prost(uint32, tag = "2")]
        pub errno: u32,
    }
}

pub(super) fn from_header(header: &Header) -> wire::Header {
    let Header { created_at, agent_version, text } = header.clone();
    wire::Header { created_at, agent_version, text_kept: text == Text::Kept }
}

pub(super) fn to_header(header: wire::Header) -> Header {
    let wire::Header { created_at, agent_version, text_kept } = header;
    Header { created_at, agent_version, text: if text_kept { Text::Kept } else { Text::Masked } }
}

pub(super) fn from_input(input: Input) -> wire::Entry {
    let input = match input {
        Input::Kernel(event) => wire::Input::Kernel(from_event(event)),
        Input::Process(ProcessChange::Started { time, tgid, engine, service, root, inside, role, model }) => {
            let role = match role {
                Role::Frontend => wire::Role::Frontend,
                Role::Engine => wire::Role::Engine,
                Role::Worker => wire::Role::Worker,
            };
            let (time, tgid, root, role) = (time.0, tgid.0, root.0, role.into());
            let inside = inside.map(|outer| outer.0);
            let Service { name, workload } = service;
            let (service, workload) = (name.to_string(), workload.as_deref().map(from_workload));
            wire::Input::Started(wire::Started { time, tgid, engine, service, root, role, model, inside, workload })
        }
        Input::Process(ProcessChange::Ended { time, tgid }) => {
            wire::Input::Ended(wire::Ended { time: time.0, tgid: tgid.0 })
        }
        Input::Tick(time) => wire::Input::Tick(time.0),
    };
    wire::Entry { input: Some(input) }
}

fn from_workload(workload: &Workload) -> wire::Workload {
    let (namespace, pod, container) = match workload {
        Workload::Pod(Pod { namespace, name, container }) => (namespace.to_string(), name.to_string(), container),
        Workload::Container(name) => (String::new(), String::new(), name),
    };
    wire::Workload { namespace, pod, container: container.to_string() }
}

fn to_workload(workload: &wire::Workload) -> Workload {
    let wire::Workload { namespace, pod, container } = workload;
    let container = container.as_str().into();
    if pod.is_empty() {
        return Workload::Container(container);
    }
    Workload::Pod(Pod { namespace: namespace.as_str().into(), name: pod.as_str().into(), container })
}

/// `None` for an input that this build does not know.
pub(super) fn to_input(entry: wire::Entry) -> Option<Input> {
    Some(match entry.input? {
        wire::Input::Kernel(event) => Input::Kernel(to_event(event)?),
        wire::Input::Started(started) => {
            let role = match started.role() {
                wire::Role::Frontend => Role::Frontend,
                wire::Role::Engine => Role::Engine,
                wire::Role::Worker => Role::Worker,
            };
            let wire::Started { time, tgid, engine, service, root, role: _, model, inside, workload } = started;
            let workload = workload.map(|workload| Arc::new(to_workload(&workload)));
            let service = Service { name: service.into(), workload };
            let (time, root) = (Nanos(time), Tgid(if root == 0 { tgid } else { root }));
            let (tgid, inside) = (Tgid(tgid), inside.map(Tgid));
            Input::Process(ProcessChange::Started { time, tgid, engine, service, root, inside, role, model })
        }
        wire::Input::Ended(wire::Ended { time, tgid }) => {
            Input::Process(ProcessChange::Ended { time: Nanos(time), tgid: Tgid(tgid) })
        }
        wire::Input::Tick(time) => Input::Tick(Nanos(time)),
    })
}

fn from_event(event: Event) -> wire::Event {
    let Event { time, conn: ConnKey { tgid, layer, id, generation }, hook, midway, thread, kind } = event;
    let kind = match kind {
        EventKind::Opened => wire::Kind::Opened(()),
        EventKind::Closed => wire::Kind::Closed(()),
        EventKind::Eof => wire::Kind::Eof(()),
        EventKind::Data(segment) => wire::Kind::Data(from_segment(segment)),
        EventKind::Frame { segment, more } => wire::Kind::Frame(wire::Frame { segment: from_segment(segment), more }),
        EventKind::Call(Call { thread, words, text }) => wire::Kind::Call(wire::Call { thread, words, text }),
        EventKind::Failed { direction, errno } => {
            wire::Kind::Failed(wire::Failed { write: is_write(direction), errno })
        }
    };
    wire::Event {
        time: time.0,
        tgid: tgid.0,
        tls: layer == Layer::Tls,
        id,
        generation,
        hook: u32::from(hook as u16),
        midway,
        thread,
        kind: Some(kind),
    }
}

fn to_event(event: wire::Event) -> Option<Event> {
    let wire::Event { time, tgid, tls, id, generation, hook, midway, thread, kind } = event;
    let kind = match kind? {
        wire::Kind::Opened(()) => EventKind::Opened,
        wire::Kind::Closed(()) => EventKind::Closed,
        wire::Kind::Eof(()) => EventKind::Eof,
        wire::Kind::Data(segment) => EventKind::Data(to_segment(segment)),
        wire::Kind::Frame(wire::Frame { segment, more }) => EventKind::Frame { segment: to_segment(segment), more },
        wire::Kind::Call(wire::Call { thread, words, text }) => EventKind::Call(Call { thread, words, text }),
        wire::Kind::Failed(wire::Failed { write, errno }) => EventKind::Failed { direction: direction(write), errno },
    };
    let hook = Hook::from_id(u16::try_from(hook).ok()?)?;
    // The field is older than messages are; a hook says it all.
    let layer = if tls { Layer::Tls } else { Layer::of(hook) };
    let conn = ConnKey { tgid: Tgid(tgid), layer, id, generation };
    Some(Event { time: Nanos(time), conn, hook, midway, thread, kind })
}

fn from_segment(segment: Segment) -> wire::Segment {
    let Segment { direction, position, total, offset, last, bytes } = segment;
    wire::Segment { write: is_write(direction), position, total, offset, last, bytes }
}

fn to_segment(segment: wire::Segment) -> Segment {
    let wire::Segment { write, position, total, offset, last, bytes } = segment;
    Segment { direction: direction(write), position, total, offset, last, bytes }
}

fn is_write(direction: Direction) -> bool {
    direction == Direction::Write
}

fn direction(write: bool) -> Direction {
    if write { Direction::Write } else { Direction::Read }
}
