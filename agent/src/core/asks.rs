//! What clients ask of a server over the network, brought together with the inferences that come of it.
//!
//! A front end reads a request to its end, and then makes an inference of it: of what is read by then and has caused none,
//! the inference came of what asks for its model by its id. Over HTTP it is the thread that read it which makes the inference,
//! one after the other; over gRPC it may be any. Where that can only be one request, the two are one, and the
//! inference waits for the end of the answer. Where it may be any of several, only the protocol is taken, if they agree;
//! none of them is then sure of its inference any more. Where there is none, and nothing on the server's connections was
//! unclear before, meanwhile or for a while after, nobody asked from outside.

use super::Output;
use crate::event::{ConnKey, Layer, Nanos};
use crate::issue::Issue;
use crate::request::ask::{Answered, AskId, Asked, Cause, Protocol, Refusal};
use crate::request::{Caller, Inference, Origin, Quality, Record, Status};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Requests followed at once.
const MAX_ASKS: usize = 65_536;
/// A request of many on one stream is given up when nothing came of it for so long.
const PATIENCE: u64 = 60_000_000_000;
/// Bytes of a text that a call may carry.
const MAX_TEXT: usize = 255;
/// Between a doubt whether all requests are seen, and an inference that may have come of one that was not.
const SETTLING: u64 = 1_000_000_000;

/// The requests to one process.
pub(super) struct Asks {
    origin: Origin,
    next: AskId,
    open: BTreeMap<AskId, Open>,
    /// Those that have caused nothing yet, by model. The first model is "", for those of which it was not seen.
    idle: BTreeMap<String, BTreeSet<AskId>>,
    /// Whether it has any connections.
    outside: Outside,
    /// Connections that may carry requests which are not seen.
    unclear: BTreeSet<(Layer, u64)>,
    /// Connections of which only cipher text is seen, and whether clear text is seen anywhere.
    ciphers: BTreeSet<(Layer, u64)>,
    clear_text: Outside,
    /// When it was last in doubt whether all requests are seen.
    doubted: Nanos,
    /// Inferences that seem to come from inside, the oldest first, until it is known that none was overlooked.
    inside: VecDeque<Box<Inference>>,
}

/// Whether a process was seen to have connections. One that has none can only be asked from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    Unseen,
    Seen,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub protocol: Protocol,
    /// That read the end of it.
    pub thread: u32,
    /// "" where it was not seen.
    pub model: String,
    /// "" where it has none; `None` where that was not seen.
    pub id: Option<String>,
    pub arrival: Nanos,
    pub trace: Option<Caller>,
    pub answers: Answers,
}

/// Who will say how it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// A record.
    Own,
    /// Nobody: its stream carries the answers of many.
    Shared,
}

struct Open {
    ask: Ask,
    claimed: Claimed,
    /// What came of it, and waits for the end of the answer.
    inference: Option<Box<Inference>>,
    /// How it was answered, which waits for the end of the inference.
    answer: Option<Answered>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimed {
    /// Nothing came of it yet.
    No,
    /// Nothing came of it yet that is known, but it may have.
    Perhaps,
    /// One inference surely did.
    Yes,
    /// One is taken to have, or another of the same model.
    Spent,
}

impl Asks {
    /// Of a process that is followed since `since`.
    pub fn new(origin: Origin, since: Nanos) -> Asks {
        Asks {
            origin,
            next: AskId(1),
            open: BTreeMap::new(),
            idle: BTreeMap::new(),
            outside: Outside::Unseen,
            unclear: BTreeSet::new(),
            ciphers: BTreeSet::new(),
            clear_text: Outside::Unseen,
            doubted: since,
            inside: VecDeque::new(),
        }
    }

    /// All of a request was read.
    pub fn ready(&mut self, mut ask: Ask, out: &mut Vec<Output>) -> AskId {
        // The kernel side cuts longer texts off: they can't be compared.
        ask.id = ask.id.filter(|id| id.len() < MAX_TEXT);
        if ask.model.len() >= MAX_TEXT {
            ask.model.clear();
        }
        if self.open.len() >= MAX_ASKS
            && let Some((id, oldest)) = self.open.pop_first()
        {
            self.forget(id, &oldest.ask.model);
            out.push(Output::Issue(Issue::RequestsOverBound));
            out.extend(oldest.inference.map(Output::Inference));
        }
        let id = self.next;
        self.next = AskId(id.0.saturating_add(1));
        self.idle.entry(ask.model.clone()).or_default().insert(id);
        self.open.insert(id, Open { ask, claimed: Claimed::No, inference: None, answer: None });
        id
    }

