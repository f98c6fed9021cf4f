//! What a connection is, by what is first said on it.
//!
//! A connection seen from its start is decided by its first bytes: clients of ours speak first, and they speak HTTP/1 or,
//! where a server of theirs does, HTTP/2; ZeroMQ greets from both sides. One joined midway is decided by the first call
//! that begins like a message, like a piece of an event stream, or like the frames of ZeroMQ, HTTP/2 or WebSocket. Others are given a
//! number of calls, then no longer watched: logs, wake-up
//! pipes and message queues look like that. It errs at a long upload that was under way when the agent came: that
//! connection is not watched any more.

use super::asks::Sight;
use crate::event::{Direction, Nanos, Segment};
use crate::wire::http1::{self, sniff};
use crate::wire::http2;
use crate::wire::websocket::{Sender, is_row_of_frames};
use crate::wire::zmtp;

/// Calls on a connection joined midway that begin like nothing known, before it is given up.
const MAX_STRANGE: u32 = 32;

/// A connection that is not decided yet.
pub(super) struct Opening {
    seen: Seen,
    /// What was said while it was too little to tell: less than the longest method, or than a greeting's first bytes.
    held: Vec<(Nanos, Segment)>,
    strange: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    FromStart,
    Midway,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocols {
    /// Requests of clients.
    Http,
    /// And messages between the server's processes.
    HttpAndZmtp,
    /// Requests of clients, over HTTP/2 as well.
    AnyHttp,
    /// And what clients that watch are told.
    HttpAndWebSocket,
}

/// What is known of a connection.
pub(super) enum Verdict {
    /// Nothing yet.
    Undecided,
    /// Clients send HTTP/1 requests on it. With what was held back, to be read first.
    Http(Start, Vec<(Nanos, Segment)>),
    /// ZeroMQ speaks on it. With what was held back, to be read first.
    Zmtp(Start, Vec<(Nanos, Segment)>),
    /// Clients speak HTTP/2 on it. With what was held back, to be read first.
    Http2(Start, Vec<(Nanos, Segment)>),
    /// A client watches on it, whose handshake was not seen.
    WebSocket,
    /// The process is the client there, or it is TLS (the clear text is seen elsewhere), or it is noise.
    NotOurs,
}

/// From where a connection is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// From its first byte.
    Beginning,
    /// From the message that begins here in this direction; in the other one from wherever the next message begins.
    Message(Direction),
    /// From wherever the next messages begin.
    Anywhere,
}

impl Opening {
    pub fn new(midway: bool) -> Opening {
        Opening { seen: if midway { Seen::Midway } else { Seen::FromStart }, held: Vec::new(), strange: 0 }
    }

    /// Whether it may carry requests that are not seen.
    pub fn sight(&self) -> Sight {
        if self.seen == Seen::Midway { Sight::Unclear } else { Sight::Clear }
    }

    /// Judges by one more segment.
    pub fn read(&mut self, time: Nanos, segment: &Segment, protocols: Protocols) -> Verdict {
        let begun = self.held.iter().any(|(_, held)| held.direction == segment.direction);
        let unread = segment.bytes.is_empty() || (!begun && segment.position > 0);
        if unread {
            // What it began with was lost or could not be copied.
            self.seen = Seen::Midway;
        }
        match self.seen {
            Seen::FromStart => self.first_bytes(time, segment, protocols),
            Seen::Midway => self.call(segment, protocols),
        }
    }

