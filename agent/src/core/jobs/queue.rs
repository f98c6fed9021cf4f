//! The jobs of a server: which wait, which one is worked on, which are over and wait for last words.
//!
//! The server has one worker, which takes the waiting job with the lowest number as soon as it is free. So a line, which
//! names no job, is about the one that was taken last, and where no message says which one that is, its number does. A
//! message that names another one is believed.
//!
//! That holds where all waiting jobs are known. The agent does not know those that were there before it, nor those whose
//! requests it can't read: until the server shows that there are none left, a line is about a job without a name, unless
//! an answer of the server says which. It shows it with the number of its jobs, with a message that names a job we know, or
//! by doing nothing for a while.
//!
//! A job that a line said is over is held for a while: the last messages about it leave behind that line, and who asks for
//! its result is answered what became of it (nodes that were cached, images, the exception).

use super::Output;
use super::unnamed::{Line, Unnamed};
use crate::engine::job::{Lasted, Past, Report, Submission};
use crate::event::Nanos;
use crate::issue::Issue;
use crate::job::{Handover, Job, Run};
use crate::request::{Origin, Quality};

/// Jobs that wait, and jobs that are over and held, at most.
const MAX_JOBS: usize = 4096;
/// A job that is over is held so long for what is said of it later.
const HELD: u64 = 5_000_000_000;
/// A worker that did nothing for so long had nothing to do: between two jobs it only collects garbage, for three seconds on
/// a busy machine.
const IDLE: u64 = 10_000_000_000;

/// The jobs.
pub(super) struct Queue {
    origin: Origin,
    waiting: Vec<Job>,
    working: Option<Job>,
    over: Vec<Over>,
    /// Jobs that are over and have no name.
    unnamed: Unnamed,
    others: Others,
    /// What lines said since the last job was over.
    run: Run,
    lines: Lines,
    /// When the worker was last free.
    free: Nanos,
    /// Jobs that the server has beside those that are known.
    unknown: u64,
    /// The server said then that it has none.
    empty: Option<Nanos>,
    state: State,
}

/// A job that is over and held.
struct Over {
    job: Job,
    since: Nanos,
}

/// Whether there are jobs beside those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Nobody knows, since then.
    Unknown { since: Option<Nanos> },
    /// As many as the server said, which may be none.
    Counted,
}

/// Whether the server's lines reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    Unread,
    Read,
}

/// Whether anything was said of jobs yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Known,
}

impl Queue {
    pub fn new(origin: Origin) -> Queue {
        Queue {
            origin,
            waiting: Vec::new(),
            working: None,
            over: Vec::new(),
            unnamed: Unnamed::default(),
            others: Others::Unknown { since: None },
            run: Run::default(),
            // Until one does not come: the last messages about a job may leave before its line.
            lines: Lines::Read,
            free: Nanos::default(),
            unknown: 0,
            empty: None,
            state: State::Unknown,
        }
    }

    /// How many jobs are worked on, and how many wait.
    pub fn standing(&self) -> Option<(u64, u64)> {
        let all = self.known().saturating_add(self.unknown);
        let active = all.min(1);
        (self.state == State::Known).then(|| (active, all.saturating_sub(active)))
    }

    /// A job was accepted.
    pub fn submitted(&mut self, submission: Submission, handover: Handover, out: &mut Vec<Output>) {
        self.state = State::Known;
        // Messages about it may have been first.
        if let Some(job) = self.find(&submission.id).filter(|job| !job.is_asked()) {
            return job.submit(submission, handover);
        }
        let first = submission.number == Some(0.0);
        let answered = handover.answered;
        let mut job = Job::submitted(self.origin.clone(), submission, handover);
        if first && self.known() == 0 {
            self.others = Others::Counted;
        }
        // A very short job is over before its answer leaves.
        if self.others == Others::Counted
            && self.working.is_none()
            && let Some(line) = self.unnamed.claim(&job)
        {
            job.taken(self.free);
            job.worked(line.at, line.lasted, line.run);
            return self.hold(job, line.at, out);
        }
        if self.waiting.len() >= MAX_JOBS {
            let mut oldest = self.waiting.remove(0);
            oldest.mark(Quality::Truncated);
            end(oldest, answered, out);
            out.push(Output::Issue(Issue::JobsOverBound));
        }
        self.waiting.push(job);
        self.take();
    }

