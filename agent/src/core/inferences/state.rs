//! What each call changes, and how inferences end: see the module above.

use super::held::{Held, Last, Report};
use super::instances::{Instances, Room};
use super::{Executed, Work};
use crate::core::Output;
use crate::core::asks::Asks;
use crate::engine::inference::{Act, Fault, InstanceId, More, Outcome, RequestId, Stamps};
use crate::event::Nanos;
use crate::issue::Issue;
use crate::request::inference::{Answer, Execution, Inference};
use crate::request::{Origin, Quality, Status};
use std::collections::BTreeMap;

/// Inferences followed at once.
const MAX_INFERENCES: usize = 65_536;
/// Models of which something is remembered.
const MAX_MODELS: usize = 4096;

/// What is known of one process.
pub(super) struct State {
    pub origin: Origin,
    pub under_way: BTreeMap<RequestId, Held>,
    instances: Instances,
    pub models: BTreeMap<String, Model>,
    /// When a request that the server made inside itself was last executed, and when one last failed.
    inner_executed: Option<Nanos>,
    inner_failed: Option<Nanos>,
    pub tapped: bool,
}

/// What was learned of a model.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Model {
    /// Requests for it reach an instance: it is no ensemble.
    pub executes: bool,
    /// It may send any number of responses.
    pub decoupled: bool,
    /// Its backend reports behind the last response: how long an execution took says something.
    waits: bool,
}

impl State {
    pub fn new(origin: Origin) -> State {
        State {
            origin,
            under_way: BTreeMap::new(),
            instances: Instances::default(),
            models: BTreeMap::new(),
            inner_executed: None,
            inner_failed: None,
            tapped: false,
        }
    }

    /// Brings a request together with what a client asked, once all of it is said: when it is handed over, or never will be.
    pub fn claim(&mut self, act: &Act<'_>, asks: &mut Asks) {
        let (Act::Submitted { request } | Act::Deleted { request }) = act else { return };
        self.with(*request, |held| {
            let inference = &mut held.inference;
            if inference.submitted.is_none() && inference.quality == Quality::Complete {
                inference.asked = asks.claim(inference);
            }
        });
    }

    pub fn act(&mut self, time: Nanos, act: Act<'_>, out: &mut Vec<Output>) {
        match act {
            Act::Created { request, thread, model, version } => {
                self.created(time, request, thread, model, version, out)
            }
            Act::Named { request, id } => self.with(request, |held| id.clone_into(&mut held.inference.id)),
            Act::Submitted { request } => self.with(request, |held| held.inference.submitted = Some(time)),
            Act::Refused { request, why } => self.with(request, |held| held.refused = Some(why)),
            Act::Cancelled { request } => self.with(request, |held| {
                if held.last == Last::Awaited {
                    held.inference.cancelled.get_or_insert(time);
                }
            }),
            Act::Executing { instance, batch, requests } => self.executing(time, instance, batch, requests, out),
            Act::Responded { request, more, fault } => self.responded(time, request, more, fault, out),
            Act::Finished { request } => {
                self.with(request, |held| held.finished(time, Last::Told));
                self.settle(request, out);
            }
            Act::Ended => {
                let inference = Inference::new(self.origin.clone(), 0, time);
                let inference = Inference { quality: Quality::JoinedMidway, ..inference };
                out.push(self.ended(Held::new(inference)));
            }
            Act::Computed { request, instance, outcome, stamps } => {
                self.computed(time, request, instance, outcome, stamps, out);
                self.settle(request, out);
            }
            Act::Deleted { request } => self.deleted(time, request, out),
            Act::Unloaded { instance } => {
                if let Some(model) = self.instances.remove(instance) {
                    self.models.remove(&model);
                }
            }
        }
    }

    fn with(&mut self, request: RequestId, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.under_way.get_mut(&request) {
            change(held);
        }
    }