    /// Whether all requests on a connection are seen.
    pub fn sees(&mut self, time: Nanos, conn: ConnKey, sight: Sight) {
        self.outside = Outside::Seen;
        if conn.layer == Layer::Tls {
            self.clear_text = Outside::Seen;
        }
        let id = (conn.layer, conn.id);
        let was_unclear = match sight {
            Sight::Cipher => !self.ciphers.insert(id) && self.unclear.remove(&id),
            Sight::Clear | Sight::Unclear => {
                self.ciphers.remove(&id);
                if sight == Sight::Unclear { !self.unclear.insert(id) } else { self.unclear.remove(&id) }
            }
        };
        if was_unclear != (sight == Sight::Unclear) {
            self.doubts(time);
        }
    }

    /// Requests may have been overlooked.
    pub fn doubts(&mut self, time: Nanos) {
        self.doubted = self.doubted.max(time);
    }

    /// How this inference came, now that its request is made up. To be asked once of each.
    pub fn claim(&mut self, inference: &Inference) -> Option<Asked> {
        let of_model = self.idle.get(&inference.model).into_iter().chain(self.idle.get("")).flatten();
        let fits = |id: &AskId| {
            let open = self.open.get(id)?;
            let same = open.ask.id.as_ref().is_none_or(|id| *id == inference.id);
            // The thread that reads the end of a request over HTTP makes the inference then and there.
            let same = same && (open.ask.protocol != Protocol::Http || open.ask.thread == inference.thread);
            (same && open.ask.arrival <= inference.arrival).then_some((*id, open.ask.protocol, open.claimed))
        };
        let candidates: Vec<_> = of_model.filter_map(fits).collect();
        let Some(&(oldest, protocol, claimed)) = candidates.iter().min_by_key(|(id, ..)| *id) else {
            // To be seen.
            return Some(Asked { protocol: Protocol::InProcess, by: None });
        };
        // Threads that read HTTP do nothing else, and take turns in order.
        let by_thread =
            candidates.iter().filter(|(_, protocol, _)| *protocol == Protocol::Http).map(|(id, ..)| *id).min();
        if let Some(ask) = by_thread {
            return self.claimed(ask, Claimed::Yes);
        }
        if let ([_], Claimed::No) = (candidates.as_slice(), claimed) {
            return self.claimed(oldest, Claimed::Yes);
        }
        let agreed = candidates.iter().all(|(_, other, _)| *other == protocol);
        for (id, ..) in &candidates {
            if let Some(open) = self.open.get_mut(id) {
                open.claimed = Claimed::Perhaps;
            }
        }
        // One of them has caused it; which one does not matter, as none of them is believed any more.
        self.claimed(oldest, Claimed::Spent);
        agreed.then_some(Asked { protocol, by: None })
    }

    fn claimed(&mut self, id: AskId, how: Claimed) -> Option<Asked> {
        let Open { ask, claimed, .. } = self.open.get_mut(&id)?;
        *claimed = how;
        let Ask { protocol, arrival, trace, answers, model, .. } = ask.clone();
        self.forget(id, &model);
        if answers == Answers::Shared {
            self.open.remove(&id);
        }
        Some(Asked { protocol, by: Some(Cause { ask: id, arrival, trace, answer: None }) })
    }

    /// An inference ended: it, where nothing more is to come that belongs to it.
    pub fn ended(&mut self, inference: Box<Inference>) -> Option<Box<Inference>> {
        if inference.asked.as_ref().is_some_and(|asked| asked.protocol == Protocol::InProcess) {
            return self.unasked(inference);
        }
        let by = inference.asked.as_ref().and_then(|asked| asked.by.as_ref());
        let Some((ask, open)) = by.and_then(|by| Some((by.ask, self.open.get_mut(&by.ask)?))) else {
            return Some(inference);
        };
        let answer = open.answer;
        if answer.is_none() {
            open.inference = Some(inference);
            return None;
        }
        self.open.remove(&ask);
        Some(with_answer(inference, answer))
    }

