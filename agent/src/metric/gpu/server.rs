//! What of the GPUs belongs to servers: where each runs, the energy it used, and what its requests met.

use super::label::{Credited, Impaired};
use super::{Total, total};
use crate::correlate::circumstance::{Chronicle, Circumstances};
use crate::correlate::condition::History;
use crate::correlate::{Joined, Owner, Place, ServerProcess};
use crate::event::Nanos;
use crate::host::gpu::view::GpuView;
use crate::metric::catalog;
use crate::metric::family::{Book, Family};
use crate::metric::label::{OfServer as _, Server};
use crate::service::Service;
use prometheus_client::metrics::counter::Counter;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Requests that wait for the next look at the GPUs. They come at most a second before it.
const WAITING: usize = 65_536;

/// The families, and what must be remembered for them. Each lock is held for moments only by whoever needs it: the
/// pipeline asks where a server runs, and leaves its requests.
pub(in crate::metric) struct OfServers {
    energy: Family<Credited, Total>,
    impaired: Family<Impaired, Counter>,
    /// A server that is there and was seen on no device lately (its driver is being loaded) is where it was.
    places: Mutex<BTreeMap<Owner, Arc<BTreeSet<Place>>>>,
    ended: Mutex<Vec<Ended>>,
    /// What only looks at the GPUs change.
    looks: Mutex<Chronicle>,
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
            places: Mutex::default(),
            ended: Mutex::default(),
            looks: Mutex::default(),
        }
    }

    /// Takes what is known now.
    pub fn show(&self, view: &GpuView, joined: &Joined, servers: &[ServerProcess], labels: &dyn Fn(&Owner) -> Server) {
        let places = self.place(joined, servers);
        let ended = std::mem::take(&mut *lock(&self.ended));
        // A request that ended behind this look waits for the next.
        let (judged, waiting): (Vec<_>, Vec<_>) = ended.into_iter().partition(|ended| ended.to <= view.time);
        lock(&self.ended).extend(waiting);
        let mut looks = lock(&self.looks);
        looks.note(view, joined);
        self.judge(judged, &places, &looks.history);
        let used = looks.energy.used();
        let used: Vec<_> = used.map(|(owner, attribution, joules)| (owner.clone(), attribution, joules)).collect();
        // Labels are looked up under a lock whose owner may want this one.
        drop(looks);
        let credited = used.into_iter().map(|(owner, attribution, joules)| {
            (Credited { server: labels(&owner), attribution: attribution.name() }, total(joules))
        });
        self.energy.replace(credited.collect());
    }

    fn place(&self, joined: &Joined, servers: &[ServerProcess]) -> BTreeMap<Owner, Arc<BTreeSet<Place>>> {
        let here: BTreeSet<&Owner> = servers.iter().map(|server| &server.owner).collect();
        let mut places = lock(&self.places);
        places.retain(|owner, _| here.contains(owner));
        places.extend(joined.places().iter().map(|(owner, places)| (owner.clone(), Arc::new(places.clone()))));
        places.clone()
    }

    fn judge(&self, ended: Vec<Ended>, places: &BTreeMap<Owner, Arc<BTreeSet<Place>>>, history: &History) {
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

    /// All that a server runs on.
    pub fn places(&self, engine: &'static str, service: &Service) -> Vec<String> {
        let places = lock(&self.places);
        let places = places.get(&Owner { engine, service: service.clone() });
        places.into_iter().flat_map(|places| places.iter()).map(|place| place.uuid().to_string()).collect()
    }

    /// How what a server runs on fared between two moments; none where it runs on nothing, or nobody looked since.
    pub fn circumstances(
        &self,
        engine: &'static str,
        service: &Service,
        from: Nanos,
        to: Nanos,
    ) -> Option<Circumstances> {
        let owner = Owner { engine, service: service.clone() };
        let places = lock(&self.places).get(&owner).map(Arc::clone)?;
        lock(&self.looks).during(&owner, &places, from, to)
    }

    /// The device or MIG instance that a server runs on, where it is one only.
    pub fn only_place(&self, engine: &'static str, service: &Service) -> Option<Arc<str>> {
        let places = lock(&self.places);
        let mut places = places.get(&Owner { engine, service: service.clone() })?.iter();
        let first = places.next()?;
        places.next().is_none().then(|| Arc::clone(first.uuid()))
    }

    /// A request ended.
    pub fn ended(&self, server: &Server, from: Nanos, to: Nanos) -> Taken {
        if !lock(&self.places).contains_key(&owner(server)) {
            return Taken::Yes;
        }
        let mut ended = lock(&self.ended);
        if ended.len() >= WAITING {
            return Taken::OverBound;
        }
        ended.push(Ended { server: server.clone(), from, to });
        Taken::Yes
    }

    /// Ends the series of a server.
    pub fn end(&self, ends: impl Fn(&Server) -> bool) {
        self.impaired.retain(|labels| !ends(labels.server.server()));
        self.energy.retain(|labels| !ends(labels.server.server()));
        let gone = |Owner { engine, service }: &Owner| {
            ends(&Server { engine, model: Arc::default(), service: service.clone(), gpu: None })
        };
        lock(&self.looks).energy.retain(|owner| !gone(owner));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn owner(server: &Server) -> Owner {
    Owner { engine: server.engine, service: server.service.clone() }
}
