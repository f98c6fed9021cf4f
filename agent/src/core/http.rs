//! An HTTP/1 connection: puts both directions in order, cuts them into messages, and pairs answers with requests.
//!
//! # Pairing
//! Answers come in the order of their requests. After a loss in what the server sent it is unknown which answers were
//! in it: every request in flight ends with [`Quality::Gap`], and answers are passed over until the next request. After
//! a loss in what the client sent, requests in flight are marked. HTTP clients wait for an answer before they ask
//! again; only where one pipelines *and* bytes are lost could an answer meet the wrong request.
//!
//! # Joined midway
//! A request whose arrival was not seen has no latency. It is counted once, at its end, if it is surely inference: its
//! answer is an event stream, known by its head or by the chunk that the first call begins with. Such an answer is
//! looked for only until the first request is seen, so that nothing is counted twice.
//!
//! # Who went first
//! A client that reads its answer may have shut down its own side: an end of file only notes a moment. If the answer
//! then completes, it is answered; if the connection closes first, the client left at that moment. Without such a
//! moment the server closed first. A TLS library does not say who closed; there it is the client, because a server that
//! dies takes its process along.

use super::asks::{Asks, Sight};
use super::connection::Fate;
use super::edges::{self, Reading};
use super::group::Group;
use super::jobs::Exchanged;
use super::opening::{Start, begins_event_chunk};
use super::transaction::{Ended, Transaction, delivery};
use super::websocket::WebSocketConnection;
use super::{Output, Server, Volume, record, unread};
use crate::config::Http;
use crate::engine::Facts;
use crate::event::{ConnKey, Direction, Event, EventKind, Layer, Nanos, Segment};
use crate::issue::Issue;
use crate::request::{Delivery, Ending, Protocol, Quality, Request};
use crate::wire::http1::{Decoder, Opening, sniff};
use crate::wire::stream::Stream;
use crate::wire::websocket::Extensions;
use crate::wire::{Item, RequestHead, ResponseHead, Side, Stretch, is_websocket};
use std::collections::VecDeque;

/// Requests that may wait for an answer on one connection.
const MAX_PIPELINED: usize = 64;

/// The client is gone: ECONNRESET, EPIPE.
const CLIENT_GONE: [u32; 2] = [104, 32];

/// How the last chunk of a body ends.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// An HTTP/1 connection to a server of ours.
pub(super) struct HttpConnection {
    layer: Layer,
    requests: Lane,
    responses: Lane,
    pairing: Pairing,
    transactions: VecDeque<Transaction>,
    /// An answer under way whose request was not seen.
    orphan: Option<Request>,
    /// First byte of a request whose head is not whole yet.
    begun: Option<Nanos>,
    /// The newest request is still being received.
    receiving: bool,
    client_left: Option<Nanos>,
    reading: Reading,
    /// Where what the client sent ends, as far as it was seen.
    received: u64,
    /// The last volume that was asked for because nobody reads a body.
    asked: Option<Volume>,
    /// Exchanges about jobs that are over.
    exchanged: Vec<Exchanged>,
    upgraded: Option<Upgraded>,
}

/// What the connection has become.
struct Upgraded {
    extensions: Extensions,
    /// What the server sent in the same call.
    first: Vec<u8>,
}

/// One direction.
struct Lane {
    stream: Stream,
    decoder: Decoder,
}

/// Whether the next answer belongs to the request that waits longest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairing {
    /// Joined midway, no request seen yet.
    Joined,
    Known,
    /// Answers were lost.
    Lost,
}

