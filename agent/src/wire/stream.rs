//! Puts the segments of one direction of one connection in order.
//!
//! It keeps one number, the next expected position, and no bytes: what comes late is dropped and counted, never held
//! back. It does not know what the bytes mean.

use super::Stretch;
use crate::event::Segment;
use crate::issue::Issue;

/// One direction of one connection.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Position of the next byte; `None` until the first segment of a connection that was joined midway.
    expected: Option<u64>,
}

impl Stream {
    /// `start` is `Some(0)` for a connection seen from its beginning, `None` for one joined midway: then the first
    /// segment's call begins the stream.
    #[must_use]
    pub fn new(start: Option<u64>) -> Stream {
        Stream { expected: start }
    }

    /// Says what `segment` adds to the stream, in order.
    ///
    /// A hole inside a call was left out on purpose ([`Stretch::Elided`]); a hole before a call is lost
    /// ([`Stretch::Gap`]). Bytes that the stream already holds are dropped.
    pub fn push<'a>(&mut self, segment: &'a Segment, issues: &mut Vec<Issue>, emit: &mut dyn FnMut(Stretch<'a>)) {
        let call_end = segment.position.saturating_add(segment.total);
        let from = segment.position.saturating_add(u64::from(segment.offset)).min(call_end);
        let mut expected = self.expected.unwrap_or(segment.position);

        if let Some(lost @ 1..) = segment.position.checked_sub(expected) {
            issues.push(Issue::StreamGap);
            emit(Stretch::Gap(lost));
            expected = segment.position;
        }
        if let Some(left_out @ 1..) = from.checked_sub(expected) {
            emit(Stretch::Elided(left_out));
            expected = from;
        }

        // A record can't hold more than its call moved; should it claim to, the call's own length is believed.
        let copied = clamped(&segment.bytes, call_end - from);
        let known = usize::try_from(expected - from).unwrap_or(usize::MAX);
        if known > 0 && !copied.is_empty() {
            issues.push(Issue::StreamOverlap);
        }
        let fresh = copied.get(known..).unwrap_or_default();
        if !fresh.is_empty() {
            emit(Stretch::Bytes(fresh));
            expected = expected.saturating_add(fresh.len() as u64);
        }

        if segment.last
            && let Some(left_out @ 1..) = call_end.checked_sub(expected)
        {
            emit(Stretch::Elided(left_out));
            expected = call_end;
        }
        self.expected = Some(expected);
    }
}

fn clamped(bytes: &[u8], most: u64) -> &[u8] {
    usize::try_from(most).ok().and_then(|most| bytes.get(..most)).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;
    use crate::event::Direction;
    use proptest::prelude::*;

    fn segment(position: u64, total: u64, offset: u32, bytes: &[u8], last: bool) -> Segment {
        Segment { direction: Direction::Read, position, total, offset, last, bytes: bytes.to_vec() }
    }

    /// Pushes `segments` and compares what they say; `!gap` and `!overlap` stand for the issues.
    fn check(start: Option<u64>, segments: &[Segment], expected: &str) {
        let (mut stream, mut said) = (Stream::new(start), Vec::new());
        for segment in segments {
            let mut issues = Vec::new();
            let mut stretches = Vec::new();
            stream.push(segment, &mut issues, &mut |stretch| {
                stretches.push(match stretch {
                    Stretch::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    Stretch::Elided(n) => format!("elided {n}"),
                    Stretch::Gap(n) => format!("gap {n}"),
                });
            });
            said.extend(issues.iter().map(|issue| format!("!{}", issue.name())));
            said.extend(stretches);
        }
        assert_eq!(said.join(", "), expected);
    }

    #[test]
    fn calls_in_order_are_their_bytes() {
        check(Some(0), &[segment(0, 3, 0, b"abc", true), segment(3, 2, 0, b"de", true)], "abc, de");
        check(Some(0), &[segment(0, 5, 0, b"abc", false), segment(0, 5, 3, b"de", true)], "abc, de");
    }

    #[test]
    fn a_hole_within_a_call_is_elided() {
        check(Some(0), &[segment(0, 9, 0, b"abc", true)], "abc, elided 6");
        check(Some(0), &[segment(0, 9, 0, b"abc", false), segment(0, 9, 7, b"hi", true)], "abc, elided 4, hi");
        check(Some(0), &[segment(0, 9, 0, b"", true), segment(9, 1, 0, b"x", true)], "elided 9, x");
        check(Some(0), &[segment(0, 9, 4, b"e", true)], "elided 4, e, elided 4");
    }

    #[test]
    fn a_hole_before_a_call_is_a_gap() {
        check(Some(0), &[segment(4, 1, 0, b"x", true)], "!stream_gap, gap 4, x");
        check(Some(0), &[segment(0, 9, 0, b"abc", false), segment(9, 1, 0, b"x", true)], "abc, !stream_gap, gap 6, x");
        check(Some(0), &[segment(4, 5, 2, b"x", true)], "!stream_gap, gap 4, elided 2, x, elided 2");
    }

    #[test]
    fn joined_midway_the_first_call_begins_the_stream() {
        check(None, &[segment(700, 3, 0, b"abc", true), segment(703, 1, 0, b"d", true)], "abc, d");
        check(None, &[segment(700, 3, 2, b"c", true)], "elided 2, c");
    }

    #[test]
    fn bytes_that_are_known_are_dropped() {
        check(Some(0), &[segment(0, 3, 0, b"abc", true), segment(1, 4, 0, b"bcde", true)], "abc, !stream_overlap, de");
        check(Some(0), &[segment(0, 3, 0, b"abc", true), segment(0, 3, 0, b"abc", true)], "abc, !stream_overlap");
        // Two threads, their records in the wrong order.
        check(
            Some(0),
            &[segment(3, 3, 0, b"def", true), segment(0, 3, 0, b"abc", true)],
            "!stream_gap, gap 3, def, !stream_overlap",
        );
    }

    #[test]
    fn a_segment_that_claims_more_than_its_call_is_clamped() {
        check(Some(0), &[segment(0, 2, 0, b"abc", true), segment(2, 1, 0, b"x", true)], "ab, x");
        check(Some(0), &[segment(0, 2, 7, b"abc", true)], "elided 2");
    }

    proptest! {
        #[test]
        fn whatever_comes_positions_never_go_back(
            start in proptest::option::of(0u64..20),
            calls in proptest::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), 0usize..9, any::<bool>()), 0..40),
            near in any::<bool>(),
        ) {
            let mut stream = Stream::new(start);
            for (position, total, offset, len, last) in calls {
                let shrink = |n: u64| if near { n % 16 } else { n };
                let offset = if near { offset % 16 } else { offset };
                let segment = segment(shrink(position), shrink(total), offset, &[7u8; 8][..len.min(8)], last);
                let before = stream.expected;
                stream.push(&segment, &mut Vec::new(), &mut |stretch| {
                    assert!(!matches!(stretch, Stretch::Bytes([]) | Stretch::Elided(0) | Stretch::Gap(0)));
                });
                prop_assert!(before.is_none_or(|before| stream.expected >= Some(before)));
            }
        }
    }
}