    /// Waiting jobs were taken out of the queue.
    pub fn removed(&mut self, at: Nanos, ids: &[String], all: bool, out: &mut Vec<Output>) {
        for mut job in std::mem::take(&mut self.waiting) {
            if all || ids.iter().any(|id| id == job.id()) {
                job.remove();
                end(job, at, out);
            } else {
                self.waiting.push(job);
            }
        }
        if let Some(job) = self.working.as_mut().filter(|job| all || ids.iter().any(|id| id == job.id())) {
            job.doubt(at);
        }
        if all {
            self.unknown = self.unknown.min(1);
        }
    }

    /// The server answered what became of a job.
    pub fn past(&mut self, at: Nanos, past: Past, out: &mut Vec<Output>) {
        if let Some(index) = self.over.iter().position(|over| over.job.id() == past.id) {
            let Over { mut job, since } = self.over.remove(index);
            job.past(past);
            // Messages about it are on their way.
            return if job.has_started() { self.hold(job, since, out) } else { end(job, since, out) };
        }
        let id = past.id.clone();
        let Some(job) = self.find(&id) else { return };
        job.past(past);
        job.falls_silent(at);
        let working = self.working.take_if(|job| job.id() == id);
        let waiting = self.waiting.iter().position(|job| job.id() == id).map(|index| self.waiting.remove(index));
        let (was_working, Some(mut job)) = (working.is_some(), working.or(waiting)) else { return };
        if let Some(line) = self.unnamed.claim(&job) {
            let (at, began) = (line.at, line.lasted.least);
            job.worked(at, line.lasted, line.run);
            let number = job.number();
            end(job, at, out);
            return self.settle(Nanos(at.0.saturating_sub(began)), number, out);
        }
        if was_working && self.lines == Lines::Read {
            // Its line is on its way.
            self.working = Some(job);
            return;
        }
        // Where it seemed to wait, its line was taken for another one's, or counted without a name.
        if was_working || !self.unnamed.stands_for_one() {
            end(job, at, out);
        }
        if was_working {
            self.free = at;
            self.run = Run::default();
        }
        self.take();
    }

    /// Messages were lost: of jobs under way nothing can be told exactly.
    pub fn unheard(&mut self) {
        let held = self.over.iter_mut().map(|over| &mut over.job);
        held.chain(&mut self.working).for_each(|job| job.mark(Quality::Gap));
    }

    /// Lines were lost: the ends of jobs may be among them, so nobody knows which one is next.
    pub fn missed_lines(&mut self) {
        self.unheard();
        self.others = Others::Unknown { since: None };
        self.unnamed.forget();
    }

