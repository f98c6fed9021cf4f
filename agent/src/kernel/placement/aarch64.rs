//! arm64 instructions for the rules, decoded by hand from the fixed 32-bit words.
//!
//! What the kernel emulates is what arch/arm64/kernel/probes/decode-insn.c simulates for uprobes on every kernel since
//! 5.15: branches and `adr`. `nop` and `bti` are stepped there, and literal loads are no longer accepted. An instruction
//! that is not known here counts as one that writes every register and goes anywhere.

use super::code::{Code, Flow, Insn, Roles};

const LINK: u32 = 30;
/// Register 31: the stack pointer or zero, by instruction.
const STACK: u32 = 31;
/// Counts as both: an instruction that is not known.
const UNKNOWN: (Flow, Roles) = (Flow::Unclear, Roles::ALL);

/// Decodes `bytes` that lie at `address`; an odd rest is left out.
pub(super) fn decode(address: u64, bytes: &[u8]) -> Code {
    let (words, _) = bytes.as_chunks::<4>();
    let addresses = std::iter::successors(Some(address), |at| at.checked_add(4));
    let insns = addresses.zip(words).map(|(at, word)| insn(at, u32::from_le_bytes(*word)));
    Code::new(insns.collect())
}

fn insn(at: u64, word: u32) -> Insn {
    let (flow, writes) = branch(at, word)
        .or_else(|| system(word))
        .or_else(|| data(word).or_else(|| memory(word)).map(|writes| (Flow::Next, writes)))
        .unwrap_or(UNKNOWN);
    // `movz x8, #number`, 32 or 64 bits wide.
    let is_number = word & 0x7fe0_001f == 0x5280_0008;
    Insn {
        at,
        next: at.saturating_add(4),
        flow,
        writes,
        widens: widens(word),
        emulated: emulated(word),
        number: is_number.then_some(word >> 5 & 0xffff),
        pushes: None,
        stores: true,
    }
}

fn emulated(word: u32) -> Option<&'static str> {
    Some(match () {
        () if word & 0xfc00_0000 == 0x1400_0000 => "branch",
        () if word & 0xfc00_0000 == 0x9400_0000 => "call",
        () if word & 0xff00_0010 == 0x5400_0000 => "conditional branch",
        () if word & 0x7c00_0000 == 0x3400_0000 => "conditional branch",
        () if word & 0x9f00_0000 == 0x1000_0000 => "adr",
        () if word & 0x9f00_0000 == 0x9000_0000 => "adrp",
        () => return None,
    })
}

/// Branches, exceptions and what ends a function.
fn branch(at: u64, word: u32) -> Option<(Flow, Roles)> {
    let to = |bits: u32, shift: u32| {
        let field = i64::from(word) << (64 - bits - shift) >> (64 - bits);
        at.wrapping_add_signed(field * 4)
    };
    Some(match word {
        _ if word & 0xfc00_0000 == 0x1400_0000 => (Flow::Jump(to(26, 0)), Roles::NONE),
        _ if word & 0xfc00_0000 == 0x9400_0000 => (Flow::Call(Some(to(26, 0))), Roles::ALL),
        _ if word & 0xff00_0010 == 0x5400_0000 => (Flow::Branch(to(19, 5)), Roles::NONE),
        _ if word & 0x7e00_0000 == 0x3400_0000 => (Flow::Branch(to(19, 5)), Roles::NONE),
        _ if word & 0x7e00_0000 == 0x3600_0000 => (Flow::Branch(to(14, 5)), Roles::NONE),
        _ if word & 0xffff_fc1f == 0xd63f_0000 => (Flow::Call(None), Roles::ALL), // blr
        _ if word & 0xffff_fc1f == 0xd65f_0000 => (Flow::Leave, Roles::NONE),     // ret
        0xd65f_0bff | 0xd65f_0fff => (Flow::Leave, Roles::NONE),                  // retaa, retab
        _ if word & 0xffe0_001f == 0xd420_0000 => (Flow::Leave, Roles::NONE),     // brk
        0xd400_0001 => (Flow::Syscall, Roles::argument(0) | Roles::RESULT),       // svc #0
        _ => return None,
    })
}

/// Hints and reads of system registers.
fn system(word: u32) -> Option<(Flow, Roles)> {
    if word & 0xfff0_0000 == 0xd530_0000 {
        return Some((Flow::Next, writes_to(word & 31))); // mrs
    }
    if word & 0xffff_f01f != 0xd503_201f {
        return None;
    }
    match word >> 5 & 0x7f {
        0 | 32 | 34 | 36 | 38 => Some((Flow::Next, Roles::NONE)), // nop, bti
        // paciasp, pacibsp: a uretprobe must not replace a return address that is signed.
        25 | 27 => Some((Flow::Next, Roles::FRAME)),
        _ => None,
    }
}

/// Arithmetic: the destination is always in the low five bits.
fn data(word: u32) -> Option<Roles> {
    let to = word & 31;
    let immediate = word & 0x1c00_0000 == 0x1000_0000; // adr, add, logical, mov, bitfield
    let register = word & 0x0e00_0000 == 0x0a00_0000;
    (immediate || register).then(|| writes_to(to))
}

/// `sxtw x0, w0`.
fn widens(word: u32) -> Roles {
    let in_place = word & 0xffff_fc00 == 0x9340_7c00 && word & 31 == word >> 5 & 31;
    if in_place { writes_to(word & 31) } else { Roles::NONE }
}

/// Loads and stores of the common forms. Exclusive, atomic and vector-structure forms are not known.
fn memory(word: u32) -> Option<Roles> {
    let (first, second, base) = (word & 31, word >> 10 & 31, word >> 5 & 31);
    let is_vector = word >> 26 & 1 == 1;
    let pair = word & 0x3a00_0000 == 0x2800_0000;
    let literal = word & 0x3b00_0000 == 0x1800_0000;
    let scaled = word & 0x3b00_0000 == 0x3900_0000;
    let unscaled = word & 0x3b20_0000 == 0x3800_0000;
    let indexed = word & 0x3b20_0c00 == 0x3820_0800;
    let (is_load, writes_back) = match () {
        () if pair => (word >> 22 & 1 == 1, word >> 23 & 1 == 1),
        () if literal => (true, false),
        () if scaled || indexed => (word >> 22 & 3 != 0, false),
        () if unscaled => (word >> 22 & 3 != 0, word >> 10 & 1 == 1),
        () => return None,
    };
    let back = if writes_back { writes_to(base) } else { Roles::NONE };
    let other = if pair { second } else { first };
    Some(match (is_vector, is_load) {
        (true, _) => back,
        (false, true) => back | writes_to(first) | writes_to(other),
        // Once the link register is saved, a uretprobe can no longer change where the function returns to.
        (false, false) if first == LINK || other == LINK => back | Roles::FRAME,
        (false, false) => back,
    })
}

fn writes_to(register: u32) -> Roles {
    match register {
        0 => Roles::argument(0) | Roles::RESULT,
        1..=7 => u8::try_from(register).map_or(Roles::ALL, Roles::argument),
        8 => Roles::NUMBER,
        LINK | STACK => Roles::FRAME,
        _ => Roles::NONE,
    }
}
