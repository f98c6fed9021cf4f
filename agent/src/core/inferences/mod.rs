//! The inferences of one process, from the calls of its server's library: which are under way, and how each ends.
//!
//! An inference has ended when its last response was sent *and* its backend has reported on it, in whichever order, or when
//! its request is deleted. Some never reach a backend: ensembles, answers from a cache, what expires in the queue. What
//! became of those the calls do not say; it is taken from the ensemble's steps where it can only be one way, else unknown.
//!
//! Requests that the server makes inside itself are executed and are nobody's inferences.

mod held;
mod instances;
mod state;

use self::held::Held;
use self::state::State;
use super::Output;
use super::asks::Asks;
use crate::engine::inference::Calls;
use crate::event::{Call, Event, Nanos};
use crate::request::{Inference, Origin};
use std::collections::BTreeMap;

/// An inference is given up after so long without a sign of it.
const STUCK: u64 = 3_600_000_000_000;

/// One process's.
pub(super) struct Inferences {
    reader: Box<dyn Calls>,
    state: State,
}

/// What an execution says to metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Executed {
    /// Who works.
    pub origin: Origin,
    /// The model.
    pub model: String,
    /// Which of its instances.
    pub instance: u32,
    /// What is said.
    pub work: Work,
}

/// One of two things that are known at different times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It begins, with so many requests.
    Batch(u64),
    /// It took so many nanoseconds.
    Took(u64),
}

/// Requests that wait for their model, for a gauge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Whose.
    pub origin: Origin,
    /// The model: one that was seen to execute.
    pub model: String,
    /// How many.
    pub count: u64,
}

impl Inferences {
    pub fn new(origin: Origin, reader: Box<dyn Calls>) -> Inferences {
        Inferences { reader, state: State::new(origin) }
    }

    /// A call was seen. `tapped`: an engine inside the same server tells of its work itself.
    pub fn call(&mut self, event: &Event, call: &Call, tapped: bool, asks: &mut Asks, out: &mut Vec<Output>) {
        let Inferences { reader, state } = self;
        state.tapped = tapped;
        let mut issues = Vec::new();
        reader.call(event.hook, event.conn.id, call, &mut issues, &mut |act| {
            state.claim(&act, asks);
            state.act(event.time, act, out);
        });
        out.extend(issues.into_iter().map(Output::Issue));
    }

    /// Time passed: gives up what nothing was heard of for long.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Output>) {
        let stuck = |held: &Held| now.since(held.inference.last_sign()) >= STUCK;
        let stuck: Vec<_> = self.state.under_way.iter().filter(|(_, held)| stuck(held)).map(|(id, _)| *id).collect();
        for id in stuck {
            if let Some(held) = self.state.under_way.remove(&id) {
                out.push(self.state.cut(held, now));
            }
        }
    }

    /// What is under way will not be seen to end.
    pub fn truncate(&mut self, time: Nanos, out: &mut Vec<Output>) {
        let under_way = std::mem::take(&mut self.state.under_way);
        out.extend(under_way.into_values().map(|held| self.state.cut(held, time)));
    }

    /// Of each model that was seen to execute, how many requests wait for it.
    pub fn pending(&self) -> impl Iterator<Item = Pending> {
        let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
        let executing = self.state.models.iter().filter(|(_, model)| model.executes);
        waiting.extend(executing.map(|(name, _)| (name.as_str(), 0)));
        for held in self.state.under_way.values().filter(|held| held.waits()) {
            if let Some(count) = waiting.get_mut(held.inference.model.as_str()) {
                *count = count.saturating_add(1);
            }
        }
        waiting.into_iter().map(|(model, count)| Pending {
            origin: self.state.origin.clone(),
            model: model.to_owned(),
            count,
        })
    }

    /// Inferences under way of decoupled models.
    pub fn generating(&self) -> impl Iterator<Item = &Inference> {
        let of_decoupled =
            |held: &&Held| self.state.models.get(&held.inference.model).is_some_and(|model| model.decoupled);
        self.state.under_way.values().filter(of_decoupled).map(|held| &held.inference)
    }
}
