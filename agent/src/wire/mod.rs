//! From stream bytes to messages. Pure, incremental, and never failing: a decoder returns what it could read and says
//! the rest as [`Issue`]s. Splitting the same bytes at other places never changes what a decoder says.
//!
//! `stream` puts segments in order; `http1`, `http2` (with `hpack`), `websocket` and `zmtp` cut a stream into messages;
//! `sse` and `grpc` cut a body into events and messages; `json` reads single fields out of partial documents, `protobuf` out
//! of partial messages, `msgpack` value after value, `lines` what a process writes for people. Nothing here knows an engine.

use crate::event::Nanos;
use crate::issue::Issue;

pub mod grpc;
pub mod hpack;
pub mod http1;
pub mod http2;
pub mod json;
pub mod lines;
pub mod msgpack;
pub mod protobuf;
mod scan;
pub mod sse;
pub mod stream;
pub mod trace;
pub mod websocket;
pub mod zmtp;

/// A stretch of one direction of one connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stretch<'a> {
    /// Bytes that were copied.
    Bytes(&'a [u8]),
    /// Bytes that passed and were not copied, on purpose.
    Elided(u64),
    /// Bytes that passed and were lost.
    Gap(u64),
}

/// Head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestHead {
    /// GET, POST, …
    pub method: String,
    /// Path without its query.
    pub path: String,
    /// Lower-case names, in order; only those that [`http1::kept`] lists, so that credentials are never held.
    pub headers: Vec<(String, String)>,
}

/// Head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// 200, 404, …
    pub status: u16,
    /// As in [`RequestHead::headers`].
    pub headers: Vec<(String, String)>,
}

/// The value of a header, by its lower-case name.
#[must_use]
pub fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Whether an answer that ends HTTP on its connection begins a WebSocket there.
#[must_use]
pub fn is_websocket(head: &ResponseHead) -> bool {
    header(&head.headers, "upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
}

/// What a message decoder says, in stream order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A request begins.
    Request(RequestHead),
    /// A response begins (never 1xx: those are skipped).
    Response(ResponseHead),
    /// Body bytes of the current message, transfer coding removed. Borrowed from the pushed slice, so that a caller can
    /// tell where in it they lay.
    Body(&'a [u8]),
    /// Body bytes that were not copied.
    Elided(u64),
    /// The current message is complete.
    End,
    /// The current message was cut off: its stream has a gap in it, or ended early, or can't be read. Without a head
    /// before it where that happened in the head.
    Cut,
    /// The connection now speaks another protocol: the message is over, and all that follows is said as its body. The
    /// answer that said so has no [`Item::Response`] where it is 101.
    Upgraded(ResponseHead),
    /// Something was wrong; decoding went on.
    Issue(Issue),
}

/// Which of the two messages of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// From the client.
    Request,
    /// From the server.
    Response,
}

/// What an engine is shown of one exchange, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The response's head (the request's head opened the exchange).
    Response(&'a ResponseHead),
    /// Body bytes.
    Body(Side, &'a [u8]),
    /// Body bytes that were not copied.
    Elided(Side, u64),
    /// One event of a streamed response (`text/event-stream`).
    Event(Event<'a>),
    /// A piece of gRPC's framing of a body.
    Rpc(Side, grpc::Item<'a>),
    /// The message is complete.
    End(Side),
}

/// One server-sent event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its `event:` field, or "".
    pub name: &'a str,
    /// Its `data:` lines, joined by newlines.
    pub data: &'a [u8],
}

/// A moment together with what was decoded then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The time of the call that carried the last byte of it.
    pub time: Nanos,
    /// The thing.
    pub what: T,
}
