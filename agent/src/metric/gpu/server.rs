//! What of the GPUs belongs to servers: where each runs, the energy it used, and what its requests met.

use super::label::{Credited, Impaired};
use super::{Total, total};
use crate::correlate::condition::History;
use crate::correlate::energy::Energy;
use crate::correlate::{Attribution, Joined, Owner, Place, ServerProcess};
use crate::event::Nanos;
use crate::host::gpu::view::GpuView;
use crate::metric::catalog;
use crate::metric::family::{Book, Family};
use crate::metric::label::{OfServer as _, Server};
use prometheus_client::metrics::counter::Counter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests that wait for the next look at the GPUs. They come at most a second before it.
const WAITING: usize = 65_536;

/// The families, and what must be remembered for them.
pub(in crate::metric) struct OfServers {
    energy: Family<Credited, Total>,
    impaired: Family<Impaired, Counter>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where each server runs. A server that is there and was seen on no device lately (its
    /// driver is being loaded) is where it was.
    places: BTreeMap<Owner, BTreeSet<Place>>,
    energy: Energy,
    history: History,
    ended: Vec<Ended>,
}

/// A request that ended since the last look.
struct Ended {
    server: Server,
    from: Nanos,
    to: Nanos,
}

/// Whether a request will be held against the state of its GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metric) enum Taken {
    /// It will be, or its server runs on no GPU.
    Yes,
    /// Too many wait.
    OverBound,
}

impl OfServers {
    pub fn new(book: &mut Book) -> OfServers {
        OfServers {
            energy: book.add(&catalog::ENERGY, 1, Total::default),
            impaired: book.add(&catalog::REQUESTS_IMPAIRED, 1, Counter::default),
            state: Mutex::default(),
        }
    }

    /// Takes what is known now.
    pub fn show(&self, view: &GpuView, joined: &Joined, servers: &[ServerProcess], labels: &dyn Fn(&Owner) -> Server) {
        let mut state = self.state();
        let State { places, energy, history, ended } = &mut *state;
        let here: BTreeSet<&Owner> = servers.iter().map(|server| &server.owner).collect();
        places.retain(|owner, _| here.contains(owner));
        places.extend(joined.places().clone());
        energy.step(view, joined);
        history.note(view);
        // A request that ended behind this look waits for the next.
        let (judged, waiting) = std::mem::take(ended).into_iter().partition(|ended| ended.to <= view.time);
        *ended = waiting;
        self.judge(judged, places, history);
        let used: Vec<(Owner, Attribution, f64)> =
            energy.used().map(|(owner, attribution, joules)| (owner.clone(), attribution, joules)).collect();
        // Labels are looked up under a lock whose owner may want this one.
        drop(state);
        let credited = used.into_iter().map(|(owner, attribution, joules)| {
            (Credited { server: labels(&owner), attribution: attribution.name() }, total(joules))
        });
        self.energy.replace(credited.collect());
    }

    fn judge(&self, ended: Vec<Ended>, places: &BTreeMap<Owner, BTreeSet<Place>>, history: &History) {
        for Ended { server, from, to } in ended {
            let Some(places) = places.get(&owner(&server)) else { continue };
            for condition in history.during(places.iter().map(|place| &place.device), from, to) {
                let labels = Impaired { server: server.clone(), condition: condition.name() };
                self.impaired.with(&labels, |requests| {
                    requests.inc();
                });
            }
        }
    }

    /// A request ended.
    pub fn ended(&self, server: &Server, from: Nanos, to: Nanos) -> Taken {
        let mut state = self.state();
        if !state.places.contains_key(&owner(server)) {
            return Taken::Yes;
        }
        if state.ended.len() >= WAITING {
            return Taken::OverBound;
        }
        state.ended.push(Ended { server: server.clone(), from, to });
        Taken::Yes
    }

    /// Ends the series of a server.
    pub fn end(&self, ends: impl Fn(&Server) -> bool) {
        self.impaired.retain(|labels| !ends(labels.server.server()));
        self.energy.retain(|labels| !ends(labels.server.server()));
        let gone = |Owner { engine, service }: &Owner| {
            ends(&Server { engine, model: Arc::default(), service: Arc::clone(service) })
        };
        self.state().energy.retain(|owner| !gone(owner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owner(server: &Server) -> Owner {
    Owner { engine: server.engine, service: Arc::clone(&server.service) }
}
