//! A connection on which the server tells a client that watches of its jobs: puts what was sent in order, cuts it into
//! messages, and hands them to the group. What the client sends is not looked at.
//!
//! Where the handshake was not seen, or bytes are missing, deflated messages can't be read any more: the connection is
//! given up, and the group goes by the server's log.

use super::connection::Fate;
use super::group::Group;
use super::{Output, Volume};
use crate::engine::job::Said;
use crate::event::{ConnKey, Direction, Nanos, Segment};
use crate::issue::Issue;
use crate::wire::Stretch;
use crate::wire::stream::Stream;
use crate::wire::websocket::{Decoder, Extensions, Item, Sender};

/// Of a call so much is copied once pictures are sent as they are: more than any text of a job's progress has.
const PLAIN_BYTES: u32 = 16 * 1024 - 64;

/// A WebSocket to a server of ours.
pub(super) struct WebSocketConnection {
    stream: Stream,
    decoder: Decoder,
    pictures: Pictures,
}

/// Whether pictures are copied, which nobody looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pictures {
    /// They must be: messages behind them refer to them.
    Needed,
    /// None was seen yet.
    NotSeen,
    LeftOut,
}

impl WebSocketConnection {
    /// From the handshake on; `sent` stands where the server's side of it ends.
    pub fn new(sent: Stream, extensions: Extensions) -> WebSocketConnection {
        let pictures = if extensions == Extensions::None { Pictures::NotSeen } else { Pictures::Needed };
        WebSocketConnection { stream: sent, decoder: Decoder::new(Sender::Server, extensions), pictures }
    }

    /// From wherever the next message begins.
    pub fn midway() -> WebSocketConnection {
        let decoder = Decoder::midway(Sender::Server);
        WebSocketConnection { stream: Stream::new(None), decoder, pictures: Pictures::NotSeen }
    }

    /// Takes bytes.
    pub fn data(
        &mut self,
        time: Nanos,
        key: ConnKey,
        segment: &Segment,
        group: &mut Group,
        out: &mut Vec<Output>,
    ) -> Fate {
        if segment.direction == Direction::Read {
            return Fate::Lives;
        }
        let (mut stretches, mut issues) = (Vec::new(), Vec::new());
        self.stream.push(segment, &mut issues, &mut |stretch| stretches.push(stretch));
        out.extend(issues.into_iter().map(Output::Issue));
        let fates = stretches.into_iter().map(|stretch| self.read(time, stretch, group, out));
        let fate = fates.fold(Fate::Lives, |fate, next| if fate == Fate::Lives { next } else { fate });
        if self.pictures == Pictures::LeftOut {
            return fate;
        }
        fate
    }

    /// Reads on.
    pub fn read(&mut self, time: Nanos, stretch: Stretch<'_>, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        let mut fate = Fate::Lives;
        self.decoder.push(stretch, &mut |item| match item {
            Item::Text { bytes, total } => group.said(time, &Said::Text { bytes, total }, out),
            Item::Binary { total } => group.said(time, &Said::Binary { total }, out),
            Item::Cut => group.unheard(time),
            Item::Unreadable => {
                out.push(Output::Issue(Issue::WebSocketUnreadable));
                group.unheard(time);
                fate = Fate::Unwatched;
            }
            Item::Issue(issue) => out.push(Output::Issue(issue)),
            // The connection's end follows.
            Item::Close => {}
        });
        fate
    }
}
