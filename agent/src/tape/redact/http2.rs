//! Masks an HTTP/2 connection. What stays: frame headers, why a stream was reset, listed header fields, gRPC's prefixes, and
//! of a request for an inference its model, version and id. All else becomes zeros; values of other header fields become
//! fillers of the same length.
//!
//! A header block that lies in several frames or calls is made unreadable: the decoder then knows that it knows nothing
//! of what later heads refer to.

use super::{offset, protobuf};
use crate::event::{Direction, Segment};
use crate::wire::http2::{Frame, HEADER_BYTES, Kind, LISTED, PREFACE, is_plausible};
use crate::wire::stream::Stream;
use crate::wire::{Stretch, grpc, hpack};
use std::collections::BTreeMap;

/// Calls that may be under way on one connection. Messages of others become zeros.
const MAX_CALLS: usize = 4096;
/// Index 0, which no block may have.
const UNREADABLE: u8 = 0x80;
/// The methods whose requests are known to be for inferences.
const INFERS: [&str; 2] =
    ["/inference.GRPCInferenceService/ModelInfer", "/inference.GRPCInferenceService/ModelStreamInfer"];

/// Both directions.
pub(super) struct Connection {
    requests: Lane,
    responses: Lane,
    calls: BTreeMap<u32, Call>,
}

/// One direction.
struct Lane {
    stream: Stream,
    fields: hpack::Decoder,
    state: State,
}

enum State {
    /// So many bytes of the client's preface have passed.
    Preface(usize),
    Header([u8; HEADER_BYTES], usize),
    /// So many bytes of a body are to come.
    Body(Frame, u32),
    /// So many bytes are to come that stay.
    Kept(u32),
    /// So many bytes that do not stay, and become this.
    Filled(u8, u32),
    Lost,
}

/// One stream.
#[derive(Default)]
struct Call {
    request: grpc::Reader,
    response: grpc::Reader,
    message: protobuf::Mask,
    kept: protobuf::Kept,
}

impl Connection {
    pub(super) fn new(midway: bool) -> Connection {
        let lane = |state| Lane {
            stream: Stream::new((!midway).then_some(0)),
            fields: if midway { hpack::Decoder::midway(LISTED) } else { hpack::Decoder::new(LISTED) },
            state: if midway { State::Lost } else { state },
        };
        let between = State::Header([0; HEADER_BYTES], 0);
        Connection { requests: lane(State::Preface(0)), responses: lane(between), calls: BTreeMap::new() }
    }

    pub(super) fn segment(&mut self, segment: &Segment) -> Vec<u8> {
        let Connection { requests, responses, calls } = self;
        let direction = segment.direction;
        let lane = match direction {
            Direction::Read => requests,
            Direction::Write => responses,
        };
        let mut stretches = Vec::new();
        lane.stream.push(segment, &mut Vec::new(), &mut |stretch| stretches.push(stretch));
        let mut out = Vec::with_capacity(segment.bytes.len());
        for stretch in stretches {
            match stretch {
                Stretch::Bytes(bytes) => {
                    // What the stream dropped was seen before.
                    out.resize(offset(&segment.bytes, bytes), 0);
                    lane.resume(bytes);
                    let mut rest = bytes;
                    while !rest.is_empty() {
                        rest = lane.step(rest, direction, calls, &mut out);
                    }
                }
                Stretch::Elided(bytes) => lane.skip(bytes, direction, calls),
                Stretch::Gap(_) => lane.lose(),
            }
        }
        out.resize(segment.bytes.len(), 0);
        out
    }
}

impl Lane {
    /// Picks up the thread as the decoder does.
    fn resume(&mut self, pushed: &[u8]) {
        if !matches!(self.state, State::Lost) {
            return;
        }
        if pushed.starts_with(PREFACE) {
            self.state = State::Preface(0);
        } else if is_plausible(pushed) {
            self.state = State::Header([0; HEADER_BYTES], 0);
        }
    }

