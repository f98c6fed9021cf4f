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
use inferscope_ebpf::VOLUME_MESSAGE;

/// Of a call so much is copied once pictures are sent as they are: more than most texts have.
const PLAIN_BYTES: u32 = 16 * 1024;
/// And so much where pictures are deflated: as much as the kernel side can.
const DEFLATED_BYTES: u32 = VOLUME_MESSAGE;

/// A WebSocket to a server of ours.
pub(super) struct WebSocketConnection {
    stream: Stream,
    decoder: Decoder,
    pictures: Pictures,
}

/// Whether pictures are copied, which nobody looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pictures {
    /// None was seen yet.
    NotSeen,
    LeftOut,
    /// They are: messages behind them refer to them.
    Copied,
}

impl WebSocketConnection {
    /// From the handshake on; `sent` stands where the server's side of it ends.
    pub fn new(sent: Stream, extensions: Extensions) -> WebSocketConnection {
        let pictures = if extensions == Extensions::None { Pictures::NotSeen } else { Pictures::Copied };
        WebSocketConnection { stream: sent, decoder: Decoder::new(Sender::Server, extensions), pictures }
    }

    /// From wherever the next message begins.
    pub fn midway() -> WebSocketConnection {
        let decoder = Decoder::midway(Sender::Server);
        WebSocketConnection { stream: Stream::new(None), decoder, pictures: Pictures::NotSeen }
    }

    /// What is to be copied from the beginning.
    pub fn volumes(&self) -> Vec<(Direction, Volume)> {
        let nothing = (Direction::Read, Volume::Off);
        match self.pictures {
            Pictures::Copied => vec![nothing, (Direction::Write, Volume::Head(DEFLATED_BYTES))],
            Pictures::NotSeen | Pictures::LeftOut => vec![nothing],
        }
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
        let before = self.pictures;
        for stretch in stretches {
            if let fate @ Fate::Unwatched = self.read(time, stretch, group, out) {
                return fate;
            }
        }
        if self.pictures != before {
            let volume = Volume::Head(PLAIN_BYTES);
            out.push(Output::Volume { conn: key, direction: Direction::Write, volume });
        }
        Fate::Lives
    }

    /// Reads on.
    pub fn read(&mut self, time: Nanos, stretch: Stretch<'_>, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        let WebSocketConnection { decoder, pictures, .. } = self;
        let mut fate = Fate::Lives;
        decoder.push(stretch, &mut |item| match item {
            Item::Text { bytes, total } => group.said(time, &Said::Text { bytes, total }, out),
            Item::Binary { total } => {
                if *pictures == Pictures::NotSeen && total > u64::from(PLAIN_BYTES) {
                    *pictures = Pictures::LeftOut;
                }
                group.said(time, &Said::Binary { total }, out);
            }
            Item::Cut => group.unheard(),
            Item::Unreadable => {
                out.push(Output::Issue(Issue::WebSocketUnreadable));
                group.unheard();
                fate = Fate::Unwatched;
            }
            Item::Issue(issue) => out.push(Output::Issue(issue)),
            // The connection's end follows.
            Item::Close => {}
        });
        fate
    }
}
