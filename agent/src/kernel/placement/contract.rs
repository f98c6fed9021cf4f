//! What a hook must learn from a call of its function: how many arguments, whether the result, through which system call.

use Argument::{Int, Word};
use inferscope_ebpf::Hook;

/// Arguments that x86-64 passes in registers; arm64 has two more, which is no reason for two rules.
const X86_64_REGISTERS: usize = 6;

/// Whether the result of the call matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Arguments and result.
    ArgumentsAndResult,
    /// The arguments, and before the function acts: behind a `close` the descriptor may already be another thread's.
    ArgumentsOnly,
}

/// What an argument is, as far as placement must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// An `int`: widening it in place leaves it what it was, the upper half of its register never had a meaning.
    Int,
    /// A pointer or a size.
    Word,
}

/// A system call's number on each machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyscallNumber {
    /// On x86-64.
    pub x86_64: u32,
    /// On arm64.
    pub aarch64: u32,
}

/// What a probe of a function must deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contract {
    /// Whether the result matters.
    pub wants: Wants,
    /// The leading arguments that must be the caller's.
    pub arguments: &'static [Argument],
    /// The one system call that the function makes with these arguments, where it is a wrapper.
    pub syscall: Option<SyscallNumber>,
}

impl Contract {
    /// The contract of a function hook; `None` for tracepoints.
    #[must_use]
    pub const fn of(hook: Hook) -> Option<Contract> {
        Some(match hook {
            Hook::Read => Contract::wrapper(&[Int, Word, Word], 0, 63),
            Hook::Readv => Contract::wrapper(&[Int, Word, Int], 19, 65),
            Hook::Recv | Hook::Recvfrom => Contract::wrapper(&[Int, Word, Word], 45, 207),
            Hook::Recvmsg => Contract::wrapper(&[Int, Word, Int], 47, 212),
            Hook::Write => Contract::wrapper(&[Int, Word, Word], 1, 64),
            Hook::Writev => Contract::wrapper(&[Int, Word, Int], 20, 66),
            Hook::Send | Hook::Sendto => Contract::wrapper(&[Int, Word, Word], 44, 206),
            Hook::Sendmsg => Contract::wrapper(&[Int, Word, Int], 46, 211),
            Hook::Sendfile => Contract::wrapper(&[Int], 40, 71),
            Hook::Accept => Contract::wrapper(&[Int], 43, 202),
            Hook::Accept4 => Contract::wrapper(&[Int], 288, 242),
            Hook::Close => Contract::library(Wants::ArgumentsOnly, &[Int]),
            // Number and descriptor: the number is gone behind the system call.
            Hook::SyscallClose => Contract::library(Wants::ArgumentsOnly, &[Word, Word]),
            Hook::SslRead | Hook::SslWrite => Contract::library(Wants::ArgumentsAndResult, &[Word, Word, Int]),
            Hook::SslReadEx | Hook::SslWriteEx => {
                Contract::library(Wants::ArgumentsAndResult, &[Word, Word, Word, Word])
            }
            Hook::SslFree => Contract::library(Wants::ArgumentsOnly, &[Word]),
            Hook::ZmqMsgSend => Contract::library(Wants::ArgumentsOnly, &[Word, Word, Int]),
            Hook::ZmqMsgRecv => Contract::library(Wants::ArgumentsAndResult, &[Word, Word, Int]),
            // (TRITONSERVER_InferenceRequest **, server, model name, version), and two that make an object likewise.
            Hook::TritonRequestNew => Contract::library(Wants::ArgumentsAndResult, &[Word, Word, Word, Word]),
            Hook::TritonFactoryNew | Hook::TritonResponseNew => {
                Contract::library(Wants::ArgumentsAndResult, &[Word, Word])
            }
            Hook::TritonInferAsync => Contract::library(Wants::ArgumentsAndResult, &[Word, Word, Word]),
            Hook::TritonRequestSetId | Hook::TritonResponseNewFromFactory => {
                Contract::library(Wants::ArgumentsOnly, &[Word, Word])
            }
            Hook::TritonFactorySendFlags => Contract::library(Wants::ArgumentsOnly, &[Word, Int]),
            Hook::TritonRequestCancel | Hook::TritonRequestDelete | Hook::TritonInstanceFinalize => {
                Contract::library(Wants::ArgumentsOnly, &[Word])
            }
            Hook::TritonExecute => Contract::library(Wants::ArgumentsOnly, &[Word, Word, Int]),
            Hook::TritonResponseSend => Contract::library(Wants::ArgumentsOnly, &[Word, Int, Word]),
            // The seventh lies on the stack on x86-64.
            Hook::TritonReportStatistics => {
                Contract::library(Wants::ArgumentsOnly, &[Word, Word, Word, Word, Word, Word, Word])
            }
            Hook::Exec | Hook::Fork | Hook::Exit => return None,
        })
    }

    const fn wrapper(arguments: &'static [Argument], x86_64: u32, aarch64: u32) -> Contract {
        let syscall = Some(SyscallNumber { x86_64, aarch64 });
        Contract { wants: Wants::ArgumentsAndResult, arguments, syscall }
    }

    const fn library(wants: Wants, arguments: &'static [Argument]) -> Contract {
        Contract { wants, arguments, syscall: None }
    }

    /// Whether the stack pointer must still be what it was at the entry: an argument may lie on the stack.
    pub(super) fn reads_stack(&self) -> bool {
        self.arguments.len() > X86_64_REGISTERS
    }

    pub(super) fn x86_64(&self) -> Option<u32> {
        self.syscall.map(|number| number.x86_64)
    }

    pub(super) fn aarch64(&self) -> Option<u32> {
        self.syscall.map(|number| number.aarch64)
    }
}