    /// Masks the bytes at the front of `input` that are of one piece; the rest.
    fn step<'a>(
        &mut self,
        input: &'a [u8],
        direction: Direction,
        calls: &mut BTreeMap<u32, Call>,
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        match &mut self.state {
            State::Preface(have) => {
                let wanted = PREFACE.get(*have..).unwrap_or_default();
                let (came, rest) = input.split_at_checked(wanted.len()).unwrap_or((input, &[]));
                *have += came.len();
                let is_over = *have == PREFACE.len();
                if !wanted.starts_with(came) {
                    self.lose();
                    return input;
                }
                out.extend_from_slice(came);
                if is_over {
                    self.fields = hpack::Decoder::new(LISTED);
                    self.state = State::Header([0; HEADER_BYTES], 0);
                }
                rest
            }
            State::Header(bytes, have) => {
                let room = bytes.get_mut(*have..).unwrap_or_default();
                let (came, rest) = input.split_at_checked(room.len()).unwrap_or((input, &[]));
                room.iter_mut().zip(came).for_each(|(to, from)| *to = *from);
                *have += came.len();
                out.extend_from_slice(came);
                let (bytes, is_whole) = (*bytes, *have == HEADER_BYTES);
                if is_whole { self.begin(bytes, rest, direction, calls, out) } else { rest }
            }
            State::Body(frame, left) => {
                let (bytes, rest) = input.split_at_checked(*left as usize).unwrap_or((input, &[]));
                *left -= u32::try_from(bytes.len()).unwrap_or(*left);
                match calls.get_mut(&frame.stream) {
                    Some(call) => call.mask(direction, bytes, out),
                    None => out.resize(out.len() + bytes.len(), 0),
                }
                self.end_if(|state| matches!(state, State::Body(_, 0)));
                rest
            }
            State::Kept(left) => {
                let (bytes, rest) = input.split_at_checked(*left as usize).unwrap_or((input, &[]));
                *left -= u32::try_from(bytes.len()).unwrap_or(*left);
                out.extend_from_slice(bytes);
                self.end_if(|state| matches!(state, State::Kept(0)));
                rest
            }
            State::Filled(with, left) => {
                let (bytes, rest) = input.split_at_checked(*left as usize).unwrap_or((input, &[]));
                *left -= u32::try_from(bytes.len()).unwrap_or(*left);
                out.resize(out.len() + bytes.len(), *with);
                self.end_if(|state| matches!(state, State::Filled(_, 0)));
                rest
            }
            State::Lost => {
                out.resize(out.len() + input.len(), 0);
                &[]
            }
        }
    }

    /// A frame's header is whole; `input` follows it.
    fn begin<'a>(
        &mut self,
        header: [u8; HEADER_BYTES],
        input: &'a [u8],
        direction: Direction,
        calls: &mut BTreeMap<u32, Call>,
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let Some(frame) = Frame::read(header) else {
            self.lose();
            return input;
        };
        self.state = match frame.kind {
            Kind::Data if frame.is_padded() => State::Filled(0, frame.length),
            Kind::Data => State::Body(frame, frame.length),
            Kind::Reset => State::Kept(frame.length),
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                return self.block(&frame, input, direction, calls, out);
            }
            _ => State::Filled(0, frame.length),
        };
        self.end_if(|state| matches!(state, State::Body(_, 0) | State::Kept(0) | State::Filled(_, 0)));
        input
    }

    fn block<'a>(
        &mut self,
        frame: &Frame,
        input: &'a [u8],
        direction: Direction,
        calls: &mut BTreeMap<u32, Call>,
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let here = input.split_at_checked(frame.length as usize);
        let whole = here.and_then(|(payload, rest)| Some((payload, frame.whole_block(payload)?, rest)));
        let mut path = None;
        let masked = whole.and_then(|(payload, block, rest)| {
            let masked = self.fields.mask(block, &mut |field| {
                if let hpack::Field::Known { name: ":path", value } = field {
                    path = Some(value.to_owned());
                }
            })?;
            Some((payload, offset(payload, block), masked, rest))
        });
        let Some((payload, before, masked, rest)) = masked else {
            self.fields.forget();
            self.state = State::Filled(UNREADABLE, frame.length);
            self.end_if(|state| matches!(state, State::Filled(_, 0)));
            return input;
        };
        out.extend_from_slice(payload.get(..before).unwrap_or_default());
        out.extend_from_slice(&masked);
        out.resize(out.len() + payload.len() - before - masked.len(), 0);
        self.state = State::Header([0; HEADER_BYTES], 0);
        if direction == Direction::Read && !calls.contains_key(&frame.stream) {
            if calls.len() >= MAX_CALLS {
                calls.pop_first();
            }
            let infers = path.is_some_and(|path| INFERS.contains(&path.as_str()));
            let kept = if infers { protobuf::Kept::Inference } else { protobuf::Kept::Nothing };
            calls.insert(frame.stream, Call { kept, ..Call::default() });
        }
        if direction == Direction::Write && frame.ends_stream() {
            calls.remove(&frame.stream);
        }
        rest
    }

    /// Counts bytes that were not copied.
    fn skip(&mut self, bytes: u64, direction: Direction, calls: &mut BTreeMap<u32, Call>) {
        let (State::Body(_, left) | State::Kept(left) | State::Filled(_, left)) = &mut self.state else {
            return self.lose();
        };
        let within = bytes.min(u64::from(*left));
        *left -= u32::try_from(within).unwrap_or(*left);
        if let State::Body(frame, _) = &self.state
            && let Some(call) = calls.get_mut(&frame.stream)
        {
            call.elide(direction, within);
        }
        self.end_if(|state| matches!(state, State::Body(_, 0) | State::Kept(0) | State::Filled(_, 0)));
        if bytes > within {
            self.lose();
        }
    }

    fn end_if(&mut self, is_over: impl FnOnce(&State) -> bool) {
        if is_over(&self.state) {
            self.state = State::Header([0; HEADER_BYTES], 0);
        }
    }

    fn lose(&mut self) {
        self.state = State::Lost;
        self.fields.forget();
    }
}