impl HttpConnection {
    pub fn new(layer: Layer, start: Start) -> HttpConnection {
        let lane = |decoder: Decoder, direction| match start {
            Start::Beginning => Lane { stream: Stream::new(Some(0)), decoder },
            Start::Message(begins) if begins == direction => Lane { stream: Stream::new(None), decoder },
            Start::Message(_) | Start::Anywhere => Lane { stream: Stream::new(None), decoder: decoder.midway() },
        };
        HttpConnection {
            layer,
            requests: lane(Decoder::requests(), Direction::Read),
            responses: lane(Decoder::responses(), Direction::Write),
            pairing: if start == Start::Beginning { Pairing::Known } else { Pairing::Joined },
            transactions: VecDeque::new(),
            orphan: None,
            begun: None,
            receiving: false,
            client_left: None,
            reading: Reading::Whole,
            received: 0,
            asked: None,
            upgraded: None,
            exchanged: Vec::new(),
        }
    }

    /// What it is from now on, and what the server has sent on that; `None` where it was not upgraded.
    pub fn upgraded(self) -> Option<(WebSocketConnection, Vec<u8>)> {
        let Upgraded { extensions, first } = self.upgraded?;
        Some((WebSocketConnection::new(self.responses.stream, extensions), first))
    }

    /// Requests in flight, oldest first.
    pub fn transactions(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter()
    }

    /// Says what is asked for on it, where inferences are told of by calls; and whether all of that is seen.
    pub fn ask(&mut self, thread: u32, asks: &mut Asks, out: &mut Vec<Output>) -> Sight {
        self.transactions.iter_mut().for_each(|transaction| transaction.ask(Protocol::Http, thread, asks, out));
        if self.requests.decoder.is_lost() { Sight::Unclear } else { Sight::Clear }
    }

    /// The exchanges about jobs that ended since the last time.
    pub fn exchanged(&mut self) -> Vec<Exchanged> {
        std::mem::take(&mut self.exchanged)
    }

    /// Takes one event other than the close.
    pub fn step(&mut self, event: &Event, server: &Server, group: &Group, out: &mut Vec<Output>) -> Fate {
        let time = event.time;
        match &event.kind {
            EventKind::Data(segment) => return self.data(time, event.conn, segment, server, group, out),
            EventKind::Eof => self.note_left(time),
            EventKind::Failed { errno, .. } if CLIENT_GONE.contains(errno) => self.note_left(time),
            EventKind::Failed { .. }
            | EventKind::Opened
            | EventKind::Closed
            | EventKind::Frame { .. }
            | EventKind::Call(_) => {}
        }
        Fate::Lives
    }

    /// Takes bytes.
    pub fn data(
        &mut self,
        time: Nanos,
        key: ConnKey,
        segment: &Segment,
        server: &Server,
        group: &Group,
        out: &mut Vec<Output>,
    ) -> Fate {
        let mut issues = Vec::new();
        let fate = match segment.direction {
            Direction::Read => {
                self.received = segment.position.saturating_add(segment.total);
                self.end_unread(&mut issues, out);
                self.receive(time, segment, server, &mut issues, out)
            }
            Direction::Write if self.is_unread(segment) => self.send_unread(time, segment, group, &mut issues, out),
            Direction::Write => self.send(time, segment, server, group, &mut issues, out),
        };
        if let Some(volume) = self.leaves_out(segment)
            && self.asked.replace(volume) != Some(volume)
        {
            out.push(Output::Volume { conn: key, direction: segment.direction, volume });
        }
        if server.http == Http::Edges && self.reading == Reading::Whole && self.is_told(group) {
            self.reading = Reading::Asked;
            let volume = Volume::SizeOnlyWhile { received: self.received };
            out.push(Output::Volume { conn: key, direction: Direction::Write, volume });
        }
        out.extend(issues.into_iter().map(Output::Issue));
        fate
    }

    /// What the kernel side need not copy of the body under way, where nobody reads it and much of it is to come.
    fn leaves_out(&self, segment: &Segment) -> Option<Volume> {
        let (decoder, transaction, side) = match segment.direction {
            Direction::Read => (&self.requests.decoder, self.transactions.back(), Side::Request),
            Direction::Write => (&self.responses.decoder, self.transactions.front(), Side::Response),
        };
        let is_alone = self.transactions.len() == 1;
        if !segment.last || segment.bytes.is_empty() || !is_alone || transaction?.reads(side) {
            return None;
        }
        unread::volume(side, decoder.body_left(), self.received)
    }

