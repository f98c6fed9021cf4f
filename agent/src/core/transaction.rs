//! One request and its answer on a connection: brings together the body's coding, the engine and the times.

use super::asks::{Answers, Ask, Asks};
use super::jobs::Exchanged;
use super::{Output, Server, Told};
use crate::engine::{Exchange, Facts, Purpose, Requests};
use crate::event::Nanos;
use crate::issue::Issue;
use crate::job::Handover;
use crate::request::{AskId, Caller, Delivery, Ending, Origin, Protocol, Quality, Record, Request};
use crate::wire::{Message, RequestHead, ResponseHead, Side, grpc, header, sse};

/// A request in flight.
pub(super) struct Transaction {
    request: Request,
    /// `None` where the request is not inference: it is held only so that answers meet their requests.
    exchange: Option<Box<dyn Exchange>>,
    body: Body,
    told: Told,
    trace: Option<Caller>,
    ask: Option<AskId>,
}

/// What is left of a transaction that is over.
pub(super) enum Ended {
    /// A request for inference.
    Inference(Box<Record>),
    /// An exchange about jobs.
    Jobs(Exchanged),
}

/// How the response's body is read.
enum Body {
    /// Not at all: compressed.
    Unread,
    Whole,
    Events(Box<sse::Decoder>),
}

impl Transaction {
    /// A request whose head is read; its first byte came at `arrival`.
    pub fn open(server: &Server, head: &RequestHead, arrival: Nanos) -> Transaction {
        Transaction {
            request: Request::new(server.origin.clone(), head.path.clone(), arrival),
            exchange: server.engine.open(head),
            body: Body::Whole,
            told: server.told,
            trace: Caller::read(&head.headers),
            ask: None,
        }
    }

    /// What it asks for, where inferences are told of by calls and all of the request was read; said once.
    pub fn ask(&mut self, protocol: Protocol, thread: u32, asks: &mut Asks, out: &mut Vec<Output>) {
        let Some(facts) = self.exchange.as_ref().map(|exchange| exchange.facts()) else { return };
        if self.told == Told::ByRequests || self.ask.is_some() || !facts.inference || !self.request.is_received() {
            return;
        }
        let ask = Ask { protocol, thread, ..self.asks_for(facts, self.request.arrival()) };
        self.ask = Some(asks.ready(ask, out));
    }

    /// What a message of a stream of requests asks for; it came at `arrival`.
    pub fn ask_one(&mut self, arrival: Nanos, thread: u32, asks: &mut Asks, out: &mut Vec<Output>) {
        let facts = self.exchange.as_ref().map(|exchange| exchange.facts()).filter(|facts| facts.inference);
        if let Some(facts) = facts {
            let ask =
                Ask { protocol: Protocol::Grpc, thread, answers: Answers::Shared, ..self.asks_for(facts, arrival) };
            asks.ready(ask, out);
        }
    }

    fn asks_for(&self, facts: &Facts, arrival: Nanos) -> Ask {
        let (model, id) = (facts.model.clone().unwrap_or_default(), facts.id.clone());
        Ask {
            protocol: Protocol::Http,
            thread: 0,
            model,
            id,
            arrival,
            trace: self.trace.clone(),
            answers: Answers::Own,
        }
    }

