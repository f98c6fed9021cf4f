//! Spans that wait for a collector: bounded, and the oldest give way. What is being sent stays in the queue until it has
//! arrived, so that it, too, gives way when the collector is away for long.

use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A request's spans under their resource. Several collectors share them.
pub type Item = Arc<ResourceSpans>;

/// The queue of one collector.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    /// Number of the first item, counted from the beginning.
    first: u64,
}

/// What is to be sent next.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The items.
    pub items: Vec<Item>,
    /// Number of the item behind them.
    end: u64,
}

impl Queue {
    /// Of at most so many requests.
    pub fn new(most: usize) -> Queue {
        Queue { most, state: Mutex::default(), filled: Notify::new() }
    }

    /// Adds one. Returns the one that gave way.
    pub fn push(&self, item: Item) -> Option<Item> {
        let mut state = self.state();
        let mut dropped = None;
        if state.items.len() >= self.most {
            dropped = state.items.pop_front();
            state.first = state.first.saturating_add(1);
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Waits until there is something.
    pub async fn filled(&self) {
        while self.is_empty() {
            self.filled.notified().await;
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.state().items.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.state().items.len()
    }

    /// The oldest, at most so many, and no more than one beyond so many spans; they stay.
    pub fn batch(&self, most: usize, most_spans: u64) -> Batch {
        let state = self.state();
        let mut sum: u64 = 0;
        let has_room = |item: &&Item| {
            let room = sum < most_spans;
            sum = sum.saturating_add(spans(item));
            room
        };
        let items: Vec<Item> = state.items.iter().take(most).take_while(has_room).cloned().collect();
        let end = state.first.saturating_add(u64::try_from(items.len()).unwrap_or(u64::MAX));
        Batch { items, end }
    }

    /// A batch needs not be sent again. Returns those of its items that had not given way meanwhile.
    pub fn done(&self, batch: &Batch) -> Vec<Item> {
        let mut state = self.state();
        let left = usize::try_from(batch.end.saturating_sub(state.first)).unwrap_or(0).min(state.items.len());
        state.first = state.first.saturating_add(u64::try_from(left).unwrap_or(0));
        state.items.drain(..left).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spans of an item.
pub fn spans(item: &ResourceSpans) -> u64 {
    item.scope_spans.iter().map(|scope| u64::try_from(scope.spans.len()).unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Item {
        Arc::new(ResourceSpans { schema_url: name.to_owned(), ..ResourceSpans::default() })
    }

    fn names(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.schema_url.as_str()).collect()
    }

    #[test]
    fn the_oldest_give_way_also_while_they_are_sent() {
        let queue = Queue::new(3);
        for name in ["a", "b", "c"] {
            assert_eq!(queue.push(item(name)), None);
        }
        let batch = queue.batch(2, 9);
        assert_eq!(names(&batch.items), ["a", "b"]);
        assert_eq!(queue.push(item("d")), Some(item("a")));
        assert_eq!(names(&queue.done(&batch)), ["b"], "a was counted as dropped");
        assert_eq!(names(&queue.batch(9, 9).items), ["c", "d"]);
        for name in ["e", "f", "g", "h"] {
            let _ = queue.push(item(name));
        }
        assert!(queue.done(&batch).is_empty());
        assert_eq!((names(&queue.batch(9, 9).items), queue.len()), (vec!["f", "g", "h"], 3));
    }
}
