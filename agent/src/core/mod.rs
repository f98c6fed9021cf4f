//! THE PIPELINE. `Core::step(Input, &mut Output)`: no I/O, no clock, no async, no `unsafe`. The same inputs give the
//! same outputs, bit for bit: that is what makes record and replay, fuzzing and tests without a kernel possible.
//!
//! This file owns the processes and their connections. A [`connection`] finds out in its [`opening`] what it is; an
//! [`http`] connection holds the [`transaction`]s under way. Connections of processes that nobody named are ignored.

use crate::config::{EngineMessages, Http};
use crate::engine::{self, Engine, Operation, Role};
use crate::event::{Call, ConnKey, Direction, Event, EventKind, Nanos, Tgid};
use crate::issue::Issue;
use crate::job;
use crate::request::ask::Refusal;
use crate::request::{Inference, Origin, Record};
use crate::service::Service;
use asks::{Asks, Sight};
use connection::{Connection, Fate};
use group::Group;
pub use group::{Finished, Iterated, Standing};
use inferences::Inferences;
pub use inferences::{Executed, Pending, Work};
pub use jobs::{Busy, Reply};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

mod asks;
mod connection;
mod edges;
mod group;
mod http;
mod http2;
mod inferences;
mod jobs;
mod log;
mod messages;
mod opening;
mod tap;
mod transaction;
mod unread;
mod websocket;
mod zmtp;

/// Everything that the core is ever told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something happened on a connection.
    Kernel(Event),
    /// A server's process appeared or ended.
    Process(ProcessChange),
    /// Time passed. Sent about once a second.
    Tick(Nanos),
}

/// A change among the traced processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessChange {
    /// `tgid` serves; its connections are read by this engine from now on.
    Started {
        /// When it was found.
        time: Nanos,
        /// The process.
        tgid: Tgid,
        /// Engine name, as in [`crate::engine::by_name`].
        engine: String,
        /// Its server.
        service: Service,
        /// The process at the top of its server: the processes of one server have the same one.
        root: Tgid,
        /// The process at the top of the server of another engine that all of its own server runs inside.
        inside: Option<Tgid>,
        /// What it does there.
        role: Role,
        /// The model that the server was started for, "" where its command line does not say.
        model: String,
    },
    /// `tgid` ended or is no longer traced.
    Ended {
        /// When.
        time: Nanos,
        /// The process.
        tgid: Tgid,
    },
}

/// Everything that the core ever says.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// From now on, copy so much of this connection's calls.
    Volume {
        /// The connection.
        conn: ConnKey,
        /// Of its calls in this direction.
        direction: Direction,
        /// How much.
        volume: Volume,
    },
    /// A request ended.
    Record(Box<Record>),
    /// A scheduler ended an iteration.
    Iterated(Box<Iterated>),
    /// A scheduler is done with a sequence.
    Sequence(Box<Finished>),
    /// An inference ended.
    Inference(Box<Inference>),
    /// An instance of a model executes a batch, or has.
    Executed(Box<Executed>),
    /// A request for an inference was refused before any was made.
    Refused(Box<Refusal>),
    /// A job is over.
    Job(Box<job::Record>),
    /// An HTTP exchange about jobs was answered.
    Replied(Box<Reply>),
    /// Something could not be used as it stands.
    Issue(Issue),
}

/// How much of each call on a connection the kernel side copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Volume {
    /// All, up to the kernel side's bound.
    Full,
    /// The first bytes.
    Head(u32),
    /// Sizes and times only.
    SizeOnly,
    /// Sizes and times only, of calls that begin while the process has received no more than so many bytes; then all, in
    /// both directions.
    SizeOnlyWhile {
        /// The position of what it has received.
        received: u64,
    },
    /// Nothing, not even that calls happen.
    Off,
}

/// Bounds of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Connections that are held at once.
    pub connections: usize,
    /// How much of streamed answers is read.
    pub http: Http,
    /// At which end messages are read: here only whether the socket's may be.
    pub messages: EngineMessages,
}

impl Default for Options {
    fn default() -> Options {
        Options { connections: 16_384, http: Http::Full, messages: EngineMessages::Auto }
    }
}

