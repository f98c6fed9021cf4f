#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn note(said: &mut Vec<String>, event: Result<Event<'_>, Issue>) {
    said.push(match event {
        Ok(Event { name: "", data }) => format!("<{}>", data.escape_ascii()),
        Ok(Event { name, data }) => format!("{name}<{}>", data.escape_ascii()),
        Err(issue) => format!("!{}", issue.name()),
    });
}

fn events(parts: &[&[u8]]) -> Vec<String> {
    let (mut decoder, mut said) = (Decoder::default(), Vec::new());
    for part in parts {
        decoder.push(part, &mut |event| note(&mut said, event));
    }
    said
}

/// Compares, whole, and split at every pair of bytes.
fn check(text: &str, expected: &[&str]) {
    let bytes = text.as_bytes();
    assert_eq!(events(&[bytes]), expected, "whole: {text:?}");
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(events(&parts), expected, "split at {first} and {second}: {text:?}");
        }
    }
    assert_eq!(events(&bytes.chunks(1).collect::<Vec<_>>()), expected, "byte by byte: {text:?}");
}

#[test]
fn events_by_the_rules() {
    check("", &[]);
    check("data: {a:1}\n\ndata: [DONE]\n\n", &["<{a:1}>", "<[DONE]>"]);
    check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", &["<a>", "<b>", "<c>"]);
    check("data: a\r\n\ndata: b\r\n\r", &["<a>", "<b>"]);
    check("data:a\ndata:  b\ndata\n\n", &["<a\\n b\\n>"]);
    check("data\n\ndata:\n\n", &["<>", "<>"]);
    check("event: delta\ndata: x\n\ndata: y\n\n", &["delta<x>", "<y>"]);
    check("data: x\nevent: late\n\n", &["late<x>"]);
    check("event: nothing\n\ndata: x\n\n", &["<x>"]);
    check(": ping - 2026\n\n: x\ndata: a\nid: 7\nretry: 9\nother: b\n\n", &["<a>"]);
    check("\n\n\r\n\ndata: a\n\n\n\n", &["<a>"]);
    check("dat: a\ndatas: b\ndata : c\n\n", &[]);
    check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["<a>"]);
    check("data: no blank line\n", &[]);
    check("event: a\nevent: b\ndata: c:d\n\n", &["b<c:d>"]);
}

#[test]
fn a_whole_event_is_borrowed() {
    let pushed = b"event: delta\ndata: abc\n\n: ping\n\ndata: def\r\n\r\n";
    let mut at = Vec::new();
    Decoder::default().push(pushed, &mut |event| at.push(event.unwrap().data.as_ptr()));
    assert_eq!(at, [pushed[19..].as_ptr(), pushed[38..].as_ptr()]);
}

#[test]
fn behind_missing_bytes_the_next_blank_line_counts() {
    for (before, after, expected) in [
        ("data: a\n\ndata: b", "c\n\ndata: d\n\n", &["<a>", "<d>"][..]),
        ("data: a\n\ndata: b", "c\ndata: half\n\ndata: d\n\n", &["<a>", "<d>"]),
        ("data: a\n\ndata: b\r", "\n\r\ndata: d\n\n", &["<a>", "<d>"]),
        // The missing bytes may have ended with a line; that this line was blank can't be known.
        ("data: a\n\n", "\ndata: c\n\ndata: d\n\n", &["<a>", "<d>"]),
        ("event: e\n", "\n\ndata: d\n\n", &["<d>"]),
        ("", "data: c\n\n", &[]),
    ] {
        for at in 0..=after.len() {
            let (mut decoder, mut said) = (Decoder::default(), Vec::new());
            decoder.push(before.as_bytes(), &mut |event| note(&mut said, event));
            decoder.elide();
            let (left, right) = after.as_bytes().split_at(at);
            decoder.push(left, &mut |event| note(&mut said, event));
            decoder.push(right, &mut |event| note(&mut said, event));
            assert_eq!(said, expected, "{before:?} {after:?}");
        }
    }
}

#[test]
fn an_event_has_a_bound() {
    let long = "x".repeat(MAX_EVENT);
    for text in [
        format!("data: {long}\n\ndata: b\n\n"),
        format!("data: {long}\ndata: c\n\ndata: b\n\n"),
        format!("data: {}\ndata: {}\nevent: c\n\ndata: b\n\n", &long[..150_000], &long[..150_000]),
        format!(": {long}\n\ndata: b\n\n"),
    ] {
        for size in [text.len(), 65_536, 4_032, 1_000] {
            let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            assert_eq!(events(&parts), ["!sse_line_too_long", "<b>"], "{size} bytes at a time");
        }
    }
    let (mut decoder, endless) = (Decoder::default(), [b'x'; 4_096]);
    for _ in 0..500 {
        decoder.push(&endless, &mut |_| {});
        assert!(decoder.line.capacity() <= 2 * MAX_EVENT);
    }
}

proptest! {
    #[test]
    fn splits_change_nothing(
        lines in proptest::collection::vec("(data: ?[a-z]{0,9}|event: [a-z]{0,4}|:[a-z]{0,4}||)(\r|\n|\r\n)", 0..40),
        cuts in proptest::collection::vec(any::<u16>(), 0..20),
    ) {
        let bytes = lines.concat().into_bytes();
        let (mut rest, mut parts) = (&bytes[..], Vec::new());
        for at in cuts {
            let (part, behind) = rest.split_at(usize::from(at) % (rest.len() + 1));
            parts.push(part);
            rest = behind;
        }
        parts.push(rest);
        prop_assert_eq!(events(&parts), events(&[&bytes]));
    }

    #[test]
    fn nothing_panics(parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20)) {
        let mut decoder = Decoder::default();
        for (part, elide) in parts {
            decoder.push(&part, &mut |_| {});
            if elide {
                decoder.elide();
            }
        }
    }
}
