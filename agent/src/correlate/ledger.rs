//! What each server's energy came to at each look at the GPUs, as far back as there is room.

use super::energy::Energy;
use super::{Joined, Owner};
use crate::event::Nanos;
use std::collections::{BTreeMap, VecDeque};

/// Looks that are kept: an hour of them, where there is one a second.
const LOOKS: usize = 3_600;

/// Joules of servers over time.
#[derive(Debug, Default)]
pub struct Ledger {
    servers: BTreeMap<Owner, VecDeque<Entry>>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: Nanos,
    /// Since the agent runs; absent where not all is known that was used since the entry before.
    joules: Option<f64>,
}

impl Ledger {
    /// Notes a look.
    pub fn note(&mut self, now: Nanos, energy: &Energy, joined: &Joined) {
        self.servers.retain(|owner, _| joined.places().contains_key(owner));
        for owner in joined.places().keys() {
            let entries = self.servers.entry(owner.clone()).or_default();
            if entries.len() >= LOOKS {
                entries.pop_front();
            }
            entries.push_back(Entry { at: now, joules: energy.of(owner, joined) });
        }
    }

    /// Joules of a server between two moments. Between two looks it is taken to be even; so it is absent where the looks
    /// around these moments lie more than half as far apart again.
    #[must_use]
    pub fn during(&self, owner: &Owner, from: Nanos, to: Nanos) -> Option<f64> {
        let entries = self.servers.get(owner)?;
        let first = entries.partition_point(|entry| entry.at <= from).checked_sub(1)?;
        let last = entries.partition_point(|entry| entry.at < to);
        let (begin, end) = (entries.get(first)?, entries.get(last)?);
        let (asked, known) = (to.since(from), end.at.since(begin.at));
        if asked == 0 || known > asked.saturating_add(asked / 2) {
            return None;
        }
        let is_known = |entry: &Entry| entry.joules.is_some();
        if !entries.range(first.saturating_add(1)..=last).all(is_known) {
            return None;
        }
        let used = end.joules? - begin.joules?;
        Some(used * asked as f64 / known as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn owner() -> Owner {
        Owner { engine: "comfyui", service: "s".into() }
    }

    /// Looks at these seconds.
    fn ledger(entries: &[(u64, Option<f64>)]) -> Ledger {
        let entries = entries.iter().map(|(second, joules)| Entry { at: Nanos(second * S), joules: *joules });
        Ledger { servers: BTreeMap::from([(owner(), entries.collect())]) }
    }

    #[test]
    fn energy_between_two_moments() {
        let looks: Vec<_> = (0..=10).map(|second| (second, Some(100.0 * second as f64))).collect();
        let during = |from: u64, to: u64| {
            let joules = ledger(&looks).during(&owner(), Nanos(from * S / 10), Nanos(to * S / 10));
            joules.map(|joules| (joules * 10.0).round() / 10.0)
        };
        assert_eq!(during(20, 50), Some(300.0));
        assert_eq!(during(25, 55), Some(300.0), "looks at 2 and 6");
        assert_eq!(during(25, 35), None, "looks at 2 and 4: a second of two");
        assert_eq!(during(95, 105), None, "there was no look behind it yet");
        assert_eq!(during(50, 50), None);
    }

    #[test]
    fn what_is_not_all_known_is_not_known() {
        let ledger =
            ledger(&[(0, None), (5, Some(1.0)), (10, Some(3.0)), (15, None), (20, Some(5.0)), (25, Some(6.0))]);
        let during = |from: u64, to: u64| ledger.during(&owner(), Nanos(from * S), Nanos(to * S));
        assert_eq!(during(5, 10), Some(2.0));
        assert_eq!(during(5, 20), None);
        assert_eq!(during(20, 25), Some(1.0));
        assert_eq!(during(0, 10), None);
        let nobody = Owner { engine: "comfyui", service: "t".into() };
        assert_eq!(ledger.during(&nobody, Nanos(5 * S), Nanos(10 * S)), None);
    }
}