/// What is under way, for gauges.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// Requests in flight, by who answers them and what they ask. Answers joined midway are not among them.
    pub running: BTreeMap<Running, u64>,
    /// Connections held.
    pub connections: usize,
    /// The schedulers that are seen.
    pub schedulers: Vec<Standing>,
    /// Requests that wait for their model.
    pub pending: Vec<Pending>,
    /// The servers whose jobs are seen.
    pub jobs: Vec<Busy>,
}

/// Requests in flight that a gauge shows as one number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Running {
    /// The process that answers.
    pub tgid: Tgid,
    /// Its engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
    /// Model as far as it is known by now, else "".
    pub model: String,
    /// What is asked for.
    pub operation: Operation,
}

/// The pipeline. One task owns it.
pub struct Core {
    options: Options,
    servers: BTreeMap<Tgid, Server>,
    /// By the process at their top.
    groups: BTreeMap<Tgid, Group>,
    /// By the process whose library is called.
    inferences: BTreeMap<Tgid, Inferences>,
    /// By the process that is asked.
    asks: BTreeMap<Tgid, Asks>,
    /// Ordered, so that what is done to several of them is done in the same order in every run.
    connections: BTreeMap<ConnKey, Connection>,
}

/// A traced process.
#[derive(Clone)]
struct Server {
    engine: &'static dyn Engine,
    origin: Origin,
    role: Role,
    root: Tgid,
    http: Http,
    messages: EngineMessages,
    told: Told,
}

/// Who tells of a server's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// The requests of its clients, and messages that they are joined to.
    ByRequests,
    /// Calls of its library; requests say how those came.
    ByCalls,
}

/// A connection that says nothing of interest is forgotten when it has been silent for so long.
const SILENCE: u64 = 60_000_000_000;
/// WebSockets that are read at once: 50 KB each.
const MAX_WATCHED: usize = 1024;

impl Core {
    /// A core that knows no process yet.
    #[must_use]
    pub fn new(options: Options) -> Core {
        Core {
            options,
            servers: BTreeMap::new(),
            groups: BTreeMap::new(),
            inferences: BTreeMap::new(),
            asks: BTreeMap::new(),
            connections: BTreeMap::new(),
        }
    }