    fn first_bytes(&mut self, time: Nanos, segment: &Segment, protocols: Protocols) -> Verdict {
        let held = self.held.iter().filter(|(_, held)| held.direction == segment.direction);
        let held = held.flat_map(|(_, held)| &held.bytes);
        let first: Vec<u8> = held.chain(&segment.bytes).take(64).copied().collect();
        if protocols == Protocols::HttpAndZmtp {
            match zmtp::sniff(&first) {
                None => return self.hold(time, segment),
                Some(zmtp::Opening::Greeting) => {
                    return Verdict::Zmtp(Start::Beginning, std::mem::take(&mut self.held));
                }
                Some(zmtp::Opening::Other) => {}
            }
        }
        if segment.direction == Direction::Write {
            // Only servers of HTTP/2 may speak first.
            let greets = protocols == Protocols::AnyHttp && http2::is_greeting(&first);
            return if greets { self.hold(time, segment) } else { Verdict::NotOurs };
        }
        match sniff(&first) {
            None => self.hold(time, segment),
            Some(http1::Opening::Request) => Verdict::Http(Start::Beginning, std::mem::take(&mut self.held)),
            Some(http1::Opening::Http2) => Verdict::Http2(Start::Beginning, std::mem::take(&mut self.held)),
            Some(http1::Opening::Response | http1::Opening::Tls | http1::Opening::Other) => Verdict::NotOurs,
        }
    }

    fn hold(&mut self, time: Nanos, segment: &Segment) -> Verdict {
        self.held.push((time, segment.clone()));
        Verdict::Undecided
    }

    fn call(&mut self, segment: &Segment, protocols: Protocols) -> Verdict {
        if segment.offset > 0 {
            return Verdict::Undecided;
        }
        match (segment.direction, sniff(&segment.bytes)) {
            (direction @ Direction::Read, Some(http1::Opening::Request))
            | (direction @ Direction::Write, Some(http1::Opening::Response)) => {
                Verdict::Http(Start::Message(direction), Vec::new())
            }
            (Direction::Write, _) if begins_event_chunk(&segment.bytes) => Verdict::Http(Start::Anywhere, Vec::new()),
            (Direction::Read, Some(http1::Opening::Http2)) if segment.position == 0 => {
                Verdict::Http2(Start::Beginning, Vec::new())
            }
            (_, Some(http1::Opening::Http2)) => Verdict::Http2(Start::Anywhere, Vec::new()),
            (_, Some(http1::Opening::Request | http1::Opening::Response | http1::Opening::Tls)) => Verdict::NotOurs,
            _ if protocols == Protocols::HttpAndZmtp && zmtp::is_plausible(&segment.bytes) => {
                Verdict::Zmtp(Start::Anywhere, Vec::new())
            }
            _ if protocols == Protocols::AnyHttp && http2::is_plausible(&segment.bytes) => {
                Verdict::Http2(Start::Anywhere, Vec::new())
            }
            _ if protocols == Protocols::HttpAndWebSocket && is_frames(segment) => Verdict::WebSocket,
            (_, Some(http1::Opening::Other) | None) => {
                self.strange += 1;
                if self.strange < MAX_STRANGE { Verdict::Undecided } else { Verdict::NotOurs }
            }
        }
    }
}

/// Whether a call is WebSocket frames, and nothing else.
fn is_frames(segment: &Segment) -> bool {
    let sender = match segment.direction {
        Direction::Read => Sender::Client,
        Direction::Write => Sender::Server,
    };
    segment.last && is_row_of_frames(&segment.bytes, sender)
}

/// Whether `bytes` begin with a chunk of an event stream: a length in hexadecimal, then a field's name.
pub(super) fn begins_event_chunk(bytes: &[u8]) -> bool {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let Some(data) = bytes.get(digits..).and_then(|rest| rest.strip_prefix(b"\r\n")) else { return false };
    (1..=8).contains(&digits) && (data.starts_with(b"data:") || data.starts_with(b"event:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_chunks_are_recognised() {
        for chunk in
            [&b"ee\r\ndata: {\"id\":"[..], b"3F\r\nevent: message_stop\ndata: {}\n\n\r\n", b"e\r\ndata: [DONE]\n\n\r\n"]
        {
            assert!(begins_event_chunk(chunk), "{}", chunk.escape_ascii());
        }
        for other in
            [&b""[..], b"\r\ndata:", b"ee", b"ee\r\n{", b"data: {", b"0\r\n\r\n", b"123456789\r\ndata:", b"xx\r\ndata:"]
        {
            assert!(!begins_event_chunk(other), "{}", other.escape_ascii());
        }
    }
}
