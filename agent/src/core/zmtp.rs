//! A front end's socket on which ZeroMQ speaks: puts both directions in order, cuts them into frames, and has the engine
//! read them.
//!
//! Only where no better end of the messages is seen: once one speaks, the socket is no longer watched. Prompts that pass
//! are not left out of what is copied, because frames are found by their lengths: a call may end one and begin the next.

use super::Output;
use super::connection::Fate;
use super::group::{End, Group};
use super::opening::Start;
use super::tap::Tap;
use crate::engine::report::Frame;
use crate::event::{Direction, Nanos, Segment};
use crate::wire::stream::Stream;
use crate::wire::zmtp::{Decoder, Item};

/// A connection between a front end and an engine.
pub(super) struct ZmtpConnection {
    tap: Tap,
    start: Start,
    received: Lane,
    sent: Lane,
}

/// One direction.
struct Lane {
    stream: Stream,
    decoder: Decoder,
}

impl ZmtpConnection {
    pub fn new(tap: Tap, start: Start) -> ZmtpConnection {
        let lane = || match start {
            Start::Beginning => Lane { stream: Stream::new(Some(0)), decoder: Decoder::new() },
            Start::Message(_) | Start::Anywhere => Lane { stream: Stream::new(None), decoder: Decoder::midway() },
        };
        ZmtpConnection { tap, start, received: lane(), sent: lane() }
    }

    /// Takes bytes.
    pub fn data(&mut self, time: Nanos, segment: &Segment, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        if group.outranks(End::Wire) {
            return Fate::Unwatched;
        }
        let direction = segment.direction;
        let lane = match direction {
            Direction::Read => &mut self.received,
            Direction::Write => &mut self.sent,
        };
        let (tap, start) = (&mut self.tap, self.start);
        let (mut found, mut issues) = (false, Vec::new());
        lane.stream.push(segment, &mut issues, &mut |stretch| {
            lane.decoder.push(stretch, &mut |item| match item {
                Item::Frame { bytes, total, more } => {
                    found = true;
                    tap.frame(time, &Frame { direction, bytes, total, more }, group, out);
                }
                Item::Cut => {
                    // Not where it was only taken for one.
                    if start == Start::Beginning || tap.has_understood() {
                        group.lost();
                    }
                    tap.restart();
                }
                Item::Issue(issue) => out.push(Output::Issue(issue)),
            });
        });
        out.extend(issues.into_iter().map(Output::Issue));
        if !found && start != Start::Beginning {
            tap.passed();
        }
        self.tap.fate()
    }
}
