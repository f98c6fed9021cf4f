//! What jobs say: work, steps, nodes, images, and the API that jobs are handed over to.

use super::catalog;
use super::distribution::{Distribution, Exemplar};
use super::family::{Book, Family};
use super::label::{Server, labelled};
use super::name::Names;
use super::sink::{counter, distribution, gauge, histogram, observe, seconds, timed};
use crate::config::Config;
use crate::core::{Busy, Reply};
use crate::issue::Issue;
use crate::job::{Record, Status};
use crate::service::Service;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The families that jobs feed.
pub(super) struct Jobs {
    prompts: Family<Ended, Counter>,
    images: Family<OfWorkflow, Counter>,
    failures: Family<Failed, Counter>,
    duration: Family<OfWorkflow, Distribution>,
    queue: Family<OfWorkflow, Histogram>,
    first_step: Family<OfWorkflow, Distribution>,
    steps: Family<Sampled, Histogram>,
    nodes: Family<OfClass, Histogram>,
    cached: Family<OfWorkflow, Counter>,
    loads: Family<Server, Histogram>,
    active: Family<Host, Gauge>,
    waiting: Family<Host, Gauge>,
    requests: Family<Answered, Counter>,
    errors: Family<Refused, Counter>,
    names: Mutex<Kinds>,
}

/// The names that labels carry.
struct Kinds {
    /// As configured, by hash.
    given: BTreeMap<String, String>,
    workflows: Names,
    classes: Names,
    samplers: Names,
    errors: Names,
}

/// A server, whatever model it works with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Host {
    engine: &'static str,
    #[prometheus(flatten)]
    service: Service,
}

/// Jobs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfWorkflow {
    #[prometheus(flatten)]
    server: Server,
    workflow: Arc<str>,
}

/// Jobs by how they came out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Ended {
    #[prometheus(flatten)]
    job: OfWorkflow,
    status: &'static str,
}

/// Jobs that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Failed {
    #[prometheus(flatten)]
    job: OfWorkflow,
    error_type: Arc<str>,
}

/// Steps.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Sampled {
    #[prometheus(flatten)]
    server: Server,
    sampler: Arc<str>,
    source: &'static str,
}

/// Nodes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct OfClass {
    #[prometheus(flatten)]
    host: Host,
    class_type: Arc<str>,
}

/// Requests to the API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Answered {
    #[prometheus(flatten)]
    host: Host,
    endpoint: &'static str,
    code: u16,
}

/// Requests to the API that were refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Refused {
    #[prometheus(flatten)]
    host: Host,
    endpoint: &'static str,
    error_type: Arc<str>,
}

impl Jobs {
    pub fn new(book: &mut Book, config: &Config) -> Jobs {
        let buckets = &config.buckets;
        let names = || Names::new(config.limits.names, Issue::NameOverBound);
        let kinds = Kinds {
            given: config.workflows.0.clone(),
            workflows: names(),
            classes: names(),
            samplers: names(),
            errors: names(),
        };
        Jobs {
            prompts: counter(book, &catalog::PROMPTS),
            images: counter(book, &catalog::IMAGES),
            failures: counter(book, &catalog::GENERATION_FAILURES),
            duration: distribution(book, &catalog::GENERATION_DURATION, buckets),
            queue: histogram(book, &catalog::JOB_QUEUE_DURATION, buckets),
            first_step: distribution(book, &catalog::TIME_TO_FIRST_STEP, buckets),
            steps: histogram(book, &catalog::STEP_DURATION, buckets),
            nodes: histogram(book, &catalog::NODE_DURATION, buckets),
            cached: counter(book, &catalog::NODES_CACHED),
            loads: histogram(book, &catalog::MODEL_LOAD_DURATION, buckets),
            active: gauge(book, &catalog::ACTIVE_JOBS),
            waiting: gauge(book, &catalog::JOB_QUEUE_DEPTH),
            requests: counter(book, &catalog::API_REQUESTS),
            errors: counter(book, &catalog::API_ERRORS),
            names: Mutex::new(kinds),
        }
    }

    /// A job is over.
    pub fn record(&self, server: Server, record: &Record, exemplar: Option<&Exemplar>, issue: &dyn Fn(Issue)) {
        let mut names = self.names();
        let Kinds { given, workflows, errors, .. } = &mut *names;
        let workflow = given.get(&record.workflow).unwrap_or(&record.workflow);
        let job = OfWorkflow { workflow: admit(workflows, &server, workflow, issue), server };
        if record.status == Status::Error {
            let error_type = admit(errors, &job.server, record.error.as_deref().unwrap_or_default(), issue);
            count(&self.failures, &Failed { job: job.clone(), error_type }, Some(1));
        }
        count(&self.prompts, &Ended { job: job.clone(), status: record.status.name() }, Some(1));
        count(&self.images, &job, record.images);
        count(&self.cached, &job, record.cached);
        observe(&self.queue, &job, record.queue());
        timed(&self.first_step, &job, record.to_first_step(), exemplar);
        let took = record.duration().filter(|_| record.status == Status::Success);
        timed(&self.duration, &job, took, exemplar);
        record.loads.iter().for_each(|load| observe(&self.loads, &job.server, Some(load.nanos())));
        self.work(&mut names, &job.server, record, issue);
    }

