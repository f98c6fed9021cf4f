//! What the kernel side says, as the core reads it: who, when, on which connection, which bytes.
//!
//! Pure types. [`crate::kernel`] makes them from ring-buffer records, [`crate::tape`] from recordings.

use inferscope_ebpf::{Action, FLAG_MIDWAY, FLAG_MORE, Header, Hook};

/// A moment on CLOCK_MONOTONIC, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Nanoseconds since `earlier`; 0 when `earlier` is later (clocks of two CPUs may differ by a little).
    #[must_use]
    pub fn since(self, earlier: Nanos) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A process, by the kernel's thread-group id (what user space calls its pid), in the host's pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tgid(pub u32);

/// Where a connection's bytes are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// At the socket; the id is a file descriptor.
    Socket,
    /// Inside the TLS library, in clear text; the id is the `SSL *`.
    Tls,
    /// Inside the message library (ZeroMQ), one call for each frame; the id is its socket's `void *`.
    Message,
    /// At a library's interface; the id is the object that the call is about.
    Call,
}

impl Layer {
    /// The layer that a hook sees.
    #[must_use]
    pub const fn of(hook: Hook) -> Layer {
        if hook.is_tls() {
            Layer::Tls
        } else if hook.is_message() {
            Layer::Message
        } else if hook.is_call() {
            Layer::Call
        } else {
            Layer::Socket
        }
    }
}

/// One connection of one process. Descriptors are reused at once, so the generation is part of the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnKey {
    /// The process.
    pub tgid: Tgid,
    /// Socket or TLS.
    pub layer: Layer,
    /// File descriptor, `SSL *` or message socket.
    pub id: u64,
    /// Which use of that id.
    pub generation: u32,
}

/// Seen from the traced process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The process received.
    Read,
    /// The process sent.
    Write,
}

/// One thing that happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When a read returned, when a write began.
    pub time: Nanos,
    /// Where.
    pub conn: ConnKey,
    /// The hook that saw it.
    pub hook: Hook,
    /// Whether the connection was there before the agent was.
    pub midway: bool,
    /// The thread that called.
    pub thread: u32,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The connection was accepted.
    Opened,
    /// The process closed it.
    Closed,
    /// Bytes moved (possibly only some of a call's bytes: see [`Segment`]).
    Data(Segment),
    /// One frame of a message moved (possibly only some of its bytes), on a connection of [`Layer::Message`]. Its segment
    /// may be of no bytes at all: frames may be empty.
    Frame {
        /// The frame: one call, so `total` is its length.
        segment: Segment,
        /// Another frame of the same message follows.
        more: bool,
    },
    /// A function of a library's interface was called, on [`Layer::Call`]: `conn.id` is the object that it is about.
    Call(Call),
    /// A read returned 0: the peer will send no more.
    Eof,
    /// A call failed; `errno` is positive. EAGAIN never gets this far.
    Failed {
        /// Direction of the failed call.
        direction: Direction,
        /// Positive errno, 1 where the library hides it.
        errno: u32,
    },
}

/// A call of a library's interface. What its words and text are is the hook's own: see the programs in
/// `agent-ebpf/src/span.rs` and the engine that asked for the hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The calling thread.
    pub thread: u32,
    /// Arguments and what they point to, 8 bytes each.
    pub words: Vec<u64>,
    /// One text argument, without its NUL and up to a bound; empty where there is none.
    pub text: Vec<u8>,
}

/// A run of copied bytes of one call.
///
/// The call moved the stream's bytes `position .. position + total`. This segment holds
/// `position + offset .. position + offset + bytes.len()`. Bytes of a call that no segment holds are an elision of
/// known length; bytes between two calls are lost events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Read or write.
    pub direction: Direction,
    /// Stream position where the call began.
    pub position: u64,
    /// Bytes that the call moved (> 0).
    pub total: u64,
    /// Where in the call the copied bytes begin.
    pub offset: u32,
    /// No further segment of this call follows.
    pub last: bool,
    /// The copied bytes; empty when the volume is size-only.
    pub bytes: Vec<u8>,
}

/// EAGAIN: the same bytes will come again, so such a call says nothing.
const EAGAIN: i64 = 11;

/// The descriptors of standard output and error: a process's log.
pub const LOG: [u32; 2] = [1, 2];

impl Event {
    /// Whether it is on a descriptor that the process logs to: one that was there before the agent. A server that closed
    /// them may accept a client there.
    #[must_use]
    pub fn is_log(&self) -> bool {
        self.midway && self.conn.layer == Layer::Socket && LOG.iter().any(|log| u64::from(*log) == self.conn.id)
    }

    /// Reads a connection record. `None` for a record that is not about a connection, is short, or says nothing
    /// (EAGAIN, a failed read of the TLS library that only wants more cipher text).
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Event> {
        let (header, payload) = Header::parse(record)?;
        let hook = Hook::from_id(header.hook)?;
        let conn =
            ConnKey { tgid: Tgid(header.tgid), layer: Layer::of(hook), id: header.conn, generation: header.generation };
        let segment = |direction| Segment {
            direction,
            position: header.position,
            total: header.result.unsigned_abs(),
            offset: header.offset,
            last: u64::from(header.offset) + u64::from(header.len) >= header.copied,
            bytes: payload.to_vec(),
        };
        let data = |direction| match header.result {
            result if hook.is_message() && result >= 0 => {
                Some(EventKind::Frame { segment: segment(direction), more: header.flags & FLAG_MORE != 0 })
            }
            _ if hook.is_message() => None,
            result if result > 0 => Some(EventKind::Data(segment(direction))),
            // An OpenSSL call that fails mostly wants more cipher text; the socket tells of real ends.
            _ if hook.is_tls() => None,
            0 if direction == Direction::Read => Some(EventKind::Eof),
            0 => None,
            result if result == -EAGAIN => None,
            result => Some(EventKind::Failed { direction, errno: u32::try_from(result.unsigned_abs()).unwrap_or(1) }),
        };
        let kind = match hook.action() {
            Action::Read => data(Direction::Read)?,
            Action::Write => data(Direction::Write)?,
            Action::Open => EventKind::Opened,
            Action::Close => EventKind::Closed,
            Action::Call => EventKind::Call(call(&header, payload)?),
            Action::Process => return None,
        };
        let (time, midway) = (Nanos(header.time_ns), header.flags & FLAG_MIDWAY != 0);
        Some(Event { time, conn, hook, midway, thread: header.tid, kind })
    }
}

fn call(header: &Header, payload: &[u8]) -> Option<Call> {
    let (words, text) = payload.split_at_checked(usize::try_from(header.position).ok()?.checked_mul(8)?)?;
    let words = words.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    Some(Call { thread: header.tid, words, text: text.to_vec() })
}