impl Call {
    fn mask(&mut self, direction: Direction, bytes: &[u8], out: &mut Vec<u8>) {
        let Call { request, response, message, kept } = self;
        let reader = match direction {
            Direction::Read => request,
            Direction::Write => response,
        };
        let (start, mut done) = (out.len(), 0);
        reader.push(bytes, &mut |item| match item {
            grpc::Item::Begin { coding: grpc::Coding::Plain, .. } => *message = protobuf::Mask::new(*kept),
            grpc::Item::Begin { coding: grpc::Coding::Compressed, .. } => *message = protobuf::Mask::zeros(),
            grpc::Item::Bytes(piece) => {
                let at = offset(bytes, piece);
                // A prefix.
                out.extend_from_slice(bytes.get(done..at).unwrap_or_default());
                match direction {
                    Direction::Read => message.mask(piece, out),
                    Direction::Write => out.resize(out.len() + piece.len(), 0),
                }
                done = at + piece.len();
            }
            grpc::Item::Lost | grpc::Item::Elided(_) | grpc::Item::End => {}
        });
        if !reader.is_lost() {
            // What stands behind the last message begins a prefix.
            out.extend_from_slice(bytes.get(done..).unwrap_or_default());
        }
        out.resize(start + bytes.len(), 0);
    }

