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
        let before = self.last.take().filter(|last| last.node == node && last.value <= value);
        let from = before.as_ref().map_or(0, |last| last.value);
        let steps = value.saturating_sub(from);
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
}

/// When the first of several steps was done that are only seen together: they are taken to be alike.
fn first(at: Nanos, gap: Option<&Gap>) -> Nanos {
    let later = gap.map_or(0, |gap| gap.nanos.saturating_sub(gap.mean()));
    Nanos(at.0.saturating_sub(later))
}
