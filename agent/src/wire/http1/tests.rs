#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use crate::wire::{RequestHead, ResponseHead};
use proptest::prelude::*;

/// An item, its body bytes owned, so that adjacent ones can be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Request(RequestHead),
    Response(ResponseHead),
    Body(Vec<u8>),
    Elided(u64),
    End,
    Cut,
    Upgraded,
    Issue(Issue),
}

fn note(said: &mut Vec<Said>, item: Item<'_>) {
    let item = match item {
        Item::Request(head) => Said::Request(head),
        Item::Response(head) => Said::Response(head),
        Item::Body(bytes) => Said::Body(bytes.to_vec()),
        Item::Elided(bytes) => Said::Elided(bytes),
        Item::End => Said::End,
        Item::Cut => Said::Cut,
        Item::Upgraded(_) => Said::Upgraded,
        Item::Issue(issue) => Said::Issue(issue),
    };
    match (said.last_mut(), item) {
        (Some(Said::Body(last)), Said::Body(more)) => last.extend(more),
        (Some(Said::Elided(last)), Said::Elided(more)) => *last += more,
        (_, item) => said.push(item),
    }
}

/// What `decoder` says of `stretches`, and then of the end of the stream.
fn items(mut decoder: Decoder, stretches: &[Stretch<'_>]) -> Vec<Said> {
    let mut said = Vec::new();
    for stretch in stretches {
        decoder.push(*stretch, &mut |item| note(&mut said, item));
    }
    decoder.finish(&mut |item| note(&mut said, item));
    said
}

/// `text` in bytes, where `[[n]]` is an elision and `[[gap n]]` a gap.
fn stretches(text: &str) -> Vec<Stretch<'_>> {
    let mut all = Vec::new();
    for (nth, part) in text.split("[[").enumerate() {
        let bytes = match part.split_once("]]").filter(|_| nth > 0) {
            Some((hole, bytes)) => {
                all.push(match hole.strip_prefix("gap ") {
                    Some(lost) => Stretch::Gap(lost.parse().unwrap()),
                    None => Stretch::Elided(hole.parse().unwrap()),
                });
                bytes
            }
            None => part,
        };
        all.push(Stretch::Bytes(bytes.as_bytes()));
    }
    all
}

/// In the words of the tables below.
fn words(said: &[Said]) -> String {
    let words: Vec<String> = said
        .iter()
        .map(|said| match said {
            Said::Request(head) => format!("{} {}", head.method, head.path),
            Said::Response(head) => head.status.to_string(),
            Said::Body(bytes) => format!("<{}>", bytes.escape_ascii()),
            Said::Elided(bytes) => format!("elided {bytes}"),
            Said::End => "end".to_owned(),
            Said::Cut => "cut".to_owned(),
            Said::Upgraded => "upgraded".to_owned(),
            Said::Issue(issue) => format!("!{}", issue.name()),
        })
        .collect();
    words.join(" ")
}

fn responses(asked: &[&str]) -> Decoder {
    let mut decoder = Decoder::responses();
    for method in asked {
        decoder.expect(method);
    }
    decoder
}

/// Compares, whole, split in two at every byte, and one byte at a time. Pairs of splits where the input is small.
fn check(decoder: &Decoder, text: &str, expected: &str) {
    assert_eq!(words(&items(decoder.clone(), &stretches(text))), expected, "whole: {text:?}");
    if text.contains("[[") {
        return;
    }
    let bytes = text.as_bytes();
    let all = items(decoder.clone(), &[Stretch::Bytes(bytes)]);
    for at in 0..bytes.len() {
        let (left, right) = bytes.split_at(at);
        let said = items(decoder.clone(), &[Stretch::Bytes(left), Stretch::Bytes(right)]);
        assert_eq!(said, all, "split at {at}: {text:?}");
        let pairs = if bytes.len() <= 160 { 0..right.len() } else { 0..0 };
        for second in pairs {
            let (middle, right) = right.split_at(second);
            let three = [left, middle, right].map(Stretch::Bytes);
            assert_eq!(items(decoder.clone(), &three), all, "split at {at} and {}: {text:?}", at + second);
        }
    }
    let single: Vec<Stretch<'_>> = bytes.chunks(1).map(Stretch::Bytes).collect();
    assert_eq!(items(decoder.clone(), &single), all, "byte by byte: {text:?}");
}

