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
}

/// A condition from one look to another, both included.
#[derive(Debug)]
struct Span {
    condition: Condition,
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
        }
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
