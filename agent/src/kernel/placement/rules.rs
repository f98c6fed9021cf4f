//! The rules of placement, cheapest first, over decoded instructions of any machine. Each proves itself or says in one
//! clause why it does not hold.

use super::code::{Code, Flow, Insn, Roles};
use super::{Argument, Contract, Function, Placed, Placement, Price, Wants};

/// Decodes bytes that lie at an address.
type Decode = fn(u64, &[u8]) -> Code;

/// The cheapest placement that holds.
pub(super) fn choose(function: &Function<'_>, decode: Decode, contract: &Contract, number: Option<u32>) -> Placed {
    let Some(code) = read(decode, function.address, function.code) else {
        return at_entry(contract, "its bytes lie at no possible address".to_owned());
    };
    let reader = Reader::new(&code, function.address, contract.arguments);
    let mut placed = match contract.wants {
        Wants::ArgumentsOnly if contract.reads_stack() => reader.entry(Roles::FRAME, Price::OneTrap),
        Wants::ArgumentsOnly => reader.entry(Roles::NONE, Price::OneTrap),
        Wants::ArgumentsAndResult => {
            let wrapper = number.and_then(|number| reader.wrapper(number, function, decode));
            wrapper.map_or_else(|| reader.entry(Roles::FRAME, Price::TwoTraps), Ok)
        }
    }
    .unwrap_or_else(|reason| at_entry(contract, reason));
    placed.passes_to = reader.passes_to();
    placed
}

/// The placement that is always right.
pub(super) fn at_entry(contract: &Contract, reason: String) -> Placed {
    let price = match contract.wants {
        Wants::ArgumentsOnly => Price::Stepped,
        Wants::ArgumentsAndResult => Price::SteppedAndReturn,
    };
    Placed { placement: Placement::Entry, reason, price, passes_to: None }
}

/// Decodes, unless the bytes would lie beyond the end of memory.
fn read(decode: Decode, address: u64, bytes: &[u8]) -> Option<Code> {
    address.checked_add(bytes.len() as u64)?;
    Some(decode(address, bytes))
}

struct Reader<'a> {
    code: &'a Code,
    start: u64,
    /// The registers of the arguments.
    arguments: Roles,
    /// Of these, those of type `int`.
    ints: Roles,
}

/// A system call of the function and the emulated jump behind it.
struct Site<'a> {
    syscall: &'a Insn,
    jump: u64,
}

impl<'a> Reader<'a> {
    fn new(code: &'a Code, start: u64, arguments: &[Argument]) -> Reader<'a> {
        let ints = (0..).zip(arguments).filter(|&(_, &argument)| argument == Argument::Int);
        Reader {
            code,
            start,
            arguments: Roles::arguments((0..).zip(arguments).map(|(index, _)| index)),
            ints: Roles::arguments(ints.map(|(index, _)| index)),
        }
    }

    /// Whether an argument is no longer the caller's behind `insn`.
    fn loses_argument(&self, insn: &Insn) -> bool {
        let kept = self.ints.and(insn.widens);
        insn.writes.without(kept).intersects(self.arguments)
    }

    /// A wrapper of system call `number`: behind it, or joined.
    fn wrapper(&self, number: u32, function: &Function<'_>, decode: Decode) -> Option<Placed> {
        let placed = |placement, reason, price| Placed { placement, reason, price, passes_to: None };
        let Some(sites) = self.sites(number) else {
            let (enter, exit) = self.through_callee(number, function, decode)?;
            let reason = format!("call at +{}, jump in its callee behind the system call", enter - self.start);
            return Some(placed(Placement::Joined { enter, exits: vec![exit] }, reason, Price::TwoTraps));
        };
        let jumps: Vec<u64> = sites.iter().map(|site| site.jump).collect();
        if sites.iter().all(|site| self.keeps_arguments(site)) {
            let reason = match jumps.len() {
                1 => "behind its system call".to_owned(),
                n => format!("behind {n} system calls"),
            };
            return Some(placed(Placement::BehindSyscall { sites: jumps }, reason, Price::OneTrap));
        }
        let enter = self.first_emulated(Roles::NONE).ok()?;
        let reason = format!("{} at +{}, jump behind the system call", enter.name, enter.at - self.start);
        Some(placed(Placement::Joined { enter: enter.at, exits: jumps }, reason, Price::TwoTraps))
    }

    /// The system calls of the function, if each call of it makes exactly one, of that number, with an emulated jump behind
    /// it where the answer is still in its register.
    fn sites(&self, number: u32) -> Option<Vec<Site<'_>>> {
        let all = self.code.reach(self.start, &[]);
        if all.unclear.is_some() {
            return None;
        }
        let mut sites = Vec::new();
        for syscall in all.insns.into_iter().filter(|insn| insn.flow == Flow::Syscall) {
            if self.number_at(syscall) != Some(number) {
                return None;
            }
            sites.push(Site { syscall, jump: jump_behind(self.code, syscall)? });
        }
        sites.sort_by_key(|site| site.jump);
        let jumps: Vec<u64> = sites.iter().map(|site| site.jump).collect();
        let without = self.code.reach(self.start, &jumps);
        let again = jumps.iter().any(|&jump| makes(self.code, jump, |flow| flow == Flow::Syscall));
        (without.leaves.is_none() && !again && !sites.is_empty()).then_some(sites)
    }