    fn created(
        &mut self,
        time: Nanos,
        request: RequestId,
        thread: u32,
        model: Option<&str>,
        version: Option<u64>,
        out: &mut Vec<Output>,
    ) {
        if self.under_way.len() >= MAX_INFERENCES
            && let Some((_, oldest)) = self.under_way.pop_first()
        {
            out.push(Output::Issue(Issue::InferencesOverBound));
            out.push(self.cut(oldest, time));
        }
        let mut inference = Inference::new(self.origin.clone(), thread, time);
        inference.version = version;
        match model {
            Some(model) => model.clone_into(&mut inference.model),
            None => inference.quality = Quality::JoinedMidway,
        }
        self.under_way.insert(request, Held::new(inference));
    }

    fn executing(&mut self, time: Nanos, id: InstanceId, batch: u64, requests: &[RequestId], out: &mut Vec<Output>) {
        let ours = |request: &&RequestId| self.under_way.contains_key(request);
        if !requests.iter().all(|request| ours(&request)) {
            self.inner_executed = Some(time);
        }
        let named = requests.iter().filter_map(|request| self.under_way.get(request));
        let model = named.map(|held| held.inference.model.as_str()).find(|model| !model.is_empty());
        let (instance, room) = self.instances.executing(id, model, time);
        if room == Room::Made {
            out.push(Output::Issue(Issue::InstancesOverBound));
        }
        let Some(instance) = instance.cloned() else {
            return out.push(Output::Issue(Issue::ExecutionUnattributed));
        };
        for request in requests {
            if let Some(held) = self.under_way.get_mut(request) {
                held.executed(time, batch, &instance.model, instance.index);
            }
        }
        self.learn(&instance.model, out, |model| model.executes = true);
        out.push(self.work(instance.model, instance.index, Work::Batch(batch)));
    }

    fn responded(&mut self, time: Nanos, request: RequestId, more: More, fault: Option<Fault>, out: &mut Vec<Output>) {
        let Some(held) = self.under_way.get_mut(&request) else {
            self.inner_failed = if fault.is_some() { Some(time) } else { self.inner_failed };
            return;
        };
        if held.responded(time, fault) {
            out.push(Output::Issue(Issue::GapsOverBound));
        }
        if more == More::Done {
            held.finished(time, Last::Sent);
            self.settle(request, out);
        }
    }

    fn computed(
        &mut self,
        time: Nanos,
        request: RequestId,
        id: InstanceId,
        outcome: Outcome,
        stamps: Stamps,
        out: &mut Vec<Output>,
    ) {
        let Stamps { begin, compute_begin, compute_end, end } = stamps;
        let mut begun = Some(begin);
        let mut waits = None;
        match self.under_way.get_mut(&request) {
            Some(held) => {
                // The backend stamps behind the call's beginning and before its report, else its clock is another one.
                let ours = end <= time && held.inference.executed.is_none_or(|executed| executed <= begin);
                if !ours {
                    begun = None;
                    out.push(Output::Issue(Issue::EngineClock));
                }
                let early = held.last == Last::Awaited;
                held.report = if early { Report::Early(outcome) } else { Report::Late(outcome) };
                waits = Some(!early);
                if outcome == Outcome::Success {
                    held.inference.execution = Some(Execution {
                        begin: begun,
                        input: compute_begin.since(begin),
                        infer: compute_end.since(compute_begin),
                        output: end.since(compute_end),
                        reported: time,
                    });
                }
            }
            None if outcome == Outcome::Failure => self.inner_failed = Some(time),
            None => {}
        }
        let Some(instance) = self.instances.executed(id, begun).cloned() else { return };
        let waits = waits.unwrap_or_else(|| self.models.get(&instance.model).is_some_and(|model| model.waits));
        if waits {
            out.push(self.work(instance.model, instance.index, Work::Took(end.since(begin))));
        }
    }