#[test]
fn requests() {
    let decoder = Decoder::requests();
    for (text, expected) in [
        ("", ""),
        ("GET /health HTTP/1.1\r\nhost: a\r\n\r\n", "GET /health end"),
        ("GET /v1/models?key=s HTTP/1.1\r\n\r\n", "GET /v1/models end"),
        ("GET http://h:8000/a HTTP/1.1\r\n\r\n", "GET /a end"),
        ("POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", "POST /a <hello> end"),
        ("POST /a HTTP/1.1\ncontent-length: 5\n\nhello", "POST /a <hello> end"),
        ("POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST /a end"),
        ("POST /a HTTP/1.1\r\ncontent-length: 2, 2\r\n\r\nhi", "POST /a <hi> end"),
        // Keep-alive and pipelining are the same bytes. Blank lines between requests are skipped.
        ("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", "GET /a end GET /b end"),
        ("POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi\r\nGET /b HTTP/1.1\r\n\r\n", "POST /a <hi> end GET /b end"),
        (
            "POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
            "POST /a <hi> end GET /b end",
        ),
        // Half-read at the end.
        ("GET /a HT", "cut"),
        ("POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nhel", "POST /a <hel> cut"),
    ] {
        check(&decoder, text, expected);
    }
}

#[test]
fn responses_and_their_ends() {
    for (asked, text, expected) in [
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "200 <hi> end"),
        ("GET", "HTTP/1.0 200 OK\r\n\r\nuntil the end", "200 <until the end> end"),
        ("GET", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", "200 end"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 \r\ncontent-length: 9\r\n\r\n", "204 end 304 end"),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nHTTP/1.1 404 N\r\ncontent-length: 1\r\n\r\nx",
            "200 end 404 <x> end",
        ),
        ("POST", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", "200 <x> end"),
        ("HEAD", "HTTP/1.1 103 Early\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", "200 end"),
        (
            "GET",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n\x01\x02HTTP/1.1",
            r"upgraded <\x01\x02HTTP/1.1>",
        ),
        ("CONNECT", "HTTP/1.1 200 OK\r\n\r\n\x16\x03", r"200 upgraded <\x16\x03>"),
        ("CONNECT", "HTTP/1.1 405 No\r\ncontent-length: 1\r\n\r\nx", "405 <x> end"),
        ("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc", "200 <abc> end"),
    ] {
        check(&responses(&[asked]), text, expected);
    }
}

#[test]
fn chunks() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
    for (body, expected) in [
        ("2\r\nhi\r\n0\r\n\r\n", "200 <hi> end"),
        ("2\r\nhi\r\n3\r\n yo\r\n0\r\n\r\nHTTP/1.1 204 \r\n\r\n", "200 <hi yo> end 204 end"),
        ("0a;name=\"value\"\r\n0123456789\r\n0;x\r\n\r\n", "200 <0123456789> end"),
        ("2 \r\nhi\r\n000\r\nexpires: now\r\nx: y\r\n\r\n", "200 <hi> end"),
        ("2\nhi\n0\n\n", "200 <hi> end"),
        ("2\r\nhi\r\n", "200 <hi> cut"),
        ("2\r\nhi\r\n0\r\n", "200 <hi> cut"),
        ("2\r\nhi\r\n0\r\nx: y\r\n", "200 <hi> cut"),
    ] {
        check(&Decoder::responses(), &format!("{head}{body}"), expected);
    }
}

#[test]
fn as_vllm_answers() {
    // The head alone, then one write for each event, its chunk framing in the same write.
    let head = "HTTP/1.1 200 OK\r\ndate: x\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    let event = format!("data: {}\n\n", "x".repeat(0xee - 8));
    let writes =
        [head.to_owned(), format!("ee\r\n{event}\r\n"), "e\r\ndata: [DONE]\n\n\r\n".to_owned(), "0\r\n\r\n".to_owned()];
    let pushed: Vec<Stretch<'_>> = writes.iter().map(|write| Stretch::Bytes(write.as_bytes())).collect();
    let said = items(responses(&["POST"]), &pushed);
    let body = format!("{event}data: [DONE]\n\n").into_bytes();
    assert_eq!(said[1..], [Said::Body(body), Said::End]);
    let Said::Response(head) = &said[0] else { panic!("{said:?}") };
    assert_eq!(crate::wire::header(&head.headers, "content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(crate::wire::header(&head.headers, "server"), None);
    check(&responses(&["POST"]), &writes.concat(), &words(&said));

    // The Rust front end: several events in one writev, upper-case sizes.
    let writev = format!("{}A\r\ndata: {{1}}\n\r\nC\r\ndata: [xyz]\n\r\n0\r\n\r\n", writes[0]);
    check(&responses(&["POST"]), &writev, "200 <data: {1}\\ndata: [xyz]\\n> end");
}

#[test]
fn garbage_is_said_once_and_left_behind() {
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "!http_malformed cut"),
        ("\x00\x01\x02\x03", "!http_malformed cut"),
        ("GET /a HTTP/1.1\r\nno colon\r\n\r\n", "!http_malformed cut"),
        ("GET /a HTTP/1.1\r\na: b\r\n folded\r\n\r\n", "!http_malformed cut"),
        ("GET /a HTTP/2.7\r\n\r\n", "!http_malformed cut"),
        ("POST /a HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "!http_malformed cut"),
        ("POST /a HTTP/1.1\r\ncontent-length: +1\r\n\r\n", "!http_malformed cut"),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "!http_malformed cut"),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz", "POST /a !http_malformed cut"),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\r\n", "POST /a !http_malformed cut"),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n12345678901234567\r\n", "POST /a !http_malformed cut"),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n", "POST /a <a> !http_malformed cut"),
    ] {
        assert_eq!(words(&items(Decoder::requests(), &stretches(text))), expected, "{text:?}");
        let then = [text.as_bytes(), b"GET /b HTTP/1.1\r\n\r\n"].map(Stretch::Bytes);
        assert_eq!(words(&items(Decoder::requests(), &then)), format!("{expected} GET /b end"), "{text:?}");
    }
}

