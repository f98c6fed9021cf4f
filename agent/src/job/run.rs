//! What lines said since the last job was over: they name no job, but there is one at a time.

use super::Stretch;
use super::steps::Steps;
use crate::engine::job::Outcome;
use crate::event::Nanos;
use crate::issue::Issue;
use std::sync::Arc;

/// Loads of models that are timed in one job.
const MAX_LOADS: usize = 256;

/// The run under way.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub(super) steps: Steps,
    pub(super) loads: Vec<Stretch>,
    pub(super) outcome: Option<Outcome>,
    loading: Option<Loading>,
}

/// Models are asked for together and loaded one after the other.
#[derive(Clone, Debug)]
struct Loading {
    since: Nanos,
    left: u64,
}

impl Run {
    /// A model is about to be loaded.
    pub fn loading(&mut self, at: Nanos) {
        let loading = self.loading.get_or_insert(Loading { since: at, left: 0 });
        loading.left = loading.left.saturating_add(1);
    }

    /// A model was loaded.
    pub fn loaded(&mut self, at: Nanos) {
        let Some(loading) = &mut self.loading else { return };
        loading.left = loading.left.saturating_sub(1);
        if loading.left > 0 {
            return;
        }
        if self.loads.len() < MAX_LOADS {
            self.loads.push(Stretch { from: loading.since, to: at });
        }
        self.loading = None;
    }

    /// A bar shows so many steps. Which sampler draws it is known only at the end.
    pub fn bar(&mut self, at: Nanos, value: u64, issues: &mut Vec<Issue>) {
        // Whatever was to be loaded is there, said or not.
        self.loading = None;
        self.steps.reached(at, "", value, &Arc::default(), issues);
    }

    /// It came out otherwise than well. An exception that came of another one is said behind it.
    pub fn failed(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}
