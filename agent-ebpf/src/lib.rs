//! The ABI between the programs in the kernel and the agent: record header, hook ids, map keys and limits.
//!
//! Both sides compile this file. It names no protocol, no engine and no aya type; the agent reads records with
//! [`Header::parse`], which fails instead of panicking when bytes are short or unknown.
#![no_std]

pub mod signature;

/// One hook: what was called. The number is its index in the counters and its id in records.
#[repr(u16)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // each is the kernel's or the library's own name
pub enum Hook {
    Read = 1,
    Readv = 2,
    Recv = 3,
    Recvfrom = 4,
    Recvmsg = 5,
    Write = 6,
    Writev = 7,
    Send = 8,
    Sendto = 9,
    Sendmsg = 10,
    Accept = 11,
    Accept4 = 12,
    Close = 13,
    /// libc's `syscall()` with `SYS_close`: libuv closes this way, so a probe on `close` never sees it.
    SyscallClose = 14,
    SslRead = 15,
    SslReadEx = 16,
    SslWrite = 17,
    SslWriteEx = 18,
    SslFree = 19,
    Exec = 20,
    Fork = 21,
    Exit = 22,
    ZmqMsgSend = 23,
    ZmqMsgRecv = 24,
    TritonRequestNew = 25,
    TritonRequestSetId = 26,
    TritonInferAsync = 27,
    TritonRequestCancel = 28,
    TritonRequestDelete = 29,
    TritonExecute = 30,
    TritonInstanceFinalize = 31,
    TritonFactoryNew = 32,
    TritonResponseNew = 33,
    TritonResponseNewFromFactory = 34,
    TritonResponseSend = 35,
    TritonFactorySendFlags = 36,
    TritonReportStatistics = 37,
    /// Sends a file's bytes, which never pass through the process's memory.
    Sendfile = 38,
}

/// One more than the largest hook id: the length of every table indexed by hook.
pub const HOOK_SLOTS: usize = 39;

/// What a hook does with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The process receives bytes.
    Read,
    /// The process sends bytes.
    Write,
    /// A connection begins: the result is its file descriptor.
    Open,
    /// A connection ends.
    Close,
    /// Not about a connection.
    Process,
    /// A call of a library's interface: its arguments are what matters.
    Call,
}

impl Hook {
    /// Every hook, in id order.
    pub const ALL: [Hook; HOOK_SLOTS - 1] = [
        Hook::Read,
        Hook::Readv,
        Hook::Recv,
        Hook::Recvfrom,
        Hook::Recvmsg,
        Hook::Write,
        Hook::Writev,
        Hook::Send,
        Hook::Sendto,
        Hook::Sendmsg,
        Hook::Accept,
        Hook::Accept4,
        Hook::Close,
        Hook::SyscallClose,
        Hook::SslRead,
        Hook::SslReadEx,
        Hook::SslWrite,
        Hook::SslWriteEx,
        Hook::SslFree,
        Hook::Exec,
        Hook::Fork,
        Hook::Exit,
        Hook::ZmqMsgSend,
        Hook::ZmqMsgRecv,
        Hook::TritonRequestNew,
        Hook::TritonRequestSetId,
        Hook::TritonInferAsync,
        Hook::TritonRequestCancel,
        Hook::TritonRequestDelete,
        Hook::TritonExecute,
        Hook::TritonInstanceFinalize,
        Hook::TritonFactoryNew,
        Hook::TritonResponseNew,
        Hook::TritonResponseNewFromFactory,
        Hook::TritonResponseSend,
        Hook::TritonFactorySendFlags,
        Hook::TritonReportStatistics,
        Hook::Sendfile,
    ];

