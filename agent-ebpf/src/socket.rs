//! Socket calls of libc. Three ways to see one, see the agent's `kernel/placement`: behind the system call (arguments
//! and result at once), at entry and return, or at entry and the shared exit of glibc 2.41's cancellable calls.

use crate::{
    call::{self, Call, Layer},
    emit,
    maps::SYS_CLOSE,
    sys,
};
use aya_ebpf::{
    EbpfContext,
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use aya_log_ebpf::debug;
use inferscope_ebpf::Shape;

/// Behind the `syscall` instruction: the argument registers are untouched and the result is the kernel's own.
#[uprobe]
pub fn socket_whole(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let result = RetProbeContext::new(ctx.as_ptr()).ret::<u64>() as i64;
    if cookie.is(Shape::Opens) {
        debug!(&ctx, "accept: result {}", result);
    }
    let began = if cookie.direction() == 1 { call::began() } else { 0 };
    finished(Call { cookie, arguments: sys::arguments(&ctx), began }, result);
    0
}

/// Where a write begins that [`socket_whole`] sees the end of.
#[uprobe]
pub fn socket_start(_: ProbeContext) -> u32 {
    call::begin();
    0
}

/// Entry of a call whose exit is seen elsewhere.
#[uprobe]
pub fn socket_enter(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    call::enter(sys::cookie(&ctx), Layer::Socket, sys::arguments(&ctx));
    0
}

/// Return of a libc function: -1 hides the reason in errno.
#[uretprobe]
pub fn socket_return(ctx: RetProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let Some(call) = call::leave(Layer::Socket) else { return 0 };
    let result = ctx.ret::<u64>() as i64;
    // Most such failures are EAGAIN; a connection that broke is closed soon, and that is seen.
    if result >= 0 {
        finished(call, result);
    }
    0
}

/// The shared exit of cancellable system calls: the raw result.
#[uprobe]
pub fn socket_exit(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let Some(call) = call::leave(Layer::Socket) else { return 0 };
    finished(call, RetProbeContext::new(ctx.as_ptr()).ret::<u64>() as i64);
    0
}

/// Entry of a call whose result does not matter: close, and `syscall(SYS_close, fd)`.
#[uprobe]
pub fn socket_close(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    let [first, second, ..] = sys::arguments(&ctx);
    if !cookie.is(Shape::ClosesBySyscall) {
        call::closed(cookie, Layer::Socket, descriptor(first));
    } else if first == sys::global(&SYS_CLOSE) {
        call::closed(cookie, Layer::Socket, descriptor(second));
    }
    0
}

/// What a finished socket call means; also for the syscall tracepoints.
#[inline(always)]
pub fn finished(call: Call, result: i64) {
    let Call { cookie, arguments: [fd, mut at, mut count, _], .. } = call;
    if cookie.is(Shape::Opens) {
        if result >= 0 {
            call::opened(cookie, Layer::Socket, descriptor(result as u64));
        }
        return;
    }
    if cookie.is(Shape::Closes) {
        return call::closed(cookie, Layer::Socket, descriptor(fd));
    }
    if cookie.is(Shape::Message) {
        // struct msghdr: name, namelen, then iov at 16 and iovlen at 24.
        let Some(vectors) = sys::read_user::<[u64; 2]>(at + 16) else { return };
        [at, count] = vectors;
    }
    call::moved(call, Layer::Socket, descriptor(fd), result, at, count);
}

/// Descriptors are ints: the upper half of the register is noise.
#[inline(always)]
fn descriptor(argument: u64) -> u64 {
    argument as u32 as u64
}