    /// Its nodes and steps, where their times are those of neighbours.
    fn work(&self, names: &mut Kinds, server: &Server, record: &Record, issue: &dyn Fn(Issue)) {
        if !record.complete() {
            return;
        }
        for node in record.nodes() {
            let host = Host { engine: server.engine, service: server.service.clone() };
            let class_type = admit(&mut names.classes, server, &node.class, issue);
            observe(&self.nodes, &OfClass { host, class_type }, Some(node.nanos));
        }
        for gap in &record.gaps {
            let sampler = admit(&mut names.samplers, server, &gap.sampler, issue);
            let labels = Sampled { server: server.clone(), sampler, source: record.source.name() };
            let mean = seconds(gap.mean());
            self.steps.with(&labels, |steps| (0..gap.steps).for_each(|_| steps.observe(mean)));
        }
    }

    /// An exchange about jobs was answered.
    pub fn replied(&self, reply: &Reply, issue: &dyn Fn(Issue)) {
        let Reply { origin, endpoint, code, error } = reply;
        let server =
            Server { engine: origin.engine, model: Arc::default(), service: labelled(&origin.service), gpu: None };
        let host = Host { engine: server.engine, service: server.service.clone() };
        if let Some(error) = error {
            let error_type = admit(&mut self.names().errors, &server, error, issue);
            count(&self.errors, &Refused { host: host.clone(), endpoint, error_type }, Some(1));
        }
        count(&self.requests, &Answered { host, endpoint, code: *code }, Some(1));
    }

    /// All servers of jobs as they stand now.
    pub fn busy(&self, busy: &[Busy]) {
        let (mut active, mut waiting): (BTreeMap<_, i64>, BTreeMap<_, i64>) = Default::default();
        for Busy { origin, active: works, waiting: waits } in busy {
            let host = Host { engine: origin.engine, service: labelled(&origin.service) };
            for (sums, more) in [(&mut active, works), (&mut waiting, waits)] {
                let sum = sums.entry(host.clone()).or_default();
                *sum = sum.saturating_add_unsigned(*more);
            }
        }
        self.active.set_all(active);
        self.waiting.set_all(waiting);
    }

    /// Ends the series of a server.
    pub fn end(&self, engine: &str, service: &Service) {
        let host = |host: &Host| host.engine != engine || host.service != *service;
        let server = |server: &Server| server.engine != engine || server.service != *service;
        let Jobs { prompts, images, failures, duration, queue, first_step, steps, nodes, cached, .. } = self;
        prompts.retain(|labels| server(&labels.job.server));
        failures.retain(|labels| server(&labels.job.server));
        [images, cached].iter().for_each(|family| family.retain(|labels| server(&labels.server)));
        [duration, first_step].iter().for_each(|family| family.retain(|labels| server(&labels.server)));
        queue.retain(|labels| server(&labels.server));
        steps.retain(|labels| server(&labels.server));
        nodes.retain(|labels| host(&labels.host));
        self.loads.retain(server);
        [&self.active, &self.waiting].iter().for_each(|family| family.retain(host));
        self.requests.retain(|labels| host(&labels.host));
        self.errors.retain(|labels| host(&labels.host));
    }

    /// Frees the places that names of this server take.
    pub fn forget(&self, engine: &'static str, service: &Service) {
        let mut names = self.names();
        let Kinds { given: _, workflows, classes, samplers, errors } = &mut *names;
        [workflows, classes, samplers, errors].into_iter().for_each(|names| names.forget(engine, service));
    }

    fn names(&self) -> MutexGuard<'_, Kinds> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn admit(names: &mut Names, server: &Server, name: &str, issue: &dyn Fn(Issue)) -> Arc<str> {
    let (name, beyond) = names.admit(server.engine, &server.service, name, None);
    beyond.into_iter().for_each(issue);
    name
}

fn count<L: super::family::Labels>(family: &Family<L, Counter>, labels: &L, more: Option<u64>) {
    let Some(more) = more else { return };
    family.with(labels, |counter| {
        counter.inc_by(more);
    });
}

#[cfg(test)]
pub(super) mod tests;
