#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

const DEFLATE: Extensions = Extensions::Deflate { server: Context::Connection, client: Context::Connection };
const EACH_ALONE: Extensions = Extensions::Deflate { server: Context::Message, client: Context::Message };

fn line(item: Item<'_>) -> String {
    match item {
        Item::Text { bytes, total } if bytes.len() as u64 == total => format!("text {}", bytes.escape_ascii()),
        Item::Text { bytes, total } => format!("text {}… of {total}", bytes.escape_ascii()),
        Item::Binary { total } => format!("binary {total}"),
        Item::Issue(issue) => format!("!{}", issue.name()),
        Item::Close => "close".to_owned(),
        Item::Cut => "cut".to_owned(),
        Item::Unreadable => "unreadable".to_owned(),
    }
}

/// What a decoder says of these stretches.
fn say(mut decoder: Decoder, stretches: &[Stretch<'_>]) -> Vec<String> {
    let mut said = Vec::new();
    for stretch in stretches {
        decoder.push(*stretch, &mut |item| said.push(line(item)));
    }
    said
}

fn from_server(extensions: Extensions) -> Decoder {
    Decoder::new(Sender::Server, extensions)
}

/// The same at whatever place the bytes are cut.
#[track_caller]
fn check(decoder: impl Fn() -> Decoder, bytes: &[u8], expected: &[&str]) {
    for cut in 0..=bytes.len() {
        let (one, other) = bytes.split_at(cut);
        let said = say(decoder(), &[Stretch::Bytes(one), Stretch::Bytes(other)]);
        assert_eq!(said, expected, "cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).map(Stretch::Bytes).collect();
    assert_eq!(say(decoder(), &single), expected, "byte by byte");
}

/// A frame of a server.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(u8::try_from(len).unwrap()),
        len @ ..0x1_0000 => {
            frame.push(126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

/// Deflates messages as aiohttp does.
struct Deflater(Compress);

impl Deflater {
    fn new() -> Deflater {
        Deflater(Compress::new(Compression::default(), false))
    }

    fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + 100_000);
        self.0.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
        assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
        out.truncate(out.len() - 4);
        out
    }

    fn frame(&mut self, first: u8, message: &[u8]) -> Vec<u8> {
        frame(first, &self.deflate(message))
    }
}

#[test]
fn the_rfcs_own_examples() {
    // RFC 6455, 5.7.
    let plain = || from_server(Extensions::None);
    check(plain, b"\x81\x05Hello", &["text Hello"]);
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    check(|| Decoder::new(Sender::Client, Extensions::None), masked, &["text Hello"]);
    check(plain, b"\x01\x03Hel\x80\x02lo", &["text Hello"]);
    check(plain, b"\x89\x05Hello\x81\x02hi", &["text hi"]);
    check(|| Decoder::new(Sender::Client, Extensions::None), b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", &[]);
    check(plain, &frame(0x82, &[0; 256]), &["binary 256"]);
    let long = [frame(0x82, &vec![0; 65536]), frame(0x81, b"x")].concat();
    assert_eq!(say(plain(), &[Stretch::Bytes(&long)]), ["binary 65536", "text x"]);

    // RFC 7692, 7.2.3: one block, in two fragments, shared window, no compression, a last block, two blocks.
    let deflate = || from_server(DEFLATE);
    check(deflate, b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", &["text Hello"]);
    check(deflate, b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", &["text Hello"]);
    let twice = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00";
    check(deflate, twice, &["text Hello", "text Hello"]);
    check(deflate, b"\xc1\x0b\x00\x05\x00\xfa\xffHello\x00", &["text Hello"]);
    check(deflate, b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", &["text Hello"; 2]);
    check(deflate, b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", &["text Hello"]);
}

#[test]
fn control_frames_stand_between_fragments() {
    let bytes = b"\x01\x03Hel\x89\x01p\x00\x00\x8a\x00\x80\x02lo\x82\x01b\x88\x02\x03\xe8";
    check(|| from_server(Extensions::None), bytes, &["text Hello", "binary 1", "close"]);
}

#[test]
fn deflated_messages_share_a_window_or_not() {
    for (extensions, fresh) in [(DEFLATE, false), (EACH_ALONE, true)] {
        let mut deflater = Deflater::new();
        let mut bytes = Vec::new();
        for step in 0..20 {
            if fresh {
                deflater = Deflater::new();
            }
            bytes.extend(deflater.frame(0xc1, format!("{{\"type\": \"progress\", \"value\": {step}}}").as_bytes()));
            bytes.extend(deflater.frame(0xc2, &[step; 999]));
            bytes.extend(frame(0x81, b"plain"));
        }
        let said = say(from_server(extensions), &[Stretch::Bytes(&bytes)]);
        let texts = said.iter().filter(|line| line.starts_with("text {")).count();
        assert_eq!((said.len(), texts), (60, 20), "{said:?}");
        let chunks: Vec<_> = bytes.chunks(7).map(Stretch::Bytes).collect();
        assert_eq!(say(from_server(extensions), &chunks), said);
    }
}

#[test]
fn a_hole_inside_a_frame_leaves_the_rest_readable() {
    let text = |from: &'static [u8]| Stretch::Bytes(from);
    for hole in [Stretch::Elided(90), Stretch::Gap(90)] {
        let stretches =
            [text(b"\x81\x64abcde"), hole, text(b"fghij\x81\x02hi\x82\x64"), hole, text(b"0123456789\x81\x02ho")];
        let expected = ["text abcde… of 100", "text hi", "binary 100", "text ho"];
        assert_eq!(say(from_server(Extensions::None), &stretches), expected);
    }
    // Into the next frame.
    let stretches =
        [text(b"\x81\x05ab"), Stretch::Gap(5), text(b"xyz"), text(b"\x81\x02hi\x82\x00"), text(b"\x81\x01o")];
    let expected = ["text ab… of 5", "cut", "text hi", "binary 0", "text o"];
    assert_eq!(say(from_server(Extensions::None), &stretches), expected);
    // Between frames.
    assert_eq!(say(from_server(Extensions::None), &[Stretch::Gap(5), text(b"\x81\x02hi")]), ["cut", "text hi"]);
}

#[test]
fn a_hole_among_deflated_messages() {
    let mut deflater = Deflater::new();
    let (one, two) = (deflater.frame(0xc1, b"Hello Hello Hello"), deflater.frame(0xc1, b"Hello Hello Hello"));
    let hole = |bytes: &[u8]| Stretch::Gap(bytes.len() as u64);
    let expected = ["text Hello Hello Hello", "unreadable"];
    assert_eq!(say(from_server(DEFLATE), &[Stretch::Bytes(&one), hole(&two), Stretch::Bytes(&two)]), expected);
    let (head, tail) = two.split_at(4);
    let pieces = [Stretch::Bytes(&one), Stretch::Bytes(head), hole(tail), Stretch::Bytes(&one)];
    assert_eq!(say(from_server(DEFLATE), &pieces), expected);

    let said = say(from_server(EACH_ALONE), &[Stretch::Bytes(&one[..5]), hole(&one[5..]), Stretch::Bytes(&one)]);
    assert_eq!(said, ["cut", "text Hello Hello Hello"]);
    let said = say(from_server(EACH_ALONE), &[hole(&one), Stretch::Bytes(&one)]);
    assert_eq!(said, ["cut", "text Hello Hello Hello"]);
}

#[test]
fn joined_midway() {
    let midway = || Decoder::midway(Sender::Server);
    let bytes = |bytes: &'static [u8]| Stretch::Bytes(bytes);
    let pieces = [
        bytes(b"lf a text"),
        bytes(b"\x80\x02no"),
        bytes(b"\x81\x02hi\x81\x01"),
        bytes(b"\x81\x02hi"),
        bytes(b"\x82\x01x"),
    ];
    assert_eq!(say(midway(), &pieces), ["text hi", "binary 1"]);
    assert_eq!(say(midway(), &[bytes(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), bytes(b"\x81\x01x")]), ["unreadable"]);
    assert!(!is_row_of_frames(b"", Sender::Server));
    assert!(!is_row_of_frames(b"\x81\x02hi", Sender::Client));
    assert!(is_row_of_frames(b"\x82\x01x\x81\x00", Sender::Server));
}

#[test]
fn what_is_no_frame() {
    for bytes in [
        &b"\xb1\x05Hello"[..],                           // a reserved bit
        b"\xc1\x05Hello",                                // deflated, not agreed on
        b"\x83\x05Hello",                                // an unknown kind
        b"\x80\x05Hello",                                // the rest of nothing
        b"\x01\x01a\x81\x01b",                           // a message in a message
        b"\x09\x00",                                     // a control frame in pieces
        b"\x89\x7e\x00\x7e",                             // a long one
        b"\x81\x7e\x00\x7d",                             // a length in two bytes that fits one
        b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff",     // or two
        b"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00",     // no length at all
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", // masked by a server
    ] {
        check(|| from_server(Extensions::None), bytes, &["!websocket_malformed", "cut"]);
    }
    check(|| from_server(DEFLATE), b"\xc1\x03\xff\xff\xff", &["!websocket_malformed", "unreadable"]);
    check(|| from_server(EACH_ALONE), b"\xc1\x03\xff\xff\xff\x81\x01x", &["!websocket_malformed", "cut", "text x"]);
}

#[test]
fn texts_and_bombs_have_bounds() {
    let long = vec![b'a'; MAX_KEPT + 5];
    let kept = |bytes: &[u8]| {
        let mut kept = Vec::new();
        from_server(DEFLATE).push(Stretch::Bytes(bytes), &mut |item| {
            let Item::Text { bytes, total } = item else { panic!("{item:?}") };
            kept.push((bytes.len(), total));
        });
        kept
    };
    assert_eq!(kept(&frame(0x81, &long)), [(MAX_KEPT, long.len() as u64)]);
    assert_eq!(kept(&Deflater::new().frame(0xc1, &long)), [(MAX_KEPT, long.len() as u64)]);

    let bomb = Deflater::new().frame(0xc1, &vec![0; 17 << 20]);
    assert!(bomb.len() < 100_000);
    assert_eq!(say(from_server(DEFLATE), &[Stretch::Bytes(&bomb)]), ["!websocket_too_long", "unreadable"]);
    let pieces = [Stretch::Bytes(&bomb), Stretch::Bytes(b"\x81\x01x")];
    assert_eq!(say(from_server(EACH_ALONE), &pieces), ["!websocket_too_long", "cut", "text x"]);
}

fn message() -> impl Strategy<Value = (u8, bool, Vec<u8>)> {
    let text = prop::collection::vec(prop::sample::select(b"{\"type: 0123}".to_vec()), 0..300);
    (prop::sample::select(vec![1u8, 2, 9]), any::<bool>(), text)
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        messages in prop::collection::vec(message(), 1..12),
        alone in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (mut deflater, mut bytes, mut expected) = (Deflater::new(), Vec::new(), Vec::new());
        for (kind, deflated, payload) in &messages {
            let control = *kind == 9;
            let payload = if control { &payload[..payload.len().min(125)] } else { payload };
            let content = if *deflated && !control { deflater.deflate(payload) } else { payload.to_vec() };
            let flags = 0x80 | if *deflated && !control { 0x40 } else { 0 };
            bytes.extend(frame(flags | kind, &content));
            match kind {
                1 => expected.push(format!("text {}", payload.escape_ascii())),
                2 => expected.push(format!("binary {}", content.len())),
                _ => {}
            }
            if alone {
                deflater = Deflater::new();
            }
        }
        let extensions = if alone { EACH_ALONE } else { DEFLATE };
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| Stretch::Bytes(&bytes[cut[0]..cut[1]])).collect();
        prop_assert_eq!(say(from_server(extensions), &pieces), expected);
    }

    #[test]
    fn no_bytes_break_it(
        stretches in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0u64..200), 0..20),
        deflated in any::<bool>(),
        client in any::<bool>(),
    ) {
        let sender = if client { Sender::Client } else { Sender::Server };
        let mut decoder = Decoder::new(sender, if deflated { DEFLATE } else { Extensions::None });
        for (bytes, hole) in &stretches {
            decoder.push(Stretch::Bytes(bytes), &mut |_| {});
            if *hole > 0 && *hole < 50 {
                decoder.push(Stretch::Elided(*hole), &mut |_| {});
            }
        }
    }
}
