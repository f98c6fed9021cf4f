//! ZeroMQ's message calls: one call moves one frame of a message, on the socket that its `void *` names.
//!
//! A frame is read out of libzmq's `zmq_msg_t`, whose layout is libzmq's own affair: this is the one of 4.3.5 (its
//! src/msg.hpp). Whatever does not look like it is counted as unsupported, never guessed.

use crate::{
    call::{self, Frame, Layer},
    emit, sys,
};
use aya_ebpf::{
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use inferscope_ebpf::{Cookie, FLAG_MORE, Loss};

/// Short: the bytes lie in the `zmq_msg_t` itself.
const VSM: u8 = 101;
/// Long: the bytes lie behind a `content_t`.
const LMSG: u8 = 102;
/// Constant: the `zmq_msg_t` points to the bytes.
const CMSG: u8 = 104;
/// Long, received without a copy: as [`LMSG`].
const ZCLMSG: u8 = 105;
/// Where in the `zmq_msg_t` the bytes of a short frame begin, and how many fit.
const VSM_DATA: u64 = 8;
const VSM_MAX: u8 = 33;
/// `zmq_msg_t`'s own flag for another frame of the same message, and that of the `flags` argument.
const MSG_MORE: u64 = 1;
const ZMQ_SNDMORE: u64 = 2;

/// The first 48 of `zmq_msg_t`'s 64 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct Message {
    metadata: u64,
    /// `content_t *` of a long frame, the bytes of a constant one.
    data: u64,
    /// Of a constant frame.
    size: u64,
    unused: [u8; 17],
    /// Of a short frame.
    vsm_size: u8,
    kind: u8,
    flags: u8,
    routing_id: u32,
}

const _: () = assert!(size_of::<Message>() == 48 && core::mem::offset_of!(Message, kind) == 42);

/// Entry of zmq_msg_send(msg, socket, flags): on its return the frame may be gone.
#[uprobe]
pub fn message_send(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let [msg, socket, flags, _] = sys::arguments(&ctx);
    let Some((_, at, size)) = located(cookie, msg) else { return 0 };
    call::frame(cookie, socket, Frame { at, size, flags: more(flags, ZMQ_SNDMORE) });
    0
}

/// Entry of zmq_msg_recv(msg, socket, flags).
#[uprobe]
pub fn message_enter(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    call::enter(sys::cookie(&ctx), Layer::Message, sys::arguments(&ctx));
    0
}

/// Its return: the size of the frame (at most INT_MAX), or -1.
#[uretprobe]
pub fn message_return(ctx: RetProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let Some(call) = call::leave(Layer::Message) else { return 0 };
    let result = ctx.ret::<u64>() as i32;
    if result < 0 {
        return 0;
    }
    let [msg, socket, ..] = call.arguments;
    let Some((message, at, size)) = located(call.cookie, msg) else { return 0 };
    if size != result as u64 {
        emit::lost(call.cookie.hook(), Loss::Unsupported);
        return 0;
    }
    call::frame(call.cookie, socket, Frame { at, size, flags: more(message.flags as u64, MSG_MORE) });
    0
}

/// A message with the place and the number of its frame's bytes.
#[inline(always)]
fn located(cookie: Cookie, msg: u64) -> Option<(Message, u64, u64)> {
    let message = read::<Message>(cookie, msg)?;
    let [at, size] = match message.kind {
        VSM if message.vsm_size <= VSM_MAX => [msg + VSM_DATA, message.vsm_size as u64],
        // struct content_t: data, size, …
        LMSG | ZCLMSG => read(cookie, message.data)?,
        CMSG => [message.data, message.size],
        _ => {
            emit::lost(cookie.hook(), Loss::Unsupported);
            return None;
        }
    };
    Some((message, at, size))
}

/// As [`sys::read_user`]; counts what could not be read.
#[inline(always)]
fn read<T: Copy>(cookie: Cookie, from: u64) -> Option<T> {
    let value = sys::read_user(from);
    if value.is_none() {
        emit::lost(cookie.hook(), Loss::Fault);
    }
    value
}

#[inline(always)]
fn more(flags: u64, bit: u64) -> u16 {
    if flags & bit == 0 { 0 } else { FLAG_MORE }
}
