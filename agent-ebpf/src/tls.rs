//! OpenSSL's read and write calls: clear text, keyed by the `SSL *` (servers that use memory BIOs have no descriptor).

use crate::{
    call::{self, Layer},
    emit, sys,
};
use aya_ebpf::{
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use inferscope_ebpf::Shape;

/// Entry of SSL_read, SSL_read_ex, SSL_write, SSL_write_ex.
#[uprobe]
pub fn tls_enter(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    call::enter(sys::cookie(&ctx), Layer::Tls, sys::four_arguments(&ctx));
    0
}

/// Their return.
#[uretprobe]
pub fn tls_return(ctx: RetProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let Some(call) = call::leave(Layer::Tls) else { return 0 };
    let [ssl, buffer, _, count] = call.arguments;
    let mut result = ctx.ret::<u64>() as i32 as i64;
    if result > 0 && call.cookie.is(Shape::Counted) {
        // The _ex forms return 1 and store a size_t.
        let Some(count) = sys::read_user::<u64>(count) else { return 0 };
        result = count as i64;
    }
    // Failures mostly mean that more cipher text is wanted; the end of a connection is its SSL_free.
    if result > 0 {
        call::moved(call, Layer::Tls, ssl, result, buffer, 0);
    }
    0
}

/// Entry of SSL_free.
#[uprobe]
pub fn tls_free(ctx: ProbeContext) -> u32 {
    sys::own_stack(&ctx);
    let cookie = sys::cookie(&ctx);
    emit::hit(cookie.hook());
    call::closed(cookie, Layer::Tls, ctx.arg::<u64>(0).unwrap_or(0));
    0
}
