//! One connection of a traced process: first it finds out what it is, then it is read as HTTP, as messages, or not at all.

use super::asks::{Asks, Sight};
use super::group::{End, Group};
use super::http::HttpConnection;
use super::http2::{Http2Connection, Turn};
use super::log::Log;
use super::messages::Socket;
use super::opening::{Opening, Protocols, Start, Verdict};
use super::tap::Tap;
use super::transaction::Transaction;
use super::websocket::WebSocketConnection;
use super::zmtp::ZmtpConnection;
use super::{Output, Server, Told, Volume};
use crate::config::EngineMessages;
use crate::engine::Role;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment, Tgid};
use crate::issue::Issue;
use crate::wire::Stretch;
use crate::wire::http1::{self, sniff};

/// Of each call that receives a request for an inference over HTTP/1. What of its body was not copied is passed over.
const HEAD_BYTES: u32 = 4096;

/// What is not seen of a connection that is given up with this event.
fn given_up(event: &Event) -> Sight {
    let EventKind::Data(segment) = &event.kind else { return Sight::Unclear };
    if sniff(&segment.bytes) == Some(http1::Opening::Tls) { Sight::Cipher } else { Sight::Unclear }
}

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
    Http2(Box<Http2Connection>),
    Messages(Box<Socket>),
    Zmtp(Box<ZmtpConnection>),
    WebSocket(Box<WebSocketConnection>),
    Log(Box<Log>),
    /// ZeroMQ's, to be read should no better end speak.
    Waiting,
    /// Not ours. Kept for a while, because events of it may still be on their way.
    Unwatched,
}

/// What becomes of a connection after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Lives,
    /// It goes on as a WebSocket.
    Upgraded,
    /// From now on nobody wants to hear of it.
    Unwatched,
    /// Nobody wants to hear of it for now.
    Waits,
    /// It was closed.
    Over,
}

impl Connection {
    /// A connection of which nothing was read yet; `event` is its first.
    pub fn new(event: &Event, server: &Server) -> Connection {
        let end = if server.role == Role::Engine { End::Engine } else { End::Frontend };
        let state = match event.conn.layer {
            Layer::Message => match Tap::new(server.engine, end) {
                Some(tap) => State::Messages(Box::new(Socket::new(tap))),
                None => State::Unwatched,
            },
            Layer::Call => State::Unwatched,
            Layer::Socket if event.is_log() && server.engine.jobs().is_some() => State::Log(Box::default()),
            Layer::Socket | Layer::Tls => State::Opening(Opening::new(event.midway)),
        };
        Connection { key: event.conn, server: server.clone(), last_seen: event.time, state }
    }

    /// When its last event was.
    pub fn last_seen(&self) -> Nanos {
        self.last_seen
    }

    /// Whether it carries requests to a server of ours, or what its processes say of them.
    pub fn is_ours(&self) -> bool {
        !matches!(self.state, State::Opening(_) | State::Unwatched)
    }

    /// Whether a client watches on it.
    pub fn is_watched(&self) -> bool {
        matches!(self.state, State::WebSocket(_))
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
        match &mut self.state {
            State::Http(http) => http.settle(now, group, out),
            State::Waiting if group.needs_wire(now) => self.read_on(out),
            _ => {}
        }
    }

    /// Takes one event.
    pub fn step(&mut self, event: &Event, group: &mut Group, asks: &mut Asks, out: &mut Vec<Output>) -> Fate {
        self.last_seen = event.time;
        let from = out.len();
        let fate = match (&event.kind, &mut self.state) {
            (EventKind::Closed, State::Http(http)) => http.closed(event.time, group, out),
            (EventKind::Closed, State::Http2(http)) => http.closed(event.time, out),
            (EventKind::Closed, _) => Fate::Over,
            (EventKind::Data(segment), State::Opening(_)) => self.open(event, segment, group, asks, out),
            (EventKind::Data(segment), State::Http2(http)) => {
                let (time, thread) = (event.time, event.thread);
                http.data(&mut Turn { time, thread, key: self.key, server: &self.server, asks, out }, segment)
            }
            (EventKind::Frame { segment, more }, State::Messages(socket)) => {
                socket.frame(event.time, self.key, segment, *more, group, out)
            }
            (EventKind::Data(segment), State::Zmtp(zmtp)) => zmtp.data(event.time, segment, group, out),
            (EventKind::Data(segment), State::WebSocket(socket)) => {
                socket.data(event.time, self.key, segment, group, out)
            }
            (EventKind::Data(segment), State::Log(log)) => log.data(event.time, segment, group, out),
            (EventKind::Frame { .. } | EventKind::Call(_), _) => Fate::Lives,
            (_, State::Http(http)) => http.step(event, &self.server, group, out),
            (_, State::Messages(_) | State::Zmtp(_) | State::WebSocket(_) | State::Log(_)) => Fate::Lives,
            (_, State::Http2(_) | State::Opening(_) | State::Waiting | State::Unwatched) => Fate::Lives,
        };
        if self.server.told == Told::ByCalls {
            // What could not be used as it stands may have been a request.
            if out.iter().skip(from).any(|output| matches!(output, Output::Issue(_))) {
                asks.doubts(event.time);
            }
            self.ask(event, fate, asks, out);
        }
        if let State::Http(http) = &mut self.state {
            http.exchanged().into_iter().for_each(|exchanged| group.exchanged(exchanged, out));
        }
        self.settle_on(fate, event.time, group, out)
    }

    /// Becomes what an event made of it.
    fn settle_on(&mut self, fate: Fate, time: Nanos, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        match fate {
            Fate::Upgraded => return self.upgrade(time, group, out),
            Fate::Unwatched => self.state = State::Unwatched,
            Fate::Waits => self.state = State::Waiting,
            Fate::Lives | Fate::Over => {}
        }
        fate
    }