    /// Time passed.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Output>) {
        for line in self.unnamed.due(Nanos(now.0.saturating_sub(HELD))) {
            self.end_unnamed(line, out);
        }
        if self.working.as_ref().and_then(Job::silent).is_some_and(|silent| now.since(silent) >= HELD) {
            // Messages said that it is over, and no line did.
            self.lines = Lines::Unread;
            self.next(now, out);
        }
        if let Some(empty) = self.empty.take_if(|empty| now.since(*empty) >= HELD) {
            self.settle(empty, f64::INFINITY, out);
        }
        for over in std::mem::take(&mut self.over) {
            if now.since(over.since) >= HELD {
                end(over.job, over.since, out);
            } else {
                self.over.push(over);
            }
        }
    }

    /// Nothing more will be said of what is known.
    pub fn truncate(&mut self, time: Nanos, out: &mut Vec<Output>) {
        for line in self.unnamed.due(Nanos(u64::MAX)) {
            self.end_unnamed(line, out);
        }
        for over in std::mem::take(&mut self.over) {
            end(over.job, over.since, out);
        }
        for mut job in self.working.take().into_iter().chain(std::mem::take(&mut self.waiting)) {
            // Of one that is silent only the line is missing.
            if job.silent().is_none() {
                job.mark(Quality::Truncated);
            }
            end(job, time, out);
        }
        self.run = Run::default();
        self.unknown = 0;
    }

    /// A message or a line said something.
    pub fn report(&mut self, at: Nanos, report: Report<'_>, out: &mut Vec<Output>) {
        self.state = State::Known;
        let mut issues = Vec::new();
        match report {
            Report::Queue { remaining } => {
                if remaining >= self.known() {
                    self.others = Others::Counted;
                }
                self.unknown = remaining.saturating_sub(self.known());
                self.empty = (remaining == 0).then_some(at);
            }
            Report::Started { id, stamp } => {
                self.turn_to(at, id, out);
                self.with(id, |job| job.started(at, stamp));
            }
            Report::Node { id, node, shown } => {
                self.turn_to(at, id, out);
                self.with(id, |job| job.node(at, node, shown));
            }
            Report::Cached { id, nodes } => self.with(id, |job| job.cached(nodes)),
            Report::Progress { id, node, value, max } => {
                self.with(id, |job| job.progress(at, node, value, max, &mut issues));
            }
            Report::Executed { id, node, images } => self.with(id, |job| job.executed(node, images)),
            Report::Finished { id, outcome, stamp } => self.with(id, |job| job.finished(at, outcome, stamp)),
            Report::NoNode { id } => self.silent(at, id, out),
            Report::Listening => {
                self.truncate(at, out);
                self.lines = Lines::Read;
                self.others = Others::Counted;
                self.unnamed.forget();
            }
            Report::Loading => self.run.loading(at),
            Report::Loaded => self.run.loaded(at),
            Report::Bar { value, max: _ } => self.run.bar(at, value, &mut issues),
            Report::Failed(outcome) => self.run.failed(outcome),
            Report::Worked(lasted) => self.worked(at, lasted, out),
        }
        out.extend(issues.into_iter().map(Output::Issue));
    }

    fn known(&self) -> u64 {
        (self.waiting.len() as u64).saturating_add(u64::from(self.working.is_some()))
    }

    /// A message speaks of this job as the one that is worked on.
    fn turn_to(&mut self, at: Nanos, id: &str, out: &mut Vec<Output>) {
        let is_it = |job: &Job| job.id() == id;
        if self.working.as_ref().is_some_and(is_it) || self.over.iter().any(|over| is_it(&over.job)) {
            return;
        }
        match self.working.take() {
            // There is one worker: that job is over, though nothing said so.
            Some(mut job) if job.has_started() => {
                if job.silent().is_none() {
                    job.mark(Quality::Gap);
                    out.push(Output::Issue(Issue::JobEndUnseen));
                }
                end(job, at, out);
                self.run = Run::default();
            }
            // It only seemed to be the next.
            Some(mut job) => {
                job.put_back();
                self.waiting.push(job);
            }
            None => {}
        }
        let Some(index) = self.waiting.iter().position(is_it) else {
            self.unknown = self.unknown.saturating_sub(1);
            self.working = Some(Job::midway(self.origin.clone(), id.to_owned()));
            return;
        };
        let job = self.waiting.remove(index);
        let number = job.number();
        self.working = Some(job);
        if self.others != Others::Counted {
            // Those that were there before it had lower numbers.
            self.settle(at, number, out);
        }
    }

    /// A line was written, whatever it says: lines are read, so from here on it counts how long the worker does nothing.
    pub fn heard(&mut self, at: Nanos) {
        if let Others::Unknown { since } = &mut self.others {
            since.get_or_insert(at);
        }
    }

    /// At `time` there was no job with a lower number any more, known or not: those that are known are over, or were taken
    /// out, unseen.
    fn settle(&mut self, time: Nanos, number: f64, out: &mut Vec<Output>) {
        for line in self.unnamed.due(time) {
            self.end_unnamed(line, out);
        }
        let is_over = |job: &mut Job| job.is_older(time) && job.number() < number;
        let working = self.working.take_if(|job| !job.has_started() && is_over(job));
        let over: Vec<Job> = working.into_iter().chain(self.waiting.extract_if(.., is_over)).collect();
        for mut job in over {
            if self.unnamed.stands_for_one() {
                continue;
            }
            job.mark(Quality::Gap);
            out.push(Output::Issue(Issue::JobEndUnseen));
            end(job, time, out);
        }
        self.others = Others::Counted;
        self.unknown = 0;
        self.unnamed.forget();
        self.take();
    }

    /// A message: nothing more will be said of this job.
    fn silent(&mut self, at: Nanos, id: &str, out: &mut Vec<Output>) {
        if let Some(index) = self.over.iter().position(|over| over.job.id() == id) {
            let Over { job, since } = self.over.remove(index);
            return end(job, since, out);
        }
        let Some(job) = self.working.as_mut().filter(|job| job.id() == id) else { return };
        job.falls_silent(at);
        if self.lines == Lines::Unread {
            self.next(at, out);
        }
    }

    /// A line: the job that is worked on is over.
    fn worked(&mut self, at: Nanos, lasted: Lasted, out: &mut Vec<Output>) {
        self.lines = Lines::Read;
        let run = std::mem::take(&mut self.run);
        if let Some(mut job) = self.working.take_if(|job| job.was_removed(at, lasted)) {
            job.remove();
            end(job, at, out);
            self.take();
        }
        let earliest = Nanos(at.0.saturating_sub(lasted.most));
        if let Others::Unknown { since: Some(since) } = self.others
            && earliest.since(self.free.max(since)) >= IDLE
        {
            self.settle(Nanos(earliest.0.saturating_sub(IDLE)), f64::INFINITY, out);
        }
        let sure = self.others == Others::Counted;
        let its = |job: &mut Job| job.has_started() || job.is_past() || (sure && job.can_have_lasted(at, lasted));
        if let Some(mut job) = self.working.take_if(its) {
            job.worked(at, lasted, run);
            if job.silent().is_some() || job.is_past() {
                end(job, at, out);
            } else {
                self.hold(job, at, out);
            }
        } else {
            if sure && self.unknown == 0 && self.working.is_some() {
                // It was of a job that nobody knew of.
                self.others = Others::Unknown { since: Some(at) };
            }
            self.unknown = self.unknown.saturating_sub(1);
            if let Some(oldest) = self.unnamed.hold(Line { at, lasted, run }) {
                self.end_unnamed(oldest, out);
            }
        }
        self.free = at;
        self.take();
    }

    /// A job that nobody asked for while we looked, or so it seems.
    fn end_unnamed(&self, line: Line, out: &mut Vec<Output>) {
        let mut job = Job::midway(self.origin.clone(), String::new());
        job.worked(line.at, line.lasted, line.run);
        end(job, line.at, out);
    }

    /// The job that is worked on is over, and the worker goes on.
    fn next(&mut self, at: Nanos, out: &mut Vec<Output>) {
        let Some(job) = self.working.take() else { return };
        end(job, at, out);
        self.run = Run::default();
        self.free = at;
        self.take();
    }

    fn hold(&mut self, job: Job, since: Nanos, out: &mut Vec<Output>) {
        if self.over.len() >= MAX_JOBS {
            let oldest = self.over.remove(0);
            end(oldest.job, oldest.since, out);
        }
        self.over.push(Over { job, since });
    }

    /// The worker takes the next job, if it is free.
    fn take(&mut self) {
        if self.working.is_some() || self.unknown > 0 {
            return;
        }
        let place =
            |one: &Job, other: &Job| one.number().total_cmp(&other.number()).then_with(|| one.id().cmp(other.id()));
        let first = self.waiting.iter().enumerate().min_by(|(_, one), (_, other)| place(one, other));
        let Some((index, _)) = first else { return };
        let mut job = self.waiting.remove(index);
        job.taken(self.free);
        self.working = Some(job);
    }

    /// The job of this id, in whatever state.
    fn find(&mut self, id: &str) -> Option<&mut Job> {
        let over = self.over.iter_mut().map(|over| &mut over.job);
        self.working.iter_mut().chain(over).chain(&mut self.waiting).find(|job| job.id() == id)
    }

    fn with(&mut self, id: &str, tell: impl FnOnce(&mut Job)) {
        if let Some(job) = self.find(id) {
            tell(job);
        }
    }
}

fn end(job: Job, time: Nanos, out: &mut Vec<Output>) {
    out.push(Output::Job(Box::new(job.end(time))));
}