    /// Whether its body holds any number of requests. Nothing is said of it as a whole then.
    pub fn is_many(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.requests() == Requests::Many)
    }

    /// It is spoken in another protocol than HTTP/1.
    pub fn speaks(&mut self, protocol: Protocol) {
        self.request.speaks(protocol);
    }

    /// A piece of gRPC's framing of a body.
    pub fn rpc(&mut self, side: Side, item: grpc::Item<'_>, issues: &mut Vec<Issue>) {
        self.tell(&Message::Rpc(side, item), issues);
    }

    /// gRPC's status, behind the answer.
    pub fn grpc_status(&mut self, status: u32) {
        self.request.grpc_status(status);
    }

    /// Who answers it and what is known of it; `None` where it is not inference.
    pub fn running(&self) -> Option<(&Origin, &Facts)> {
        let told = self.told == Told::ByRequests;
        let exchange = self.exchange.as_ref().filter(|exchange| told && exchange.purpose() == Purpose::Inference)?;
        Some((self.request.origin(), exchange.facts()))
    }

    /// What is known of an answer whose content has begun.
    pub fn with_content(&self) -> Option<&Facts> {
        let streamed = matches!(self.body, Body::Events(_)) && self.request.has_content();
        self.exchange.as_ref().filter(|_| streamed).map(|exchange| exchange.facts())
    }

    /// Whether the body of this side is of use.
    pub fn reads(&self, side: Side) -> bool {
        let is_unread = side == Side::Response && matches!(self.body, Body::Unread);
        !is_unread && self.exchange.as_ref().is_some_and(|exchange| exchange.reads(side))
    }

    /// Nobody reads the rest of its answer.
    pub fn unread(&mut self) {
        self.request.unread();
        self.body = Body::Unread;
    }

    /// Bytes of an answer that nobody reads were sent.
    pub fn written(&mut self, time: Nanos) {
        self.request.written(time);
    }

    /// When bytes of its answer were last sent.
    pub fn last_written(&self) -> Option<Nanos> {
        self.request.last_written()
    }

    pub fn mark(&mut self, quality: Quality) {
        self.request.mark(quality);
    }

    pub fn request_body(&mut self, bytes: &[u8], issues: &mut Vec<Issue>) {
        self.tell(&Message::Body(Side::Request, bytes), issues);
    }

    pub fn request_elided(&mut self, bytes: u64, issues: &mut Vec<Issue>) {
        self.tell(&Message::Elided(Side::Request, bytes), issues);
    }

    pub fn request_end(&mut self, time: Nanos, issues: &mut Vec<Issue>) {
        self.request.request_end(time);
        self.tell(&Message::End(Side::Request), issues);
    }

    /// The response's head was sent.
    pub fn response(&mut self, time: Nanos, head: &ResponseHead, issues: &mut Vec<Issue>) {
        let delivery = delivery(head);
        self.request.headers(time, head.status, delivery);
        let coding = header(&head.headers, "content-encoding").unwrap_or("identity");
        self.body = match delivery {
            // Whoever computes it tells what became of it.
            _ if self.told == Told::ByCalls => Body::Unread,
            _ if !coding.eq_ignore_ascii_case("identity") => Body::Unread,
            Delivery::Streamed => Body::Events(Box::default()),
            Delivery::Whole => Body::Whole,
        };
        if matches!(self.body, Body::Unread) && self.exchange.is_some() && self.told == Told::ByRequests {
            issues.push(Issue::ContentEncoded);
        }
        self.tell(&Message::Response(head), issues);
    }

    /// Bytes of the response's body were sent.
    pub fn response_body(&mut self, time: Nanos, bytes: &[u8], issues: &mut Vec<Issue>) {
        self.request.written(time);
        let Some(exchange) = &mut self.exchange else { return };
        let events = match &mut self.body {
            Body::Unread => return,
            Body::Whole => {
                exchange.interpret(&Message::Body(Side::Response, bytes), issues);
                return;
            }
            Body::Events(events) => events,
        };
        let request = &mut self.request;
        events.push(bytes, &mut |event| match event {
            Ok(event) => {
                let step = exchange.interpret(&Message::Event(event), issues);
                request.event(time, step, issues);
            }
            Err(issue) => {
                issues.push(issue);
                request.mark(Quality::Gap);
            }
        });
    }

    /// Bytes of the response's body were sent that nobody copied.
    pub fn response_elided(&mut self, time: Nanos, bytes: u64, issues: &mut Vec<Issue>) {
        self.request.written(time);
        match &mut self.body {
            Body::Unread => {}
            Body::Whole => self.tell(&Message::Elided(Side::Response, bytes), issues),
            Body::Events(events) => {
                // There was an event in it: the times between events are no longer those of neighbours.
                events.elide();
                self.request.mark(Quality::Gap);
            }
        }
    }

    /// It is over: what is left of it, if it is of interest.
    pub fn end(mut self, time: Nanos, ending: Ending, issues: &mut Vec<Issue>) -> Option<Ended> {
        if ending == Ending::Answered {
            self.tell(&Message::End(Side::Response), issues);
        }
        let mut exchange = self.exchange?;
        let record = self.request.end(time, ending, exchange.facts());
        match exchange.purpose() {
            Purpose::Inference => {
                let record = Record { trace: self.trace, ask: self.ask, ..record };
                Some(Ended::Inference(Box::new(record)))
            }
            Purpose::Jobs if record.code == 0 => None,
            Purpose::Jobs => {
                let Record { arrival, end: answered, code, .. } = record;
                let handover = Handover { arrival, answered, trace: self.trace };
                Some(Ended::Jobs(Exchanged { handover, code, told: exchange.told() }))
            }
        }
    }

    /// Tells the engine what says nothing of how far the answer is.
    fn tell(&mut self, message: &Message<'_>, issues: &mut Vec<Issue>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.interpret(message, issues);
        }
    }
}

/// How a response delivers its body.
pub(super) fn delivery(head: &ResponseHead) -> Delivery {
    let kind = header(&head.headers, "content-type").unwrap_or_default();
    if kind.starts_with("text/event-stream") { Delivery::Streamed } else { Delivery::Whole }
}
