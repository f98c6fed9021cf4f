//! An HTTP/2 connection on which clients speak gRPC: puts both directions in order, cuts them into streams, and follows
//! each call from its head to its trailers.
//!
//! Joined midway, calls that were under way are passed over; fields of later heads may be unseen (see [`hpack`]). After a
//! loss, the calls under way end as cut: anything may have been said on any of them.
//!
//! # How much is copied
//! All, until a message shows that large ones pass: from then on the first bytes of each call in that direction. Where
//! that hides a frame's header, the thread is lost until a call begins with one: harmless is before complete here.
//!
//! [`hpack`]: crate::wire::hpack

use super::asks::{Asks, Sight};
use super::connection::Fate;
use super::opening::Start;
use super::transaction::{Ended, Transaction};
use super::{Output, Server, Volume};
use crate::event::{ConnKey, Direction, Nanos, Segment};
use crate::issue::Issue;
use crate::request::{Ending, Protocol, Quality};
use crate::wire::grpc;
use crate::wire::http2::{Decoder, Head, Item};
use crate::wire::stream::Stream;
use crate::wire::{RequestHead, ResponseHead, Side};
use std::collections::BTreeMap;

/// Calls that may be under way on one connection.
const MAX_CALLS: usize = 4096;
/// A message from which on only the first bytes of calls are copied.
const LARGE_MESSAGE: u32 = 64 * 1024;
/// These: what the kernel side gathers in one record.
const HEAD_BYTES: u32 = 8000;

/// An HTTP/2 connection to a server of ours.
pub(super) struct Http2Connection {
    received: Lane,
    sent: Lane,
    calls: BTreeMap<u32, Call>,
}

/// One direction.
struct Lane {
    stream: Stream,
    decoder: Decoder,
    place: Place,
    copied: Copied,
}

/// Whether the decoder knows where it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Known,
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    Whole,
    Heads,
}

/// One stream.
struct Call {
    transaction: Transaction,
    request: grpc::Reader,
    response: grpc::Reader,
    /// When the request's message under way began.
    began: Nanos,
}

/// What a call on a connection may move.
pub(super) struct Turn<'t> {
    pub time: Nanos,
    pub thread: u32,
    pub key: ConnKey,
    pub server: &'t Server,
    pub asks: &'t mut Asks,
    pub out: &'t mut Vec<Output>,
}

impl Http2Connection {
    pub fn new(start: Start) -> Http2Connection {
        let lane = |decoder| match start {
            Start::Beginning => {
                Lane { stream: Stream::new(Some(0)), decoder, place: Place::Known, copied: Copied::Whole }
            }
            Start::Message(_) | Start::Anywhere => Lane {
                stream: Stream::new(None),
                decoder: Decoder::midway(),
                place: Place::Lost,
                copied: Copied::Whole,
            },
        };
        Http2Connection {
            received: lane(Decoder::requests()),
            sent: lane(Decoder::responses()),
            calls: BTreeMap::new(),
        }
    }

    /// The connection was closed.
    pub fn closed(&mut self, time: Nanos, out: &mut Vec<Output>) -> Fate {
        self.end_all(time, Ending::ClientLeft, out);
        Fate::Over
    }

    /// Takes bytes.
    pub fn data(&mut self, turn: &mut Turn<'_>, segment: &Segment) -> Fate {
        let (mut issues, mut items) = (Vec::new(), Vec::new());
        let Lane { stream, decoder, place, .. } = self.lane(segment.direction);
        stream.push(segment, &mut issues, &mut |stretch| {
            decoder.push(turn.time, stretch, &mut |item| {
                *place = if item == Item::Cut { Place::Lost } else { Place::Known };
                items.push(item);
            });
        });
        turn.issues(issues);
        let mut largest = 0;
        for item in items {
            let length = match segment.direction {
                Direction::Read => self.asked(turn, item),
                Direction::Write => self.answered(turn, item),
            };
            largest = largest.max(length);
        }
        let lane = self.lane(segment.direction);
        if largest >= LARGE_MESSAGE && lane.copied == Copied::Whole {
            lane.copied = Copied::Heads;
            let (direction, volume) = (segment.direction, Volume::Head(HEAD_BYTES));
            turn.out.push(Output::Volume { conn: turn.key, direction, volume });
        }
        Fate::Lives
    }