    /// Whether the registers that the kernel took the arguments from still hold them at the jump.
    fn keeps_arguments(&self, site: &Site<'_>) -> bool {
        let until_jump = self.code.from(site.syscall.at).iter().take_while(|insn| insn.at < site.jump);
        !until_jump.into_iter().any(|insn| self.loses_argument(insn))
    }

    /// The number that a system call is made with, where the instructions straight before it say so.
    fn number_at(&self, syscall: &Insn) -> Option<u32> {
        let mut behind = syscall.at;
        for insn in self.code.before(syscall.at) {
            let straight = insn.next == behind && matches!(insn.flow, Flow::Next | Flow::Branch(_));
            if !straight || self.code.is_entered(insn.at, behind) {
                return None;
            }
            if insn.number.is_some() || insn.writes.intersects(Roles::NUMBER) {
                return insn.number;
            }
            behind = insn.at;
        }
        None
    }

    /// glibc from 2.41 on: the wrapper pushes the number and calls `__syscall_cancel`, which calls the function that makes
    /// the system call, compares what it answers and jumps. Gives the call in the wrapper and the jump in the callee.
    fn through_callee(&self, number: u32, function: &Function<'_>, decode: Decode) -> Option<(u64, u64)> {
        let (call, target) = self.only_call(number)?;
        let callee = read(decode, target, (function.follow)(target)?)?;
        let inner = callee.from(target).iter().find(|insn| insn.flow != Flow::Next)?;
        let Flow::Call(Some(inner_target)) = inner.flow else { return None };
        let jump = jump_behind(&callee, inner)?;
        let without = callee.reach(target, &[jump]);
        if without.leaves.is_some() || without.unclear.is_some() {
            return None;
        }
        let makes_another = makes(&callee, jump, |flow| matches!(flow, Flow::Syscall | Flow::Call(_)));
        let innermost = read(decode, inner_target, (function.follow)(inner_target)?)?;
        let is_syscall = innermost.reach(inner_target, &[]).insns.iter().any(|insn| insn.flow == Flow::Syscall);
        (is_syscall && !makes_another).then_some((call.at, jump))
    }

    /// The emulated call that ends the straight beginning of the function, with the arguments in place and `number` on top
    /// of the stack, when nothing else is called or jumped to.
    fn only_call(&self, number: u32) -> Option<(&Insn, u64)> {
        let mut pushed = None;
        for insn in self.code.from(self.start) {
            if self.code.is_entered(self.start, insn.at) {
                return None;
            }
            if let Flow::Call(Some(target)) = insn.flow {
                let other = makes(self.code, insn.next, |flow| !matches!(flow, Flow::Next | Flow::Leave));
                let proven = insn.emulated.is_some() && pushed == Some(number) && !other;
                return proven.then_some((insn, target));
            }
            if insn.flow != Flow::Next || self.loses_argument(insn) {
                return None;
            }
            if insn.pushes.is_some() || insn.stores || insn.writes.intersects(Roles::FRAME) {
                pushed = insn.pushes;
            }
        }
        None
    }

    /// A probe on the first emulated instruction at which the arguments and `also` are intact.
    fn entry(&self, also: Roles, price: Price) -> Result<Placed, String> {
        let Enter { at, name } = self.first_emulated(also)?;
        let reason = format!("{name} at +{} is emulated", at - self.start);
        Ok(Placed { placement: Placement::EmulatedEntry { enter: at }, reason, price, passes_to: None })
    }

    fn first_emulated(&self, also: Roles) -> Result<Enter, String> {
        for insn in self.code.from(self.start) {
            let offset = insn.at - self.start;
            if self.code.is_entered(self.start, insn.at) {
                return Err(format!("a branch comes back to +{offset} before an emulated instruction"));
            }
            if let Some(name) = insn.emulated {
                return Ok(Enter { at: insn.at, name });
            }
            if insn.flow != Flow::Next {
                return Err(format!("control goes elsewhere at +{offset} before an emulated instruction"));
            }
            if self.loses_argument(insn) {
                return Err(format!("no emulated instruction before an argument is gone at +{offset}"));
            }
            if insn.writes.intersects(also) {
                return Err(format!("no emulated instruction before the return address is out of reach at +{offset}"));
            }
        }
        Err("no emulated instruction in it".to_owned())
    }

    /// The function that this one jumps on to, when it does nothing else before.
    fn passes_to(&self) -> Option<u64> {
        let straight = |insn: &&Insn| insn.flow == Flow::Next && !self.loses_argument(insn);
        let insn = self.code.from(self.start).iter().find(|insn| !straight(insn))?;
        let Flow::Jump(target) = insn.flow else { return None };
        (!self.code.contains(target)).then_some(target)
    }
}

/// An emulated instruction at the beginning of a function, and what it is called.
struct Enter {
    at: u64,
    name: &'static str,
}

/// The first branch behind a call or a system call, if the kernel emulates it, nothing enters in between and the result is
/// still in its register.
fn jump_behind(code: &Code, call: &Insn) -> Option<u64> {
    for insn in code.from(call.next) {
        if code.is_entered(call.at, insn.at) {
            return None;
        }
        match insn.flow {
            Flow::Branch(_) => return insn.emulated.map(|_| insn.at),
            Flow::Next if !insn.writes.intersects(Roles::RESULT) => {}
            _ => return None,
        }
    }
    None
}

/// Whether an instruction of such a kind can run from `at` on.
fn makes(code: &Code, at: u64, kind: impl Fn(Flow) -> bool) -> bool {
    code.reach(at, &[]).insns.iter().any(|insn| kind(insn.flow))
}
