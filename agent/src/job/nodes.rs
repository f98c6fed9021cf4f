//! Nodes of a graph: when each was worked on, and how long.
//!
//! One is worked on at a time: it ends where the next begins. A node that waits for others (lazy inputs, tasks of its
//! own, a graph that it expands to) is begun more than once: each [`Turn`] has its own times, and a node's is their sum.

use super::Stretch;
use crate::event::Nanos;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Turns of nodes that are timed in one job.
const MAX_TURNS: usize = 4096;

/// One turn of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its id in the graph.
    pub node: Arc<str>,
    /// Its class type, "" where not known.
    pub class: Arc<str>,
    /// From its beginning to that of the next one.
    pub stretch: Stretch,
    /// How it ended.
    pub ending: Ending,
}

/// How a node's turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The next one began, or the job was done.
    Done,
    /// The job failed, or was interrupted, in it.
    Broken,
}

/// Time of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeTime {
    /// Its class type, "" where not known.
    pub class: Arc<str>,
    /// Nanoseconds.
    pub nanos: u64,
}

/// What messages said of nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    turns: Vec<Turn>,
    current: Option<Current>,
}

#[derive(Clone, Debug)]
struct Current {
    node: Arc<str>,
    class: Arc<str>,
    since: Nanos,
}

impl Nodes {
    /// The work on a node begins.
    pub fn begins(&mut self, at: Nanos, node: &str, class: Arc<str>) {
        if self.current.as_ref().is_some_and(|current| &*current.node == node) {
            return;
        }
        self.end(at, Ending::Done);
        self.current = Some(Current { node: node.into(), class, since: at });
    }

    /// The work is over.
    pub fn over(&mut self, at: Nanos, ending: Ending) {
        self.end(at, ending);
    }

    /// All turns, as they came.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    fn end(&mut self, at: Nanos, ending: Ending) {
        let Some(Current { node, class, since }) = self.current.take() else { return };
        // Messages of which the first left when all was over: nobody knows how long it took.
        if at > since && self.turns.len() < MAX_TURNS {
            self.turns.push(Turn { node, class, stretch: Stretch { from: since, to: at }, ending });
        }
    }
}

/// The times of the nodes that came to their end, by their ids; one that broke has none.
pub(super) fn times(turns: &[Turn]) -> Vec<NodeTime> {
    let mut times: BTreeMap<&str, NodeTime> = BTreeMap::new();
    for Turn { node, class, stretch, .. } in turns.iter().filter(|turn| turn.ending == Ending::Done) {
        let time = times.entry(node).or_insert_with(|| NodeTime { class: Arc::clone(class), nanos: 0 });
        time.nanos = time.nanos.saturating_add(stretch.nanos());
    }
    times.into_values().collect()
}
