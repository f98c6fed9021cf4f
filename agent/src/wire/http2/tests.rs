#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

const NOW: Nanos = Nanos(5);

/// Puts pieces of bodies together again, and writes every item in a word.
#[derive(Default)]
struct Said(Vec<String>);

impl Said {
    fn item(&mut self, item: &Item<'_>) {
        let word = match item {
            Item::Preface => "preface".to_owned(),
            Item::Head { stream, head, .. } => {
                let fields: Vec<_> = head.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let unseen = "?".repeat(head.unseen as usize);
                format!("{stream}[{}{unseen}]", fields.join(" "))
            }
            Item::Unreadable { stream, .. } => format!("{stream}[!]"),
            Item::Data { stream, bytes } => {
                let text = bytes.escape_ascii().to_string();
                let before = format!("{stream}<");
                match self.0.last_mut().filter(|last| last.starts_with(&before)) {
                    Some(last) => {
                        last.pop();
                        last.push_str(&format!("{text}>"));
                        return;
                    }
                    None => format!("{before}{text}>"),
                }
            }
            Item::Elided { stream, bytes } => format!("{stream}~{bytes}"),
            Item::End { stream } => format!("{stream}."),
            Item::Reset { stream, code } => format!("{stream}x{code}"),
            Item::Cut => "cut".to_owned(),
            Item::Issue(issue) => format!("!{}", issue.name()),
        };
        self.0.push(word);
    }
}

fn said<'a>(mut decoder: Decoder, stretches: impl IntoIterator<Item = Stretch<'a>>) -> String {
    let mut said = Said::default();
    for stretch in stretches {
        decoder.push(NOW, stretch, &mut |item| said.item(&item));
    }
    said.0.join(" ")
}

fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<Stretch<'a>> {
    let mut from = 0;
    let mut pieces = Vec::new();
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let to = cut.clamp(from, bytes.len());
        if to > from {
            pieces.push(Stretch::Bytes(&bytes[from..to]));
        }
        from = to;
    }
    pieces
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method: POST`, `:path: /x` as a new entry, a field that is not listed.
const ASK: &[u8] = b"\x83\x44\x02/x\x10\x05other\x03abc";
/// The same head by the entry that was made of it.
const AGAIN: &[u8] = b"\x83\xbe";
/// `:status: 200`, then trailers.
const OK: &[u8] = b"\x88";
const TRAILERS: &[u8] = b"\x40\x0bgrpc-status\x010";

fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])
}

/// What a client says: two requests of bodies in several frames, and what stands between them.
fn asked() -> Vec<u8> {
    [
        PREFACE.to_vec(),
        settings(),
        frame(8, 0, 0, &[0, 1, 0, 0]),
        frame(1, 4, 1, ASK),
        frame(0, 0, 1, b"hello"),
        frame(6, 1, 0, b"12345678"),
        frame(1, 0x2c, 3, &[&[3, 0, 0, 0, 0, 9][..], &AGAIN[..1], &[0, 0, 0]].concat()),
        frame(0, 8, 1, b"\x02 world\0\0"),
        frame(0, 1, 3, b""),
        frame(3, 0, 3, &[0, 0, 0, 8]),
        frame(250, 9, 77, b"whatever"),
        frame(1, 0, 5, &AGAIN[..1]),
        frame(9, 4, 5, &AGAIN[1..]),
        frame(0, 1, 1, b"!"),
        frame(7, 0, 0, &[0; 8]),
    ]
    .concat()
}

const ASKED: &str = "preface 1[:method=POST :path=/x] 1<hello> 3[:method=POST] 1< world> 3. 3x8 \
                     5[:method=POST :path=/x] 1<!> 1.";

fn answered() -> Vec<u8> {
    [
        settings(),
        frame(4, 1, 0, b""),
        frame(1, 4, 1, OK),
        frame(0, 0, 1, b"answer"),
        frame(5, 4, 1, &[&[0, 0, 0, 2][..], ASK].concat()),
        frame(1, 5, 1, TRAILERS),
        frame(1, 4, 3, OK),
        frame(1, 5, 3, b"\xbe"),
    ]
    .concat()
}

const ANSWERED: &str = "1[:status=200] 1<answer> 1[grpc-status=0] 1. 3[:status=200] 3[grpc-status=0] 3.";

#[test]
fn both_directions_cut_anywhere() {
    for (decoder, bytes, expected) in
        [(Decoder::requests(), asked(), ASKED), (Decoder::responses(), answered(), ANSWERED)]
    {
        assert_eq!(said(decoder.clone(), [Stretch::Bytes(&bytes)]), expected);
        for at in 0..=bytes.len() {
            assert_eq!(said(decoder.clone(), pieces(&bytes, &[at])), expected, "cut at {at}");
        }
        let every: Vec<_> = (0..bytes.len()).collect();
        assert_eq!(said(decoder, pieces(&bytes, &every)), expected);
    }
}

#[test]
fn a_head_began_when_its_first_byte_passed() {
    let bytes = frame(1, 4, 1, OK);
    let mut decoder = Decoder::responses();
    let mut times = Vec::new();
    for (at, piece) in [&settings()[..], &bytes[..3], &bytes[3..9], &bytes[9..]].into_iter().enumerate() {
        decoder.push(Nanos(at as u64), Stretch::Bytes(piece), &mut |item| {
            if let Item::Head { began, .. } = item {
                times.push(began);
            }
        });
    }
    assert_eq!(times, [Nanos(1)]);
}

/// Says what comes of `before`, a hole, and `after`.
#[track_caller]
fn check_hole(before: &[u8], hole: u64, after: &[u8], expected: &str) {
    let stretches = [Stretch::Bytes(before), Stretch::Elided(hole), Stretch::Bytes(after)];
    assert_eq!(said(Decoder::responses(), stretches), expected);
}

#[test]
fn a_hole_within_a_frame_keeps_the_place() {
    let data = frame(0, 1, 1, &[b'd'; 100]);
    let next = frame(1, 4, 3, OK);
    check_hole(&data[..12], 97, &next, "1<ddd> 1~97 1. 3[:status=200]");
    check_hole(&data[..12], 90, &[&data[102..], &next].concat(), "1<ddd> 1~90 1<ddddddd> 1. 3[:status=200]");
    check_hole(&data[..12], 107, &next[10..], "1<ddd> 1~97 1. cut");
    check_hole(&data[..12], 107, &next, "1<ddd> 1~97 1. cut 3[:status=200]");
    check_hole(&settings()[..10], 5, &next, "3[:status=200]");
    check_hole(&settings()[..8], 7, &next, "cut 3[:status=200]");
    let padded = frame(0, 8, 1, b"\x02abc\0\0");
    check_hole(&padded[..11], 4, &next, "1<a> 1~2 3[:status=200]");
    check_hole(&padded[..9], 6, &next, "1~5 3[:status=200]");
}

#[test]
fn a_hole_in_a_header_block_makes_the_table_unseen() {
    let head = frame(1, 5, 1, TRAILERS);
    let next = frame(1, 4, 3, b"\x88\xbe");
    check_hole(&head[..12], head.len() as u64 - 12, &next, "!hpack_malformed 1[!] 1. 3[:status=200?]");
    let begun = frame(1, 1, 1, &TRAILERS[..4]);
    let rest = frame(9, 4, 1, &TRAILERS[4..]);
    let after = [&rest[..], &next].concat();
    check_hole(&begun[..10], 3, &after, "!hpack_malformed 1[!] 1. 3[:status=200?]");
}

#[test]
fn behind_a_gap_the_next_push_that_looks_like_frames_is_read() {
    let bytes = answered();
    let gap =
        [Stretch::Bytes(&bytes[..30]), Stretch::Gap(7), Stretch::Bytes(b"rest of a frame"), Stretch::Bytes(&bytes)];
    assert_eq!(said(Decoder::responses(), gap), format!("cut {ANSWERED}"));
}

#[test]
fn joined_midway_unseen_fields_are_marked() {
    let bytes = [frame(1, 4, 7, b"\x83\xbf"), frame(1, 4, 9, ASK), frame(1, 4, 11, b"\x83\xbe\xbf")].concat();
    let expected = "7[:method=POST?] 9[:method=POST :path=/x] 11[:method=POST :path=/x?]";
    assert_eq!(said(Decoder::midway(), [Stretch::Bytes(b"what was"), Stretch::Bytes(&bytes)]), expected);
    // The preface tells that nothing was missed.
    let bytes = [PREFACE, &settings(), &frame(1, 4, 1, ASK), &frame(1, 4, 3, AGAIN)].concat();
    assert_eq!(
        said(Decoder::midway(), pieces(&bytes, &[24])),
        "preface 1[:method=POST :path=/x] 3[:method=POST :path=/x]"
    );
}

#[test]
fn what_is_no_frame_is_said_once_and_what_follows_is_found() {
    let good = answered();
    for bad in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], &frame(0, 0, 0, b"abc"), &frame(9, 4, 1, b"\x88")] {
        let stretches = [Stretch::Bytes(bad), Stretch::Bytes(b"garbage in a call"), Stretch::Bytes(&good)];
        assert_eq!(said(Decoder::responses(), stretches), format!("!http2_malformed cut {ANSWERED}"));
        assert_eq!(said(Decoder::midway(), stretches).trim_start_matches("cut "), ANSWERED);
    }
    let interrupted = [frame(1, 0, 1, OK), frame(0, 0, 1, b"abc")].concat();
    assert_eq!(said(Decoder::responses(), [Stretch::Bytes(&interrupted)]), "!http2_malformed cut");
    let unreadable = frame(1, 4, 1, b"\xbe");
    assert_eq!(said(Decoder::responses(), [Stretch::Bytes(&unreadable)]), "!hpack_malformed 1[!]");
}

#[test]
fn heads_beyond_the_bound_are_passed_over() {
    let long = vec![0x88; 70_000];
    let one = [frame(1, 4, 1, &long), frame(1, 4, 3, OK)].concat();
    assert_eq!(said(Decoder::responses(), [Stretch::Bytes(&one)]), "!hpack_malformed 1[!] 3[:status=200]");
    let (first, rest) = long.split_at(35_000);
    let several = [frame(1, 0, 1, first), frame(9, 4, 1, rest), frame(1, 4, 3, OK)].concat();
    assert_eq!(said(Decoder::responses(), [Stretch::Bytes(&several)]), "!hpack_malformed 1[!] 3[:status=200]");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cuts_change_nothing(mut cuts in prop::collection::vec(0usize..400, 0..12)) {
        cuts.sort_unstable();
        prop_assert_eq!(said(Decoder::requests(), pieces(&asked(), &cuts)), ASKED);
        prop_assert_eq!(said(Decoder::responses(), pieces(&answered(), &cuts)), ANSWERED);
    }

    #[test]
    fn no_stretches_break_it(
        from in 0u8..3,
        pushes in prop::collection::vec((0u8..8, prop_oneof![
            prop::collection::vec(prop_oneof![0u8..10, any::<u8>()], 0..60),
            (0u8..11, 0u8..48, 0u32..4, prop::collection::vec(any::<u8>(), 0..30))
                .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)),
            Just(asked()),
            Just(answered()),
        ]), 0..24),
    ) {
        let decoder = match from { 0 => Decoder::requests(), 1 => Decoder::responses(), _ => Decoder::midway() };
        let stretches = pushes.iter().map(|(what, bytes)| match what {
            0 => Stretch::Elided(bytes.len() as u64),
            1 => Stretch::Gap(bytes.len() as u64),
            _ => Stretch::Bytes(bytes),
        });
        said(decoder, stretches);
    }
}
