//! Inferences, and the instances of models at work.

use super::catalog;
use super::distribution::{Distribution, Exemplar};
use super::family::{Book, Family};
use super::label::{Answered, Call, Fronted, OfInstance, OfModel, OfServer, Outcome, Refused, Server, Sourced, Staged};
use super::sink::{counter, distribution, gauge, histogram, observe, seconds, timed};
use crate::config::Buckets;
use crate::core::{Executed, Work};
use crate::engine::Operation;
use crate::engine::inference::Fault;
use crate::request::inference::{Answer, Execution};
use crate::request::{Inference, Quality, Status};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;

/// The families that calls of a server's library feed.
pub(super) struct Inferences {
    requests: Family<Answered, Counter>,
    duration: Family<OfModel, Distribution>,
    queue: Family<OfModel, Histogram>,
    compute: Family<Staged, Histogram>,
    frontend: Family<Fronted, Histogram>,
    refused: Family<Refused, Counter>,
    responses: Family<OfModel, Counter>,
    pending: Family<Server, Gauge>,
    batch: Family<OfInstance, Histogram>,
    execution: Family<OfInstance, Histogram>,
}

/// Families that requests to other language models feed as well.
pub(super) struct Generations<'a> {
    pub requests: &'a Family<Outcome, Counter>,
    pub duration: &'a Family<Call, Distribution>,
    pub first_token: &'a Family<Call, Distribution>,
    pub inter_token: &'a Family<Sourced, Histogram>,
}

impl Inferences {
    pub fn new(book: &mut Book, buckets: &Buckets) -> Inferences {
        Inferences {
            requests: counter(book, &catalog::TRITON_REQUESTS),
            duration: distribution(book, &catalog::TRITON_REQUEST_DURATION, buckets),
            queue: histogram(book, &catalog::TRITON_QUEUE_DURATION, buckets),
            compute: histogram(book, &catalog::TRITON_COMPUTE_DURATION, buckets),
            frontend: histogram(book, &catalog::TRITON_FRONTEND_DURATION, buckets),
            refused: counter(book, &catalog::TRITON_API_ERRORS),
            responses: counter(book, &catalog::TRITON_RESPONSES),
            pending: gauge(book, &catalog::TRITON_PENDING_REQUESTS),
            batch: histogram(book, &catalog::TRITON_BATCH_SIZE, buckets),
            execution: histogram(book, &catalog::TRITON_EXECUTION_DURATION, buckets),
        }
    }

    /// An inference of a known model ended.
    pub fn inference(&self, server: &Server, inference: &Inference, exemplar: Option<&Exemplar>) {
        let model = OfModel { server: server.clone(), version: inference.version };
        let reason = inference.fault.map(Fault::name);
        let protocol = inference.asked.as_ref().map(|asked| asked.protocol.name());
        let answered = Answered { model: model.clone(), status: inference.status.name(), reason, protocol };
        self.requests.with(&answered, |requests| {
            requests.inc();
        });
        if inference.responses > 0 {
            self.responses.with(&model, |responses| {
                responses.inc_by(inference.responses);
            });
        }
        if inference.status == Status::Ok {
            timed(&self.duration, &model, inference.duration(), exemplar);
        }
        observe(&self.queue, &model, inference.queue());
        self.fronted(&model, inference);
        let Some(Execution { input, infer, output, .. }) = inference.stages() else { return };
        for (stage, nanos) in [("input", input), ("infer", infer), ("output", output)] {
            observe(&self.compute, &Staged { model: model.clone(), stage }, Some(nanos));
        }
    }

    /// What the front end added before and behind.
    fn fronted(&self, model: &OfModel, inference: &Inference) {
        let Some(asked) = &inference.asked else { return };
        for (stage, nanos) in [("receive", inference.receiving()), ("send", inference.sending())] {
            let labels = Fronted { model: model.clone(), protocol: asked.protocol.name(), stage };
            observe(&self.frontend, &labels, nanos);
        }
    }

    /// A request was refused before an inference was made of it.
    pub fn refused(&self, labels: &Refused) {
        self.refused.with(labels, |refused| {
            refused.inc();
        });
    }

    /// An instance executes, or has.
    pub fn executed(&self, server: Server, executed: &Executed) {
        let labels = OfInstance { server, instance: executed.instance };
        match executed.work {
            Work::Batch(requests) => self.batch.with(&labels, |sizes| sizes.observe(requests as f64)),
            Work::Took(nanos) => observe(&self.execution, &labels, Some(nanos)),
        }
    }

    /// All queues as they stand now; the series of others end.
    pub fn pending(&self, pending: BTreeMap<Server, i64>) {
        self.pending.retain(|labels| pending.contains_key(labels));
        self.pending.set_all(pending);
    }

    /// Ends the series of a server.
    pub fn end(&self, ends: impl Fn(&Server) -> bool) {
        self.requests.retain(|labels| !ends(labels.server()));
        self.duration.retain(|labels| !ends(labels.server()));
        self.queue.retain(|labels| !ends(labels.server()));
        self.compute.retain(|labels| !ends(labels.server()));
        self.frontend.retain(|labels| !ends(labels.server()));
        self.refused.retain(|labels| !ends(&labels.server()));
        self.responses.retain(|labels| !ends(labels.server()));
        self.pending.retain(|labels| !ends(labels));
        for family in [&self.batch, &self.execution] {
            family.retain(|labels| !ends(labels.server()));
        }
    }
}

/// An inference of a language model ended. A response is no token, and nobody knows how long its prompt was.
pub(super) fn generation(
    families: &Generations<'_>,
    server: Server,
    inference: &Inference,
    exemplar: Option<&Exemplar>,
) {
    let sourced = Sourced { server: server.clone(), source: "engine" };
    let stream = inference.answer == Answer::Streamed;
    let call = Call { server, operation: Operation::Generate.name(), stream };
    let outcome = Outcome { call: call.clone(), status: inference.status.name(), code: None };
    families.requests.with(&outcome, |requests| {
        requests.inc();
    });
    timed(families.duration, &call, inference.generation(), exemplar);
    timed(families.first_token, &call, inference.first_output(), exemplar);
    if inference.quality == Quality::Complete && !inference.gaps.is_empty() {
        families.inter_token.with(&sourced, |gaps| inference.gaps.iter().for_each(|gap| gaps.observe(seconds(*gap))));
    }
}