/// A method is known by its beginning, or not at all: not because the rest of its head came at once.
#[test]
fn an_unknown_method_is_garbage_wherever_it_is_split() {
    for at in 0..10 {
        let (first, rest) = "T /v1/models HTTP/1.1\r\n\r\n".split_at(at);
        let parts = [first, rest].map(|part| Stretch::Bytes(part.as_bytes()));
        assert_eq!(words(&items(Decoder::requests(), &parts)), "!http_malformed cut", "{at}");
    }
}

#[test]
fn a_head_has_a_bound() {
    let long = format!("GET /a HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(64 * 1024));
    assert_eq!(words(&items(Decoder::requests(), &stretches(&long))), "!http_head_too_long cut");
    let (left, right) = long.as_bytes().split_at(40_000);
    let said = items(Decoder::requests(), &[Stretch::Bytes(left), Stretch::Bytes(right)]);
    assert_eq!(words(&said), "!http_head_too_long cut");
    let many = format!("GET /a HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    assert_eq!(words(&items(Decoder::requests(), &stretches(&many))), "!http_head_too_long cut");
}

#[test]
fn elisions_are_counted_where_the_length_is_known() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (text, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab[[5]]cdHTTP/1.1 204 \r\n\r\n",
            "200 <ab> elided 5 <cd> end 204 end",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[[4]][[5]]HTTP/1.1 204 \r\n\r\n", "200 elided 9 end 204 end"),
        // Beyond the end: a message began where nobody looked.
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[[12]]HTTP/1.1 204 \r\n\r\n", "200 elided 9 end 204 end"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[[12]]ab", "200 elided 9 end"),
        ("HTTP/1.0 200 OK\r\n\r\nab[[12]]cd", "200 <ab> elided 12 <cd> end"),
        ("[[7]]HTTP/1.1 204 \r\n\r\n", "204 end"),
        ("HTTP/1.1 20[[7]]HTTP/1.1 204 \r\n\r\n", "cut 204 end"),
        (&format!("{chunked}a\r\n01[[6]]89\r\n0\r\n\r\nHTTP/1.1 204 \r\n\r\n"), "200 <01> elided 6 <89> end 204 end"),
        (&format!("{chunked}a\r\n01[[8]]\r\n0\r\n\r\n"), "200 <01> elided 8 end"),
        (&format!("{chunked}a\r\n01[[9]]\n0\r\n\r\n"), "200 <01> cut"),
        (&format!("{chunked}a[[20]]\r\n0\r\n\r\n"), "200 cut"),
        ("HTTP/1.1 101 \r\n\r\n[[7]]ab", "upgraded elided 7 <ab>"),
    ] {
        assert_eq!(words(&items(Decoder::responses(), &stretches(text))), expected, "{text:?}");
    }
}

#[test]
fn a_gap_cuts_the_message() {
    for (text, expected) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab[[gap 5]]cd[[gap 1]]HTTP/1.1 204 \r\n\r\n",
            "200 <ab> cut 204 end",
        ),
        ("HTTP/1.1 200 OK\r\n\r\nab[[gap 5]]cd", "200 <ab> cut"),
        ("HTTP/1.1 204 \r\n\r\n[[gap 5]]HTTP/1.1 204 \r\n\r\n", "204 end 204 end"),
        ("HTTP/1.1 2[[gap 5]] OK\r\n\r\n", "cut"),
        ("HTTP/1.1 101 \r\n\r\n[[gap 5]]HTTP/1.1 204 \r\n\r\n", r"upgraded <HTTP/1.1 204 \r\n\r\n>"),
    ] {
        assert_eq!(words(&items(Decoder::responses(), &stretches(text))), expected, "{text:?}");
    }
    // What the lost answers answered is unknown.
    assert_eq!(
        words(&items(responses(&["HEAD"]), &stretches("[[gap 5]]HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\nx"))),
        "200 <x> end"
    );
}

