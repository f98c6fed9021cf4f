//! Each unsafe helper and each verifier trick, wrapped once.

use crate::maps::{GO_NOWHERE, NOWHERE};
use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_attach_cookie, bpf_get_current_pid_tgid, bpf_ktime_get_ns,
        generated::{bpf_probe_read_user, bpf_probe_read_user_str},
    },
    programs::ProbeContext,
};
use inferscope_ebpf::Cookie;

/// Lets a uprobe's program have its stack on its thread's.
///
/// From Linux 6.13 on, programs of its type on x86 have a stack of their processor's (kernel/bpf/verifier.c,
/// `bpf_enable_priv_stack`). "The supported tracing programs already have recursion check such that if the same prog is running
/// on the same cpu again, the nested prog run will be skipped", says the change that brought it; uprobes have no such check
/// (`bpf_prog_run_array_uprobe`) and may be preempted. The same program then runs for another thread on the same stack, and a
/// record holds what belongs to another one's (met on 7.3, whose PREEMPT_LAZY preempts). "If any tail_call is called in the prog
/// …, then private stack is not used": this one never is, because the verifier knows the constant, and takes the call away when
/// it has decided about the stack.
#[inline(always)]
pub fn own_stack<C: EbpfContext>(ctx: &C) {
    if global(&GO_NOWHERE) != 0 {
        // SAFETY: nothing of this program's is needed any more where the call succeeds.
        unsafe { NOWHERE.tail_call(ctx, 0) };
    }
}

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
/// value is negative", "invalid access to memory"); so it gets a value that it knows nothing of.
#[inline(always)]
pub fn bound<const MAX: u64>(value: u64) -> u64 {
    let value = hidden(value);
    if value > MAX { MAX } else { value }
}

/// The same without a branch, for lengths of copies in loops: `MAX` is one less than a power of two.
///
/// The mask changes nothing, and is all that the verifier believes. It is for those that walk turns of a loop which never
/// happen (6.1): what they know of a value there contradicts itself ("R2 min value is negative" behind a clamp), and only
/// `&=` makes them forget that. And whatever the length, they know the same of it, so that each turn looks like the one before.
#[inline(always)]
pub fn capped<const MAX: u64>(value: u64) -> u64 {
    const { assert!((MAX + 1).is_power_of_two()) };
    hidden(least(value, MAX)) & MAX
}

/// The smaller one of two lengths (below 2^63), without a branch: each would double the paths that the verifier walks.
#[inline(always)]
pub fn least(one: u64, other: u64) -> u64 {
    let difference = one.wrapping_sub(other);
    // All ones where `one` is less. Hidden, or LLVM would see a minimum and make a branch of it.
    let less = hidden((difference as i64 >> 63) as u64);
    other.wrapping_add(difference & less)
}

/// `value`, of which LLVM then knows nothing.
#[inline(always)]
fn hidden(value: u64) -> u64 {
    // SAFETY: reads a local variable.
    unsafe { core::ptr::read_volatile(&raw const value) }
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