    /// The connection was closed.
    pub fn closed(&mut self, time: Nanos, group: &Group, out: &mut Vec<Output>) -> Fate {
        let mut issues = Vec::new();
        if self.reading == Reading::Edges && self.is_done(group) {
            self.end_unread(&mut issues, out);
        }
        if self.client_left.is_none() {
            // A body may end with its connection.
            let mut complete = false;
            self.responses.decoder.finish(&mut |item| complete |= item == Item::End);
            if complete {
                self.answered(time, &mut issues, out);
            }
        }
        let (ending, end) = match (self.client_left, self.layer) {
            (Some(left), _) => (Ending::ClientLeft, left),
            (None, Layer::Tls) => (Ending::ClientLeft, time),
            (None, Layer::Socket | Layer::Message | Layer::Call) => (Ending::ServerClosed, time),
        };
        self.end_all(end, ending, &mut issues, out);
        out.extend(issues.into_iter().map(Output::Issue));
        Fate::Over
    }

    /// Time passed.
    pub fn settle(&mut self, now: Nanos, group: &Group, out: &mut Vec<Output>) {
        let written = self.transactions.front().and_then(Transaction::last_written);
        if self.reading == Reading::Edges
            && written.is_some_and(|written| edges::is_quiet(written, now))
            && self.is_done(group)
        {
            self.end_unread(&mut Vec::new(), out);
        }
    }

    /// Whether the engine's messages tell the rest of the one answer under way.
    fn is_told(&self, group: &Group) -> bool {
        let (1, Some(only)) = (self.transactions.len(), self.transactions.front()) else { return false };
        let id = only.with_content().and_then(|facts| facts.id.as_deref());
        !self.receiving && self.begun.is_none() && id.is_some_and(|id| group.is_done(id).is_some())
    }

    fn is_done(&self, group: &Group) -> bool {
        let facts = self.transactions.front().and_then(Transaction::running).map(|(_, facts)| facts);
        facts.and_then(|facts| group.is_done(facts.id.as_deref()?)) == Some(true)
    }

    fn is_unread(&self, segment: &Segment) -> bool {
        self.reading == Reading::Edges || (self.reading == Reading::Asked && segment.bytes.is_empty())
    }

    /// A call that the kernel side did not copy.
    fn send_unread(
        &mut self,
        time: Nanos,
        segment: &Segment,
        group: &Group,
        issues: &mut Vec<Issue>,
        out: &mut Vec<Output>,
    ) -> Fate {
        if self.reading == Reading::Asked {
            self.reading = Reading::Edges;
            self.transactions.iter_mut().for_each(Transaction::unread);
        }
        self.transactions.iter_mut().for_each(|transaction| transaction.written(time));
        if edges::ends(segment) && self.is_done(group) {
            self.end_unread(issues, out);
        }
        Fate::Lives
    }

    /// Ends an answer that was not read to its end, with its last write; the next one is read from its beginning.
    fn end_unread(&mut self, issues: &mut Vec<Issue>, out: &mut Vec<Output>) {
        let reading = std::mem::take(&mut self.reading);
        if reading != Reading::Edges {
            return;
        }
        self.responses = Lane { stream: Stream::new(None), decoder: Decoder::responses() };
        if let Some(written) = self.transactions.front().and_then(Transaction::last_written) {
            self.answered(written, issues, out);
        }
    }

    /// The end of the connection will not be seen.
    pub fn truncate(&mut self, time: Nanos, out: &mut Vec<Output>) {
        self.mark_all(Quality::Truncated);
        self.end_all(time, Ending::Unseen, &mut Vec::new(), out);
    }

    fn note_left(&mut self, time: Nanos) {
        self.client_left.get_or_insert(time);
    }