    /// Takes one input; appends what follows from it.
    pub fn step(&mut self, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Kernel(event) => self.event(&event, out),
            Input::Process(ProcessChange::Started { time, tgid, engine, service, root, inside, role, model }) => {
                self.forget_process(tgid, time, out);
                let Some(engine) = engine::by_name(&engine) else { return };
                let origin = Origin { tgid, engine: engine.name(), service };
                let group = self.groups.entry(root).or_insert_with(|| Group::new(engine, origin.clone()));
                group.started(time, tgid, role, &model);
                group.within(inside);
                let Options { http, messages, .. } = self.options;
                let told = if engine.calls().is_some() { Told::ByCalls } else { Told::ByRequests };
                self.asks.insert(tgid, Asks::new(origin.clone(), time));
                self.servers.insert(tgid, Server { engine, origin, role, root, http, messages, told });
            }
            Input::Process(ProcessChange::Ended { time, tgid }) => self.forget_process(tgid, time, out),
            Input::Tick(now) => {
                self.groups.values_mut().for_each(|group| group.tick(now, out));
                let from = out.len();
                self.inferences.values_mut().for_each(|inferences| inferences.tick(now, out));
                self.join(from, out);
                self.asks.values_mut().for_each(|asks| asks.tick(now, out));
                self.settle(now, out);
                self.connections
                    .retain(|_, connection| connection.is_ours() || now.since(connection.last_seen()) < SILENCE);
            }
        }
    }

    /// The agent stops at `time`: what is in flight ends as truncated records.
    pub fn finish(&mut self, time: Nanos, out: &mut Vec<Output>) {
        let from = out.len();
        for connection in std::mem::take(&mut self.connections).into_values() {
            connection.truncate(time, out);
        }
        self.join(from, out);
        self.inferences.values_mut().for_each(|inferences| inferences.truncate(time, out));
        self.asks.values_mut().for_each(|asks| asks.finish(out));
        self.groups.values_mut().for_each(|group| group.truncate(time, out));
    }

    /// What is under way now.
    #[must_use]
    pub fn view(&self) -> View {
        let schedulers = self.groups.values().flat_map(Group::standing).collect();
        let pending = self.inferences.values().flat_map(Inferences::pending).collect();
        let jobs = self.groups.values().filter_map(Group::busy).collect();
        let mut view = View { connections: self.connections.len(), schedulers, pending, jobs, ..View::default() };
        for inference in self.inferences.values().flat_map(Inferences::generating) {
            if self.is_tapped_inside(inference.origin.tgid) {
                continue;
            }
            let running = Running {
                tgid: inference.origin.tgid,
                engine: inference.origin.engine,
                service: inference.origin.service.clone(),
                model: inference.model.clone(),
                operation: Operation::Generate,
            };
            *view.running.entry(running).or_default() += 1;
        }
        for transaction in self.connections.values().flat_map(Connection::transactions) {
            let Some((origin, facts)) = transaction.running() else { continue };
            let running = Running {
                tgid: origin.tgid,
                engine: origin.engine,
                service: origin.service.clone(),
                model: facts.model.clone().unwrap_or_default(),
                operation: facts.operation,
            };
            *view.running.entry(running).or_default() += 1;
        }
        view
    }

    /// Ends answers that are no longer read and whose engine is done with them.
    fn settle(&mut self, now: Nanos, out: &mut Vec<Output>) {
        let from = out.len();
        for connection in self.connections.values_mut() {
            let root = connection.root();
            if let Some(group) = self.groups.get(&root) {
                connection.settle(now, group, out);
            }
        }
        self.join(from, out);
    }

    fn event(&mut self, event: &Event, out: &mut Vec<Output>) {
        if let EventKind::Call(call) = &event.kind {
            return self.call(event, call, out);
        }
        let from = out.len();
        self.connection_event(event, out);
        self.join(from, out);
    }

    /// A function of a server's library was called.
    fn call(&mut self, event: &Event, call: &Call, out: &mut Vec<Output>) {
        let tgid = event.conn.tgid;
        let tapped = self.is_tapped_inside(tgid);
        let Some(server) = self.servers.get(&tgid) else { return };
        let Some(asks) = self.asks.get_mut(&tgid) else { return };
        let inferences = match self.inferences.entry(tgid) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(place) => {
                let Some(reader) = server.engine.calls() else { return };
                place.insert(Inferences::new(server.origin.clone(), reader))
            }
        };
        let from = out.len();
        inferences.call(event, call, tapped, asks, out);
        self.join(from, out);
    }

    /// Whether an engine inside this process's server tells of its own work.
    fn is_tapped_inside(&self, tgid: Tgid) -> bool {
        let root = self.servers.get(&tgid).map(|server| server.root);
        root.is_some_and(|root| self.groups.values().any(|group| group.is_inside(root) && group.tapped()))
    }

    /// Brings the requests that ended since `from` together with their sequences, or with the inferences that came of them.
    fn join(&mut self, from: usize, out: &mut Vec<Output>) {
        if out.len() > from {
            self.join_inferences(from, out);
        }
        let mut more = Vec::new();
        for output in out.iter_mut().skip(from) {
            let Output::Record(record) = output else { continue };
            let root = self.servers.get(&record.tgid).map(|server| server.root);
            // Offline requests are born with theirs.
            let unclaimed = record.sequences.is_empty();
            if let Some(group) = root.and_then(|root| self.groups.get_mut(&root)).filter(|_| unclaimed) {
                group.claim(record, &mut more);
            }
        }
        out.append(&mut more);
    }

    fn join_inferences(&mut self, from: usize, out: &mut Vec<Output>) {
        for output in out.split_off(from) {
            let joined = match output {
                Output::Record(record) if self.is_told_by_calls(record.tgid) => {
                    self.asks.get_mut(&record.tgid).and_then(|asks| asks.answered(&record))
                }
                Output::Inference(inference) => match self.asks.get_mut(&inference.origin.tgid) {
                    Some(asks) => asks.ended(inference).map(Output::Inference),
                    None => Some(Output::Inference(inference)),
                },
                other => Some(other),
            };
            out.extend(joined);
        }
    }

    fn is_told_by_calls(&self, tgid: Tgid) -> bool {
        self.servers.get(&tgid).is_some_and(|server| server.told == Told::ByCalls)
    }

    fn connection_event(&mut self, event: &Event, out: &mut Vec<Output>) {
        let Some(server) = self.servers.get(&event.conn.tgid) else { return };
        if !self.connections.contains_key(&event.conn) {
            if !matches!(event.kind, EventKind::Opened | EventKind::Data(_) | EventKind::Frame { .. }) {
                if let (EventKind::Closed, Some(asks)) = (&event.kind, self.asks.get_mut(&event.conn.tgid)) {
                    asks.sees(event.time, event.conn, Sight::Clear);
                }
                return;
            }
            forget_reused(&mut self.connections, event, out);
            if self.connections.len() >= self.options.connections {
                forget_idlest(&mut self.connections, event.time, out);
            }
            self.connections.insert(event.conn, Connection::new(event, server));
        }
        let Some(connection) = self.connections.get_mut(&event.conn) else { return };
        let Some(group) = self.groups.get_mut(&server.root) else { return };
        let Some(asks) = self.asks.get_mut(&event.conn.tgid) else { return };
        match connection.step(event, group, asks, out) {
            Fate::Lives => {}
            Fate::Upgraded => self.bound_watched(event.conn, out),
            Fate::Unwatched | Fate::Waits => turn_off(event.conn, out),
            Fate::Over => drop(self.connections.remove(&event.conn)),
        }
    }

    /// Each WebSocket may hold a window that its messages are inflated with.
    fn bound_watched(&mut self, newest: ConnKey, out: &mut Vec<Output>) {
        let watched = self.connections.values().filter(|connection| connection.is_watched()).count();
        if watched <= MAX_WATCHED {
            return;
        }
        out.push(Output::Issue(Issue::WebSocketUnreadable));
        self.connections.get_mut(&newest).into_iter().for_each(Connection::unwatch);
        turn_off(newest, out);
    }

    fn forget_process(&mut self, tgid: Tgid, time: Nanos, out: &mut Vec<Output>) {
        let from = out.len();
        let gone: Vec<ConnKey> = self.connections.keys().filter(|key| key.tgid == tgid).copied().collect();
        for connection in gone.iter().filter_map(|key| self.connections.remove(key)) {
            connection.truncate(time, out);
        }
        self.join(from, out);
        if let Some(mut inferences) = self.inferences.remove(&tgid) {
            inferences.truncate(time, out);
        }
        if let Some(mut asks) = self.asks.remove(&tgid) {
            asks.finish(out);
        }
        let Some(server) = self.servers.remove(&tgid) else { return };
        if self.groups.get_mut(&server.root).is_some_and(|group| group.ended(tgid))
            && let Some(mut group) = self.groups.remove(&server.root)
        {
            group.truncate(time, out);
        }
    }
}

