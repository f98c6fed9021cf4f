//! Placement: on which instructions of a function its probes sit, so that a call costs the traced process least.
//!
//! Pure: bytes in, addresses out. Nothing is read from files, nothing is attached, and a rule that cannot prove itself on
//! the decoded instructions gives way to the next dearer one, down to the first instruction of the function.
//!
//! A uprobe is cheap where the kernel can emulate the instruction under it; elsewhere it traps a second time to step
//! over a copy. All prices here are those measured on kernel 6.18 in a virtual machine where traps are dear.

use super::elf::Machine;

mod aarch64;
mod code;
mod contract;
mod rules;
mod x86_64;

#[cfg(test)]
mod tests;

pub use contract::{Argument, Contract, SyscallNumber, Wants};

/// How many bytes of a function that is followed are enough to judge it.
pub const FOLLOWED_BYTES: u64 = 256;

/// A function to probe. All addresses, here and in [`Placement`], are virtual addresses of its image.
pub struct Function<'a> {
    /// Its first instruction.
    pub address: u64,
    /// Its bytes.
    pub code: &'a [u8],
    /// The bytes at another address of the same image, [`FOLLOWED_BYTES`] or fewer: glibc 2.41 has its system call in a callee.
    pub follow: &'a dyn Fn(u64) -> Option<&'a [u8]>,
}

/// Where the probes go. Wherever arguments are read they are the caller's, in the registers of the C calling convention;
/// of an `int` only the low 32 bits mean anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// A probe on each of these emulated conditional jumps behind a system call. Each call of the function passes exactly
    /// one of them, with its arguments in place and the kernel's answer (negative errno) in the result register.
    BehindSyscall {
        /// The jumps.
        sites: Vec<u64>,
    },
    /// Two cheap probes joined per thread: the arguments at `enter`, the kernel's answer (negative errno) in the result
    /// register at whichever of `exits` the call passes.
    ///
    /// They belong together when the stack pointer at the exit lies 0 to 127 bytes below the one at `enter`: a signal
    /// handler that runs in between, and may pass the same exit, has its frame further down.
    Joined {
        /// An emulated instruction that every call passes first.
        enter: u64,
        /// Emulated conditional jumps. In glibc from 2.41 on there is one, and all cancellable wrappers share it: attach
        /// it once for an image, and ignore it on a thread that has not entered.
        exits: Vec<u64>,
    },
    /// The first emulated instruction that still sees the caller's arguments; where the result is wanted also a uretprobe
    /// on the same address, which the stack pointer and the return address still allow.
    EmulatedEntry {
        /// The instruction.
        enter: u64,
    },
    /// The first instruction; where the result is wanted with a uretprobe.
    Entry,
}

/// What one call costs the traced process, roughly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Price {
    /// One trap: 0.7 us on a quiet machine to 1.3 us on a busy one.
    OneTrap,
    /// Two traps: 1.5 (two probes) to 2.8 us (a probe and a uretprobe).
    TwoTraps,
    /// A trap and a step over a copy.
    Stepped,
    /// A trap, a step and the trap of a uretprobe: 8 to 15 us.
    SteppedAndReturn,
}

/// A placement, why it was chosen and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where.
    pub placement: Placement,
    /// One clause for `inferscope check`.
    pub reason: String,
    /// What a call costs.
    pub price: Price,
    /// The function does nothing but jump on to this one with its arguments (musl's `recv` to `recvfrom`): where that one
    /// is probed too, a probe here would count each call twice.
    pub passes_to: Option<u64>,
}

impl Placement {
    /// One word for `/status` and `check`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Placement::BehindSyscall { .. } => "behind_syscall",
            Placement::Joined { .. } => "joined",
            Placement::EmulatedEntry { .. } => "emulated_entry",
            Placement::Entry => "entry",
        }
    }
}

impl Price {
    /// The measured range, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Price::OneTrap => "0.7 to 1.3 us",
            Price::TwoTraps => "1.5 to 2.8 us",
            Price::Stepped => "7 to 11 us",
            Price::SteppedAndReturn => "8 to 15 us",
        }
    }
}

/// Chooses the cheapest placement that the function's own instructions prove right.
#[must_use]
pub fn place(machine: Machine, function: &Function<'_>, contract: &Contract) -> Placed {
    match machine {
        Machine::X86_64 => rules::choose(function, x86_64::decode, contract, contract.x86_64()),
        Machine::Aarch64 => rules::choose(function, aarch64::decode, contract, contract.aarch64()),
        Machine::Other => rules::at_entry(contract, "no decoder for this machine".to_owned()),
    }
}
