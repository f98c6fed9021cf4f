//! Nodes of a graph: how long the work on each took.
//!
//! One is worked on at a time: it ends where the next begins. A node that waits for others (lazy inputs, tasks of its
//! own, a graph that it expands to) is begun more than once; its times add up.

use super::NodeTime;
use crate::event::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes that are timed in one job.
const MAX_NODES: usize = 4096;

/// What messages said of nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    times: BTreeMap<String, NodeTime>,
    current: Option<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    node: String,
    class: Arc<str>,
    since: Nanos,
}

impl Nodes {
    /// The work on a node begins.
    pub fn begins(&mut self, at: Nanos, node: &str, class: Arc<str>) {
        if self.current.as_ref().is_some_and(|current| current.node == node) {
            return;
        }
        self.end(at);
        self.current = Some(Current { node: node.to_owned(), class, since: at });
    }

    /// The work is over; a node that failed has no time.
    pub fn over(&mut self, at: Nanos, well: bool) {
        if well {
            self.end(at);
        }
        self.current = None;
    }

    /// The times of the nodes that came to their end.
    pub fn times(&self) -> impl Iterator<Item = &NodeTime> {
        self.times.values()
    }

    fn end(&mut self, at: Nanos) {
        let Some(Current { node, class, since }) = self.current.take() else { return };
        // Messages of which the first left when all was over: nobody knows how long it took.
        let Some(nanos) = at.0.checked_sub(since.0).filter(|nanos| *nanos > 0) else { return };
        if let Some(time) = self.times.get_mut(&node) {
            time.nanos = time.nanos.saturating_add(nanos);
        } else if self.times.len() < MAX_NODES {
            self.times.insert(node, NodeTime { class, nanos });
        }
    }
}
