//! The processes of one server, and what its schedulers have under way.
//!
//! Messages between a front end and its engines can be seen at either end. The better end wins: once an engine's own end
//! has spoken, what front ends say is passed over, so nothing is counted twice.
//!
//! Sequences meet their HTTP request by id, when that ends. A server without a front end (offline generation) has no such
//! requests: there each sequence is one.

use super::jobs::{Busy, Exchanged, Jobs};
use super::{Output, record};
use crate::engine::job::Said;
use crate::engine::report::{Finish, Iteration, Output as Brought, Report, Scheduler};
use crate::engine::{Engine, Operation, Role, Usage};
use crate::event::{Nanos, Tgid};
use crate::issue::Issue;
use crate::request::{Origin, Protocol, Quality, Record, Sequence, Status};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Sequences held at once.
const MAX_SEQUENCES: usize = 65_536;
/// A sequence that ended is kept so long for its answer to end: a slow client may take its time to read it.
const KEPT: u64 = 600_000_000_000;
/// And one that does not end is given up after so long without an output.
const STUCK: u64 = 3_600_000_000_000;
/// Of an iteration whose figures come with its first message only, the others come within this.
const SETTLED: u64 = 1_000_000_000;
/// Choices of one request that are looked for.
const MAX_CHILDREN: u32 = 1024;
/// An engine's stamp is at most so much older than the message that brings it; else its clock is another one.
const MAX_AGE: u64 = 60_000_000_000;

/// An engine that was attached to is expected to speak for so long.
const EXPECTED: u64 = 60_000_000_000;

/// Which end of the message queue was seen; the last is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// The bytes on a front end's socket.
    Wire,
    /// A front end's message library.
    Frontend,
    /// An engine's message library: every front end's requests are there.
    Engine,
}

/// One server.
pub(super) struct Group {
    engine: &'static dyn Engine,
    origin: Origin,
    /// The process at the top of the server that it runs inside.
    inside: Option<Tgid>,
    model: String,
    processes: BTreeMap<Tgid, Member>,
    end: Option<End>,
    schedulers: BTreeMap<u32, Schedule>,
    sequences: BTreeMap<String, Held>,
    jobs: Option<Jobs>,
}

/// One of its processes.
#[derive(Clone, Copy, Debug)]
struct Member {
    role: Role,
    since: Nanos,
}

/// One scheduler: a data-parallel engine.
#[derive(Clone, Debug, Default)]
struct Schedule {
    scheduler: Option<Scheduler>,
    stamped: Nanos,
    /// Stamps up to this one were read at another end.
    read_before: Nanos,
    seen: Nanos,
    /// Sequences that the iteration under way brought something for, so far.
    batch: Option<u64>,
}

struct Held {
    sequence: Sequence,
    born: Nanos,
    ended: Option<Nanos>,
    /// Its request's answer ended well, before the engine said that it is over: a stop string, for example.
    answered: bool,
    /// Its client left then.
    left: Option<Nanos>,
}

/// What one message about an iteration says to metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Iterated {
    /// Who works.
    pub origin: Origin,
    /// The model that the server was started for, "" where unknown.
    pub model: String,
    /// Which of its engines.
    pub index: u32,
    /// Sequences in the batch of the iteration before, which is known only now.
    pub batch: Option<u64>,
    /// Generated tokens.
    pub tokens: u64,
    /// Of these, tokens that nobody waits for any more.
    pub wasted: u64,
    /// Prompt tokens of the sequences that had their first output.
    pub prompt_tokens: u64,
    /// Of these, tokens that came from the prefix cache.
    pub cached_tokens: u64,
    /// Sequences that lost their place in the batch.
    pub preemptions: u64,
    /// Nanoseconds between consecutive outputs of one sequence.
    pub gaps: Vec<u64>,
    /// The scheduler's figures.
    pub scheduler: Option<Scheduler>,
}

/// A scheduler as it stands, for gauges.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Whose.
    pub origin: Origin,
    /// The model that the server was started for.
    pub model: String,
    /// Which of its engines.
    pub index: u32,
    /// Its figures.
    pub scheduler: Scheduler,
}

impl Group {
    pub fn new(engine: &'static dyn Engine, origin: Origin) -> Group {
        let jobs = engine.jobs().map(|reader| Jobs::new(origin.clone(), reader));
        Group {
            engine,
            origin,
            inside: None,
            model: String::new(),
            processes: BTreeMap::new(),
            end: None,
            schedulers: BTreeMap::new(),
            sequences: BTreeMap::new(),
            jobs,
        }
    }

    pub fn started(&mut self, time: Nanos, tgid: Tgid, role: Role, model: &str) {
        self.processes.insert(tgid, Member { role, since: time });
        if self.model.is_empty() {
            model.clone_into(&mut self.model);
        }
    }

