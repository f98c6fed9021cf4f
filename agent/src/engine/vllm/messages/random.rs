//! Messages as no vLLM sends them: the fixtures, mutated, straight to the reader and through the socket's decoder.
//!
//! `fuzz_messages` does it for INFERSCOPE_FUZZ_MINUTES (1 unless set):
//! `cargo test -p inferscope --release --lib fuzz_messages -- --ignored --nocapture`. A round that fails prints its seed;
//! INFERSCOPE_FUZZ_SEED begins with that round.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::tests::VERSIONS;
use super::*;
use crate::engine::report::Iteration;
use crate::wire::{Stretch, zmtp};
use std::time::{Duration, Instant, SystemTime};

/// The frames of one message.
type Message = Vec<Vec<u8>>;

/// Ends of MessagePack: the largest containers, strings and numbers, what is no value, NaN, nesting.
const EXTREMES: &[&[u8]] = &[
    b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x03",
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xd3\x80\0\0\0\0\0\0\0",
    b"\xcb\x7f\xf8\0\0\0\0\0\0",
    b"\xcb\x7f\xef\xff\xff\xff\xff\xff\xff",
    b"\xc1",
    b"\xc0",
    b"\x90",
    b"\x80",
    b"\xa0",
    b"\x91\x91\x91\x91\x91\x91\x91\x91",
];

const GREETING: [u8; 64] = {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting
};

/// Numbers that are the same for the same seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Less than `bound`; 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound as u64).max(1)).unwrap()
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let (one, other) = (self.below(len + 1), self.below(len + 1));
        one.min(other)..one.max(other)
    }
}

fn corpus() -> Vec<Message> {
    VERSIONS.iter().flat_map(|version| version.messages()).map(|(_, frames)| frames).collect()
}

fn any_frame<'a>(corpus: &'a [Message], random: &mut Random) -> &'a [u8] {
    let message = random.choose::<Message>(corpus);
    random.choose::<Vec<u8>>(message)
}

/// Changes one thing in one frame.
fn mutate(frame: &mut Vec<u8>, corpus: &[Message], random: &mut Random) {
    let at = random.below(frame.len());
    match random.below(7) {
        0 if !frame.is_empty() => frame[at] ^= 1 << random.below(8),
        1 if !frame.is_empty() => frame[at] = u8::try_from(random.below(256)).unwrap(),
        2 => frame.truncate(at),
        3 => drop(frame.splice(at..at, random.choose(EXTREMES).iter().copied())),
        4 if !frame.is_empty() => {
            let extreme = *random.choose(EXTREMES);
            drop(frame.splice(at..(at + extreme.len()).min(frame.len()), extreme.iter().copied()));
        }
        5 => {
            let again = frame[random.range(frame.len())].to_vec();
            drop(frame.splice(at..at, again));
        }
        _ => {
            let other = any_frame(corpus, random);
            let piece = other[random.range(other.len())].to_vec();
            drop(frame.splice(random.range(frame.len()), piece));
        }
    }
}

/// Loses, repeats or adds a frame.
fn reorder(message: &mut Message, corpus: &[Message], random: &mut Random) {
    let at = random.below(message.len());
    match random.below(3) {
        0 => drop(message.remove(at)),
        1 => message.insert(at, message[at].clone()),
        _ => message.insert(at, any_frame(corpus, random).to_vec()),
    }
}

/// Reads one frame and checks that no more is said than it has room for.
fn read(reader: &mut VllmMessages, frame: &Frame<'_>) {
    let room = frame.bytes.len() as u64;
    let (mut ids, mut issues) = (0, Vec::new());
    reader.frame(frame, &mut issues, &mut |report| match report {
        Report::Added { id, prompt_tokens } => {
            ids += 1;
            assert!(id.len() as u64 <= room && prompt_tokens <= Some(u32::MAX.into()));
        }
        Report::Aborted { .. } => ids += 1,
        Report::Iteration(Iteration { outputs, .. }) => {
            ids += 3 * outputs.len() as u64;
            assert!(outputs.iter().map(|output| output.tokens).sum::<u64>() <= room);
        }
    });
    // An id is at least a byte, an output three: its header, its id, its tokens.
    assert!(ids <= room, "{ids} in {room} bytes");
    assert!(issues.len() <= 1);
}

/// One end of a socket that is seen in stretches.
struct Socket {
    decoder: zmtp::Decoder,
    reader: VllmMessages,
}

impl Socket {
    fn push(&mut self, stretch: Stretch<'_>) {
        self.decoder.push(stretch, &mut |item| match item {
            zmtp::Item::Frame { bytes, total, more } => {
                read(&mut self.reader, &Frame { direction: Direction::Read, bytes, total, more });
            }
            zmtp::Item::Cut => self.reader = VllmMessages::default(),
            zmtp::Item::Issue(_) => {}
        });
    }
}

/// As ZeroMQ sends it.
fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (nth, frame) in message.iter().enumerate() {
        let more = u8::from(nth + 1 < message.len());
        match u8::try_from(frame.len()) {
            Ok(len) => bytes.extend([more, len]),
            Err(_) => bytes.extend([&[2 | more][..], &(frame.len() as u64).to_be_bytes()].concat()),
        }
        bytes.extend(frame);
    }
    bytes
}