    /// The hook of an id, or `None` for a number that this build does not know.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Hook> {
        Hook::ALL.get((id as usize).checked_sub(1)?).copied()
    }

    /// The name in metrics, `check` and `/status`: the function or tracepoint as the kernel or library spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Hook::Read => "read",
            Hook::Readv => "readv",
            Hook::Recv => "recv",
            Hook::Recvfrom => "recvfrom",
            Hook::Recvmsg => "recvmsg",
            Hook::Write => "write",
            Hook::Writev => "writev",
            Hook::Send => "send",
            Hook::Sendto => "sendto",
            Hook::Sendmsg => "sendmsg",
            Hook::Accept => "accept",
            Hook::Accept4 => "accept4",
            Hook::Close => "close",
            Hook::SyscallClose => "syscall",
            Hook::SslRead => "SSL_read",
            Hook::SslReadEx => "SSL_read_ex",
            Hook::SslWrite => "SSL_write",
            Hook::SslWriteEx => "SSL_write_ex",
            Hook::SslFree => "SSL_free",
            Hook::Exec => "exec",
            Hook::Fork => "fork",
            Hook::Exit => "exit",
            Hook::ZmqMsgSend => "zmq_msg_send",
            Hook::ZmqMsgRecv => "zmq_msg_recv",
            Hook::TritonRequestNew => "TRITONSERVER_InferenceRequestNew",
            Hook::TritonRequestSetId => "TRITONSERVER_InferenceRequestSetId",
            Hook::TritonInferAsync => "TRITONSERVER_ServerInferAsync",
            Hook::TritonRequestCancel => "TRITONSERVER_InferenceRequestCancel",
            Hook::TritonRequestDelete => "TRITONSERVER_InferenceRequestDelete",
            Hook::TritonExecute => "TRITONBACKEND_ModelInstanceExecute",
            Hook::TritonInstanceFinalize => "TRITONBACKEND_ModelInstanceFinalize",
            Hook::TritonFactoryNew => "TRITONBACKEND_ResponseFactoryNew",
            Hook::TritonResponseNew => "TRITONBACKEND_ResponseNew",
            Hook::TritonResponseNewFromFactory => "TRITONBACKEND_ResponseNewFromFactory",
            Hook::TritonResponseSend => "TRITONBACKEND_ResponseSend",
            Hook::TritonFactorySendFlags => "TRITONBACKEND_ResponseFactorySendFlags",
            Hook::TritonReportStatistics => "TRITONBACKEND_ModelInstanceReportStatistics",
            Hook::Sendfile => "sendfile",
        }
    }

    /// What the hook does with the connection.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Hook::Read
            | Hook::Readv
            | Hook::Recv
            | Hook::Recvfrom
            | Hook::Recvmsg
            | Hook::SslRead
            | Hook::SslReadEx
            | Hook::ZmqMsgRecv => Action::Read,
            Hook::Write
            | Hook::Writev
            | Hook::Send
            | Hook::Sendto
            | Hook::Sendmsg
            | Hook::Sendfile
            | Hook::SslWrite
            | Hook::SslWriteEx
            | Hook::ZmqMsgSend => Action::Write,
            Hook::Accept | Hook::Accept4 => Action::Open,
            Hook::Close | Hook::SyscallClose | Hook::SslFree => Action::Close,
            Hook::Exec | Hook::Fork | Hook::Exit => Action::Process,
            Hook::TritonRequestNew
            | Hook::TritonRequestSetId
            | Hook::TritonInferAsync
            | Hook::TritonRequestCancel
            | Hook::TritonRequestDelete
            | Hook::TritonExecute
            | Hook::TritonInstanceFinalize
            | Hook::TritonFactoryNew
            | Hook::TritonResponseNew
            | Hook::TritonResponseNewFromFactory
            | Hook::TritonResponseSend
            | Hook::TritonFactorySendFlags
            | Hook::TritonReportStatistics => Action::Call,
        }
    }

    /// Whether the connection is an OpenSSL `SSL *` and not a file descriptor.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Hook::SslRead | Hook::SslReadEx | Hook::SslWrite | Hook::SslWriteEx | Hook::SslFree)
    }

    /// Whether it is a call of a library's interface, and its record's payload is [`Header::position`] words of 8 bytes,
    /// then text: see [`Action::Call`].
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(self.action(), Action::Call)
    }

    /// Whether the connection is a message socket (`void *socket` of ZeroMQ) and each call moves one frame.
    #[must_use]
    pub const fn is_message(self) -> bool {
        matches!(self, Hook::ZmqMsgSend | Hook::ZmqMsgRecv)
    }
}

/// Key of a connection in the `CONNS` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// File descriptor, the `SSL *` of a TLS connection, or the `void *` of a message socket.
    pub id: u64,
    /// Thread group (the process).
    pub tgid: u32,
    /// 0 for a socket, 1 for TLS, 2 for messages, 3 for calls: a small pointer must not meet a descriptor.
    pub layer: u32,
}

/// State of a connection in the `CONNS` map. Only the kernel side changes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conn {
    /// Bytes that the process has received, and sent, on this connection since the agent knows it.
    pub position: [u64; 2],
    /// Tells two connections with the same descriptor apart: the low bits of the time when this one was first seen.
    pub generation: u32,
    /// [`FLAG_MIDWAY`] or 0.
    pub flags: u32,
}

/// How much of a connection's calls is wanted, in the `VOLUMES` map, which only user space changes: in one entry with the
/// positions, each would overwrite what the other did meanwhile. Where there is no entry, [`VOLUME_FULL`] is wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volumes {
    /// They hold for calls that begin while the process has received no more than this; [`ALWAYS`]: for all.
    pub while_received: u64,
    /// Bytes to copy per receiving, and per sending, call: see [`VOLUME_OFF`].
    pub volume: [u32; 2],
    /// They are of this use of the descriptor, see [`Conn::generation`].
    pub generation: u32,
    /// The compiler would pad, and the kernel compares bytes.
    pub unused: u32,
}

