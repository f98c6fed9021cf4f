//! The sink: what the pipeline and the kernel side say, counted into the metrics of the catalog.
//!
//! One owner feeds it, exporters read it; each family has its own short lock. It has no clock: time comes in with
//! [`Metrics::tick`], so a replay gives the same numbers as the run that it was recorded from.

use super::catalog::{self, BucketSet, Kind, Metric};
use super::comfyui::Jobs;
use super::crosscheck::Differences;
use super::distribution::{self, Distribution, Exemplar};
use super::export::Exports;
use super::family::{Book, Family, Labels};
use super::gpu::{Gpus, Taken};
use super::label::{
    Alone, Build, ByEngine, ByFamily, ByHook, ByIssue, ByProgram, Call, Export, Incomplete, Lost, OfScheduler,
    OfServer, Outcome, Refused, Server, Shipment, Sourced, StandingOf, Unsupported, labelled,
};
use super::name::Names;
use super::pods::Pods;
use super::schedule::{Schedules, Shared};
use super::triton::{self, Generations, Inferences};
use crate::config::{Buckets, Config};
use crate::core::{Busy, Executed, Finished, Iterated, Pending, Reply, Standing};
use crate::crosscheck::Row;
use crate::crosscheck::reading::Subject;
use crate::event::Nanos;
use crate::issue::Issue;
use crate::job;
use crate::request::ask::Refusal;
use crate::request::{Inference, Quality, Record};
use crate::service::{Service, Workload};
use crate::status::{Attachment, Process};
use inferscope_ebpf::{Counts, Hook, Loss};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Series outlive their server by so much, so that two scrapes still see its last numbers.
const GRACE_NANOS: u64 = 60_000_000_000;

type Seconds = Counter<f64, AtomicU64>;

/// Every metric of the agent.
pub struct Metrics {
    book: Book,
    requests: Family<Outcome, Counter>,
    duration: Family<Call, Distribution>,
    first_token: Family<Call, Distribution>,
    inter_token: Family<Sourced, Histogram>,
    per_output_token: Family<Server, Histogram>,
    generated: Family<Sourced, Counter>,
    prompt: Family<Sourced, Counter>,
    prompt_cached: Family<Sourced, Counter>,
    running: Family<StandingOf, Gauge>,
    schedules: Schedules,
    inferences: Inferences,
    jobs: Jobs,
    differences: Differences,
    exports: Exports,
    pub(super) gpus: Gpus,
    pub(super) pods: Pods,
    events: Family<ByHook, Counter>,
    lost: Family<Lost, Counter>,
    issues: Family<ByIssue, Counter>,
    incomplete: Family<Incomplete, Counter>,
    hits: Family<ByHook, Counter>,
    probe_time: Family<ByProgram, Seconds>,
    attached: Family<ByEngine, Gauge>,
    unsupported: Family<Unsupported, Gauge>,
    series: Family<ByFamily, Gauge>,
    cpu: Family<Alone, Seconds>,
    memory: Family<Alone, Gauge>,
    state: Mutex<State>,
}

/// What must be remembered between calls.
struct State {
    models: Names,
    servers: BTreeMap<(&'static str, Service), Presence>,
}

/// Whether a server is there.
#[derive(Clone, Copy, Debug)]
enum Presence {
    /// With so many processes.
    Here(usize),
    /// Its last process ended then.
    Ended(Nanos),
}

/// Requests under way at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
    /// Model, "" where not yet known.
    pub model: String,
    /// How many.
    pub count: u64,
}

/// What the agent itself uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfUsage {
    /// Processor time since its start, user and system.
    pub cpu: Duration,
    /// Resident memory.
    pub resident_bytes: u64,
}