    fn receive(
        &mut self,
        time: Nanos,
        segment: &Segment,
        server: &Server,
        issues: &mut Vec<Issue>,
        out: &mut Vec<Output>,
    ) -> Fate {
        // Whoever sends was not gone: a read of no bytes returns 0 as well.
        self.client_left = None;
        if !self.requests.decoder.in_message() && sniff(&segment.bytes) == Some(Opening::Request) {
            self.begun = Some(time);
        }
        for item in self.requests.push(segment, issues) {
            match item {
                Item::Request(_) if self.transactions.len() >= MAX_PIPELINED => {
                    issues.push(Issue::RequestsOverBound);
                    self.truncate(time, out);
                    return Fate::Unwatched;
                }
                Item::Request(head) => self.open(time, &head, server, out),
                Item::Body(bytes) => {
                    if let Some(newest) = self.newest() {
                        newest.request_body(bytes, issues);
                    }
                }
                Item::Elided(bytes) => {
                    if let Some(newest) = self.newest() {
                        newest.request_elided(bytes, issues);
                    }
                }
                Item::End => {
                    if let Some(newest) = self.newest() {
                        newest.request_end(time, issues);
                    }
                    self.receiving = false;
                }
                Item::Cut => {
                    self.mark_all(Quality::Gap);
                    self.receiving = false;
                    self.begun = None;
                }
                Item::Issue(issue) => issues.push(issue),
                Item::Response(_) | Item::Upgraded(_) => {}
            }
        }
        if self.requests.decoder.in_message() && !self.receiving {
            self.begun.get_or_insert(time);
        }
        Fate::Lives
    }

    /// The request that is being received; it is the newest one, unless it was answered before it was complete.
    fn newest(&mut self) -> Option<&mut Transaction> {
        self.transactions.back_mut()
    }

    fn open(&mut self, time: Nanos, head: &RequestHead, server: &Server, out: &mut Vec<Output>) {
        let arrival = self.begun.take().unwrap_or(time);
        if let Some(orphan) = self.orphan.take() {
            // Nobody asks again before the answer is complete.
            out.push(record(orphan.end(arrival, Ending::Answered, &Facts::default())));
        }
        self.pairing = Pairing::Known;
        self.receiving = true;
        self.responses.decoder.expect(&head.method);
        self.transactions.push_back(Transaction::open(server, head, arrival));
    }

    fn send(
        &mut self,
        time: Nanos,
        segment: &Segment,
        server: &Server,
        group: &Group,
        issues: &mut Vec<Issue>,
        out: &mut Vec<Output>,
    ) -> Fate {
        if self.pairing == Pairing::Joined && !self.responses.decoder.in_message() {
            self.send_unframed(time, segment, server, out);
        }
        for item in self.responses.push(segment, issues) {
            match item {
                Item::Response(head) => self.respond(time, &head, server, issues),
                Item::Body(bytes) => match (self.transactions.front_mut(), &mut self.orphan, &mut self.upgraded) {
                    (Some(oldest), ..) => oldest.response_body(time, bytes, issues),
                    (None, Some(orphan), _) => orphan.written(time),
                    (None, None, Some(upgraded)) => upgraded.first.extend_from_slice(bytes),
                    (None, None, None) => {}
                },
                Item::Elided(_) if self.upgraded.is_some() => return Fate::Unwatched,
                Item::Elided(bytes) => {
                    if let Some(oldest) = self.transactions.front_mut() {
                        oldest.response_elided(time, bytes, issues);
                    }
                }
                Item::End => self.answered(time, issues, out),
                Item::Cut => {
                    self.mark_all(Quality::Gap);
                    self.end_all(time, Ending::Unseen, issues, out);
                    self.pairing = Pairing::Lost;
                }
                Item::Upgraded(head) => {
                    self.answered(time, issues, out);
                    self.truncate(time, out);
                    if !is_websocket(&head) || !group.has_jobs() {
                        return Fate::Unwatched;
                    }
                    let extensions = Extensions::agreed(&head.headers);
                    self.upgraded = Some(Upgraded { extensions, first: Vec::new() });
                }
                Item::Issue(issue) => issues.push(issue),
                Item::Request(_) => {}
            }
        }
        if self.upgraded.is_some() { Fate::Upgraded } else { Fate::Lives }
    }

