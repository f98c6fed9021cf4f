//! Energy by server: what a device's own counter says, times the share of it that a server had meanwhile.
//!
//! Credited only where a server was alone on the device all the time since the counter was last read, or where every
//! process was sampled all the time. The rest is nobody's: it is in the device's own counter.

use super::{Attribution, Joined, Owner, Tenancy};
use crate::host::gpu::Quantity;
use crate::host::gpu::view::GpuView;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Joules by server, since the agent runs.
#[derive(Debug, Default)]
pub struct Energy {
    meters: BTreeMap<Arc<str>, Meter>,
    used: BTreeMap<(Owner, Attribution), f64>,
    /// Devices of which some energy since the step before is not known, or is nobody's.
    open: BTreeSet<Arc<str>>,
}

/// One device since its counter last moved.
#[derive(Debug)]
struct Meter {
    joules: f64,
    alone: Alone,
    /// Sums of samples; absent once something was not sampled.
    samples: Option<Samples>,
}

/// Who was alone on a device.
#[derive(Debug, Default, PartialEq)]
enum Alone {
    /// Nobody has been there yet.
    #[default]
    Nobody,
    /// One server, and nobody else.
    One(Owner),
    /// Several.
    Several,
}

#[derive(Debug, Default)]
struct Samples {
    servers: BTreeMap<Owner, f64>,
    total: f64,
}

impl Energy {
    /// Takes what is known now.
    pub fn step(&mut self, view: &GpuView, joined: &Joined) {
        self.meters.retain(|uuid, _| view.devices.iter().any(|device| device.uuid == *uuid));
        self.open.clear();
        for device in &view.devices {
            let Some(joules) = device.readings.value(Quantity::Energy) else {
                self.meters.remove(&device.uuid);
                self.open.insert(Arc::clone(&device.uuid));
                continue;
            };
            let meter = self.meters.entry(Arc::clone(&device.uuid)).or_insert_with(|| Meter::at(joules));
            meter.note(joined.of_device(device), || {
                let sm = device.processes.iter().flatten().map(|process| process.sm.clone());
                sm.sum::<Result<f64, _>>().ok()
            });
            if joules == meter.joules {
                continue;
            }
            // A counter that runs backwards began anew: a driver was loaded.
            let delta = joules - meter.joules;
            let meter = std::mem::replace(meter, Meter::at(joules));
            if delta <= 0.0 || !self.credit(meter, delta) {
                self.open.insert(Arc::clone(&device.uuid));
            }
        }
    }

    /// Joules of a server by now; absent where some of what its devices used since the step before is not known, or is
    /// nobody's.
    #[must_use]
    pub fn of(&self, owner: &Owner, joined: &Joined) -> Option<f64> {
        let places = joined.places().get(owner)?;
        if places.iter().any(|place| self.open.contains(&place.device)) {
            return None;
        }
        let ways = [Attribution::Exclusive, Attribution::Sampled];
        let used = ways.map(|way| self.used.get(&(owner.clone(), way)).copied().unwrap_or_default());
        Some(used.iter().sum())
    }

    /// Joules of each server.
    pub fn used(&self) -> impl Iterator<Item = (&Owner, Attribution, f64)> {
        self.used.iter().map(|((owner, attribution), joules)| (owner, *attribution, *joules))
    }

    /// Forgets the servers that are gone.
    pub fn retain(&mut self, keep: impl Fn(&Owner) -> bool) {
        self.used.retain(|(owner, _), _| keep(owner));
    }

    /// Whether anybody could be.
    fn credit(&mut self, meter: Meter, joules: f64) -> bool {
        match meter {
            Meter { alone: Alone::One(owner), .. } => {
                *self.used.entry((owner, Attribution::Exclusive)).or_default() += joules;
                true
            }
            Meter { alone: Alone::Several, samples: Some(Samples { servers, total }), .. } if total > 0.0 => {
                for (owner, sm) in servers {
                    *self.used.entry((owner, Attribution::Sampled)).or_default() += joules * sm / total;
                }
                true
            }
            Meter { .. } => false,
        }
    }
}

impl Meter {
    fn at(joules: f64) -> Meter {
        Meter { joules, alone: Alone::default(), samples: Some(Samples::default()) }
    }

    /// Notes who is there; `sm` is the sum of what everybody there had, where it is sampled.
    fn note(&mut self, tenancy: Tenancy, sm: impl FnOnce() -> Option<f64>) {
        let there = match tenancy {
            // An idle device's energy is nobody's; beside a server it is a part of that server's own.
            Tenancy::Vacant => return,
            Tenancy::Exclusive(owner) => {
                let alone = self.alone == Alone::Nobody || self.alone == Alone::One(owner.clone());
                self.alone = if alone { Alone::One(owner.clone()) } else { Alone::Several };
                sm().map(|sm| Samples { servers: BTreeMap::from([(owner, sm)]), total: sm })
            }
            Tenancy::Sampled { servers, total } => {
                self.alone = Alone::Several;
                Some(Samples { servers, total })
            }
            Tenancy::Shared => {
                self.alone = Alone::Several;
                None
            }
        };
        self.samples = self.samples.take().zip(there).map(|(mut sum, there)| {
            for (owner, sm) in there.servers {
                *sum.servers.entry(owner).or_default() += sm;
            }
            sum.total += there.total;
            sum
        });
    }
}