    fn upgrade(&mut self, time: Nanos, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        let State::Http(http) = std::mem::replace(&mut self.state, State::Unwatched) else { return Fate::Unwatched };
        let Some((mut socket, first)) = http.upgraded() else { return Fate::Unwatched };
        self.want(socket.volumes(), out);
        match socket.read(time, Stretch::Bytes(&first), group, out) {
            Fate::Lives => self.state = State::WebSocket(Box::new(socket)),
            fate => return fate,
        }
        Fate::Upgraded
    }

    fn want(&self, volumes: Vec<(Direction, Volume)>, out: &mut Vec<Output>) {
        let conn = self.key;
        out.extend(volumes.into_iter().map(|(direction, volume)| Output::Volume { conn, direction, volume }));
    }

    /// It is no longer read as a WebSocket: there are too many of them.
    pub fn unwatch(&mut self) {
        self.state = State::Unwatched;
    }

    /// Its end will not be seen.
    pub fn truncate(self, time: Nanos, out: &mut Vec<Output>) {
        match self.state {
            State::Http(mut http) => http.truncate(time, out),
            State::Http2(mut http) => http.truncate(time, out),
            _ => {}
        }
    }

    /// Says what is asked for on it, and whether all of that is seen.
    fn ask(&mut self, event: &Event, fate: Fate, asks: &mut Asks, out: &mut Vec<Output>) {
        let sight = match (&mut self.state, fate) {
            (_, Fate::Over) => Sight::Clear,
            // Given up: noise that was there before, or what somebody says to the server and cannot be read.
            (_, Fate::Unwatched) if event.midway => Sight::Clear,
            (_, Fate::Unwatched) => given_up(event),
            (State::Http(http), _) => http.ask(event.thread, asks, out),
            (State::Opening(opening), _) => opening.sight(),
            (State::Http2(http), _) => http.sight(),
            // As when it was given up.
            (State::Unwatched, _) => return,
            _ => Sight::Clear,
        };
        asks.sees(event.time, self.key, sight);
    }

    fn open(
        &mut self,
        event: &Event,
        segment: &Segment,
        group: &mut Group,
        asks: &mut Asks,
        out: &mut Vec<Output>,
    ) -> Fate {
        let (time, thread) = (event.time, event.thread);
        let protocols = self.protocols(group);
        let State::Opening(opening) = &mut self.state else { return Fate::Lives };
        let (start, held) = match opening.read(time, segment, protocols) {
            Verdict::Undecided => return Fate::Lives,
            Verdict::NotOurs => return Fate::Unwatched,
            Verdict::Http2(..) if self.server.told == Told::ByRequests => {
                out.push(Output::Issue(Issue::ProtocolUnknown));
                return Fate::Unwatched;
            }
            Verdict::Http2(start, held) => {
                let mut http = Box::new(Http2Connection::new(start));
                for (time, segment) in held.iter().map(|(time, segment)| (*time, segment)).chain([(time, segment)]) {
                    http.data(&mut Turn { time, thread, key: self.key, server: &self.server, asks, out }, segment);
                }
                self.state = State::Http2(http);
                return Fate::Lives;
            }
            Verdict::Zmtp(..) if !group.needs_wire(time) => return Fate::Waits,
            Verdict::Zmtp(start, held) => {
                let Some(tap) = Tap::new(self.server.engine, End::Wire) else { return Fate::Unwatched };
                let mut zmtp = Box::new(ZmtpConnection::new(tap, start));
                for (time, segment) in &held {
                    zmtp.data(*time, segment, group, out);
                }
                let fate = zmtp.data(time, segment, group, out);
                self.state = State::Zmtp(zmtp);
                return fate;
            }
            Verdict::WebSocket => {
                let mut socket = Box::new(WebSocketConnection::midway());
                let volumes = socket.volumes();
                let fate = socket.data(time, self.key, segment, group, out);
                self.state = State::WebSocket(socket);
                self.want(volumes, out);
                return fate;
            }
            Verdict::Http(start, held) => (start, held),
        };
        let mut http = Box::new(HttpConnection::new(self.key.layer, start));
        for (time, segment) in &held {
            http.data(*time, self.key, segment, &self.server, group, out);
        }
        let fate = http.data(time, self.key, segment, &self.server, group, out);
        if self.server.told == Told::ByCalls {
            // Its head says it all, but for an id, which comes next.
            let (direction, volume) = (Direction::Read, Volume::Head(HEAD_BYTES));
            out.push(Output::Volume { conn: self.key, direction, volume });
        }
        self.state = State::Http(http);
        fate
    }

    /// The better end kept silent.
    fn read_on(&mut self, out: &mut Vec<Output>) {
        let Some(tap) = Tap::new(self.server.engine, End::Wire) else { return };
        self.state = State::Zmtp(Box::new(ZmtpConnection::new(tap, Start::Anywhere)));
        for direction in [Direction::Read, Direction::Write] {
            out.push(Output::Volume { conn: self.key, direction, volume: Volume::Full });
        }
    }

    /// What may be spoken on it that is worth reading.
    fn protocols(&self, group: &Group) -> Protocols {
        let Server { engine, role, messages, told, .. } = &self.server;
        if *told == Told::ByCalls {
            return Protocols::AnyHttp;
        }
        let at_socket = *role == Role::Frontend
            && self.key.layer == Layer::Socket
            && matches!(messages, EngineMessages::Auto | EngineMessages::Wire);
        if at_socket && engine.messages().is_some() && !group.outranks(End::Wire) {
            Protocols::HttpAndZmtp
        } else if group.has_jobs() {
            Protocols::HttpAndWebSocket
        } else {
            Protocols::Http
        }
    }
}
