//! x86-64 instructions for the rules, decoded by iced-x86.
//!
//! What the kernel emulates is read off the bytes, as arch/x86/kernel/uprobes.c does (`branch_setup_xol_ops`,
//! `push_setup_xol_ops`), and only the forms that every kernel since 5.15 takes, without prefixes.

use super::code::{Code, Flow, Insn, Roles};
use iced_x86::{
    Code as Op, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfo, InstructionInfoFactory, OpAccess,
    OpKind, Register,
};

/// Decodes `bytes` that lie at `address`, from the first to the last.
pub(super) fn decode(address: u64, bytes: &[u8]) -> Code {
    let mut decoder = Decoder::with_ip(64, bytes, address, DecoderOptions::NONE);
    let mut info = InstructionInfoFactory::new();
    let mut insns: Vec<Insn> = Vec::new();
    let mut before = Instruction::default();
    while decoder.can_decode() {
        let from = decoder.position();
        let op = decoder.decode();
        let raw = bytes.get(from..decoder.position()).unwrap_or_default();
        insns.push(Insn {
            at: op.ip(),
            next: op.next_ip(),
            flow: flow(&op),
            writes: writes(&op, info.info(&op)),
            widens: widens(&op),
            emulated: emulated(raw),
            number: number(&op, &before),
            pushes: pushes(&op),
            stores: info.info(&op).used_memory().iter().any(|memory| is_write(memory.access())),
        });
        before = op;
    }
    Code::new(insns)
}

fn flow(op: &Instruction) -> Flow {
    if op.is_invalid() {
        return Flow::Unclear;
    }
    if op.code() == Op::Syscall {
        return Flow::Syscall;
    }
    match op.flow_control() {
        FlowControl::Next => Flow::Next,
        FlowControl::ConditionalBranch => Flow::Branch(op.near_branch_target()),
        FlowControl::UnconditionalBranch if op.is_jmp_short_or_near() => Flow::Jump(op.near_branch_target()),
        FlowControl::Call if op.is_call_near() => Flow::Call(Some(op.near_branch_target())),
        FlowControl::IndirectCall => Flow::Call(None),
        FlowControl::Return | FlowControl::Exception => Flow::Leave,
        _ => Flow::Unclear,
    }
}

fn writes(op: &Instruction, info: &InstructionInfo) -> Roles {
    if op.is_invalid() {
        return Roles::ALL;
    }
    let written = info.used_registers().iter().filter(|used| is_write(used.access()));
    let mut roles = written.map(|used| role(used.register())).fold(Roles::NONE, |all, role| all | role);
    if op.code() == Op::Syscall {
        roles = roles | Roles::RESULT | Roles::NUMBER;
    }
    roles
}

fn widens(op: &Instruction) -> Roles {
    let widens = matches!(op.code(), Op::Movsxd_r64_rm32 | Op::Mov_r32_rm32 | Op::Mov_rm32_r32)
        && op.op1_kind() == OpKind::Register
        && op.op0_register().full_register() == op.op1_register().full_register();
    if widens { role(op.op0_register()) } else { Roles::NONE }
}

fn is_write(access: OpAccess) -> bool {
    matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

fn role(register: Register) -> Roles {
    match register.full_register() {
        Register::RDI => Roles::argument(0),
        Register::RSI => Roles::argument(1),
        Register::RDX => Roles::argument(2),
        Register::RCX => Roles::argument(3),
        Register::R8 => Roles::argument(4),
        Register::R9 => Roles::argument(5),
        Register::RAX => Roles::RESULT | Roles::NUMBER,
        Register::RSP => Roles::FRAME,
        _ => Roles::NONE,
    }
}

fn emulated(raw: &[u8]) -> Option<&'static str> {
    Some(match raw {
        [0x70..=0x7f, _] | [0x0f, 0x80..=0x8f, ..] => "conditional jump",
        [0xeb, ..] | [0xe9, ..] => "jump",
        [0xe8, ..] => "call",
        [0x50..=0x57] | [0x41, 0x50..=0x57] => "push",
        [0x90] => "nop",
        _ => return None,
    })
}

/// What `op` leaves in eax: a constant, or 0 behind the untaken `jne` of a `test eax, eax` (glibc 2.31's `read`).
fn number(op: &Instruction, before: &Instruction) -> Option<u32> {
    let zeroes = |op: &Instruction| op.op0_register() == Register::EAX && op.op1_register() == Register::EAX;
    match op.code() {
        Op::Mov_r32_imm32 if op.op0_register() == Register::EAX => Some(op.immediate32()),
        Op::Xor_r32_rm32 | Op::Xor_rm32_r32 if zeroes(op) => Some(0),
        Op::Jne_rel8_64 | Op::Jne_rel32_64 if before.code() == Op::Test_rm32_r32 && zeroes(before) => Some(0),
        _ => None,
    }
}

fn pushes(op: &Instruction) -> Option<u32> {
    let constant = matches!(op.code(), Op::Pushq_imm8 | Op::Pushq_imm32);
    constant.then(|| u32::try_from(op.immediate(0)).ok()).flatten()
}
