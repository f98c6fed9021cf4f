//! What a device suffered from while a request ran on it: too little power, too much heat, an error of its driver.
//!
//! A device is looked at now and then. What is seen at a look is taken to have been so since the look before.

use crate::event::Nanos;
use crate::host::gpu::view::{Condition, Device, GpuView};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Spans that are kept of one device.
const SPANS: usize = 256;

/// The conditions of every device, as far back as there is room.
#[derive(Debug, Default)]
pub struct History {
    devices: BTreeMap<Arc<str>, Past>,
    looked: Nanos,
}

#[derive(Debug, Default)]
struct Past {
    spans: VecDeque<Span>,
    xids: VecDeque<Reported>,
}

/// A condition from one look to another, both included.
#[derive(Debug)]
struct Span {
    condition: Condition,
    from: Nanos,
    to: Nanos,
}

/// An error that a driver reported between two looks, both included.
#[derive(Debug)]
struct Reported {
    xid: u64,
    from: Nanos,
    to: Nanos,
}

impl History {
    /// Notes a look.
    pub fn note(&mut self, view: &GpuView) {
        let before = std::mem::replace(&mut self.looked, view.time);
        self.devices.retain(|uuid, _| view.devices.iter().any(|device| device.uuid == *uuid));
        for device in &view.devices {
            let past = self.devices.entry(Arc::clone(&device.uuid)).or_default();
            for condition in now(device, before) {
                past.note(condition, before, view.time);
            }
            for (xid, _) in device.xids.iter().filter(|(_, xid)| xid.last > before) {
                past.reported(Reported { xid: *xid, from: before, to: view.time });
            }
        }
    }

    /// When the devices were last looked at.
    #[must_use]
    pub fn looked(&self) -> Nanos {
        self.looked
    }

    /// What these devices suffered from at any time between two moments.
    pub fn during<'d>(
        &self,
        devices: impl IntoIterator<Item = &'d Arc<str>>,
        from: Nanos,
        to: Nanos,
    ) -> BTreeSet<Condition> {
        let pasts = devices.into_iter().filter_map(|uuid| self.devices.get(uuid));
        let spans = pasts.flat_map(|past| &past.spans).filter(|span| span.from <= to && span.to >= from);
        spans.map(|span| span.condition).collect()
    }

    /// The errors that their drivers reported at any time between two moments, by their numbers.
    pub fn xids_during<'d>(
        &self,
        devices: impl IntoIterator<Item = &'d Arc<str>>,
        from: Nanos,
        to: Nanos,
    ) -> BTreeSet<u64> {
        let pasts = devices.into_iter().filter_map(|uuid| self.devices.get(uuid));
        let reported = pasts.flat_map(|past| &past.xids).filter(|reported| reported.from <= to && reported.to >= from);
        reported.map(|reported| reported.xid).collect()
    }
}

/// What a device suffers from at this look; an error where one was reported behind the look before.
fn now(device: &Device, before: Nanos) -> BTreeSet<Condition> {
    let mut conditions = device.conditions();
    if device.xids.values().any(|xid| xid.last > before) {
        conditions.insert(Condition::Xid);
    }
    conditions
}

impl Past {
    fn reported(&mut self, reported: Reported) {
        if self.xids.len() >= SPANS {
            self.xids.pop_front();
        }
        self.xids.push_back(reported);
    }

    fn note(&mut self, condition: Condition, from: Nanos, to: Nanos) {
        let going_on = self.spans.iter_mut().find(|span| span.condition == condition && span.to == from);
        match going_on {
            Some(span) => span.to = to,
            None => {
                if self.spans.len() >= SPANS {
                    self.spans.pop_front();
                }
                self.spans.push_back(Span { condition, from, to });
            }
        }
    }
}