/// See [`Volumes::while_received`].
pub const ALWAYS: u64 = u64::MAX;

/// Volume: say nothing about calls on this connection; positions still advance.
pub const VOLUME_OFF: u32 = u32::MAX;
/// Volume: report sizes and times, copy nothing.
pub const VOLUME_SIZE_ONLY: u32 = 0;
/// Volume of a connection that user space has not yet understood: the most bytes copied of one call.
pub const VOLUME_FULL: u32 = 64 * 1024;
/// The same for a frame of a message (a step of a batch of a thousand is more than 64 KiB, and its figures come last), and
/// the most bytes that can be asked for.
pub const VOLUME_MESSAGE: u32 = 128 * 1024;
/// Of a call larger than its volume, so many last bytes are copied as well (a JSON answer ends with its `usage`).
pub const TAIL_BYTES: u32 = 1024;
/// io vectors walked per call; what lies behind them is an elision of known length. hyper (vLLM's Rust front end) sends at
/// most 16 buffers at once, and a chunk is three vectors.
pub const MAX_IOVECS: usize = 48;

/// Record flag: this connection was there before the agent was.
pub const FLAG_MIDWAY: u16 = 1;

/// Record flag: another frame of the same message follows.
pub const FLAG_MORE: u16 = 2;

/// Every record begins with this header; `len` payload bytes follow.
///
/// A call that copies more than one record holds sends several, in order, from one thread, with growing `offset`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// CLOCK_MONOTONIC in nanoseconds (`bpf_ktime_get_ns`): when a read returned, when a write began (where that could
    /// not be seen cheaply: when it returned).
    pub time_ns: u64,
    /// File descriptor or `SSL *`; for fork the child's thread group.
    pub conn: u64,
    /// Bytes that this connection had transferred in this direction before this call.
    pub position: u64,
    /// Bytes that this call transferred, 0 at the end of the stream, or `-errno` (-1 where the library hides it).
    pub result: i64,
    /// Thread group (the process).
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// Which use of the descriptor this is, see [`Conn::generation`].
    pub generation: u32,
    /// Where in the call's bytes this record's payload begins.
    pub offset: u32,
    /// Payload bytes in this record.
    pub len: u32,
    /// [`Hook`] id.
    pub hook: u16,
    /// `FLAG_*`.
    pub flags: u16,
    /// Where in the call the last copied byte of all its records ends, 0 where this is its only record. What lies
    /// behind was not copied on purpose.
    pub copied: u64,
}

/// Bytes of [`Header`].
pub const HEADER_BYTES: usize = 64;
/// Payload bytes of the record sizes: powers of two, so that a mask bounds what is copied. Ring-buffer reservations have
/// constant sizes because a uprobe may be preempted, which makes per-CPU scratch space unsafe.
pub const SMALL_PAYLOAD: usize = 512;
/// Of a call of a library's interface without text; otherwise as [`SMALL_PAYLOAD`].
pub const TINY_PAYLOAD: usize = 128 - HEADER_BYTES;
/// See [`SMALL_PAYLOAD`].
pub const MEDIUM_PAYLOAD: usize = 4096;
/// See [`SMALL_PAYLOAD`].
pub const LARGE_PAYLOAD: usize = 16_384;

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);
const _: () = assert!(size_of::<Conn>() == 24 && size_of::<ConnId>() == 16 && size_of::<Volumes>() == 24);

impl Header {
    /// Splits a record into header and payload; `None` when it is shorter than it says.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<(Header, &[u8])> {
        fn take<const N: usize>(at: &mut &[u8]) -> Option<[u8; N]> {
            let (head, rest) = at.split_first_chunk::<N>()?;
            *at = rest;
            Some(*head)
        }
        let mut at = record;
        let header = Header {
            time_ns: u64::from_ne_bytes(take(&mut at)?),
            conn: u64::from_ne_bytes(take(&mut at)?),
            position: u64::from_ne_bytes(take(&mut at)?),
            result: i64::from_ne_bytes(take(&mut at)?),
            tgid: u32::from_ne_bytes(take(&mut at)?),
            tid: u32::from_ne_bytes(take(&mut at)?),
            generation: u32::from_ne_bytes(take(&mut at)?),
            offset: u32::from_ne_bytes(take(&mut at)?),
            len: u32::from_ne_bytes(take(&mut at)?),
            hook: u16::from_ne_bytes(take(&mut at)?),
            flags: u16::from_ne_bytes(take(&mut at)?),
            copied: u64::from_ne_bytes(take(&mut at)?),
        };
        Some((header, at.get(..header.len as usize)?))
    }
}