    /// Whether all calls on it are seen.
    pub fn sight(&self) -> Sight {
        if self.received.place == Place::Lost { Sight::Unclear } else { Sight::Clear }
    }

    /// The end of the connection will not be seen.
    pub fn truncate(&mut self, time: Nanos, out: &mut Vec<Output>) {
        self.mark_all(Quality::Truncated);
        self.end_all(time, Ending::Unseen, out);
    }

    /// Takes what a client says. The length of a message that begins in it, else 0.
    fn asked(&mut self, turn: &mut Turn<'_>, item: Item<'_>) -> u32 {
        let mut length = 0;
        match item {
            Item::Preface => self.sent.decoder.begins(),
            // Behind a head stand trailers; those of a request say nothing.
            Item::Head { stream, .. } | Item::Unreadable { stream, .. } if self.calls.contains_key(&stream) => {}
            Item::Head { stream, began, head } => self.open(turn, stream, began, &head),
            Item::Unreadable { stream, began } => self.open(turn, stream, began, &Head::default()),
            Item::Data { stream, bytes } => {
                let Some(call) = self.calls.get_mut(&stream) else { return 0 };
                let Call { transaction, request, began, .. } = call;
                request.push(bytes, &mut |item| length = length.max(asked(turn, transaction, began, item)));
            }
            Item::Elided { stream, bytes } => {
                let Some(call) = self.calls.get_mut(&stream) else { return 0 };
                let Call { transaction, request, began, .. } = call;
                request.elide(bytes, &mut |item| length = length.max(asked(turn, transaction, began, item)));
            }
            Item::End { .. } => {}
            Item::Reset { stream, .. } => self.end(turn, stream, Ending::ClientLeft),
            Item::Cut => self.cut(turn),
            Item::Issue(issue) => turn.out.push(Output::Issue(issue)),
        }
        length
    }

    /// Takes what the server says. The length of a message that begins in it, else 0.
    fn answered(&mut self, turn: &mut Turn<'_>, item: Item<'_>) -> u32 {
        let mut length = 0;
        match item {
            Item::Head { stream, began, head } => {
                if let Some(call) = self.calls.get_mut(&stream) {
                    answered(&mut call.transaction, began, &head);
                }
            }
            Item::Data { stream, bytes } => {
                let Some(call) = self.calls.get_mut(&stream) else { return 0 };
                call.transaction.written(turn.time);
                call.response.push(bytes, &mut |item| length = length.max(begun(&item)));
            }
            Item::Elided { stream, bytes } => {
                let Some(call) = self.calls.get_mut(&stream) else { return 0 };
                call.transaction.written(turn.time);
                call.response.elide(bytes, &mut |_| {});
            }
            Item::End { stream } => self.end(turn, stream, Ending::Answered),
            Item::Reset { stream, .. } => self.end(turn, stream, Ending::ServerClosed),
            Item::Cut => self.cut(turn),
            Item::Issue(issue) => turn.out.push(Output::Issue(issue)),
            Item::Preface | Item::Unreadable { .. } => {}
        }
        length
    }

    fn open(&mut self, turn: &mut Turn<'_>, stream: u32, began: Nanos, head: &Head) {
        if self.calls.len() >= MAX_CALLS
            && let Some((_, mut oldest)) = self.calls.pop_first()
        {
            turn.out.push(Output::Issue(Issue::RequestsOverBound));
            oldest.transaction.mark(Quality::Truncated);
            turn.out.extend(ended(oldest, turn.time, Ending::Unseen));
        }
        let mut transaction = Transaction::open(turn.server, &request_head(head), began);
        transaction.speaks(Protocol::Grpc);
        let (request, response) = Default::default();
        self.calls.insert(stream, Call { transaction, request, response, began });
    }