impl Metrics {
    /// No series yet but the one that says which agent this is.
    #[must_use]
    pub fn new(config: &Config) -> Metrics {
        let mut book = Book::new(&config.labels.0, config.otlp.resolution());
        let build: Family<Build, Gauge> = gauge(&mut book, &catalog::BUILD);
        build.with(&Build { version: env!("CARGO_PKG_VERSION") }, |gauge| {
            gauge.set(1);
        });
        Metrics {
            requests: counter(&mut book, &catalog::REQUESTS),
            duration: distribution(&mut book, &catalog::REQUEST_DURATION, &config.buckets),
            first_token: distribution(&mut book, &catalog::TIME_TO_FIRST_TOKEN, &config.buckets),
            inter_token: histogram(&mut book, &catalog::INTER_TOKEN_LATENCY, &config.buckets),
            per_output_token: histogram(&mut book, &catalog::TIME_PER_OUTPUT_TOKEN, &config.buckets),
            generated: counter(&mut book, &catalog::TOKENS_GENERATED),
            prompt: counter(&mut book, &catalog::PROMPT_TOKENS),
            prompt_cached: counter(&mut book, &catalog::PROMPT_TOKENS_CACHED),
            running: gauge(&mut book, &catalog::REQUESTS_RUNNING),
            schedules: Schedules::new(&mut book, &config.buckets),
            inferences: Inferences::new(&mut book, &config.buckets),
            jobs: Jobs::new(&mut book, config),
            differences: Differences::new(&mut book),
            exports: Exports::new(&mut book),
            gpus: Gpus::new(&mut book, &config.gpu),
            pods: Pods::new(&mut book),
            events: counter(&mut book, &catalog::EVENTS),
            lost: counter(&mut book, &catalog::EVENTS_LOST),
            issues: counter(&mut book, &catalog::ISSUES),
            incomplete: counter(&mut book, &catalog::REQUESTS_INCOMPLETE),
            hits: counter(&mut book, &catalog::PROBE_HITS),
            probe_time: book.add(&catalog::PROBE_SECONDS, 1, Seconds::default),
            attached: gauge(&mut book, &catalog::PROCESSES_ATTACHED),
            unsupported: gauge(&mut book, &catalog::PROCESSES_UNSUPPORTED),
            series: gauge(&mut book, &catalog::SERIES),
            cpu: book.add(&catalog::CPU, 1, Seconds::default),
            memory: gauge(&mut book, &catalog::RESIDENT_MEMORY),
            state: Mutex::new(State {
                models: Names::new(config.limits.models, Issue::ModelOverBound),
                servers: BTreeMap::new(),
            }),
            // Last, because the fields above are registered in it.
            book,
        }
    }

    /// A request ended.
    pub fn record(&self, record: &Record) {
        self.record_traced(record, None);
    }

    /// A request ended, and perhaps became a span.
    pub fn record_traced(&self, record: &Record, exemplar: Option<&Exemplar>) {
        let code = (record.code != 0).then_some(record.code);
        let server = self.server(record.engine, &record.service, &record.model, code);
        self.worked(&server, record.arrival, record.end);
        let call = Call { server, operation: record.operation.name(), stream: record.stream };
        let outcome = Outcome { call: call.clone(), status: record.status.name(), code };
        self.requests.with(&outcome, |requests| {
            requests.inc();
        });
        // An engine's messages count every token, also of answers that state none.
        if !record.tapped {
            self.tokens(record, &call.server);
        }
        if record.quality == Quality::Complete {
            self.latencies(record, call, exemplar);
        } else {
            self.incomplete(record.engine, record.quality);
        }
    }

    fn incomplete(&self, engine: &'static str, quality: Quality) {
        self.incomplete.with(&Incomplete { engine, quality: quality.name() }, |requests| {
            requests.inc();
        });
    }

    /// A server worked for somebody: what its GPU met meanwhile is known a moment later.
    fn worked(&self, server: &Server, from: Nanos, to: Nanos) {
        if self.gpus.servers.ended(server, from, to) == Taken::OverBound {
            self.issue(Issue::GpuRequestsOverBound);
        }
    }

    fn latencies(&self, record: &Record, call: Call, exemplar: Option<&Exemplar>) {
        timed(&self.duration, &call, record.duration(), exemplar);
        timed(&self.first_token, &call, record.ttft(), exemplar);
        observe(&self.per_output_token, &call.server, record.tpot());
        self.schedules.record(&call.server, record);
        if !record.gaps.is_empty() && !record.tapped {
            let labels = Sourced { server: call.server, source: "wire" };
            self.inter_token.with(&labels, |gaps| record.gaps.iter().for_each(|gap| gaps.observe(seconds(*gap))));
        }
    }

    /// A scheduler ended an iteration.
    pub fn iterated(&self, said: &Iterated) {
        let server = self.server(said.origin.engine, &said.origin.service, &said.model, None);
        self.schedules.iterated(&self.shared(), server, said);
    }

    /// A scheduler is done with a sequence.
    pub fn sequence(&self, finished: &Finished) {
        let server = self.server(finished.origin.engine, &finished.origin.service, &finished.model, None);
        self.schedules.sequence(&server, &finished.sequence);
    }

    /// An inference ended.
    pub fn inference(&self, inference: &Inference) {
        self.inference_traced(inference, None);
    }