    /// All of it runs inside the server that has `outer` at its top.
    pub fn within(&mut self, outer: Option<Tgid>) {
        self.inside = outer.or(self.inside);
    }

    /// Whether it runs inside the server that has `outer` at its top.
    pub fn is_inside(&self, outer: Tgid) -> bool {
        self.inside == Some(outer)
    }

    /// Returns whether it was the last process.
    pub fn ended(&mut self, tgid: Tgid) -> bool {
        let role = self.processes.remove(&tgid).map(|member| member.role);
        let gone = |role: Role| !self.has(role);
        let silent = match self.end {
            Some(End::Engine) => role == Some(Role::Engine) && gone(Role::Engine),
            Some(End::Frontend | End::Wire) => role == Some(Role::Frontend) && gone(Role::Frontend),
            None => false,
        };
        if silent {
            self.end = None;
            self.schedulers.clear();
            self.sequences.clear();
        }
        self.processes.is_empty()
    }

    /// Whether the engine is done with every sequence of the request whose answer has this id; `None` where it has none.
    pub fn is_done(&self, answer: &str) -> Option<bool> {
        let ids = self.ids_of(answer);
        let done = |id: &String| self.sequences.get(id).is_none_or(|held| held.ended.is_some());
        (!ids.is_empty()).then(|| ids.iter().all(done))
    }

    /// Whether the engine's iterations are read. Where only its requests can be, what HTTP tells stays.
    pub fn tapped(&self) -> bool {
        !self.schedulers.is_empty()
    }

    /// Whether a better end than this one has spoken.
    pub fn outranks(&self, end: End) -> bool {
        self.end.is_some_and(|best| end < best)
    }

    /// Whether the bytes on a front end's sockets are worth reading: no better end has spoken, nor may one be expected to.
    pub fn needs_wire(&self, now: Nanos) -> bool {
        let expected = |member: &Member| member.role == Role::Engine && now.since(member.since) < EXPECTED;
        !self.outranks(End::Wire) && !self.processes.values().any(expected)
    }

    fn has(&self, role: Role) -> bool {
        self.processes.values().any(|member| member.role == role)
    }

    /// Whether it works off jobs.
    pub fn has_jobs(&self) -> bool {
        self.jobs.is_some()
    }

    /// Its jobs as they stand.
    pub fn busy(&self) -> Option<Busy> {
        self.jobs.as_ref().and_then(Jobs::busy)
    }

    /// An HTTP exchange about jobs is over.
    pub fn exchanged(&mut self, exchanged: Exchanged, out: &mut Vec<Output>) {
        if let Some(jobs) = &mut self.jobs {
            jobs.exchanged(exchanged, out);
        }
    }

    /// A message was sent to a client that watches jobs.
    pub fn said(&mut self, at: Nanos, message: &Said<'_>, out: &mut Vec<Output>) {
        if let Some(jobs) = &mut self.jobs {
            jobs.said(at, message, out);
        }
    }

    /// One of its processes wrote a line.
    pub fn line(&mut self, at: Nanos, line: &[u8], out: &mut Vec<Output>) {
        if let Some(jobs) = &mut self.jobs {
            jobs.line(at, line, out);
        }
    }

    /// Lines that its processes wrote were lost.
    pub fn missed_lines(&mut self) {
        if let Some(jobs) = &mut self.jobs {
            jobs.missed_lines();
        }
    }

    /// Messages to clients that watch jobs were lost.
    pub fn unheard(&mut self) {
        if let Some(jobs) = &mut self.jobs {
            jobs.unheard();
        }
    }

    /// Nothing more will be seen of it.
    pub fn truncate(&mut self, time: Nanos, out: &mut Vec<Output>) {
        if let Some(jobs) = &mut self.jobs {
            jobs.truncate(time, out);
        }
    }

    pub fn standing(&self) -> impl Iterator<Item = Standing> {
        self.schedulers.iter().filter_map(|(index, schedule)| {
            Some(Standing {
                origin: self.origin.clone(),
                model: self.model.clone(),
                index: *index,
                scheduler: schedule.scheduler?,
            })
        })
    }

    /// A message was seen at `end`.
    pub fn report(&mut self, time: Nanos, end: End, report: Report<'_>, out: &mut Vec<Output>) {
        if self.outranks(end) {
            return;
        }
        if self.end != Some(end) {
            self.end = Some(end);
            self.schedulers.values_mut().for_each(|schedule| schedule.read_before = schedule.stamped);
        }
        match report {
            Report::Added { id, prompt_tokens } => self.add(time, id, prompt_tokens, out),
            Report::Aborted { id } => self.abort(time, id, out),
            Report::Iteration(iteration) => self.iterate(time, &iteration, out),
        }
    }