    fn end(&mut self, turn: &mut Turn<'_>, stream: u32, ending: Ending) {
        if let Some(call) = self.calls.remove(&stream) {
            turn.out.extend(ended(call, turn.time, ending));
        }
    }

    /// Anything may have been said on any stream.
    fn cut(&mut self, turn: &mut Turn<'_>) {
        // Of a message too long to be copied its beginning was read all the same.
        for call in self.calls.values_mut().filter(|call| call.request.is_in_message()) {
            call.transaction.ask_one(call.began, turn.thread, turn.asks, turn.out);
        }
        self.mark_all(Quality::Gap);
        self.end_all(turn.time, Ending::Unseen, turn.out);
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::Read => &mut self.received,
            Direction::Write => &mut self.sent,
        }
    }

    fn mark_all(&mut self, quality: Quality) {
        self.calls.values_mut().for_each(|call| call.transaction.mark(quality));
    }

    fn end_all(&mut self, time: Nanos, ending: Ending, out: &mut Vec<Output>) {
        let calls = std::mem::take(&mut self.calls).into_values();
        out.extend(calls.filter_map(|call| ended(call, time, ending)));
    }
}

impl Turn<'_> {
    fn issues(&mut self, issues: Vec<Issue>) {
        self.out.extend(issues.into_iter().map(Output::Issue));
    }
}

/// A piece of what a client asks. The length of the message that begins with it, else 0.
fn asked(turn: &mut Turn<'_>, transaction: &mut Transaction, began: &mut Nanos, item: grpc::Item<'_>) -> u32 {
    if let grpc::Item::Begin { .. } = item {
        *began = turn.time;
    }
    let mut issues = Vec::new();
    transaction.rpc(Side::Request, item, &mut issues);
    match item {
        grpc::Item::End if transaction.is_many() => transaction.ask_one(*began, turn.thread, turn.asks, turn.out),
        grpc::Item::End => {
            transaction.request_end(turn.time, &mut issues);
            transaction.ask(Protocol::Grpc, turn.thread, turn.asks, turn.out);
        }
        _ => {}
    }
    turn.issues(issues);
    begun(&item)
}

/// A head or trailers of an answer.
fn answered(transaction: &mut Transaction, began: Nanos, head: &Head) {
    let status = head.get(":status").and_then(|status| status.parse().ok());
    if let Some(status) = status.filter(|status| *status >= 200) {
        transaction.response(began, &ResponseHead { status, headers: Vec::new() }, &mut Vec::new());
    }
    if let Some(status) = head.get("grpc-status").and_then(|status| status.parse().ok()) {
        transaction.grpc_status(status);
    }
}

fn ended(call: Call, time: Nanos, ending: Ending) -> Option<Output> {
    if call.transaction.is_many() {
        return None;
    }
    match call.transaction.end(time, ending, &mut Vec::new())? {
        Ended::Inference(record) => Some(Output::Record(record)),
        Ended::Jobs(_) => None,
    }
}

fn begun(item: &grpc::Item<'_>) -> u32 {
    if let grpc::Item::Begin { length, .. } = item { *length } else { 0 }
}

/// In the words of HTTP/1. A path that was not seen is empty.
fn request_head(head: &Head) -> RequestHead {
    let field = |name| head.get(name).unwrap_or_default();
    let path = field(":path").split(['?', '#']).next().unwrap_or_default();
    let headers = head.fields.iter().filter(|(name, _)| !name.starts_with(':'));
    RequestHead {
        method: field(":method").to_owned(),
        path: path.to_owned(),
        headers: headers.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    }
}