#[test]
fn joined_midway() {
    for (pushes, expected) in [
        (&["ee\r\ndata: x\r\n", "0\r\n\r\n", "HTTP/1.1 204 \r\n\r\n"][..], "204 end"),
        (&["ee HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 204 \r\n\r\nHTTP/1.1 304 \r\n\r\n"], "204 end 304 end"),
        (&["HTTP/1.1 2", "04 \r\n\r\n"], "204 end"),
        (&["H", "TTP/1.1 204 \r\n\r\n"], "204 end"),
        // A wrong guess is dropped in silence.
        (&["H", "ello", "HTTP/1.1 204 \r\n\r\n"], "204 end"),
        (&["HTTP/1.1 is a protocol\r\n\r\n", "HTTP/1.1 204 \r\n\r\n"], "204 end"),
        (&["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204 \r\n\r\n"], "204 end"),
        (&["HTTP/1.1 20"], ""),
    ] {
        let pushed: Vec<Stretch<'_>> = pushes.iter().map(|push| Stretch::Bytes(push.as_bytes())).collect();
        assert_eq!(words(&items(Decoder::responses().midway(), &pushed)), expected, "{pushes:?}");
    }
}

#[test]
fn half_read_or_not() {
    let mut decoder = Decoder::requests();
    for (push, half_read) in [
        ("\r\n", false),
        ("P", true),
        ("OST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n", true),
        ("h", true),
        ("i", false),
        ("GET / HTTP/1.1\r\n\r\n", false),
        ("garbage", false),
    ] {
        decoder.push(Stretch::Bytes(push.as_bytes()), &mut |_| {});
        assert_eq!(decoder.in_message(), half_read, "{push:?}");
    }
}

/// Cuts `bytes` at places drawn at random; `cuts` may leave out what it names.
fn split<'b>(bytes: &'b [u8], cuts: &[(u16, bool)]) -> Vec<Stretch<'b>> {
    let (mut rest, mut all) = (bytes, Vec::new());
    for (at, elide) in cuts {
        let (part, behind) = rest.split_at(usize::from(*at) % (rest.len() + 1));
        all.push(if *elide { Stretch::Elided(part.len() as u64) } else { Stretch::Bytes(part) });
        rest = behind;
    }
    all.push(Stretch::Bytes(rest));
    all
}

/// Messages as servers send them.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        body.clone().prop_map(|body| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            [head.into_bytes(), body].concat()
        }),
        proptest::collection::vec(body, 0..5).prop_map(|chunks| {
            let mut all = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                all.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                all.extend(chunk);
                all.extend(b"\r\n");
            }
            all.extend(b"0\r\n\r\n");
            all
        }),
        Just(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 \r\n\r\n".to_vec()),
    ]
}

proptest! {
    #[test]
    fn splits_change_nothing(messages in proptest::collection::vec(message(), 0..5), cuts in proptest::collection::vec((any::<u16>(), Just(false)), 0..20)) {
        let bytes = messages.concat();
        let whole = items(Decoder::responses(), &[Stretch::Bytes(&bytes)]);
        prop_assert_eq!(whole.iter().filter(|said| **said == Said::End).count(), messages.len());
        prop_assert_eq!(items(Decoder::responses(), &split(&bytes, &cuts)), whole);
    }

    #[test]
    fn elisions_never_invent(messages in proptest::collection::vec(message(), 0..5), cuts in proptest::collection::vec(any::<(u16, bool)>(), 0..20)) {
        let bytes = messages.concat();
        let said = items(Decoder::responses(), &split(&bytes, &cuts));
        prop_assert!(said.iter().filter(|said| **said == Said::End).count() <= messages.len());
        let heads = said.iter().filter(|said| matches!(said, Said::Response(_))).count();
        let ends = said.iter().filter(|said| matches!(said, Said::End)).count();
        prop_assert!(ends <= heads);
    }

    #[test]
    fn nothing_panics(
        prefix in prop_oneof![Just(""), Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")],
        noise in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"0af;\r\n\r\n: HT".to_vec())], 0..300),
        cuts in proptest::collection::vec(any::<(u16, bool)>(), 0..20),
        gap in any::<u64>(),
    ) {
        let bytes = [prefix.as_bytes(), &noise].concat();
        for decoder in [Decoder::requests(), Decoder::responses(), Decoder::responses().midway()] {
            let mut all = split(&bytes, &cuts);
            all.push(Stretch::Elided(gap));
            all.push(Stretch::Gap(gap));
            items(decoder, &all);
        }
    }
}
