//! One connection of a traced process: first it finds out what it is, then it is read as HTTP or not at all.

use super::group::{End, Group};
use super::http::HttpConnection;
use super::messages::Socket;
use super::opening::{Opening, Verdict};
use super::transaction::Transaction;
use super::{Output, Server};
use crate::engine::Role;
use crate::event::{ConnKey, Event, EventKind, Layer, Nanos, Segment, Tgid};
use crate::issue::Issue;

/// A connection.
pub(super) struct Connection {
    key: ConnKey,
    server: Server,
    last_seen: Nanos,
    state: State,
}

enum State {
    Opening(Opening),
    Http(Box<HttpConnection>),
    Messages(Box<Socket>),
    /// Not ours. Kept for a while, because events of it may still be on their way.
    Unwatched,
}

/// What becomes of a connection after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Lives,
    /// From now on nobody wants to hear of it.
    Unwatched,
    /// It was closed.
    Over,
}

impl Connection {
    /// A connection of which nothing was read yet; `event` is its first.
    pub fn new(event: &Event, server: &Server) -> Connection {
        let end = if server.role == Role::Engine { End::Engine } else { End::Frontend };
        let state = match (event.conn.layer, server.engine.messages()) {
            (Layer::Message, Some(reader)) => State::Messages(Box::new(Socket::new(reader, end))),
            (Layer::Message, None) => State::Unwatched,
            (Layer::Socket | Layer::Tls, _) => State::Opening(Opening::new(event.midway)),
        };
        Connection { key: event.conn, server: server.clone(), last_seen: event.time, state }
    }

    /// When its last event was.
    pub fn last_seen(&self) -> Nanos {
        self.last_seen
    }

    /// Whether it carries requests to a server of ours, or what its processes say of them.
    pub fn is_ours(&self) -> bool {
        matches!(self.state, State::Http(_) | State::Messages(_))
    }

    /// Its requests in flight.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        let http = if let State::Http(http) = &self.state { Some(http) } else { None };
        http.into_iter().flat_map(|http| http.transactions())
    }

    /// The process at the top of its server.
    pub fn root(&self) -> Tgid {
        self.server.root
    }

    /// Time passed.
    pub fn settle(&mut self, now: Nanos, group: &Group, out: &mut Vec<Output>) {
        if let State::Http(http) = &mut self.state {
            http.settle(now, group, out);
        }
    }

    /// Takes one event.
    pub fn step(&mut self, event: &Event, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        self.last_seen = event.time;
        let fate = match (&event.kind, &mut self.state) {
            (EventKind::Closed, State::Http(http)) => http.closed(event.time, group, out),
            (EventKind::Closed, _) => Fate::Over,
            (EventKind::Data(segment), State::Opening(_)) => self.open(event.time, segment, group, out),
            (EventKind::Frame { segment, more }, State::Messages(socket)) => {
                socket.frame(event.time, self.key, segment, *more, group, out)
            }
            (EventKind::Frame { .. }, _) | (_, State::Messages(_)) => Fate::Lives,
            (kind, State::Http(http)) => http.step(event, kind, &self.server, group, out),
            (_, State::Opening(_) | State::Unwatched) => Fate::Lives,
        };
        if fate == Fate::Unwatched {
            self.state = State::Unwatched;
        }
        fate
    }

    /// Its end will not be seen.
    pub fn truncate(self, time: Nanos, out: &mut Vec<Output>) {
        if let State::Http(mut http) = self.state {
            http.truncate(time, out);
        }
    }

    fn open(&mut self, time: Nanos, segment: &Segment, group: &Group, out: &mut Vec<Output>) -> Fate {
        let State::Opening(opening) = &mut self.state else { return Fate::Lives };
        let (start, held) = match opening.read(time, segment) {
            Verdict::Undecided => return Fate::Lives,
            Verdict::NotOurs => return Fate::Unwatched,
            Verdict::Http2 => {
                out.push(Output::Issue(Issue::ProtocolUnknown));
                return Fate::Unwatched;
            }
            Verdict::Http(start, held) => (start, held),
        };
        let mut http = Box::new(HttpConnection::new(self.key.layer, start));
        for (time, segment) in &held {
            http.data(*time, self.key, segment, &self.server, group, out);
        }
        let fate = http.data(time, self.key, segment, &self.server, group, out);
        self.state = State::Http(http);
        fate
    }
}
