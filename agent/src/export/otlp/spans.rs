//! Where the pipeline hands in finished requests: chooses which become spans, makes them, and puts them into the queue of each
//! collector, those of servers on GPUs once these were looked at again. Never waits.

use super::attribute::texts;
use super::held::{Held, Waiting};
use super::identifier;
use super::points::scope;
use super::queue::{self, Queue};
use super::resource::{Owner, Resources};
use super::sampling::{Case, Sampling};
use super::span::{Offset, Place, Traceable};
use crate::config;
use crate::event::Nanos;
use crate::host::clock;
use crate::metric::{Exemplar, Metrics, labelled};
use crate::request::Decision;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// A collector's queue, and its name in metrics.
pub type Outlet = (Arc<str>, Arc<Queue>);

/// Makes spans of requests.
pub struct Spans {
    sampling: Sampling,
    boot: String,
    resources: Arc<Mutex<Resources>>,
    outlets: Vec<Outlet>,
    waiting: Mutex<Waiting>,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// For these collectors.
    pub(super) fn new(
        settings: &config::Spans,
        boot: String,
        resources: Arc<Mutex<Resources>>,
        outlets: Vec<Outlet>,
        metrics: Arc<Metrics>,
    ) -> Spans {
        let most = usize::try_from(settings.queue).unwrap_or(usize::MAX);
        let waiting = Mutex::new(Waiting::new(most));
        Spans { sampling: Sampling::new(settings), boot, resources, outlets, waiting, metrics }
    }

    /// Something ended. Returns what points to its span, where it became one.
    #[must_use]
    pub fn offer(&self, ended: &impl Traceable) -> Option<Exemplar> {
        let head = ended.head();
        let owner = Owner { engine: head.engine.to_owned(), service: labelled(head.service) };
        let subject = head.subject(&self.boot);
        let resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        // A server that sends spans of its own stands in the caller's trace already.
        let (parent, link) = match head.caller {
            Some(caller) if resources.has_own_spans(&owner) => (None, Some(caller)),
            caller => (caller, None),
        };
        let trace = parent.map_or_else(|| identifier::trace(&subject), |caller| caller.trace);
        let case = Case {
            trace,
            decision: head.caller.map_or(Decision::Open, |caller| caller.decision),
            result: head.result,
            duration: head.end.since(head.start),
        };
        if self.outlets.is_empty() || !self.sampling.keeps(&case) {
            return None;
        }
        let resource = Some(resources.of(Some(&owner)));
        drop(resources);
        let offset = Offset(clock::offset());
        let place = Place { trace, span: identifier::span(&subject), parent, link };
        let mut draft = ended.draft();
        let gpus = self.metrics.places(head.engine, head.service);
        if !gpus.is_empty() {
            draft.attributes.push(texts("inferscope.gpu.ids", gpus.iter().map(String::as_str)));
        }
        let spans = draft.spans(&head, &place, offset);
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
        let spans = ResourceSpans { resource, scope_spans, ..ResourceSpans::default() };
        if gpus.is_empty() {
            self.hand_out(spans);
        } else {
            let service = head.service.clone();
            let held = Held { spans, engine: head.engine, service, from: head.start, to: head.end };
            let oldest = self.waiting().hold(held);
            oldest.into_iter().for_each(|oldest| self.hand_out(oldest));
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(offset.wall(head.end));
        Some(Exemplar { trace, span: place.span, at })
    }

    /// Time passed; call it about once a second.
    pub fn tick(&self, now: Nanos) {
        let known = |held: &Held| self.metrics.circumstances(held.engine, &held.service, held.from, held.to);
        let due = self.waiting().due(now, known);
        due.into_iter().for_each(|spans| self.hand_out(spans));
    }

    /// Nothing more is to come.
    pub fn finish(&self) {
        let rest = self.waiting().rest();
        rest.into_iter().for_each(|spans| self.hand_out(spans));
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_out(&self, spans: ResourceSpans) {
        let item = Arc::new(spans);
        for (name, queue) in &self.outlets {
            if let Some(dropped) = queue.push(Arc::clone(&item)) {
                self.metrics.spans_exported(name, "dropped", queue::spans(&dropped));
            }
        }
    }
}