    fn elide(&mut self, direction: Direction, bytes: u64) {
        match direction {
            Direction::Read => {
                self.request.elide(bytes, &mut |_| {});
                self.message.elide(bytes);
            }
            Direction::Write => self.response.elide(bytes, &mut |_| {}),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::event::Nanos;
    use crate::wire::http2::{Decoder, Item};
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    fn text(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    /// `custom-value` in Huffman's code, as RFC 7541 has it, stands for a secret.
    const SECRET: &[u8] = b"\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";

    fn requests() -> Vec<u8> {
        let path = [&[0x44][..], &text(INFERS[0])].concat();
        let plain = [&[0x40][..], &text("authorization"), &text("Bearer canary")].concat();
        let coded = [&[0x40][..], &text("x-key"), &[0x89], SECRET].concat();
        let head = [&[0x83][..], &path, &plain, &coded].concat();
        // Entries of masked fields are referred to, and one behind them.
        let again = b"\x83\xbe\xbf\xc0";
        let message = b"\x0a\x04echo\x12\0\x1a\x02g1\x20\x85\x01\x2a\x06canary\x3a\x06canary";
        let body = [&[0, 0, 0, 0, u8::try_from(message.len()).unwrap()][..], message].concat();
        let other = b"\x44\x0f/grpc.Other/Ask".to_vec();
        [
            PREFACE.to_vec(),
            frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]),
            frame(1, 4, 1, &head),
            frame(0, 0, 1, &body[..9]),
            frame(0, 1, 1, &body[9..]),
            frame(1, 0x24, 3, &[&[0, 0, 0, 0, 7][..], again].concat()),
            frame(0, 1, 3, &body),
            frame(1, 4, 5, &[&b"\x83"[..], &other].concat()),
            frame(0, 1, 5, b"\0\0\0\0\x08\x0a\x06canary"),
            frame(7, 0, 0, b"\0\0\0\0\0\0\0\0canary"),
            frame(3, 0, 3, &[0, 0, 0, 8]),
        ]
        .concat()
    }

    fn masked(midway: bool, direction: Direction, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut connection = Connection::new(midway);
        let (mut from, mut out) = (0, Vec::new());
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let to = cut.clamp(from, bytes.len());
            if to > from {
                let (position, total) = (from as u64, (to - from) as u64);
                let bytes = bytes[from..to].to_vec();
                let segment = Segment { direction, position, total, offset: 0, last: true, bytes };
                out.extend(connection.segment(&segment));
            }
            from = to;
        }
        out
    }

    fn said(bytes: &[u8]) -> Vec<String> {
        let (mut decoder, mut said) = (Decoder::requests(), Vec::new());
        decoder.push(Nanos(0), Stretch::Bytes(bytes), &mut |item| {
            said.push(match item {
                Item::Data { stream, bytes } => format!("{stream}: {} bytes", bytes.len()),
                item => format!("{item:?}"),
            });
        });
        said
    }

    #[track_caller]
    fn is_clean(masked: &[u8], bytes: &[u8]) {
        assert_eq!(masked.len(), bytes.len());
        for text in [&b"canary"[..], SECRET] {
            assert!(!masked.windows(text.len()).any(|part| part == text), "{}", masked.escape_ascii());
        }
    }

    #[test]
    fn what_is_masked_says_the_same() {
        let bytes = requests();
        let masked = masked(false, Direction::Read, &bytes, &[]);
        is_clean(&masked, &bytes);
        assert_eq!(said(&masked), said(&bytes));
        let message = b"\x0a\x04echo\x12\0\x1a\x02g1\x20\x80\0\x2a\x06\0\0\0\0\0\0";
        let count = masked.windows(message.len()).filter(|part| part == message).count();
        assert_eq!(count, 1, "the other one lies in two frames: {}", masked.escape_ascii());
    }

    #[test]
    fn a_block_in_several_calls_is_unreadable_and_so_is_what_hangs_on_it() {
        let bytes = requests();
        let masked = masked(false, Direction::Read, &bytes, &[60]);
        is_clean(&masked, &bytes);
        assert!(said(&masked).iter().any(|item| item.contains("Unreadable")), "{:?}", said(&masked));
        assert!(!said(&masked).iter().any(|item| item.contains("ModelInfer")), "{:?}", said(&masked));
    }

    proptest! {
        #[test]
        fn nothing_stays_wherever_it_is_cut(mut cuts in prop::collection::vec(0usize..500, 0..9), midway in any::<bool>()) {
            cuts.sort_unstable();
            for direction in [Direction::Read, Direction::Write] {
                is_clean(&masked(midway, direction, &requests(), &cuts), &requests());
            }
        }

        #[test]
        fn no_bytes_break_it(
            pushes in prop::collection::vec((0u8..10, 0u8..48, 0u32..3, prop::collection::vec(any::<u8>(), 0..40)), 0..20),
            cuts in prop::collection::vec(0usize..400, 0..9),
            midway in any::<bool>(),
        ) {
            let frames = pushes.iter().map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload));
            let bytes = frames.collect::<Vec<_>>().concat();
            for direction in [Direction::Read, Direction::Write] {
                prop_assert_eq!(masked(midway, direction, &bytes, &cuts).len(), bytes.len());
            }
        }
    }
}
