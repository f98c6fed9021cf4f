//! Each unsafe helper and each verifier trick, wrapped once.

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_ktime_get_ns,
        generated::{bpf_probe_read_user, bpf_probe_read_user_str},
    },
    programs::ProbeContext,
};
use inferscope_ebpf::Cookie;

/// CLOCK_MONOTONIC in nanoseconds.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: takes nothing, returns a number.
    unsafe { bpf_ktime_get_ns() }
}

/// The running thread: thread group in the upper, thread in the lower half.
#[inline(always)]
pub fn thread() -> u64 {
    bpf_get_current_pid_tgid()
}

/// The running process.
#[inline(always)]
pub fn tgid() -> u32 {
    (thread() >> 32) as u32
}

/// What this probe was told when it was attached.
#[inline(always)]
pub fn cookie<C: EbpfContext>(ctx: &C) -> Cookie {
    // SAFETY: ctx is the context that the kernel gave to this program.
    Cookie(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) })
}

/// The arguments of a call of three, in the shape of any call: the fourth is 0.
#[inline(always)]
pub fn arguments(ctx: &ProbeContext) -> [u64; 4] {
    let argument = |n| ctx.arg::<u64>(n).unwrap_or(0);
    [argument(0), argument(1), argument(2), 0]
}

/// The first four arguments of the function that this probe sits in, as it was called.
#[inline(always)]
pub fn four_arguments(ctx: &ProbeContext) -> [u64; 4] {
    let [first, second, third, _] = arguments(ctx);
    [first, second, third, ctx.arg::<u64>(3).unwrap_or(0)]
}

/// Where the stack pointer lies in x86-64's registers, in words.
const X86_64_STACK_POINTER: usize = 19;

/// The seventh argument of the function that this probe sits in: in a register, or (x86-64) above the return address.
#[inline(always)]
pub fn seventh_argument(ctx: &ProbeContext) -> Option<u64> {
    if let Some(argument) = ctx.arg::<u64>(6) {
        return Some(argument);
    }
    // SAFETY: the context of a uprobe is the registers, and this machine's have more words than this.
    let stack = unsafe { *ctx.as_ptr().cast::<u64>().add(X86_64_STACK_POINTER) };
    read_user(stack + 8)
}

/// `value`, at most `MAX`, in a way that the verifier believes.
///
/// LLVM removes a plain clamp where it can prove the bound from code that the verifier has forgotten by then ("R2 min
/// value is negative", "invalid access to memory"); the volatile read hides the value from LLVM.
#[inline(always)]
pub fn bound<const MAX: u64>(value: u64) -> u64 {
    // SAFETY: reads a local variable.
    let value = unsafe { core::ptr::read_volatile(&raw const value) };
    if value > MAX { MAX } else { value }
}

/// A global that the loader may have replaced; volatile, or LLVM would fold the value that it was compiled with.
#[inline(always)]
pub fn global(value: &'static u64) -> u64 {
    // SAFETY: reads a static.
    unsafe { core::ptr::read_volatile(value) }
}

/// Copies a value out of the traced process.
#[inline(always)]
pub fn read_user<T: Copy>(from: u64) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the user address and writes size_of::<T>() bytes; T is plain data (u64, [u64; N]).
    let failed = unsafe { bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, from as *const _) };
    if failed != 0 {
        return None;
    }
    // SAFETY: filled by the helper.
    Some(unsafe { value.assume_init() })
}

/// Copies `len` bytes of the traced process to `to`. All ones where that failed, else 0 (no branch, see `emit::copy`).
///
/// # Safety
/// `to` must be valid for `len` bytes, and the verifier must be able to see it.
#[inline(always)]
pub unsafe fn copy_user(to: *mut u8, from: u64, len: u64) -> u64 {
    // SAFETY: by the contract above.
    let result = unsafe { bpf_probe_read_user(to.cast(), len as u32, from as *const _) };
    (result >> 63) as u64
}

/// Copies text of the traced process, at most `LEN` bytes with its NUL. Its length without the NUL; `None` where it
/// could not be read.
///
/// # Safety
/// `to` must be valid for `LEN` bytes, and the verifier must be able to see it.
#[inline(always)]
pub unsafe fn copy_text<const LEN: u32>(to: *mut u8, from: u64) -> Option<u64> {
    // SAFETY: by the contract above.
    let result = unsafe { bpf_probe_read_user_str(to.cast(), LEN, from as *const _) };
    if result > 0 { Some(result as u64 - 1) } else { None }
}
