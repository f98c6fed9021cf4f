//! What a collector has been told of each series: from where it counts, and how far it has come. One book for each
//! collector, because each may have missed something else.
//!
//! The values themselves are the registry's. A book remembers the last value that *arrived*: the next delta counts from
//! there, so that nothing is lost while a collector is away, and nothing waits in a queue.

use super::reading::Reading;
use std::collections::BTreeMap;

/// A series: its family, whose it is, and its labels.
pub type Key = (String, Vec<(String, String)>);

/// What is remembered of one series.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    /// Where it counts from: a moment at which it was known to be 0 or, behind a change of its owner, `base`.
    start: u64,
    /// What it counts from.
    base: Option<Reading>,
    /// The last value that arrived, and when it was taken.
    arrived: Option<(u64, Reading)>,
    /// Which process it is of.
    instance: u64,
    /// The last turn in which it was there.
    turn: u64,
}

/// All series of one collector.
#[derive(Debug)]
pub struct Book {
    told: BTreeMap<Key, Told>,
    /// When the turn before began: new series were 0 then.
    before: u64,
    turn: u64,
}

/// From where a value counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Since {
    /// The moment.
    pub start: u64,
    /// The value then; `None` is 0.
    pub base: Option<Reading>,
}

impl Book {
    /// Nothing is told yet; the registry began at `start`.
    pub fn new(start: u64) -> Book {
        Book { told: BTreeMap::new(), before: start, turn: 0 }
    }

    /// Another turn begins.
    pub fn begin(&mut self) {
        self.turn = self.turn.saturating_add(1);
    }

    /// Where a cumulative value counts from. `instance` tells a server from its successor of the same name.
    pub fn cumulative(&mut self, key: &Key, now: &Reading, instance: u64) -> Since {
        let (before, turn) = (self.before, self.turn);
        let told = self.seen(key, now, instance, before);
        told.turn = turn;
        Since { start: told.start, base: told.base.clone() }
    }

    /// Where a delta counts from.
    pub fn delta(&mut self, key: &Key, now: &Reading, instance: u64) -> Since {
        let Since { start, base } = self.cumulative(key, now, instance);
        match self.told.get(key).and_then(|told| told.arrived.clone()) {
            Some((start, arrived)) => Since { start, base: Some(arrived) },
            None => Since { start, base },
        }
    }

    fn seen(&mut self, key: &Key, now: &Reading, instance: u64, before: u64) -> &mut Told {
        let new = Told { start: before, base: None, arrived: None, instance, turn: 0 };
        let told = self.told.entry(key.clone()).or_insert_with(|| new.clone());
        let last = told.arrived.as_ref().map(|(_, last)| last);
        if last.or(told.base.as_ref()).is_some_and(|last| now.is_behind(last)) {
            // It ended and began again, between two turns.
            *told = new;
        } else if told.instance != instance {
            let (start, base) = told.arrived.take().map_or((before, None), |(at, last)| (at, Some(last)));
            *told = Told { start, base, ..new };
        }
        told
    }

    /// These values, taken at `at`, arrived.
    pub fn arrived(&mut self, at: u64, values: &[(Key, Reading)]) {
        for (key, value) in values {
            if let Some(told) = self.told.get_mut(key) {
                told.arrived = Some((at, value.clone()));
            }
        }
    }

    /// The turn that began at `at` is over: series that were not in it have ended.
    pub fn end(&mut self, at: u64) {
        let turn = self.turn;
        self.told.retain(|_, told| told.turn == turn);
        self.before = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        ("a_total".to_owned(), vec![("x".to_owned(), "1".to_owned())])
    }

    fn turn(book: &mut Book, at: u64, value: Option<f64>, instance: u64) -> (Option<Since>, Option<Since>) {
        book.begin();
        let both = value
            .map(Reading::Number)
            .map(|value| (book.cumulative(&key(), &value, instance), book.delta(&key(), &value, instance)));
        book.end(at);
        both.unzip()
    }

    fn since(start: u64, base: Option<f64>) -> Option<Since> {
        Some(Since { start, base: base.map(Reading::Number) })
    }

    #[test]
    fn deltas_count_from_what_arrived() {
        let mut book = Book::new(100);
        assert_eq!(turn(&mut book, 110, None, 1), (None, None));
        assert_eq!(turn(&mut book, 120, Some(3.0), 1), (since(110, None), since(110, None)), "it was not there at 110");
        assert_eq!(turn(&mut book, 130, Some(5.0), 1).1, since(110, None), "the collector was away");
        book.arrived(130, &[(key(), Reading::Number(5.0))]);
        assert_eq!(turn(&mut book, 140, Some(6.0), 1), (since(110, None), since(130, Some(5.0))));
    }

    #[test]
    fn what_ended_begins_anew() {
        let mut book = Book::new(100);
        let _ = turn(&mut book, 110, Some(3.0), 1);
        book.arrived(110, &[(key(), Reading::Number(3.0))]);
        assert_eq!(turn(&mut book, 120, Some(1.0), 1), (since(110, None), since(110, None)), "within one turn");
        let _ = turn(&mut book, 130, None, 1);
        assert_eq!(turn(&mut book, 140, Some(9.0), 1).0, since(130, None));
    }

    #[test]
    fn a_successor_does_not_inherit() {
        let mut book = Book::new(100);
        let _ = turn(&mut book, 110, Some(3.0), 1);
        book.arrived(110, &[(key(), Reading::Number(3.0))]);
        assert_eq!(turn(&mut book, 120, Some(4.0), 2), (since(110, Some(3.0)), since(110, Some(3.0))));
        assert_eq!(turn(&mut book, 130, Some(5.0), 2).0, since(110, Some(3.0)));
    }
}
