//! When each group of readings is due.

use crate::event::Nanos;
use std::time::Duration;

/// Between two readings of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    /// Utilisation, memory, processes.
    pub activity: Duration,
    /// Power, heat, clocks, links.
    pub telemetry: Duration,
    /// Errors and wear.
    pub errors: Duration,
    /// Which devices and instances there are.
    pub inventory: Duration,
}

/// Keeps the intervals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    intervals: Intervals,
    next: Groups<Nanos>,
}

/// Something of each group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups<T> {
    pub activity: T,
    pub telemetry: T,
    pub errors: T,
    pub inventory: T,
}

impl Rhythm {
    /// Everything is due at once.
    pub fn new(intervals: Intervals) -> Rhythm {
        Rhythm { intervals, next: Groups::default() }
    }

    /// What is due; each is due again after its interval.
    pub fn due(&mut self, now: Nanos) -> Groups<bool> {
        let Rhythm { intervals, next } = self;
        Groups {
            activity: due(&mut next.activity, intervals.activity, now),
            telemetry: due(&mut next.telemetry, intervals.telemetry, now),
            errors: due(&mut next.errors, intervals.errors, now),
            inventory: due(&mut next.inventory, intervals.inventory, now),
        }
    }

    /// The inventory was just taken.
    pub fn inventoried(&mut self, now: Nanos) {
        due(&mut self.next.inventory, self.intervals.inventory, now);
    }

    /// When something is due next.
    pub fn next(&self) -> Nanos {
        let Groups { activity, telemetry, errors, inventory } = self.next;
        activity.min(telemetry).min(errors).min(inventory)
    }

    /// When the inventory is.
    pub fn next_inventory(&self) -> Nanos {
        self.next.inventory
    }
}

fn due(next: &mut Nanos, interval: Duration, now: Nanos) -> bool {
    let due = now >= *next;
    if due {
        *next = Nanos(now.0.saturating_add(u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX)));
    }
    due
}
