//! A function's instructions as the rules of placement read them, whatever the machine: where control goes next, which of
//! the registers that matter are lost, and whether the kernel emulates the instruction under a probe.
//!
//! The decoders fill it ([`super::x86_64`], [`super::aarch64`]); it judges nothing.

use std::collections::BTreeSet;
use std::ops::BitOr;

/// A set of the registers that matter, by the part they play.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles(u16);

impl Roles {
    pub const NONE: Roles = Roles(0);
    /// Where the kernel and the function leave their answer.
    pub const RESULT: Roles = Roles(1 << 8);
    /// Where a system call's number is put.
    pub const NUMBER: Roles = Roles(1 << 9);
    /// What a uretprobe needs as it was at the entry: the stack pointer, and on arm64 the link register, not yet saved.
    pub const FRAME: Roles = Roles(1 << 10);
    pub const ALL: Roles = Roles(u16::MAX);

    /// The register of argument `index`, counted from 0.
    pub const fn argument(index: u8) -> Roles {
        Roles(if index < 8 { 1 << index } else { 0 })
    }

    /// The registers of all those arguments, counted from 0.
    pub fn arguments(indexes: impl Iterator<Item = u8>) -> Roles {
        indexes.map(Roles::argument).fold(Roles::NONE, BitOr::bitor)
    }

    pub const fn intersects(self, other: Roles) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn and(self, other: Roles) -> Roles {
        Roles(self.0 & other.0)
    }

    pub const fn without(self, other: Roles) -> Roles {
        Roles(self.0 & !other.0)
    }
}

impl BitOr for Roles {
    type Output = Roles;

    fn bitor(self, other: Roles) -> Roles {
        Roles(self.0 | other.0)
    }
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// On.
    Next,
    /// On, or to the target.
    Branch(u64),
    /// To the target.
    Jump(u64),
    /// To the target and back, or to an unknown function and back.
    Call(Option<u64>),
    /// Into the kernel and back.
    Syscall,
    /// To the caller, or nowhere.
    Leave,
    /// Not known: an indirect jump, or bytes that are no instruction.
    Unclear,
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Insn {
    pub at: u64,
    /// The address behind it.
    pub next: u64,
    pub flow: Flow,
    /// What no longer holds its old value behind it. Never too little.
    pub writes: Roles,
    /// Of these, `int` arguments that it only widens.
    pub widens: Roles,
    /// What it is called, when the kernel emulates it under a uprobe. Never wrongly.
    pub emulated: Option<&'static str>,
    /// The value that it leaves in the system call's number register, where control goes on behind it.
    pub number: Option<u32>,
    /// The constant that it pushes.
    pub pushes: Option<u32>,
    /// Whether it may write memory.
    pub stores: bool,
}

/// A function, or the beginning of one.
pub(super) struct Code {
    insns: Vec<Insn>,
    targets: BTreeSet<u64>,
}

/// What can run from some point on.
pub(super) struct Reach<'a> {
    pub insns: Vec<&'a Insn>,
    /// An instruction that leaves the function: a return, a jump out of it, or the end of its bytes.
    pub leaves: Option<u64>,
    /// An instruction whose successors are not known.
    pub unclear: Option<u64>,
}

impl Code {
    /// Of instructions in ascending order.
    pub fn new(insns: Vec<Insn>) -> Code {
        let targets = insns.iter().filter_map(|insn| match insn.flow {
            Flow::Branch(target) | Flow::Jump(target) | Flow::Call(Some(target)) => Some(target),
            _ => None,
        });
        Code { targets: targets.collect(), insns }
    }

    /// The instructions from `at` on, in the order in which they stand.
    pub fn from(&self, at: u64) -> &[Insn] {
        let index = self.insns.partition_point(|insn| insn.at < at);
        self.insns.get(index..).unwrap_or_default()
    }

    /// The instructions before `at`, nearest first.
    pub fn before(&self, at: u64) -> impl Iterator<Item = &Insn> {
        let index = self.insns.partition_point(|insn| insn.at < at);
        self.insns.get(..index).unwrap_or_default().iter().rev()
    }

    /// Whether a jump or a call goes to an instruction behind `after`, up to and including `upto`.
    pub fn is_entered(&self, after: u64, upto: u64) -> bool {
        after < upto && self.targets.range(after + 1..=upto).next().is_some()
    }

    /// Whether `address` lies in these bytes.
    pub fn contains(&self, address: u64) -> bool {
        let span = self.insns.first().zip(self.insns.last());
        span.is_some_and(|(first, last)| (first.at..last.next).contains(&address))
    }

    /// Everything that can run from `start` on without going past one of `barriers`.
    pub fn reach(&self, start: u64, barriers: &[u64]) -> Reach<'_> {
        let mut reach = Reach { insns: Vec::new(), leaves: None, unclear: None };
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if barriers.contains(&at) || !seen.insert(at) {
                continue;
            }
            let Some(insn) = self.from(at).first().filter(|insn| insn.at == at) else {
                reach.unclear = Some(at); // inside an instruction
                continue;
            };
            reach.insns.push(insn);
            let (on, target) = match insn.flow {
                Flow::Next | Flow::Syscall => (Some(insn.next), None),
                Flow::Branch(target) => (Some(insn.next), Some(target)),
                Flow::Jump(target) => (None, Some(target)),
                // Nothing stands behind a call that does not return.
                Flow::Call(_) => (Some(insn.next).filter(|&next| self.contains(next)), None),
                Flow::Leave => {
                    reach.leaves = Some(at);
                    continue;
                }
                Flow::Unclear => {
                    reach.unclear = Some(at);
                    continue;
                }
            };
            for successor in on.into_iter().chain(target) {
                match self.contains(successor) {
                    true => open.push(successor),
                    false => reach.leaves = Some(at),
                }
            }
        }
        reach
    }
}