/// Why the kernel side could not say something. Index of [`Counts::lost`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The ring buffer was full.
    RingFull = 0,
    /// The call's memory could not be read (swapped out, unmapped): its bytes are an elision.
    Fault = 1,
    /// More calls were under way than `CALLS` holds.
    CallsFull = 2,
    /// More connections than `CONNS` holds.
    ConnsFull = 3,
    /// A message of a type whose layout is not known.
    Unsupported = 4,
}

/// Number of [`Loss`] reasons.
pub const LOSS_SLOTS: usize = 5;

impl Loss {
    /// Every reason, in index order.
    pub const ALL: [Loss; LOSS_SLOTS] =
        [Loss::RingFull, Loss::Fault, Loss::CallsFull, Loss::ConnsFull, Loss::Unsupported];

    /// Label value of `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Loss::RingFull => "ring_full",
            Loss::Fault => "fault",
            Loss::CallsFull => "calls_full",
            Loss::ConnsFull => "conns_full",
            Loss::Unsupported => "unsupported",
        }
    }
}

/// Per-hook counters, one per CPU, in the `COUNTS` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times that a probe of this hook ran.
    pub hits: u64,
    /// Records that it sent.
    pub records: u64,
    /// Payload bytes that it copied.
    pub bytes: u64,
    /// What was lost, by [`Loss`].
    pub lost: [u64; LOSS_SLOTS],
}

/// How a process's calls reach the programs: value of the `TRACED` map.
pub const SOURCE_UPROBES: u32 = 1;
/// Through the syscall tracepoints (no libc symbol to probe).
pub const SOURCE_SYSCALLS: u32 = 2;

/// What a program is told about the hook that it was attached for: the attach cookie of its probe.
///
/// The programs read everything that differs between hooks from here and never branch on the hook itself: the verifier
/// would walk each hook's path through every loop ("BPF program is too large").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie(pub u64);

/// How the arguments of a call name its bytes.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `(fd, buffer, …)`.
    Buffer = 0,
    /// `(fd, struct iovec *, count)`.
    Vectors = 1,
    /// `(fd, struct msghdr *)`.
    Message = 2,
    /// The result is a new descriptor.
    Opens = 3,
    /// `(fd)` is no more.
    Closes = 4,
    /// `(number, fd)`: libc's `syscall()`.
    ClosesBySyscall = 5,
    /// The call's result is a truth value and the fourth argument points to the byte count.
    Counted = 6,
    /// `(fd, …)`: its bytes are not in the process's memory.
    Unseen = 7,
}

impl Cookie {
    const WRITES_BIT: u32 = 16;
    const SHAPE_BIT: u32 = 17;

    /// The cookie of a hook.
    #[must_use]
    pub const fn of(hook: Hook) -> Cookie {
        if let Some(signature) = signature::Signature::of(hook) {
            return Cookie(hook as u64 | signature.packed());
        }
        let shape = match hook {
            Hook::Readv | Hook::Writev => Shape::Vectors,
            Hook::Recvmsg | Hook::Sendmsg => Shape::Message,
            Hook::Accept | Hook::Accept4 => Shape::Opens,
            Hook::Close | Hook::SslFree => Shape::Closes,
            Hook::SyscallClose => Shape::ClosesBySyscall,
            Hook::SslReadEx | Hook::SslWriteEx => Shape::Counted,
            Hook::Sendfile => Shape::Unseen,
            _ => Shape::Buffer,
        };
        let writes = matches!(hook.action(), Action::Write);
        Cookie(hook as u64 | (writes as u64) << Self::WRITES_BIT | (shape as u64) << Self::SHAPE_BIT)
    }

    /// The hook's id.
    #[must_use]
    pub const fn hook(self) -> u16 {
        self.0 as u16
    }

    /// 0 where the call receives, 1 where it sends: index into [`Conn`]'s pairs.
    #[must_use]
    pub const fn direction(self) -> usize {
        (self.0 >> Self::WRITES_BIT & 1) as usize
    }

    /// Whether the call has this shape.
    #[must_use]
    pub const fn is(self, shape: Shape) -> bool {
        self.0 >> Self::SHAPE_BIT & 0xf == shape as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hook_ids_are_their_index() {
        for (index, hook) in Hook::ALL.into_iter().enumerate() {
            assert_eq!(hook as usize, index + 1);
            assert_eq!(Hook::from_id(hook as u16), Some(hook));
        }
        assert_eq!(Hook::from_id(0), None);
        assert_eq!(Hook::from_id(HOOK_SLOTS as u16), None);
    }

    #[test]
    fn a_short_record_is_refused() {
        let mut record = [0u8; HEADER_BYTES + 4];
        record[48] = 4;
        assert!(Header::parse(&record).is_some_and(|(_, payload)| payload.len() == 4));
        for short in 0..record.len() {
            assert!(Header::parse(&record[..short]).is_none(), "{short} bytes");
        }
    }
}
