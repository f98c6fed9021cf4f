//! Spans of servers on GPUs, held until the GPUs were looked at behind their end: only then is it known how they fared
//! meanwhile. Bounded in number and in time; what must go sooner goes without.

use super::attribute::{fraction, numbers, texts};
use crate::correlate::circumstance::Circumstances;
use crate::event::Nanos;
use crate::host::gpu::view::Condition;
use crate::service::Service;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use std::collections::VecDeque;

/// A request's spans are held no longer: GPUs are looked at every second, as a rule.
const PATIENCE: u64 = 5_000_000_000;

/// One request's spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// They, the request's first.
    pub spans: ResourceSpans,
    /// Its server's engine.
    pub engine: &'static str,
    /// The server.
    pub service: Service,
    /// When it came.
    pub from: Nanos,
    /// When it ended.
    pub to: Nanos,
}

/// Those that wait, the oldest first.
#[derive(Debug)]
pub struct Waiting {
    most: usize,
    held: VecDeque<Held>,
}

impl Waiting {
    /// Of at most so many requests.
    pub fn new(most: usize) -> Waiting {
        Waiting { most, held: VecDeque::new() }
    }

    /// Holds one. Returns the one that must go for it.
    pub fn hold(&mut self, held: Held) -> Option<ResourceSpans> {
        let oldest = if self.held.len() >= self.most { self.held.pop_front() } else { None };
        self.held.push_back(held);
        oldest.map(|oldest| oldest.spans)
    }

    /// Those whose circumstances are known by now, or that waited long enough.
    pub fn due(&mut self, now: Nanos, circumstances: impl Fn(&Held) -> Option<Circumstances>) -> Vec<ResourceSpans> {
        let mut due = Vec::new();
        self.held.retain_mut(|held| {
            let known = circumstances(held);
            let goes = known.is_some() || now.since(held.to) >= PATIENCE;
            if goes {
                let mut spans = std::mem::take(&mut held.spans);
                add(&mut spans, known.map(attributes).unwrap_or_default());
                due.push(spans);
            }
            !goes
        });
        due
    }

    /// All that are left.
    pub fn rest(&mut self) -> Vec<ResourceSpans> {
        std::mem::take(&mut self.held).into_iter().map(|held| held.spans).collect()
    }
}

/// To the request's span.
fn add(spans: &mut ResourceSpans, attributes: Vec<KeyValue>) {
    let first = spans.scope_spans.first_mut().and_then(|scope| scope.spans.first_mut());
    if let Some(span) = first {
        span.attributes.extend(attributes);
    }
}

fn attributes(circumstances: Circumstances) -> Vec<KeyValue> {
    let Circumstances { conditions, xids, joules } = circumstances;
    let conditions = (!conditions.is_empty())
        .then(|| texts("inferscope.gpu.conditions", conditions.iter().map(|condition: &Condition| condition.name())));
    let xids = (!xids.is_empty()).then(|| numbers("inferscope.gpu.xids", xids));
    let energy = joules.map(|joules| fraction("inferscope.gpu.energy", joules));
    conditions.into_iter().chain(xids).chain(energy).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};

    const S: u64 = 1_000_000_000;

    fn held(name: &str, second: u64) -> Held {
        let scope =
            ScopeSpans { spans: vec![Span { name: name.to_owned(), ..Span::default() }], ..ScopeSpans::default() };
        let spans = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        let service = "s".into();
        Held { spans, engine: "vllm", service, from: Nanos(0), to: Nanos(second * S) }
    }

    /// The names of requests, and the attributes that came to them.
    fn said(spans: &[ResourceSpans]) -> Vec<String> {
        let span = |spans: &ResourceSpans| spans.scope_spans[0].spans[0].clone();
        let keys = |span: Span| span.attributes.into_iter().map(|attribute| format!(" {}", attribute.key));
        spans.iter().map(span).map(|span| span.name.clone() + &keys(span).collect::<String>()).collect()
    }

    #[test]
    fn they_wait_for_a_look_but_not_for_long() {
        let mut waiting = Waiting::new(10);
        assert_eq!(waiting.hold(held("a", 1)), None);
        assert_eq!(waiting.hold(held("b", 3)), None);
        let looked = |second: u64| {
            move |held: &Held| {
                let xids = [79].into();
                let conditions = [Condition::Thermal, Condition::Xid].into();
                (held.to <= Nanos(second * S)).then_some(Circumstances { conditions, xids, joules: Some(7.5) })
            }
        };
        assert_eq!(said(&waiting.due(Nanos(3 * S), looked(0))), [""; 0]);
        let told = "a inferscope.gpu.conditions inferscope.gpu.xids inferscope.gpu.energy";
        assert_eq!(said(&waiting.due(Nanos(4 * S), looked(2))), [told]);
        assert_eq!(said(&waiting.due(Nanos(7 * S), looked(2))), [""; 0]);
        assert_eq!(said(&waiting.due(Nanos(8 * S), looked(2))), ["b"], "nobody looks any more");
    }

    #[test]
    fn nothing_to_say_is_nothing_said() {
        let mut waiting = Waiting::new(10);
        waiting.hold(held("a", 1));
        assert_eq!(said(&waiting.due(Nanos(2 * S), |_| Some(Circumstances::default()))), ["a"]);
    }

    #[test]
    fn they_are_bounded() {
        let mut waiting = Waiting::new(2);
        let gone: Vec<_> = ["a", "b", "c"].into_iter().filter_map(|name| waiting.hold(held(name, 1))).collect();
        assert_eq!((said(&gone), said(&waiting.rest())), (vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]));
    }
}