    /// Finds the pieces of an answer whose head was sent before the agent came.
    fn send_unframed(&mut self, time: Nanos, segment: &Segment, server: &Server, out: &mut Vec<Output>) {
        if self.orphan.is_none() && segment.offset == 0 && begins_event_chunk(&segment.bytes) {
            self.orphan = Some(orphan(server, time));
        }
        if segment.last
            && segment.bytes.ends_with(LAST_CHUNK)
            && let Some(orphan) = self.orphan.take()
        {
            out.push(record(orphan.end(time, Ending::Answered, &Facts::default())));
        }
    }

    fn respond(&mut self, time: Nanos, head: &ResponseHead, server: &Server, issues: &mut Vec<Issue>) {
        if let Some(oldest) = self.transactions.front_mut() {
            return oldest.response(time, head, issues);
        }
        match self.pairing {
            Pairing::Joined if delivery(head) == Delivery::Streamed => {
                let mut orphan = orphan(server, time);
                orphan.headers(time, head.status, Delivery::Streamed);
                self.orphan = Some(orphan);
            }
            Pairing::Joined | Pairing::Lost => {}
            Pairing::Known => issues.push(Issue::HttpUnexpectedResponse),
        }
    }

    /// The answer under way is complete.
    fn answered(&mut self, time: Nanos, issues: &mut Vec<Issue>, out: &mut Vec<Output>) {
        let ended = match self.transactions.pop_front() {
            Some(oldest) => oldest.end(time, Ending::Answered, issues),
            None => {
                let orphan = self.orphan.take().map(|orphan| orphan.end(time, Ending::Answered, &Facts::default()));
                orphan.map(Box::new).map(Ended::Inference)
            }
        };
        match ended {
            Some(Ended::Inference(ended)) => out.push(Output::Record(ended)),
            Some(Ended::Jobs(exchanged)) => self.exchanged.push(exchanged),
            None => {}
        }
    }

    fn mark_all(&mut self, quality: Quality) {
        self.transactions.iter_mut().for_each(|transaction| transaction.mark(quality));
        self.orphan.iter_mut().for_each(|orphan| orphan.mark(quality));
    }

    fn end_all(&mut self, time: Nanos, ending: Ending, issues: &mut Vec<Issue>, out: &mut Vec<Output>) {
        let orphan = self.orphan.take().map(|orphan| orphan.end(time, ending, &Facts::default()));
        let others =
            self.transactions.drain(..).filter_map(|transaction| match transaction.end(time, ending, issues) {
                Some(Ended::Inference(record)) => Some(Output::Record(record)),
                // What was answered only in part says nothing for sure.
                Some(Ended::Jobs(_)) | None => None,
            });
        out.extend(orphan.into_iter().map(record).chain(others));
    }
}

impl Lane {
    /// What the segment adds. A loss between messages is a cut as well: messages may have been in it.
    fn push<'a>(&mut self, segment: &'a Segment, issues: &mut Vec<Issue>) -> Vec<Item<'a>> {
        let Lane { stream, decoder } = self;
        let mut items = Vec::new();
        stream.push(segment, issues, &mut |stretch| {
            if matches!(stretch, Stretch::Gap(_)) {
                items.push(Item::Cut);
            }
            decoder.push(stretch, &mut |item| items.push(item));
        });
        items
    }
}

/// A request that is first seen when it is being answered.
fn orphan(server: &Server, time: Nanos) -> Request {
    let mut request = Request::new(server.origin.clone(), String::new(), time);
    request.mark(Quality::JoinedMidway);
    request
}
