//! What a server writes to its standard output or error: puts it in order, cuts it into lines, and hands them to the
//! group. What it says stays here: nothing of a line is kept or passed on but what the engine makes of it.

use super::Output;
use super::connection::Fate;
use super::group::Group;
use crate::event::{Direction, Nanos, Segment};
use crate::wire::At;
use crate::wire::lines::{Decoder, Item};
use crate::wire::stream::Stream;

/// A descriptor that a server logs to.
pub(super) struct Log {
    stream: Stream,
    decoder: Decoder,
}

impl Default for Log {
    fn default() -> Log {
        Log { stream: Stream::new(None), decoder: Decoder::midway() }
    }
}

impl Log {
    /// Takes bytes.
    pub fn data(&mut self, time: Nanos, segment: &Segment, group: &mut Group, out: &mut Vec<Output>) -> Fate {
        if segment.direction == Direction::Read {
            return Fate::Lives;
        }
        let Log { stream, decoder } = self;
        let mut issues = Vec::new();
        stream.push(segment, &mut issues, &mut |stretch| {
            decoder.push(time, stretch, &mut |At { time, what }| match what {
                Item::Line(line) => group.line(time, line, out),
                Item::Cut => group.missed_lines(),
                Item::Issue(issue) => out.push(Output::Issue(issue)),
            });
        });
        out.extend(issues.into_iter().map(Output::Issue));
        Fate::Lives
    }
}
