#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

/// An item, its bytes owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Frame(Vec<u8>, u64, bool),
    Cut,
    Issue(Issue),
}

fn push(decoder: &mut Decoder, stretch: Stretch<'_>, said: &mut Vec<Said>) {
    decoder.push(stretch, &mut |item| {
        said.push(match item {
            Item::Frame { bytes, total, more } => Said::Frame(bytes.to_vec(), total, more),
            Item::Cut => Said::Cut,
            Item::Issue(issue) => Said::Issue(issue),
        });
    });
}

fn items(mut decoder: Decoder, stretches: &[Stretch<'_>]) -> Vec<Said> {
    let mut said = Vec::new();
    for stretch in stretches {
        push(&mut decoder, *stretch, &mut said);
    }
    said
}

/// In the words of the tables below.
fn words(said: &[Said]) -> String {
    let words: Vec<_> = said
        .iter()
        .map(|said| match said {
            Said::Frame(bytes, total, more) => {
                let short = if bytes.len() as u64 == *total { String::new() } else { format!(" of {total}") };
                format!("<{}>{short}{}", bytes.escape_ascii(), if *more { "+" } else { "" })
            }
            Said::Cut => "cut".to_owned(),
            Said::Issue(issue) => format!("!{}", issue.name()),
        })
        .collect();
    words.join(" ")
}

/// As libzmq sends it.
fn greeting() -> Vec<u8> {
    let mut greeting = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL".to_vec();
    greeting.resize(64, 0);
    greeting
}

/// The greeting and `frames`.
fn stream(frames: &[u8]) -> Vec<u8> {
    [&greeting(), frames].concat()
}

/// A frame in the encoding that ZeroMQ chooses.
fn encoded(body: &[u8], more: bool) -> Vec<u8> {
    let mut frame = match u8::try_from(body.len()) {
        Ok(len) => vec![u8::from(more), len],
        Err(_) => [&[2 | u8::from(more)][..], &(body.len() as u64).to_be_bytes()].concat(),
    };
    frame.extend(body);
    frame
}

const READY: &[u8] = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH";
const LONG_BODY: [u8; 300] = [b'x'; 300];

fn exchange() -> Vec<u8> {
    let long = encoded(&LONG_BODY, false);
    stream(
        &[READY, b"\x01\x02\0\0", b"\x01\x01\0", &long, b"\x01\0\0\0", b"\x06\0\0\0\0\0\0\0\x02hi", b"\0\x03end"]
            .concat(),
    )
}

#[test]
fn frames_of_a_stream() {
    let x = "x".repeat(300);
    let expected = format!("<\\x00\\x00>+ <\\x00>+ <{x}> <>+ <> <end>");
    assert_eq!(words(&items(Decoder::new(), &[Stretch::Bytes(&exchange())])), expected);
}

#[test]
fn splitting_at_every_byte_changes_nothing() {
    let bytes = exchange();
    let whole = items(Decoder::new(), &[Stretch::Bytes(&bytes)]);
    for at in 0..=bytes.len() {
        let (one, other) = bytes.split_at(at);
        assert_eq!(items(Decoder::new(), &[Stretch::Bytes(one), Stretch::Bytes(other)]), whole, "at {at}");
    }
    let each: Vec<_> = bytes.chunks(1).map(Stretch::Bytes).collect();
    assert_eq!(items(Decoder::new(), &each), whole);
}

#[test]
fn of_a_long_frame_the_beginning_is_kept() {
    let body = vec![7; MAX_KEPT + 9];
    let bytes = stream(&[encoded(&body, true), encoded(b"next", false)].concat());
    let expected =
        vec![Said::Frame(body[..MAX_KEPT].to_vec(), body.len() as u64, true), Said::Frame(b"next".to_vec(), 4, false)];
    assert_eq!(items(Decoder::new(), &[Stretch::Bytes(&bytes)]), expected);
    let reads: Vec<_> = bytes.chunks(8192).map(Stretch::Bytes).collect();
    assert_eq!(items(Decoder::new(), &reads), expected);
}

#[test]
fn holes_and_gaps() {
    use Stretch::{Bytes, Elided, Gap};
    let greeting = greeting();
    let start = Bytes(&greeting);
    for (stretches, expected) in [
        // A hole within a frame, at its beginning, at its end, over it all, twice; behind it the thread is kept.
        (&[start, Bytes(b"\0\x06ab"), Elided(2), Bytes(b"ef\0\x01x")][..], "<ab> of 6 <x>"),
        (&[start, Bytes(b"\0\x04"), Elided(2), Bytes(b"cd\0\x01x")], "<> of 4 <x>"),
        (&[start, Bytes(b"\0\x04ab"), Elided(2), Bytes(b"\0\x01x")], "<ab> of 4 <x>"),
        (&[start, Bytes(b"\x01\x04"), Elided(4), Bytes(b"\0\x01x")], "<> of 4+ <x>"),
        (&[start, Bytes(b"\0\x06a"), Elided(1), Bytes(b"c"), Elided(1), Bytes(b"ef\0\x01x")], "<a> of 6 <x>"),
        (&[start, Bytes(b"\x04\x04"), Elided(4), Bytes(b"\0\x01x")], "<x>"),
        // A hole that reaches into the next header.
        (&[start, Bytes(b"\0\x04ab"), Elided(3), Bytes(b"\0\x01x")], "<ab> of 4 cut <x>"),
        (&[start, Elided(2), Bytes(b"\0\x01x")], "cut <x>"),
        (&[Elided(64), Bytes(b"\0\x01x")], "cut <x>"),
        // A gap, wherever it is.
        (&[start, Bytes(b"\0\x04ab"), Gap(2), Bytes(b"\0\x01x")], "cut <x>"),
        (&[start, Bytes(b"\0\x01a"), Gap(9), Gap(9), Bytes(b"\0\x01x\0\x01y")], "<a> cut <x> <y>"),
        (&[start, Gap(1), Bytes(b"\xffnot a frame"), Bytes(b"\0\x05"), Bytes(b"hello")], "cut <hello>"),
    ] {
        assert_eq!(words(&items(Decoder::new(), stretches)), expected, "{stretches:?}");
    }
}

#[test]
fn garbage_is_one_issue_and_a_wrong_guess_none() {
    let items = |decoder, pushes: &[&[u8]]| {
        let pushes: Vec<_> = pushes.iter().map(|bytes| Stretch::Bytes(bytes)).collect();
        words(&items(decoder, &pushes))
    };
    let greeting = &greeting()[..];
    assert_eq!(items(Decoder::new(), &[b"GET / HTTP/1.1", b"\0\x01x"]), "!zmtp_malformed cut <x>");
    assert_eq!(items(Decoder::new(), &[&[0xff; 64]]), "!zmtp_malformed cut");
    assert_eq!(items(Decoder::new(), &[greeting, b"\x08\x00"]), "!zmtp_malformed cut");
    assert_eq!(items(Decoder::new(), &[greeting, b"\x05\x00"]), "!zmtp_malformed cut", "a command has no more");
    assert_eq!(items(Decoder::new(), &[greeting, &[0x02, 0xff, 0, 0, 0, 0, 0, 0, 0]]), "!zmtp_malformed cut");
    // A guess: nothing but its loss is said. What does not look like frames to its end is no guess at all.
    assert_eq!(items(Decoder::midway(), &[b"\0\x02hi", b"what"]), "<hi> cut");
    assert_eq!(items(Decoder::midway(), &[b"\0\x02hiwhat", b"\0", b"\x02\0\0\0\0\0\0\0\x01x"]), "");
    assert_eq!(
        items(Decoder::midway(), &[b"\0\x02hi\x02", &[0, 0, 0, 0, 0, 0, 1], b"\x2c", &LONG_BODY]).len(),
        305 + 2
    );
}

#[test]
fn every_prefix_of_a_greeting_is_undecided_until_it_is_right() {
    let greeting = greeting();
    for len in 0..=greeting.len() {
        let expected = (len > 10).then_some(Opening::Greeting);
        assert_eq!(sniff(&greeting[..len]), expected, "{len}");
    }
    assert_eq!(sniff(b"P"), Some(Opening::Other));
    assert_eq!(sniff(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01"), Some(Opening::Other), "ZMTP 2");
    assert_eq!(sniff(&[0xff; 10]), Some(Opening::Other));
}

proptest! {
    #[test]
    fn whatever_is_sent_comes_out_however_it_is_cut(
        frames in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..600), any::<bool>()), 0..12),
        cuts in proptest::collection::vec(1usize..700, 1..9),
    ) {
        let encoded: Vec<u8> = frames.iter().flat_map(|(body, more)| encoded(body, *more)).collect();
        let bytes = stream(&encoded);
        let (mut decoder, mut said, mut rest) = (Decoder::new(), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            let (read, behind) = rest.split_at(rest.len().min(*cut));
            push(&mut decoder, Stretch::Bytes(read), &mut said);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        let expected: Vec<_> =
            frames.into_iter().map(|(body, more)| Said::Frame(body.clone(), body.len() as u64, more)).collect();
        prop_assert_eq!(said, expected);
    }

    #[test]
    fn whatever_comes_frames_fit_their_bounds(
        pushes in proptest::collection::vec((0u8..4, proptest::collection::vec(prop_oneof![0u8..8, any::<u8>()], 0..80)), 0..30),
        midway in any::<bool>(),
    ) {
        let mut decoder = if midway { Decoder::midway() } else { Decoder::new() };
        for (kind, bytes) in pushes {
            let stretch = match kind {
                0 => Stretch::Elided(bytes.len() as u64),
                1 => Stretch::Gap(bytes.len() as u64),
                _ => Stretch::Bytes(&bytes),
            };
            decoder.push(stretch, &mut |item| {
                if let Item::Frame { bytes, total, .. } = item {
                    assert!(bytes.len() <= MAX_KEPT && bytes.len() as u64 <= total);
                }
            });
        }
    }
}
