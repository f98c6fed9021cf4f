//! The core with what is around it: outputs become metrics, request records, volumes and log lines. Used alike by the
//! live agent and by replay.

use crate::core::{Core, Input, Options, Output};
use crate::core::{ProcessChange, Volume};
use crate::event::{ConnKey, Direction, Nanos, Tgid};
use crate::export::otlp::Spans;
use crate::issue::Issue;
use crate::metric::{Metrics, Running};
use crate::service::Service;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

/// Between two log lines of the same issue.
const ISSUE_PAUSE: u64 = 60_000_000_000;

/// One pipeline.
pub struct Pipeline {
    core: Core,
    metrics: Arc<Metrics>,
    records: Option<Box<dyn Write + Send>>,
    spans: Option<Spans>,
    output: Vec<Output>,
    servers: BTreeMap<Tgid, (&'static str, Service)>,
    logged: HashMap<Issue, Nanos>,
    now: Nanos,
}

impl Pipeline {
    /// `records` takes each finished request as one line of JSON.
    #[must_use]
    pub fn new(options: Options, metrics: Arc<Metrics>, records: Option<Box<dyn Write + Send>>) -> Pipeline {
        Pipeline {
            core: Core::new(options),
            metrics,
            records,
            spans: None,
            output: Vec::new(),
            servers: BTreeMap::new(),
            logged: HashMap::new(),
            now: Nanos(0),
        }
    }

    /// From now on finished requests become spans, too.
    pub fn set_spans(&mut self, spans: Spans) {
        self.spans = Some(spans);
    }

    /// Feeds one input; volumes that the core asks for go to `volume`.
    pub fn step(&mut self, input: Input, volume: &mut dyn FnMut(&ConnKey, Direction, Volume)) {
        match &input {
            Input::Kernel(event) => self.now = event.time,
            Input::Process(change) => self.process(change),
            Input::Tick(now) => {
                self.now = *now;
                self.metrics.tick(*now);
                if let Some(spans) = &self.spans {
                    spans.tick(*now);
                }
            }
        }
        self.core.step(input, &mut self.output);
        self.drain(volume);
    }

    /// The agent stops, or the tape ends: what is under way ends as truncated.
    pub fn finish(&mut self) {
        self.core.finish(self.now, &mut self.output);
        self.drain(&mut |_, _, _| {});
        if let Some(spans) = &self.spans {
            spans.finish();
        }
        self.flush();
    }

    /// Sets the gauges of what is under way. Returns the connections held.
    pub fn gauges(&mut self) -> usize {
        let view = self.core.view();
        let mut running: BTreeMap<(&'static str, Service, String), u64> = BTreeMap::new();
        for (key, count) in view.running {
            let sum = running.entry((key.engine, key.service, key.model)).or_default();
            *sum = sum.saturating_add(count);
        }
        let running: Vec<Running> = running
            .into_iter()
            .map(|((engine, service, model), count)| Running { engine, service, model, count })
            .collect();
        self.metrics.running(&running);
        self.metrics.schedulers(view.schedulers);
        self.metrics.pending(view.pending);
        self.metrics.busy(&view.jobs);
        self.flush();
        view.connections
    }

    fn process(&mut self, change: &ProcessChange) {
        match change {
            ProcessChange::Started { tgid, engine, service, .. } => {
                let Some(engine) = crate::engine::by_name(engine) else { return };
                self.metrics.server_started(engine.name(), service);
                self.servers.insert(*tgid, (engine.name(), service.clone()));
            }
            ProcessChange::Ended { tgid, time } => {
                let Some((engine, service)) = self.servers.remove(tgid) else { return };
                // A service may have several processes: its series end with the last.
                if !self.servers.values().any(|other| *other == (engine, service.clone())) {
                    self.metrics.server_ended(engine, &service, *time);
                }
            }
        }
    }

    fn drain(&mut self, volume: &mut dyn FnMut(&ConnKey, Direction, Volume)) {
        for output in std::mem::take(&mut self.output) {
            match output {
                Output::Volume { conn, direction, volume: how_much } => volume(&conn, direction, how_much),
                Output::Record(record) => {
                    let exemplar = self.spans.as_ref().and_then(|spans| spans.offer(&*record));
                    self.metrics.record_traced(&record, exemplar.as_ref());
                    self.log(record.engine, &record.service, || record.to_json());
                }
                Output::Iterated(said) => self.metrics.iterated(&said),
                Output::Job(record) => {
                    let exemplar = self.spans.as_ref().and_then(|spans| spans.offer(&*record));
                    self.metrics.job_traced(&record, exemplar.as_ref());
                    self.log(record.engine, &record.service, || record.to_json());
                }
                Output::Replied(reply) => self.metrics.replied(&reply),
                Output::Sequence(finished) => self.metrics.sequence(&finished),
                Output::Refused(refusal) => self.metrics.refused(&refusal),
                Output::Inference(inference) => {
                    let exemplar = self.spans.as_ref().and_then(|spans| spans.offer(&*inference));
                    self.metrics.inference_traced(&inference, exemplar.as_ref());
                    self.log(inference.origin.engine, &inference.origin.service, || inference.to_json());
                }
                Output::Executed(executed) => self.metrics.executed(&executed),
                Output::Issue(issue) => self.issue(issue),
            }
        }
    }

    /// Writes the line of a finished request, inference or job, with where its server runs: the container and the GPUs, if
    /// there are.
    fn log(&mut self, engine: &'static str, service: &Service, line: impl FnOnce() -> serde_json::Value) {
        let Some(records) = &mut self.records else { return };
        let mut line = line();
        let gpus = self.metrics.places(engine, service);
        if let Some(line) = line.as_object_mut() {
            line.extend(service.labels().map(|(name, value)| (name.to_owned(), (**value).into())));
            if !gpus.is_empty() {
                line.insert("gpus".to_owned(), gpus.into());
            }
        }
        if let Err(error) = writeln!(records, "{line}") {
            tracing::error!("the request log cannot be written, it ends here: {error}");
            self.records = None;
        }
    }

    fn issue(&mut self, issue: Issue) {
        self.metrics.issue(issue);
        let silent = self.logged.get(&issue).is_some_and(|last| self.now.since(*last) < ISSUE_PAUSE);
        if !silent {
            self.logged.insert(issue, self.now);
            tracing::warn!(
                issue = issue.name(),
                "traffic could not be read as it stands (counted; said once a minute)"
            );
        }
    }

    fn flush(&mut self) {
        if let Some(records) = &mut self.records {
            let _ = records.flush();
        }
    }
}