    /// An inference ended, and perhaps became a span.
    pub fn inference_traced(&self, inference: &Inference, exemplar: Option<&Exemplar>) {
        let engine = inference.origin.engine;
        if inference.quality != Quality::Complete {
            self.incomplete(engine, inference.quality);
        }
        if inference.model.is_empty() {
            return;
        }
        let server = self.server(engine, &inference.origin.service, &inference.model, None);
        self.worked(&server, inference.arrival, inference.end);
        self.inferences.inference(&server, inference, exemplar);
        if inference.is_generation() {
            let Metrics { requests, duration, first_token, inter_token, .. } = self;
            let families = Generations { requests, duration, first_token, inter_token };
            triton::generation(&families, server, inference, exemplar);
        }
    }

    /// A request for an inference was refused.
    pub fn refused(&self, refusal: &Refusal) {
        let service = labelled(&refusal.origin.service);
        let (engine, protocol, code) = (refusal.origin.engine, refusal.protocol.name(), refusal.code);
        self.inferences.refused(&Refused { engine, service, protocol, code });
    }

    /// An instance of a model executes, or has.
    pub fn executed(&self, executed: &Executed) {
        let server = self.server(executed.origin.engine, &executed.origin.service, &executed.model, None);
        self.inferences.executed(server, executed);
    }

    /// All models' queues as they stand now.
    pub fn pending(&self, pending: Vec<Pending>) {
        let mut counts: BTreeMap<_, i64> = BTreeMap::new();
        for Pending { origin, model, count } in pending {
            let sum = counts.entry(self.server(origin.engine, &origin.service, &model, None)).or_default();
            *sum = sum.saturating_add_unsigned(count);
        }
        self.inferences.pending(counts);
    }

    /// All schedulers as they stand now.
    pub fn schedulers(&self, standing: Vec<Standing>) {
        let labelled = standing.into_iter().map(|standing| {
            let server = self.server(standing.origin.engine, &standing.origin.service, &standing.model, None);
            (OfScheduler { server, engine_index: standing.index }, standing)
        });
        self.schedules.standing(&self.shared(), labelled.collect());
    }

    /// A job is over.
    pub fn job(&self, record: &job::Record) {
        self.job_traced(record, None);
    }

    /// A job is over, and perhaps became a span.
    pub fn job_traced(&self, record: &job::Record, exemplar: Option<&Exemplar>) {
        let server = self.server(record.engine, &record.service, &record.model, None);
        if let Some(began) = record.started.or(record.arrival) {
            self.worked(&server, began, record.end);
        }
        self.jobs.record(server, record, exemplar, &|issue| self.issue(issue));
        if !record.complete() {
            self.incomplete(record.engine, record.quality);
        }
    }

    /// An exchange about jobs was answered.
    pub fn replied(&self, reply: &Reply) {
        self.jobs.replied(reply, &|issue| self.issue(issue));
    }

    /// All servers of jobs as they stand now.
    pub fn busy(&self, busy: &[Busy]) {
        self.jobs.busy(busy);
    }

