//! The circumstances of a request: where its server runs, and how those GPUs fared meanwhile.

use super::condition::History;
use super::energy::Energy;
use super::ledger::Ledger;
use super::{Joined, Owner, Place};
use crate::event::Nanos;
use crate::host::gpu::view::{Condition, GpuView};
use std::collections::BTreeSet;

/// What was noted at all looks at the GPUs.
#[derive(Debug, Default)]
pub struct Chronicle {
    /// What devices suffered from.
    pub history: History,
    /// Energy by server.
    pub energy: Energy,
    /// The same over time.
    pub ledger: Ledger,
}

/// How the GPUs of a server fared while a request ran.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Circumstances {
    /// What any of them suffered from.
    pub conditions: BTreeSet<Condition>,
    /// Errors that their drivers reported.
    pub xids: BTreeSet<u64>,
    /// What the server used meanwhile, for all of its requests; absent where that is not known.
    pub joules: Option<f64>,
}

impl Chronicle {
    /// Notes a look.
    pub fn note(&mut self, view: &GpuView, joined: &Joined) {
        self.history.note(view);
        self.energy.step(view, joined);
        self.ledger.note(view.time, &self.energy, joined);
    }

    /// How the places of a server fared between two moments; none where nobody looked since.
    #[must_use]
    pub fn during(&self, owner: &Owner, places: &BTreeSet<Place>, from: Nanos, to: Nanos) -> Option<Circumstances> {
        if self.history.looked() < to {
            return None;
        }
        let devices = || places.iter().map(|place| &place.device);
        Some(Circumstances {
            conditions: self.history.during(devices(), from, to),
            xids: self.history.xids_during(devices(), from, to),
            joules: self.ledger.during(owner, from, to),
        })
    }
}
