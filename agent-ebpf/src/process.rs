//! Processes come and go: these records only say "look again"; user space reads /proc.
//!
//! No field of a tracepoint is read (their offsets differ between kernels): the running thread says who it is. They are
//! raw tracepoints, which need no tracefs.

use crate::{emit, maps::TRACED, sys};
use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use inferscope_ebpf::{Header, Hook};

/// sched_process_exec, host-wide: a new server may have started.
#[raw_tracepoint]
pub fn process_exec(_: RawTracePointContext) -> u32 {
    say(Hook::Exec);
    0
}

/// sched_process_fork: a traced process has a new child or thread.
#[raw_tracepoint]
pub fn process_fork(_: RawTracePointContext) -> u32 {
    if TRACED.get_ptr(sys::tgid()).is_some() {
        say(Hook::Fork);
    }
    0
}

/// sched_process_exit: the first thread of a traced process ended.
#[raw_tracepoint]
pub fn process_exit(_: RawTracePointContext) -> u32 {
    let thread = sys::thread();
    if thread as u32 == (thread >> 32) as u32 && TRACED.get_ptr(sys::tgid()).is_some() {
        say(Hook::Exit);
    }
    0
}

#[inline(always)]
fn say(hook: Hook) {
    emit::hit(hook as u16);
    let thread = sys::thread();
    emit::empty(&Header {
        time_ns: sys::now(),
        conn: 0,
        position: 0,
        result: 0,
        tgid: (thread >> 32) as u32,
        tid: thread as u32,
        generation: 0,
        offset: 0,
        len: 0,
        hook: hook as u16,
        flags: 0,
        copied: 0,
    });
}