    fn shared(&self) -> Shared<'_> {
        let Metrics { inter_token, generated, prompt, prompt_cached, running, .. } = self;
        Shared { inter_token, generated, prompt, prompt_cached, running }
    }

    fn tokens(&self, record: &Record, server: &Server) {
        let labels = Sourced { server: server.clone(), source: "usage" };
        let usage = record.usage;
        for (family, tokens) in
            [(&self.generated, usage.completion), (&self.prompt, usage.prompt), (&self.prompt_cached, usage.cached)]
        {
            let Some(tokens) = tokens else { continue };
            family.with(&labels, |counter| {
                counter.inc_by(tokens);
            });
        }
    }

    /// Something could not be used as it stands.
    pub fn issue(&self, issue: Issue) {
        self.issues.with(&ByIssue { issue: issue.name() }, |issues| {
            issues.inc();
        });
    }

    /// The kernel side's totals since it was loaded. Hooks that never ran have no series; for the others a loss of 0 is
    /// known to be 0.
    pub fn kernel(&self, totals: &[(Hook, Counts)]) {
        for (hook, counts) in totals {
            let Counts { hits, records, bytes: _, lost } = counts;
            if *hits == 0 && *records == 0 && lost.iter().all(|lost| *lost == 0) {
                continue;
            }
            let labels = ByHook { hook: hook.name() };
            self.hits.with(&labels, |counter| counter.inner().store(*hits, Relaxed));
            self.events.with(&labels, |counter| counter.inner().store(*records, Relaxed));
            for (reason, lost) in Loss::ALL.into_iter().zip(lost) {
                let labels = Lost { hook: hook.name(), reason: reason.name() };
                self.lost.with(&labels, |counter| counter.inner().store(*lost, Relaxed));
            }
        }
    }

    /// The kernel's totals of time spent in each program. Empty where it keeps none.
    pub fn programs(&self, totals: &[(&str, Duration)]) {
        for (program, time) in totals {
            let labels = ByProgram { program: (*program).to_owned() };
            self.probe_time.with(&labels, |counter| counter.inner().store(time.as_secs_f64().to_bits(), Relaxed));
        }
    }

    /// All requests under way now. A server that is not among them has none.
    pub fn running(&self, running: &[Running]) {
        let mut counts: BTreeMap<_, i64> = BTreeMap::new();
        for Running { engine, service, model, count } in running {
            let server = self.server(engine, service, model, None);
            let labels = StandingOf { server, source: "inferred", engine_index: None };
            let sum = counts.entry(labels).or_default();
            *sum = sum.saturating_add_unsigned(*count);
        }
        self.running.set_some(counts, |labels| labels.engine_index.is_none());
    }

    /// All processes of servers, as they stand now.
    pub fn processes(&self, processes: &[Process]) {
        let (mut attached, mut unsupported): (BTreeMap<_, i64>, BTreeMap<_, i64>) = Default::default();
        for Process { engine, attachment, .. } in processes {
            let engine = engine.clone();
            let count = match attachment {
                Attachment::Attached => attached.entry(ByEngine { engine }).or_default(),
                Attachment::Unsupported { reason, .. } => {
                    unsupported.entry(Unsupported { engine, reason: reason.clone() }).or_default()
                }
                Attachment::NotNeeded => continue,
            };
            *count = count.saturating_add(1);
        }
        self.attached.set_all(attached);
        self.unsupported.set_all(unsupported);
    }

    /// What the agent uses by now.
    pub fn usage(&self, usage: SelfUsage) {
        let SelfUsage { cpu, resident_bytes } = usage;
        self.cpu.with(&Alone {}, |counter| counter.inner().store(cpu.as_secs_f64().to_bits(), Relaxed));
        self.memory.with(&Alone {}, |gauge| {
            gauge.set(i64::try_from(resident_bytes).unwrap_or(i64::MAX));
        });
    }

    /// A process of a server appeared.
    pub fn server_started(&self, engine: &'static str, service: &Service) {
        let mut state = self.state();
        let presence = state.servers.entry((engine, labelled(service))).or_insert(Presence::Here(0));
        *presence = match *presence {
            Presence::Here(processes) => Presence::Here(processes.saturating_add(1)),
            Presence::Ended(_) => Presence::Here(1),
        };
    }

    /// A process of a server ended. After the last one, the server's series end with a grace of two scrapes.
    pub fn server_ended(&self, engine: &'static str, service: &Service, now: Nanos) {
        let mut state = self.state();
        let presence = state.servers.entry((engine, labelled(service))).or_insert(Presence::Ended(now));
        *presence = match *presence {
            Presence::Here(processes) if processes > 1 => Presence::Here(processes.saturating_sub(1)),
            Presence::Here(_) => Presence::Ended(now),
            ended @ Presence::Ended(_) => ended,
        };
    }

    /// The agent's numbers were held against the servers' own; `failures` servers could not be read.
    pub fn compared(&self, compared: Vec<(Subject, Vec<Row>)>, failures: usize) {
        let labelled = |(subject, rows): (Subject, Vec<Row>)| {
            (self.server(subject.engine, &subject.service, &subject.model, None), rows)
        };
        let compared: Vec<_> = compared.into_iter().map(labelled).collect();
        self.differences.set(&compared, failures as u64);
    }

    /// Something was sent to a collector, or could not be.
    pub fn exported(&self, exporter: &'static str, destination: &Arc<str>, outcome: &'static str) {
        self.exports.attempt(&Export { exporter, destination: Arc::clone(destination), outcome });
    }

    /// So many spans for a collector have met this fate.
    pub fn spans_exported(&self, destination: &Arc<str>, fate: &'static str, spans: u64) {
        self.exports.spans(&Shipment { destination: Arc::clone(destination), fate }, spans);
    }

    /// Time passed; call it about once a second.
    pub fn tick(&self, now: Nanos) {
        let mut state = self.state();
        let State { models, servers } = &mut *state;
        servers.retain(|(engine, service), presence| {
            let over = matches!(*presence, Presence::Ended(then) if now.since(then) >= GRACE_NANOS);
            if over {
                models.forget(engine, service);
                self.jobs.forget(engine, service);
                self.end_series(engine, service);
            }
            !over
        });
    }

    fn end_series(&self, engine: &str, service: &Service) {
        let ends = |server: &Server| server.engine == engine && server.service == *service;
        fn end<L: Labels + OfServer, M>(family: &Family<L, M>, ends: impl Fn(&Server) -> bool) {
            family.retain(|labels| !ends(labels.server()));
        }
        end(&self.requests, ends);
        end(&self.duration, ends);
        end(&self.first_token, ends);
        end(&self.inter_token, ends);
        end(&self.per_output_token, ends);
        end(&self.generated, ends);
        end(&self.prompt, ends);
        end(&self.prompt_cached, ends);
        end(&self.running, ends);
        self.schedules.end(ends);
        self.inferences.end(ends);
        self.jobs.end(engine, service);
        self.gpus.servers.end(ends);
    }

    /// The model that a service answers for, where it is one only.
    pub(super) fn only_model(&self, engine: &'static str, service: &Service) -> Option<Arc<str>> {
        self.state().models.only(engine, service)
    }

    /// Where the servers run that have series.
    pub(super) fn workloads(&self) -> Vec<Arc<Workload>> {
        self.state().servers.keys().filter_map(|(_, service)| service.workload.clone()).collect()
    }

    /// The metrics as they stand now, for an encoder.
    #[must_use]
    pub fn scrape(&self) -> &Registry {
        let sizes = self.book.sizes().filter(|(family, _)| *family != catalog::SERIES.name);
        let sizes: BTreeMap<_, _> =
            sizes.map(|(family, size)| (ByFamily { family }, i64::try_from(size).unwrap_or(i64::MAX))).collect();
        self.series.retain(|labels| sizes.contains_key(labels));
        self.series.set_all(sizes);
        &self.book.registry
    }

    fn server(&self, engine: &'static str, service: &Service, model: &str, code: Option<u16>) -> Server {
        let service = labelled(service);
        let (model, issue) = self.state().models.admit(engine, &service, model, code);
        if let Some(issue) = issue {
            self.issue(issue);
        }
        let gpu = self.gpus.servers.only_place(engine, &service);
        Server { engine, model, service, gpu }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn counter<L: Labels>(book: &mut Book, row: &'static Metric) -> Family<L, Counter> {
    book.add(row, 1, Counter::default)
}

pub(super) fn gauge<L: Labels>(book: &mut Book, row: &'static Metric) -> Family<L, Gauge> {
    book.add(row, 1, Gauge::default)
}

pub(super) fn histogram<L: Labels>(book: &mut Book, row: &'static Metric, buckets: &Buckets) -> Family<L, Histogram> {
    let (bounds, resolution) = (bounds(row, buckets), book.resolution);
    // The exposition adds the bucket +Inf, the sum and the count.
    book.add(row, bounds.len().saturating_add(3), move || distribution::plain(&bounds, resolution))
}

/// A histogram with exemplars.
pub(super) fn distribution<L: Labels>(
    book: &mut Book,
    row: &'static Metric,
    buckets: &Buckets,
) -> Family<L, Distribution> {
    let (bounds, resolution) = (bounds(row, buckets), book.resolution);
    book.add(row, bounds.len().saturating_add(3), move || Distribution::new(&bounds, resolution))
}

fn bounds(row: &Metric, buckets: &Buckets) -> Vec<f64> {
    match row.kind {
        Kind::Histogram(BucketSet::RequestDuration) => buckets.request_duration_seconds.clone(),
        Kind::Histogram(BucketSet::TimeToFirstToken) => buckets.time_to_first_token_seconds.clone(),
        Kind::Histogram(BucketSet::InterTokenLatency) => buckets.inter_token_latency_seconds.clone(),
        Kind::Histogram(BucketSet::InferenceDuration) => buckets.inference_duration_seconds.clone(),
        Kind::Histogram(BucketSet::BatchSize) => buckets.batch_size.clone(),
        Kind::Histogram(BucketSet::GenerationDuration) => buckets.generation_duration_seconds.clone(),
        Kind::Histogram(BucketSet::StepDuration) => buckets.step_duration_seconds.clone(),
        Kind::Histogram(BucketSet::NodeDuration) => buckets.node_duration_seconds.clone(),
        Kind::Counter | Kind::Gauge => Vec::new(),
    }
}

pub(super) fn observe<L: Labels>(family: &Family<L, Histogram>, labels: &L, nanos: Option<u64>) {
    let Some(nanos) = nanos else { return };
    family.with(labels, |histogram| histogram.observe(seconds(nanos)));
}

/// As [`observe`], with what points to a span.
pub(super) fn timed<L: Labels>(
    family: &Family<L, Distribution>,
    labels: &L,
    nanos: Option<u64>,
    exemplar: Option<&Exemplar>,
) {
    let Some(nanos) = nanos else { return };
    family.with(labels, |distribution| distribution.observe(seconds(nanos), exemplar));
}

pub(super) fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