    /// Messages were lost: of what is under way nothing can be told exactly.
    pub fn lost(&mut self) {
        let under_way = self.sequences.values_mut().filter(|held| held.ended.is_none());
        under_way.for_each(|held| held.sequence.partial = true);
    }

    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Output>) {
        if let Some(jobs) = &mut self.jobs {
            jobs.tick(now, out);
        }
        self.sequences.retain(|_, held| match held.ended {
            Some(ended) => now.since(ended) < KEPT,
            None => now.since(held.sequence.last_output.unwrap_or(held.born)) < STUCK,
        });
        for (index, schedule) in &mut self.schedulers {
            if now.since(schedule.seen) >= SETTLED
                && let Some(batch) = schedule.batch.take()
            {
                let (origin, model) = (self.origin.clone(), self.model.clone());
                out.push(Output::Iterated(Box::new(Iterated { batch: Some(batch), ..nothing(origin, model, *index) })));
            }
        }
    }

    /// Gives a request that ended its sequences.
    pub fn claim(&mut self, record: &mut Record, out: &mut Vec<Output>) {
        record.tapped = self.tapped();
        if record.id.is_empty() {
            return;
        }
        for id in self.ids_of(&record.id) {
            let Some(held) = self.sequences.get_mut(&id) else { continue };
            record.sequences.push(held.sequence.clone());
            if record.finish_reason.is_none() {
                record.finish_reason = held.sequence.finish.map(|finish| finish.name().to_owned());
            }
            let finished = held.sequence.finish.is_some();
            match record.status {
                Status::Cancelled => held.left = Some(record.end),
                // The front end ended it by itself; the engine will not say a last word.
                Status::Ok if held.ended.is_some() && !finished => out.push(self.finished(&id)),
                Status::Ok => held.answered = true,
                Status::Error | Status::Rejected | Status::Unknown => {}
            }
            if self.sequences.get(&id).is_some_and(|held| held.ended.is_some()) {
                self.sequences.remove(&id);
            }
        }
    }

    /// The sequences of a request whose answer has this id: they begin with it, a choice's number and `_` before that.
    fn ids_of(&self, answer: &str) -> Vec<String> {
        let mut ids = self.starting_with(answer, answer);
        for child in 0..MAX_CHILDREN {
            let children = self.starting_with(&format!("{child}_{answer}"), answer);
            if children.is_empty() {
                break;
            }
            ids.extend(children);
        }
        ids
    }

    fn starting_with(&self, prefix: &str, answer: &str) -> Vec<String> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let ids = self.sequences.range::<str, _>(from).map(|(id, _)| id).take_while(|id| id.starts_with(prefix));
        ids.filter(|id| self.engine.is_of(id, answer)).cloned().collect()
    }

    fn add(&mut self, time: Nanos, id: &str, prompt_tokens: Option<u64>, out: &mut Vec<Output>) {
        // A send that had to be tried again.
        if !self.sequences.contains_key(id) {
            self.hold(time, Sequence::new(id, time, prompt_tokens), out);
        }
    }

    fn hold(&mut self, time: Nanos, sequence: Sequence, out: &mut Vec<Output>) {
        if self.sequences.len() >= MAX_SEQUENCES {
            // A search through all, because a server that is full of them is not the normal case.
            let oldest = self.sequences.iter().min_by_key(|(_, held)| (held.ended.is_none(), held.born));
            if let Some(id) = oldest.map(|(id, _)| id.clone()) {
                self.sequences.remove(&id);
                out.push(Output::Issue(Issue::SequencesOverBound));
            }
        }
        let held = Held { born: time, ended: None, answered: false, left: None, sequence };
        self.sequences.insert(held.sequence.id.clone(), held);
    }

    fn abort(&mut self, time: Nanos, id: &str, out: &mut Vec<Output>) {
        let Some(held) = self.sequences.get_mut(id) else { return };
        if held.ended.is_some() {
            return;
        }
        held.sequence.aborted = Some(time);
        held.ended = Some(time);
        if held.answered {
            out.push(self.finished(id));
        }
    }

    fn iterate(&mut self, time: Nanos, iteration: &Iteration<'_>, out: &mut Vec<Output>) {
        let schedule = self.schedulers.entry(iteration.index).or_default();
        let stamp = iteration.at.filter(|at| *at <= time && time.since(*at) < MAX_AGE);
        if iteration.at.is_some() && stamp.is_none() {
            out.push(Output::Issue(Issue::EngineClock));
        }
        if stamp.is_some_and(|stamp| stamp <= schedule.read_before) {
            return;
        }
        let at = stamp.unwrap_or(time);
        schedule.stamped = at;
        schedule.seen = time;
        let brought = u64::try_from(iteration.outputs.len()).unwrap_or(u64::MAX);
        let batch = schedule.message(brought, iteration.scheduler);
        let said = nothing(self.origin.clone(), self.model.clone(), iteration.index);
        let mut said = Iterated { batch, scheduler: iteration.scheduler, ..said };
        for output in &iteration.outputs {
            self.output(time, at, output, &mut said, out);
        }
        if iteration.truncated {
            self.lost();
        }
        out.push(Output::Iterated(Box::new(said)));
    }

    fn output(&mut self, time: Nanos, at: Nanos, brought: &Brought<'_>, said: &mut Iterated, out: &mut Vec<Output>) {
        if !self.sequences.contains_key(brought.id) {
            self.hold(time, Sequence::midway(brought.id), out);
        }
        let Some(held) = self.sequences.get_mut(brought.id) else { return };
        let unwanted = held.left.is_some() || held.sequence.aborted.is_some();
        let added = held.sequence.output(brought, at, time);
        said.tokens = said.tokens.saturating_add(brought.tokens);
        said.preemptions = said.preemptions.saturating_add(brought.preemptions);
        if unwanted {
            held.sequence.wasted = held.sequence.wasted.saturating_add(brought.tokens);
            said.wasted = said.wasted.saturating_add(brought.tokens);
        }
        if let Some((prompt, cached)) = added.prompt {
            said.prompt_tokens = said.prompt_tokens.saturating_add(prompt);
            said.cached_tokens = said.cached_tokens.saturating_add(cached);
        }
        said.gaps.extend(added.gap);
        if brought.finish.is_none() {
            return;
        }
        held.ended = Some(time);
        let over = held.answered || held.left.is_some();
        out.push(self.finished(brought.id));
        if !self.has(Role::Frontend) {
            if let Some(held) = self.sequences.remove(brought.id) {
                out.push(record(self.offline(held)));
            }
        } else if over {
            self.sequences.remove(brought.id);
        }
    }

    fn finished(&self, id: &str) -> Output {
        let sequence = self.sequences.get(id).map(|held| held.sequence.clone()).unwrap_or_default();
        Output::Sequence(Box::new(Finished { origin: self.origin.clone(), model: self.model.clone(), sequence }))
    }

    /// A sequence that no client asked for over HTTP, as a request.
    fn offline(&self, held: Held) -> Record {
        let Held { sequence, born, ended, .. } = held;
        let partial = sequence.partial || sequence.handed_over.is_none();
        Record {
            tgid: self.origin.tgid,
            engine: self.origin.engine,
            service: self.origin.service.clone(),
            operation: Operation::Generate,
            path: String::new(),
            stream: false,
            model: self.model.clone(),
            id: sequence.id.clone(),
            code: 0,
            status: match sequence.finish {
                Some(Finish::Error) => Status::Error,
                Some(Finish::Abort) => Status::Cancelled,
                _ => Status::Ok,
            },
            quality: if partial { Quality::JoinedMidway } else { Quality::Complete },
            usage: Usage::default(),
            finish_reason: sequence.finish.map(|finish| finish.name().to_owned()),
            arrival: sequence.handed_over.unwrap_or(born),
            request_end: None,
            headers: None,
            first_event: None,
            first_content: None,
            last_content: None,
            end: ended.unwrap_or(born),
            content_events: 0,
            choices: 1,
            gaps: Vec::new(),
            sequences: vec![sequence],
            tapped: true,
            protocol: Protocol::InProcess,
            grpc_status: None,
            trace: None,
            ask: None,
        }
    }
}

/// A sequence that ended, for metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Who worked.
    pub origin: Origin,
    /// The model that the server was started for.
    pub model: String,
    /// The sequence.
    pub sequence: Sequence,
}

impl Schedule {
    /// A message came with so many outputs. With several front ends an iteration is several messages, and its figures are
    /// with the first: so the batch before is complete. Where a scheduler says no figures, each message is a batch.
    fn message(&mut self, outputs: u64, figures: Option<Scheduler>) -> Option<u64> {
        let first = figures.is_some() || self.scheduler.is_none();
        let before = if first { self.batch.take() } else { None };
        self.scheduler = figures.or(self.scheduler);
        if outputs > 0 {
            self.batch = Some(self.batch.unwrap_or(0).saturating_add(outputs));
        }
        before
    }
}

fn nothing(origin: Origin, model: String, index: u32) -> Iterated {
    Iterated {
        origin,
        model,
        index,
        batch: None,
        tokens: 0,
        wasted: 0,
        prompt_tokens: 0,
        cached_tokens: 0,
        preemptions: 0,
        gaps: Vec::new(),
        scheduler: None,
    }
}