/// Stretches of `bytes`.
fn cut<'a>(bytes: &'a [u8], random: &mut Random) -> Vec<Stretch<'a>> {
    let (mut rest, mut stretches) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(1 + random.below(rest.len()));
        rest = behind;
        stretches.push(match random.below(16) {
            0 => Stretch::Elided(piece.len() as u64),
            1 => Stretch::Gap(piece.len() as u64),
            _ => Stretch::Bytes(piece),
        });
    }
    stretches
}

/// Names its seed where it fails.
struct Round(u64);

impl Drop for Round {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the round that failed: INFERSCOPE_FUZZ_SEED={}", self.0);
        }
    }
}

/// A few messages, mutated, on one socket; how many frames that were.
fn round(seed: u64, corpus: &[Message]) -> u64 {
    let _round = Round(seed);
    let mut random = Random(seed);
    let mut reader = VllmMessages::default();
    let mut socket = Socket { decoder: zmtp::Decoder::new(), reader: VllmMessages::default() };
    socket.push(Stretch::Bytes(&GREETING[..*random.choose(&[64, 64, 64, 20])]));
    let mut frames = 0;
    for _ in 0..4 {
        let mut message = random.choose(corpus).clone();
        for _ in 0..random.below(4) {
            let nth = random.below(message.len());
            mutate(&mut message[nth], corpus, &mut random);
        }
        if random.one_in(4) {
            reorder(&mut message, corpus, &mut random);
        }
        for (nth, frame) in message.iter().enumerate() {
            let copied = if random.one_in(4) { random.below(frame.len() + 1) } else { frame.len() };
            let more = nth + 1 < message.len();
            let frame = Frame { direction: Direction::Read, bytes: &frame[..copied], total: frame.len() as u64, more };
            read(&mut reader, &frame);
            frames += 1;
        }
        let mut bytes = encoded(&message);
        if random.one_in(8) {
            mutate(&mut bytes, corpus, &mut random);
        }
        for stretch in cut(&bytes, &mut random) {
            socket.push(stretch);
        }
    }
    frames
}

#[test]
fn mutated_messages_say_no_more_than_they_have_room_for() {
    let corpus = corpus();
    for seed in 0..20_000 {
        round(seed, &corpus);
    }
}

#[test]
fn random_bytes_say_no_more_than_they_have_room_for() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        // Often with the beginning of a message, or nothing would be read.
        let mut bytes = if random.one_in(2) { b"\x94\x00\x9f".to_vec() } else { Vec::new() };
        bytes.extend((0..random.below(80)).map(|_| u8::try_from(random.below(256)).unwrap()));
        let mut reader = VllmMessages::default();
        let more = random.one_in(2);
        read(&mut reader, &Frame { direction: Direction::Read, bytes: &bytes, total: bytes.len() as u64, more });
        for kind in [[0], [1]] {
            let mut reader = VllmMessages::default();
            read(&mut reader, &Frame { direction: Direction::Read, bytes: &kind, total: 1, more: true });
            read(&mut reader, &Frame { direction: Direction::Read, bytes: &bytes, total: bytes.len() as u64, more });
        }
    }
}

#[test]
fn neither_token_ids_nor_text_leave_the_decoder() {
    let mut seen = 0;
    for message in corpus() {
        for (nth, whole) in message.iter().enumerate() {
            for len in 0..=whole.len() {
                let mut reader = VllmMessages::default();
                for before in &message[..nth] {
                    let frame =
                        Frame { direction: Direction::Read, bytes: before, total: before.len() as u64, more: true };
                    reader.frame(&frame, &mut Vec::new(), &mut |_| ());
                }
                let frame = Frame {
                    direction: Direction::Read,
                    bytes: &whole[..len],
                    total: whole.len() as u64,
                    more: nth + 1 < message.len(),
                };
                reader.frame(&frame, &mut Vec::new(), &mut |report| {
                    seen += 1;
                    let shown = format!("{report:?}");
                    // As text, as numbers.
                    assert!(!["canary", "777000"].iter().any(|canary| shown.contains(canary)), "{shown}");
                });
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

#[test]
#[ignore = "runs for minutes"]
fn fuzz_messages() {
    let number = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().unwrap());
    let minutes = number("INFERSCOPE_FUZZ_MINUTES").unwrap_or(1);
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let first = number("INFERSCOPE_FUZZ_SEED").unwrap_or_else(clock);
    let (corpus, begun) = (corpus(), Instant::now());
    let (mut seed, mut frames) = (first, 0);
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        for _ in 0..1000 {
            frames += round(seed, &corpus);
            seed = seed.wrapping_add(1);
        }
    }
    let rounds = seed.wrapping_sub(first);
    let per_second = rounds as f64 / begun.elapsed().as_secs_f64();
    println!("{rounds} rounds, {frames} frames, from seed {first}: {per_second:.0} rounds/s");
}
