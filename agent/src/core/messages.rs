//! A message socket of a traced process: puts the pieces of each frame together and has the engine read it.

use super::connection::Fate;
use super::group::{End, Group};
use super::{Output, Volume};
use crate::engine::report::{Frame, Messages, Report};
use crate::event::{ConnKey, Direction, Nanos, Segment};
use crate::issue::Issue;

/// Frames that meant nothing, before a socket is no longer watched: worker processes are woken through such sockets.
const MAX_STRANGE: u32 = 256;
/// Of a message that hands a sequence over: its id and the length of its prompt. The prompt itself stays where it is.
const HANDED_OVER_BYTES: u32 = 1024;

/// A message socket.
pub(super) struct Socket {
    reader: Box<dyn Messages>,
    end: End,
    /// For each direction, [`Direction::Read`] first.
    lanes: [Lane; 2],
    strange: u32,
    understood: bool,
}

#[derive(Default)]
struct Lane {
    /// Where the next frame begins, once one was seen.
    expected: Option<u64>,
    /// The first pieces of the frame under way.
    held: Vec<u8>,
    /// Its prompts are left out.
    short: bool,
}

impl Socket {
    pub fn new(reader: Box<dyn Messages>, end: End) -> Socket {
        Socket { reader, end, lanes: Default::default(), strange: 0, understood: false }
    }

    /// Takes a piece of a frame.
    pub fn frame(
        &mut self,
        time: Nanos,
        key: ConnKey,
        segment: &Segment,
        more: bool,
        group: &mut Group,
        out: &mut Vec<Output>,
    ) -> Fate {
        let lane = match segment.direction {
            Direction::Read => &mut self.lanes[0],
            Direction::Write => &mut self.lanes[1],
        };
        if segment.offset == 0 {
            if lane.expected.is_some_and(|expected| expected != segment.position) {
                out.push(Output::Issue(Issue::StreamGap));
                group.lost();
            }
            lane.expected = Some(segment.position.saturating_add(segment.total));
            lane.held.clear();
        }
        let whole = segment.offset == 0 && segment.last;
        if !whole && u64::from(segment.offset) == lane.held.len() as u64 {
            lane.held.extend_from_slice(&segment.bytes);
        }
        if !segment.last {
            return Fate::Lives;
        }
        let bytes = if whole { segment.bytes.as_slice() } else { lane.held.as_slice() };
        let frame = Frame { direction: segment.direction, bytes, total: segment.total, more };
        let (mut issues, mut spoke, mut handed_over) = (Vec::new(), false, false);
        let end = self.end;
        self.reader.frame(&frame, &mut issues, &mut |report| {
            spoke = true;
            handed_over |= matches!(report, Report::Added { .. });
            group.report(time, end, report, out);
        });
        out.extend(issues.into_iter().map(Output::Issue));
        if handed_over && !lane.short {
            lane.short = true;
            let (direction, volume) = (segment.direction, Volume::Head(HANDED_OVER_BYTES));
            out.push(Output::Volume { conn: key, direction, volume });
        }
        self.understood |= spoke;
        self.strange = self.strange.saturating_add(1);
        if self.understood || self.strange < MAX_STRANGE { Fate::Lives } else { Fate::Unwatched }
    }
}
