//! Deflated messages (RFC 7692, 7.2.2) of one direction.
//!
//! It holds the window that messages refer to, and of its output nothing: that is handed on as it comes. What it is
//! given must be without holes; who calls it sees to that.

use super::extension::Context;
use flate2::{Decompress, FlushDecompress, Status};

/// Most bytes that one message may become: a message like that is a picture, or meant to keep us busy.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes that are inflated at once.
const ROOM: usize = 4 * 1024;
/// What every message's end leaves out.
const END: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Inflates one message after the other.
#[derive(Debug)]
pub(super) struct Inflater {
    context: Context,
    stream: Decompress,
    room: Box<[u8]>,
    /// Bytes of the message under way.
    bytes: u64,
}

/// Why nothing more can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Malformed,
    TooLong,
}

impl Inflater {
    pub(super) fn new(context: Context) -> Inflater {
        Inflater { context, stream: Decompress::new(false), room: vec![0; ROOM].into_boxed_slice(), bytes: 0 }
    }

    /// Reads on in a message.
    pub(super) fn push(&mut self, input: &[u8], emit: &mut dyn FnMut(&[u8])) -> Result<(), Failure> {
        let mut rest = input;
        loop {
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(rest, &mut self.room, FlushDecompress::None);
            let status = status.map_err(|_| Failure::Malformed)?;
            let count = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
            let read = count(read, self.stream.total_in());
            let output = self.room.get(..count(written, self.stream.total_out())).unwrap_or_default();
            rest = rest.get(read..).unwrap_or_default();
            self.bytes = self.bytes.saturating_add(output.len() as u64);
            if self.bytes > MAX_BYTES {
                return Err(Failure::TooLong);
            }
            emit(output);
            if status == Status::StreamEnd {
                // A block that calls itself the last ends the deflate stream, not the message (7.2.3.4). Whoever writes
                // such blocks begins anew behind each.
                self.stream.reset(false);
            } else if read == 0 && output.is_empty() && !rest.is_empty() {
                return Err(Failure::Malformed);
            }
            if rest.is_empty() && output.len() < ROOM {
                return Ok(());
            }
        }
    }

    /// The message is over; its length.
    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) -> Result<u64, Failure> {
        self.push(&END, emit)?;
        if self.context == Context::Message {
            self.stream.reset(false);
        }
        Ok(std::mem::take(&mut self.bytes))
    }
}
