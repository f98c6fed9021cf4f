//! When the work on a job began and ended, and how long it took.
//!
//! Each source knows something else of it. The line at the end is written by the worker itself, at once, and states the
//! duration rounded. Messages leave through another thread, which may have to wait for the interpreter's lock: milliseconds
//! as a rule, a second behind a garbage collection. They, and the server's later answers, carry stamps of its wall clock in
//! milliseconds. So the moments are ours, and the server's own account says between which bounds the duration lies.

use super::Job;
use crate::engine::job::Lasted;
use crate::event::Nanos;

/// A whole millisecond in nanoseconds: what a difference of two stamps may be off by, either way.
const STAMP: u64 = 1_000_000;
/// A line counts what comes before the first and behind the last stamp as well, on a busy machine up to so long.
const AROUND: u64 = 50_000_000;
/// Without a line, stamps that are further than this from what messages show are those of a clock that was set.
const CLOCK_SET: u64 = 1_000_000_000;

/// What is known of a job's work in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    /// Its beginning.
    pub started: Option<Nanos>,
    /// Its end, or when it was given up.
    pub end: Nanos,
    /// How long it took.
    pub took: Option<u64>,
}

impl Job {
    pub(super) fn times(&self, now: Nanos) -> Times {
        let stamped = self.stamped();
        if let Some(worked) = &self.worked {
            let end = worked.at;
            let began = began(end, worked.lasted, self.started, self.free);
            let believed = |stamped: &Lasted| agree(stamped, &worked.lasted);
            let took = bounded(end.since(began), stamped.filter(believed));
            return Times { started: Some(began.min(before(end, took))), end, took: Some(took) };
        }
        if let (Some(started), Some(end)) = (self.started, self.watched.silent) {
            let seen = end.since(started);
            let believed = |stamped: &Lasted| {
                stamped.least <= seen.saturating_add(CLOCK_SET) && seen <= stamped.most.saturating_add(CLOCK_SET)
            };
            return Times { started: Some(started), end, took: Some(bounded(seen, stamped.filter(believed))) };
        }
        Times { started: self.started, end: now, took: stamped.map(middle) }
    }

    /// How long it took by the server's stamps.
    pub(super) fn stamped(&self) -> Option<Lasted> {
        let answered = self.past.as_ref().and_then(|past| Some((past.started?, past.ended?)));
        let [started, ended] = self.watched.stamps;
        let (started, ended) = started.zip(ended).or(answered)?;
        let between = ended.0.checked_sub(started.0)?.saturating_mul(STAMP);
        Some(Lasted { least: between.saturating_sub(STAMP), most: between.saturating_add(STAMP) })
    }
}

/// When a job began that ended at `end`: at its first message, or as soon as the worker was free for it.
fn began(end: Nanos, lasted: Lasted, said: Option<Nanos>, free: Option<Nanos>) -> Nanos {
    let (earliest, latest) = (before(end, lasted.most), before(end, lasted.least));
    match (said, free) {
        (Some(said), _) => said.clamp(earliest, latest),
        (None, Some(free)) if free >= earliest => free.min(latest),
        (None, _) => Nanos(earliest.0.midpoint(latest.0)),
    }
}

/// Whether the server's stamps and a line can be about the same job.
pub(super) fn agree(stamped: &Lasted, line: &Lasted) -> bool {
    stamped.least <= line.most && line.least <= stamped.most.saturating_add(AROUND)
}

fn before(end: Nanos, nanos: u64) -> Nanos {
    Nanos(end.0.saturating_sub(nanos))
}

/// Ours where it is possible, else the middle of what is.
fn bounded(took: u64, bounds: Option<Lasted>) -> u64 {
    bounds.filter(|bounds| took < bounds.least || took > bounds.most).map_or(took, middle)
}

fn middle(bounds: Lasted) -> u64 {
    bounds.least.midpoint(bounds.most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::job::{Millis, Outcome};
    use crate::event::Tgid;
    use crate::job::Run;
    use crate::request::Origin;

    const MS: u64 = 1_000_000;

    /// A job whose messages left at these moments (ms) with these stamps, and whose line came at the last moment.
    fn times(messages: [u64; 2], stamps: [u64; 2], line: Option<(u64, u64)>) -> Times {
        let origin = Origin { tgid: Tgid(7), engine: "comfyui", service: "comfyui:8188".into() };
        let mut job = Job::midway(origin, "a".to_owned());
        let at = |millis: u64| Nanos(millis * MS);
        job.started(at(messages[0]), Some(Millis(stamps[0])));
        job.finished(at(messages[1]), Outcome::Success, Some(Millis(stamps[1])));
        job.falls_silent(at(messages[1]));
        if let Some((end, centiseconds)) = line {
            let printed = centiseconds * 10 * MS;
            job.worked(
                at(end),
                Lasted { least: printed.saturating_sub(5 * MS), most: printed + 5 * MS },
                Run::default(),
            );
        }
        job.times(at(9_999))
    }

    #[test]
    fn a_message_that_waited_for_the_lock_does_not_shorten_a_job() {
        // Began at 1000, was said at 1006; took 11 ms by the server's stamps.
        let times = times([1006, 1012], [70_000, 70_011], Some((1012, 1)));
        assert_eq!((times.end, times.took), (Nanos(1012 * MS), Some(11 * MS)));
        assert_eq!(times.started, Some(Nanos(1001 * MS)));
    }

    #[test]
    fn a_message_behind_a_garbage_collection_does_not_lengthen_it() {
        assert_eq!(times([1000, 1700], [70_000, 70_020], None).took, Some(20 * MS));
    }

    #[test]
    fn stamps_of_a_clock_that_was_set_are_not_believed() {
        assert_eq!(times([1000, 1020], [70_000, 75_000], Some((1020, 2))).took, Some(20 * MS));
        assert_eq!(times([1000, 1020], [70_000, 60_000], Some((1020, 2))).took, Some(20 * MS));
        assert_eq!(times([1000, 1020], [70_000, 75_000], None).took, Some(20 * MS));
    }
}
