//! Where the pipeline hands in finished requests: chooses which become spans, makes them, and puts them into the queue of each
//! collector. Never waits.

use super::identifier;
use super::points::scope;
use super::queue::{self, Queue};
use super::resource::{Owner, Resources};
use super::sampling::{Case, Sampling};
use super::span::{Offset, Place, Traceable};
use crate::host::clock;
use crate::metric::{Exemplar, Metrics, sanitised};
use crate::request::Decision;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A collector's queue, and its name in metrics.
pub type Outlet = (Arc<str>, Arc<Queue>);

/// Makes spans of requests.
pub struct Spans {
    sampling: Sampling,
    boot: String,
    resources: Arc<Mutex<Resources>>,
    outlets: Vec<Outlet>,
    metrics: Arc<Metrics>,
}

impl Spans {
    /// For these collectors.
    pub(super) fn new(
        sampling: Sampling,
        boot: String,
        resources: Arc<Mutex<Resources>>,
        outlets: Vec<Outlet>,
        metrics: Arc<Metrics>,
    ) -> Spans {
        Spans { sampling, boot, resources, outlets, metrics }
    }

    /// Something ended. Returns what points to its span, where it became one.
    #[must_use]
    pub fn offer(&self, ended: &impl Traceable) -> Option<Exemplar> {
        let head = ended.head();
        let owner = Owner { engine: head.engine.to_owned(), service: sanitised(head.service).to_string() };
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
        let spans = ended.draft().spans(&head, &place, offset);
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }];
        self.hand_out(Arc::new(ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }));
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(offset.wall(head.end));
        Some(Exemplar { trace, span: place.span, at })
    }

    fn hand_out(&self, item: queue::Item) {
        for (name, queue) in &self.outlets {
            if let Some(dropped) = queue.push(Arc::clone(&item)) {
                self.metrics.spans_exported(name, "dropped", queue::spans(&dropped));
            }
        }
    }
}
