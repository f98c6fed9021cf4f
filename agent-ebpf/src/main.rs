//! The programs that run in the kernel. They know no protocol and read no kernel structure; they decide only: is this
//! thread group traced, how much to copy, when did it happen, which entry belongs to which exit, emit or count a loss.
#![no_std]
#![no_main]

mod call;
mod emit;
mod maps;
mod message;
mod process;
mod socket;
mod span;
mod sys;
mod syscalls;
mod tls;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Never reached: the verifier would refuse a program that could. The compiler wants it.
    loop {}
}

/// bpf_probe_read_user and the attach cookie are offered to GPL-compatible programs only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