    /// The request's object is gone.
    fn deleted(&mut self, time: Nanos, request: RequestId, out: &mut Vec<Output>) {
        let Some(held) = self.under_way.get(&request) else { return };
        let known = self.models.get(&held.inference.model).copied().unwrap_or_default();
        let status = match held {
            Held { refused: Some(_), .. } | Held { inference: Inference { submitted: None, .. }, .. } => {
                Some(Status::Rejected)
            }
            Held { last: Last::Sent | Last::Told, .. } => None,
            Held { inference: Inference { executed: None, cancelled: Some(_), .. }, .. } => Some(Status::Cancelled),
            Held { inference: Inference { executed: None, .. }, .. } => Some(self.unexecuted(held, known)),
            // The instance did not take it, and the server answered in its place.
            Held { report: Report::Awaited, sent: 0, .. } => Some(Status::Error),
            // Responses may still come.
            Held { report: Report::Early(_), .. } if !known.waits => return,
            // The last response must have been lost.
            _ => Some(Status::Unknown),
        };
        let Some(mut held) = self.under_way.remove(&request) else { return };
        let Some(status) = status else { return self.end(held, out) };
        let inference = &mut held.inference;
        if status == Status::Unknown && inference.executed.is_some() {
            inference.quality = inference.quality.max(Quality::Gap);
        }
        inference.fault = held.refused.or(inference.fault);
        (inference.status, inference.end) = (status, time);
        out.push(self.ended(held));
    }

    /// How a request ended that no instance executed. Of an ensemble its steps tell, where they can only mean one.
    fn unexecuted(&self, held: &Held, model: Model) -> Status {
        let since = |moment: Option<Nanos>| moment.is_some_and(|moment| Some(moment) >= held.inference.submitted);
        if model.executes || !since(self.inner_executed) {
            return Status::Unknown;
        }
        if !since(self.inner_failed) {
            return Status::Ok;
        }
        let waits = |held: &&Held| {
            let model = self.models.get(&held.inference.model).copied().unwrap_or_default();
            held.waits() && !model.executes
        };
        if self.under_way.values().filter(waits).count() > 1 { Status::Unknown } else { Status::Error }
    }

    /// Ends an inference that is over.
    fn settle(&mut self, request: RequestId, out: &mut Vec<Output>) {
        if self.under_way.get(&request).is_some_and(Held::is_over)
            && let Some(held) = self.under_way.remove(&request)
        {
            self.end(held, out);
        }
    }

    fn end(&mut self, mut held: Held, out: &mut Vec<Output>) {
        // A model that answers as a whole sends exactly one.
        let many = held.sent != 1;
        let late = matches!(held.report, Report::Late(_));
        self.learn(&held.inference.model, out, |model| {
            model.decoupled |= many;
            model.waits |= late;
        });
        let failed = matches!(held.report, Report::Early(Outcome::Failure) | Report::Late(Outcome::Failure));
        held.inference.status = match held.inference.fault {
            _ if held.inference.cancelled.is_some() => Status::Cancelled,
            Some(Fault::Cancelled) => Status::Cancelled,
            Some(_) => Status::Error,
            None if failed => Status::Error,
            None => Status::Ok,
        };
        out.push(self.ended(held));
    }

    /// Its end was not seen.
    pub fn cut(&self, mut held: Held, time: Nanos) -> Output {
        let inference = &mut held.inference;
        inference.quality = inference.quality.max(Quality::Truncated);
        (inference.status, inference.end) = (Status::Unknown, time);
        self.ended(held)
    }

    fn ended(&self, held: Held) -> Output {
        let Held { mut inference, sent, last, .. } = held;
        let decoupled = sent > 1 || self.models.get(&inference.model).is_some_and(|model| model.decoupled);
        inference.answer = match (decoupled, sent, last) {
            (false, ..) => Answer::Whole,
            (true, 1, Last::Sent) | (true, 0, Last::Awaited) => Answer::WholeOfDecoupled,
            (true, ..) => Answer::Streamed,
        };
        inference.tapped = self.tapped;
        Output::Inference(Box::new(inference))
    }

    fn learn(&mut self, model: &str, out: &mut Vec<Output>, change: impl FnOnce(&mut Model)) {
        if let Some(known) = self.models.get_mut(model) {
            return change(known);
        }
        if model.is_empty() {
            return;
        }
        if self.models.len() >= MAX_MODELS {
            return out.push(Output::Issue(Issue::ModelOverBound));
        }
        change(self.models.entry(model.to_owned()).or_default());
    }

    fn work(&self, model: String, instance: u32, work: Work) -> Output {
        Output::Executed(Box::new(Executed { origin: self.origin.clone(), model, instance, work }))
    }
}
