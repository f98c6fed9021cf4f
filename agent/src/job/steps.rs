//! Steps of samplers: how many, when the first, and the time between them.

use super::Gap;
use crate::event::Nanos;
use crate::issue::Issue;
use std::sync::Arc;

/// Steps that may lie between two times: what jumps further is no sampler.
const MAX_STEPS: u64 = 1000;
/// Gaps that are kept of one job.
const MAX_GAPS: usize = 4096;

/// What progress said.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// Steps that are done.
    pub total: u64,
    /// When the first was done.
    pub first: Option<Nanos>,
    /// Times between steps.
    pub gaps: Vec<Gap>,
    last: Option<Last>,
}

#[derive(Clone, Debug)]
struct Last {
    node: String,
    value: u64,
    at: Nanos,
}

impl Steps {
    /// `node` (a bar has none) has done `value` steps. A value of 0 is a beginning. A lower value than before is another
    /// round of the same node.
    pub fn reached(&mut self, at: Nanos, node: &str, value: u64, sampler: &Arc<str>, issues: &mut Vec<Issue>) {
        let before = self.before(node, value);
        let steps = done_since(before.as_ref(), value);
        // Said once more: what counts is when it was first said.
        let since = before.as_ref().map(|last| last.at);
        let stamp = since.filter(|_| steps == 0).unwrap_or(at);
        self.last = Some(Last { node: node.to_owned(), value, at: stamp });
        if steps == 0 {
            return;
        }
        self.total = self.total.saturating_add(steps);
        let gap = since.map(|since| Gap { sampler: Arc::clone(sampler), steps, nanos: at.since(since) });
        self.first.get_or_insert_with(|| first(at, gap.as_ref()));
        let Some(gap) = gap.filter(|gap| gap.steps <= MAX_STEPS) else { return };
        if self.gaps.len() >= MAX_GAPS {
            issues.push(Issue::GapsOverBound);
            return;
        }
        self.gaps.push(gap);
    }

    /// The same, said so late that nothing follows for times.
    pub fn reached_sometime(&mut self, at: Nanos, node: &str, value: u64) {
        let before = self.before(node, value);
        self.total = self.total.saturating_add(done_since(before.as_ref(), value));
        self.last = Some(Last { node: node.to_owned(), value, at });
    }

    /// What was said of this round of the node before.
    fn before(&mut self, node: &str, value: u64) -> Option<Last> {
        self.last.take().filter(|last| last.node == node && last.value <= value)
    }
}

fn done_since(before: Option<&Last>, value: u64) -> u64 {
    value.saturating_sub(before.map_or(0, |last| last.value))
}

/// When the first of several steps was done that are only seen together: they are taken to be alike.
fn first(at: Nanos, gap: Option<&Gap>) -> Nanos {
    let later = gap.map_or(0, |gap| gap.nanos.saturating_sub(gap.mean()));
    Nanos(at.0.saturating_sub(later))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_said_late_count_and_have_no_times() {
        let (mut steps, mut issues) = (Steps::default(), Vec::new());
        let euler: Arc<str> = "euler".into();
        steps.reached(Nanos(10), "3", 1, &euler, &mut issues);
        steps.reached(Nanos(20), "3", 2, &euler, &mut issues);
        steps.reached_sometime(Nanos(2000), "3", 3);
        steps.reached_sometime(Nanos(2000), "3", 4);
        assert_eq!((steps.total, steps.first), (4, Some(Nanos(10))));
        assert_eq!(steps.gaps, [Gap { sampler: euler, steps: 1, nanos: 10 }]);
        assert!(issues.is_empty());
    }
}