/// Nobody wants to hear of a connection.
fn turn_off(conn: ConnKey, out: &mut Vec<Output>) {
    for direction in [Direction::Read, Direction::Write] {
        out.push(Output::Volume { conn, direction, volume: Volume::Off });
    }
}

fn record(record: Record) -> Output {
    Output::Record(Box::new(record))
}

/// A new use of a descriptor says that the earlier use is over, though nobody saw it close.
fn forget_reused(connections: &mut BTreeMap<ConnKey, Connection>, event: &Event, out: &mut Vec<Output>) {
    let first = ConnKey { generation: 0, ..event.conn };
    let last = ConnKey { generation: u32::MAX, ..event.conn };
    let reused: Vec<ConnKey> = connections.range(first..=last).map(|(key, _)| *key).collect();
    for connection in reused.iter().filter_map(|key| connections.remove(key)) {
        connection.truncate(event.time, out);
    }
}

/// Makes room. A search through all, because a core that is full is not the normal case.
fn forget_idlest(connections: &mut BTreeMap<ConnKey, Connection>, time: Nanos, out: &mut Vec<Output>) {
    let idlest = connections.iter().min_by_key(|(_, connection)| connection.last_seen()).map(|(key, _)| *key);
    let Some(connection) = idlest.and_then(|key| connections.remove(&key)) else { return };
    out.push(Output::Issue(Issue::ConnectionsOverBound));
    connection.truncate(time, out);
}

#[cfg(test)]
mod tests;
