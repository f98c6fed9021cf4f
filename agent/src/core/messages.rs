//! A message socket of a traced process: puts the pieces of each frame together and has the engine read it.

use super::connection::Fate;
use super::group::Group;
use super::tap::{Said, Tap};
use super::{Output, Volume};
use crate::engine::report::Frame;
use crate::event::{ConnKey, Direction, Nanos, Segment};
use crate::issue::Issue;

/// Of a message that hands a sequence over: its id and the length of its prompt. The prompt itself stays where it is.
const HANDED_OVER_BYTES: u32 = 1024;

/// A message socket.
pub(super) struct Socket {
    tap: Tap,
    /// For each direction, [`Direction::Read`] first.
    lanes: [Lane; 2],
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
    pub fn new(tap: Tap) -> Socket {
        Socket { tap, lanes: Default::default() }
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
        let said = self.tap.frame(time, &frame, group, out);
        if said == Said::HandedOver && !lane.short {
            lane.short = true;
            let (direction, volume) = (segment.direction, Volume::Head(HANDED_OVER_BYTES));
            out.push(Output::Volume { conn: key, direction, volume });
        }
        self.tap.fate()
    }
}
