//! Lines that a process writes for people: its standard output and error.
//!
//! A line ends at `\n`, and at `\r`, with which progress bars go back to its beginning; empty lines are not said. It
//! holds a line's first bytes up to a bound and does not know what they say.
//!
//! A line is said when its end has come, with the time of its last character: a bar ends only when the next one begins.

use super::{At, Stretch};
use crate::event::Nanos;
use crate::issue::Issue;

/// Most bytes of a line.
pub const MAX_KEPT: usize = 4 * 1024;

/// What the decoder says, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A line without its end: at most [`MAX_KEPT`] bytes of it.
    Line(&'a [u8]),
    /// Lines are missing here.
    Cut,
    /// Something was wrong; decoding went on.
    Issue(Issue),
}

/// Reads one descriptor's lines.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    kept: Vec<u8>,
    /// When the last byte in `kept` came.
    time: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a line that is kept, or before one.
    Line,
    /// In a line whose beginning is kept and whose end is left out.
    TooLong,
    /// In a line of which bytes are missing.
    Lost,
}

impl Decoder {
    /// For a process that is met midway: what it says first may be the end of a line.
    #[must_use]
    pub fn midway() -> Decoder {
        Decoder { state: State::Line, kept: Vec::new(), time: Nanos(0) }
    }

    /// Reads on: what was written at `time`.
    pub fn push(&mut self, time: Nanos, stretch: Stretch<'_>, emit: &mut dyn FnMut(At<Item<'_>>)) {
        let Stretch::Bytes(bytes) = stretch else {
            self.kept.clear();
            self.state = State::Lost;
            return emit(At { time, what: Item::Cut });
        };
        let mut pieces = bytes.split(|byte| matches!(byte, b'\n' | b'\r'));
        if let Some(first) = pieces.next() {
            self.read(time, first, emit);
        }
        for piece in pieces {
            self.end(emit);
            self.read(time, piece, emit);
        }
    }

    /// Bytes of one line.
    fn read(&mut self, time: Nanos, bytes: &[u8], emit: &mut dyn FnMut(At<Item<'_>>)) {
        if self.state != State::Line || bytes.is_empty() {
            return;
        }
        let room = MAX_KEPT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.time = time;
        if bytes.len() > room {
            self.state = State::TooLong;
            emit(At { time, what: Item::Issue(Issue::LogLineTooLong) });
        }
    }

    fn end(&mut self, emit: &mut dyn FnMut(At<Item<'_>>)) {
        if !self.kept.is_empty() {
            emit(At { time: self.time, what: Item::Line(&self.kept) });
        }
        self.kept.clear();
        self.state = State::Line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is said of these writes, each a microsecond after the one before it.
    fn say(writes: &[Stretch<'_>]) -> Vec<String> {
        let (mut decoder, mut said) = (Decoder::midway(), Vec::new());
        for (time, stretch) in (1..).zip(writes) {
            decoder.push(Nanos(time), *stretch, &mut |At { time, what }| {
                said.push(match what {
                    Item::Line(line) if line.len() > 99 => format!("{}: {} bytes", time.0, line.len()),
                    Item::Line(line) => format!("{}: {}", time.0, line.escape_ascii()),
                    Item::Cut => "cut".to_owned(),
                    Item::Issue(issue) => issue.name().to_owned(),
                });
            });
        }
        said
    }

    #[test]
    fn lines_and_bars() {
        let bytes = |text: &'static str| Stretch::Bytes(text.as_bytes());
        assert_eq!(
            say(&[bytes("got prompt\n"), bytes("one\r\n\ntwo\nthr"), bytes("ee"), bytes("\n")]),
            ["1: got prompt", "2: one", "2: two", "3: three"]
        );
        let bars = [bytes("\r  0%|  | 0/8"), bytes("\r 12%|# | 1/8"), bytes("\r100%|##| 8/8"), bytes("\n")];
        assert_eq!(say(&bars), ["1:   0%|  | 0/8", "2:  12%|# | 1/8", "3: 100%|##| 8/8"]);
    }

    #[test]
    fn what_is_missing_and_what_is_too_long() {
        let bytes = |text: &'static str| Stretch::Bytes(text.as_bytes());
        let writes = [bytes("one\ntw"), Stretch::Gap(3), bytes("o\nthree\n"), Stretch::Elided(3), bytes("\nfour\n")];
        assert_eq!(say(&writes), ["1: one", "cut", "3: three", "cut", "5: four"]);
        let long = "x".repeat(MAX_KEPT);
        let writes = [long.as_bytes(), b"y", b"yyy\n", long.as_bytes(), b"\nend\n"].map(Stretch::Bytes);
        assert_eq!(say(&writes), ["log_line_too_long", "2: 4096 bytes", "4: 4096 bytes", "5: end"]);
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "[a-c\r\n]{0,60}", cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9)) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).filter_map(|cut| text.as_bytes().get(*cut.first()?..*cut.last()?));
            let pieces: Vec<_> = pieces.map(Stretch::Bytes).collect();
            let lines = |said: Vec<String>| said.iter().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect::<Vec<_>>();
            let expected: Vec<_> = text.rsplit_once(['\n', '\r']).map(|(whole, _)| whole).unwrap_or_default()
                .split(['\n', '\r']).filter(|line| !line.is_empty()).map(str::to_owned).collect();
            prop_assert_eq!(lines(say(&pieces)), expected);
        }
    }
}
