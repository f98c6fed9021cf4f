//! Who asked: the caller's trace, as a request's headers name it. W3C trace context first, else B3, as one header or several.
//!
//! What breaks a rule of its standard is no caller: a parent must not be made up. Knows nothing of what is exported.

use crate::wire::trace::TraceContext;

/// Longest `tracestate` that is handed on, and most of its members (W3C trace context, 3.3).
const STATE_BYTES: usize = 512;
const STATE_MEMBERS: usize = 32;

/// A caller's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The trace.
    pub trace: [u8; 16],
    /// The span that asked.
    pub parent: [u8; 8],
    /// What the caller decided on recording it.
    pub decision: Decision,
    /// Its `tracestate`, to be handed on as it stands; "" where there is none.
    pub state: String,
}

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is.
    Recorded,
    /// It is not.
    NotRecorded,
    /// The caller leaves it to us (B3 only).
    Open,
}

impl Caller {
    /// Reads a request's headers (lower-case names).
    #[must_use]
    pub fn read(headers: &[(String, String)]) -> Option<Caller> {
        let mut contexts = headers.iter().filter(|(name, _)| name == "traceparent");
        let Some((_, context)) = contexts.next() else {
            return value(headers, "b3").map_or_else(|| b3_in_parts(headers), b3);
        };
        // Several contradict each other, and the standard gives none of them a say.
        if contexts.next().is_some() {
            return None;
        }
        let TraceContext { trace, parent, flags } = TraceContext::parse(context)?;
        let decision = if flags & 1 == 1 { Decision::Recorded } else { Decision::NotRecorded };
        Some(Caller { trace, parent, decision, state: state(headers) })
    }
}

/// All `tracestate` headers as one; "" where they break a rule, which leaves the context as it is.
fn state(headers: &[(String, String)]) -> String {
    let lines: Vec<&str> =
        headers.iter().filter(|(name, _)| name == "tracestate").map(|(_, value)| value.trim()).collect();
    let state = lines.join(",");
    let members = || state.split(',').map(str::trim).filter(|member| !member.is_empty());
    let visible = state.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
    let is_member =
        |member: &str| member.split_once('=').is_some_and(|(key, value)| !key.is_empty() && !value.is_empty());
    let sound = visible && state.len() <= STATE_BYTES && members().count() <= STATE_MEMBERS && members().all(is_member);
    if sound { state } else { String::new() }
}

fn value<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// `x-b3-traceid` and its like. The flag of debugging decides before the header that says it.
fn b3_in_parts(headers: &[(String, String)]) -> Option<Caller> {
    let decision = match (value(headers, "x-b3-flags"), value(headers, "x-b3-sampled")) {
        (Some("1"), _) | (_, Some("1" | "true")) => Decision::Recorded,
        (_, Some("0" | "false")) => Decision::NotRecorded,
        (_, None) => Decision::Open,
        (_, Some(_)) => return None,
    };
    b3_caller(value(headers, "x-b3-traceid")?.trim(), value(headers, "x-b3-spanid")?.trim(), decision)
}

/// `TRACE-SPAN[-DECISION[-PARENT]]`. A decision alone names no trace.
fn b3(header: &str) -> Option<Caller> {
    let mut parts = header.trim().split('-');
    let (trace, span) = (parts.next()?, parts.next()?);
    let decision = match parts.next() {
        None => Decision::Open,
        Some("1" | "d") => Decision::Recorded,
        Some("0") => Decision::NotRecorded,
        Some(_) => return None,
    };
    let own_parent = parts.next();
    if parts.next().is_some() || own_parent.is_some_and(|parent| parent.len() != 16) {
        return None;
    }
    b3_caller(trace, span, decision)
}

fn b3_caller(trace: &str, span: &str, decision: Decision) -> Option<Caller> {
    // Short trace ids have 64 bits. The rest of the rules are those of a `traceparent`.
    let context = match trace.len() {
        32 => format!("00-{trace}-{span}-00"),
        16 => format!("00-{:0>32}-{span}-00", trace),
        _ => return None,
    };
    let TraceContext { trace, parent, .. } = TraceContext::parse(&context)?;
    Some(Caller { trace, parent, decision, state: String::new() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn read(headers: &[(&str, &str)]) -> Option<Caller> {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Caller::read(&headers)
    }

    #[test]
    fn a_traceparent_and_its_state() {
        let recorded = format!("00-{TRACE}-{SPAN}-01");
        let caller = read(&[("traceparent", &recorded), ("tracestate", "a=1"), ("tracestate", "b=2 ")]).unwrap();
        assert_eq!((caller.trace[0], caller.parent[1], caller.decision), (0x4b, 0xf0, Decision::Recorded));
        assert_eq!(caller.state, "a=1,b=2");
        let not = read(&[("traceparent", &format!("00-{TRACE}-{SPAN}-00")), ("tracestate", "no members")]).unwrap();
        assert_eq!((not.decision, not.state.as_str()), (Decision::NotRecorded, ""));
        assert_eq!(read(&[("traceparent", &recorded), ("traceparent", &recorded)]), None, "two contradict each other");
        assert_eq!(
            read(&[("traceparent", "00-x"), ("b3", &format!("{TRACE}-{SPAN}-1"))]),
            None,
            "broken is not absent"
        );
        assert_eq!(read(&[("tracestate", "a=1")]), None);
    }

    #[test]
    fn b3_in_several_headers() {
        let ids = [("x-b3-traceid", TRACE), ("x-b3-spanid", SPAN)];
        for (more, expected) in [
            (&[][..], Some(Decision::Open)),
            (&[("x-b3-sampled", "1")], Some(Decision::Recorded)),
            (&[("x-b3-sampled", "0")], Some(Decision::NotRecorded)),
            (&[("x-b3-sampled", "0"), ("x-b3-flags", "1")], Some(Decision::Recorded)),
            (&[("x-b3-sampled", "maybe")], None),
        ] {
            assert_eq!(read(&[&ids, more].concat()).map(|caller| caller.decision), expected, "{more:?}");
        }
        assert_eq!(read(&ids[..1]), None);
        let both = read(&[ids[0], ids[1], ("b3", &format!("{TRACE}-{SPAN}-0"))]);
        assert_eq!(both.map(|caller| caller.decision), Some(Decision::NotRecorded), "the single header goes first");
    }

    #[test]
    fn b3_in_one_header() {
        for (header, expected) in [
            (format!("{TRACE}-{SPAN}-1"), Some(Decision::Recorded)),
            (format!("{TRACE}-{SPAN}-d"), Some(Decision::Recorded)),
            (format!("{TRACE}-{SPAN}-0-{SPAN}"), Some(Decision::NotRecorded)),
            (format!("{TRACE}-{SPAN}"), Some(Decision::Open)),
            (format!("{}-{SPAN}-1", &TRACE[16..]), Some(Decision::Recorded)),
            ("0".to_owned(), None),
            (format!("{TRACE}-{SPAN}-2"), None),
            (format!("{TRACE}-{SPAN}-1-{SPAN}-x"), None),
            (format!("{TRACE}-{}-1", "0".repeat(16)), None),
            (format!("{}-{SPAN}-1", &TRACE[1..]), None),
            (format!("{}-{SPAN}-1", "é".repeat(16)), None),
        ] {
            assert_eq!(read(&[("b3", &header)]).map(|caller| caller.decision), expected, "{header}");
        }
    }
}
