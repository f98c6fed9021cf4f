//! The fallback where a process maps no libc to probe (static or musl binaries, Go): syscall tracepoints, filtered by
//! thread group. Every process on the host pays a little for them, so they are attached only while one is needed.

use crate::{
    call::{self, Call, Layer},
    maps::{SYSCALLS, TRACED},
    socket, sys,
};
use aya_ebpf::{macros::tracepoint, programs::TracePointContext};
use inferscope_ebpf::{Cookie, SOURCE_SYSCALLS, Shape};

/// syscalls/sys_enter_*: common fields (8 bytes), int __syscall_nr, six arguments from 16. The same on every kernel and
/// architecture (kernel/trace/trace_syscalls.c, struct syscall_trace_enter).
const NUMBER: usize = 8;
const ARGUMENTS: usize = 16;
/// syscalls/sys_exit_*: long ret.
const RESULT: usize = 16;

/// Attached to each sys_enter_* tracepoint of a socket call.
#[tracepoint]
pub fn syscall_enter(ctx: TracePointContext) -> u32 {
    if !traced() {
        return 0;
    }
    // SAFETY: offsets as above, inside the tracepoint's record.
    let (number, arguments) = unsafe { (ctx.read_at::<u32>(NUMBER), ctx.read_at::<[u64; 3]>(ARGUMENTS)) };
    let (Ok(number), Ok([fd, at, count])) = (number, arguments) else { return 0 };
    let Some(cookie) = SYSCALLS.get(number) else { return 0 };
    call::enter(Cookie(*cookie), Layer::Socket, [fd, at, count, 0]);
    0
}

/// Attached to each sys_exit_* tracepoint of a socket call.
#[tracepoint]
pub fn syscall_exit(ctx: TracePointContext) -> u32 {
    if !traced() {
        return 0;
    }
    // SAFETY: as above.
    let Ok(result) = (unsafe { ctx.read_at::<i64>(RESULT) }) else { return 0 };
    match call::leave(Layer::Socket) {
        Some(call) => socket::finished(call, result),
        None => accepted(&ctx, result),
    }
    0
}

/// A thread that waited for a client when the agent came: its entry was not seen, and accept needs no arguments.
#[inline(always)]
fn accepted(ctx: &TracePointContext, result: i64) {
    // SAFETY: syscalls/sys_exit_* has the number where sys_enter_* has it.
    let Ok(number) = (unsafe { ctx.read_at::<u32>(NUMBER) }) else { return };
    let Some(cookie) = SYSCALLS.get(number).map(|cookie| Cookie(*cookie)) else { return };
    if cookie.is(Shape::Opens) {
        socket::finished(Call { cookie, arguments: [0; 4], began: 0 }, result);
    }
}

#[inline(always)]
fn traced() -> bool {
    // SAFETY: a number, read once.
    unsafe { TRACED.get(sys::tgid()) }.is_some_and(|source| *source == SOURCE_SYSCALLS)
}