    /// A request was answered: the inference that waited for that, or that it was refused.
    pub fn answered(&mut self, record: &Record) -> Option<Output> {
        let Some((id, open)) = record.ask.and_then(|id| Some((id, self.open.get_mut(&id)?))) else {
            return self.refused(record);
        };
        let answer = (record.quality == Quality::Complete).then(|| Answered::of(record));
        match open.claimed {
            Claimed::Yes if open.inference.is_none() && answer.is_some() => {
                open.answer = answer;
                return None;
            }
            // Its answer will not be seen; that it was asked was.
            Claimed::No | Claimed::Perhaps if record.quality == Quality::Gap => {
                open.ask.answers = Answers::Shared;
                return None;
            }
            _ => {}
        }
        let open = self.open.remove(&id)?;
        self.forget(id, &open.ask.model);
        match open.claimed {
            Claimed::Yes => open.inference.map(|inference| Output::Inference(with_answer(inference, answer))),
            Claimed::Perhaps | Claimed::Spent => None,
            Claimed::No => self.refused(record),
        }
    }

    fn refused(&self, record: &Record) -> Option<Output> {
        if record.status != Status::Error {
            return None;
        }
        let code = match record.grpc_status {
            Some(status) if record.code < 400 => status,
            _ => u32::from(record.code),
        };
        let (origin, protocol) = (self.origin.clone(), record.protocol);
        Some(Output::Refused(Box::new(Refusal { origin, protocol, code })))
    }

    /// Nobody is known to have asked for it. That nobody did is sure when nothing is in doubt for a while.
    fn unasked(&mut self, inference: Box<Inference>) -> Option<Box<Inference>> {
        if self.outside == Outside::Unseen {
            return Some(self.judged(inference));
        }
        self.inside.push_back(inference);
        let oldest = if self.inside.len() > MAX_ASKS { self.inside.pop_front() } else { None };
        oldest.map(unjudged)
    }

    fn judged(&self, inference: Box<Inference>) -> Box<Inference> {
        let unread = self.clear_text == Outside::Unseen && !self.ciphers.is_empty();
        let doubtful =
            unread || !self.unclear.is_empty() || inference.arrival.0 < self.doubted.0.saturating_add(SETTLING);
        if doubtful { unjudged(inference) } else { inference }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Nanos, out: &mut Vec<Output>) {
        while let Some(inference) = self.inside.pop_front_if(|oldest| now.since(oldest.end) >= SETTLING) {
            out.push(Output::Inference(self.judged(inference)));
        }
        let late = |open: &Open| open.ask.answers == Answers::Shared && now.since(open.ask.arrival) >= PATIENCE;
        let late: Vec<_> = self.open.iter().filter(|(_, open)| late(open)).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(open) = self.open.remove(&id) {
                self.forget(id, &open.ask.model);
            }
        }
    }

    /// Nothing more is to come.
    pub fn finish(&mut self, out: &mut Vec<Output>) {
        self.idle.clear();
        out.extend(std::mem::take(&mut self.inside).into_iter().map(unjudged).map(Output::Inference));
        let open = std::mem::take(&mut self.open).into_values();
        out.extend(open.filter_map(|open| open.inference).map(Output::Inference));
    }

    fn forget(&mut self, id: AskId, model: &str) {
        let Some(idle) = self.idle.get_mut(model) else { return };
        idle.remove(&id);
        if idle.is_empty() {
            self.idle.remove(model);
        }
    }
}

/// Whether all requests on a connection are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Clear,
    /// As far as the TLS library's clear text is seen.
    Cipher,
    Unclear,
}

fn unjudged(mut inference: Box<Inference>) -> Box<Inference> {
    inference.asked = None;
    inference
}

fn with_answer(mut inference: Box<Inference>, answer: Option<Answered>) -> Box<Inference> {
    let Some(answer) = answer else { return inference };
    if let Some(by) = inference.asked.as_mut().and_then(|asked| asked.by.as_mut()) {
        by.answer = Some(answer);
    }
    // What never reached a backend was answered all the same: from a cache, by an ensemble, or not in time.
    if inference.status == Status::Unknown && inference.quality == Quality::Complete {
        inference.status = answer.status;
    }
    inference
}
