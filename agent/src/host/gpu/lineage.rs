//! Whom the processes on GPUs come from, remembered: there may be hundreds of them, once a second.

use crate::event::{Nanos, Tgid};
use crate::host::procfs::{self, StartTime};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A process gets another parent when its own ends: looked up again after so long.
const FRESH: u64 = 10_000_000_000;

/// Remembers lineages, of the processes that were asked for since the last [`Lineages::forget_others`].
#[derive(Debug, Default)]
pub struct Lineages(BTreeMap<Tgid, Known>);

#[derive(Debug)]
struct Known {
    start: StartTime,
    looked: Nanos,
    used: Nanos,
    comm: Arc<str>,
    ancestors: Arc<[Tgid]>,
}

impl Lineages {
    /// Its comm, and its parent, grandparent, …; both empty where there is no such process.
    pub fn of(&mut self, tgid: Tgid, now: Nanos) -> (Arc<str>, Arc<[Tgid]>) {
        let start = procfs::start_time(tgid);
        if let Some(known) = self.0.get_mut(&tgid)
            && start == Some(known.start)
            && now.since(known.looked) < FRESH
        {
            known.used = now;
            return (Arc::clone(&known.comm), Arc::clone(&known.ancestors));
        }
        let Some(found) = procfs::lineage(tgid) else {
            self.0.remove(&tgid);
            return (Arc::default(), Arc::default());
        };
        let procfs::Lineage { start, comm, ancestors } = found;
        let known = Known { start, looked: now, used: now, comm: comm.into(), ancestors: ancestors.into() };
        let answer = (Arc::clone(&known.comm), Arc::clone(&known.ancestors));
        self.0.insert(tgid, known);
        answer
    }

    /// Forgets those that nobody asked for at `now`.
    pub fn forget_others(&mut self, now: Nanos) {
        self.0.retain(|_, known| known.used == now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut lineages = Lineages::default();
        let own = Tgid(std::process::id());
        let (comm, ancestors) = lineages.of(own, Nanos(1));
        assert!(!comm.is_empty() && !ancestors.is_empty());
        lineages.forget_others(Nanos(1));
        assert_eq!(lineages.of(own, Nanos(2)), (comm, ancestors));
        assert_eq!(lineages.of(Tgid(u32::MAX), Nanos(2)), Default::default());
        lineages.forget_others(Nanos(3));
        assert!(lineages.0.is_empty());
    }
}
