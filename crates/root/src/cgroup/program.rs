//! BPF programs that decide about devices (`BPF_PROG_TYPE_CGROUP_DEVICE`), as data: one that was read from the kernel is
//! taken apart into rules of ours and the rest, and put together again with more rules in front.
//!
//! Such a program gets a `struct bpf_cgroup_dev_ctx` of three 32-bit numbers (type in the low half of the first, the
//! requested access in the high half; major; minor) and returns whether that is allowed (`linux/bpf.h`). Ours looks like
//! this:
//!
//! ```text
//!     r2 = type, r3 = access, r4 = major, r5 = minor
//!     for each rule:  type, major and minor equal, and nothing requested beyond the rule's access: return 1
//!     the program that was there before
//! ```
//!
//! The old part finds the registers as it did alone, since the verifier let it rely only on r1 (the context) and r10 (the
//! stack), which ours leave as they are. All jumps are relative, so it needs no change.

#[cfg(test)]
mod interpreter;
#[cfg(test)]
pub(super) mod tests;

use super::rule::{Access, Kind, Rule};

/// One instruction, `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one (on little-endian machines, which are all that we build for).
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Instruction classes and modes, from `linux/bpf_common.h` and `linux/bpf.h`.
const LOAD_WORD: u8 = 0x61;
const LOAD_DOUBLE_IMMEDIATE: u8 = 0x18;
const MOVE: u8 = 0xbf;
const MOVE_IMMEDIATE: u8 = 0xb7;
const AND_IMMEDIATE: u8 = 0x57;
const EXCLUSIVE_OR: u8 = 0xaf;
const SHIFT_RIGHT_IMMEDIATE: u8 = 0x77;
const JUMP_IF_NOT_EQUAL_IMMEDIATE: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const JUMP: u8 = 0x05;
/// Bits of an operation: its class, and that its second operand is a register.
const CLASS: u8 = 0x07;
const ALU: u8 = 0x04;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const REGISTER_OPERAND: u8 = 0x08;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// The kernel's own registers begin here; programs that it has hardened use them.
const REGISTERS: u8 = 11;
/// The one that hardening uses.
const HARDENING: u8 = 11;

/// Instructions before the first rule.
const HEADER: usize = 6;
/// Instructions of a rule.
const BLOCK: usize = 8;

/// Why a program that was read cannot be extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The kernel does not show the instructions at all.
    #[error(
        "the kernel hides its instructions from this process; run with CAP_BPF (or CAP_SYS_ADMIN) in the first user \
         namespace, or start the container without device cgroups (no-cgroups = true)"
    )]
    Hidden,
    /// `net.core.bpf_jit_harden` changes constants into code that no program may contain.
    #[error(
        "its instructions are hardened; set the sysctl net.core.bpf_jit_harden to 0 (or 1) and start the container anew, \
         or use a mode that writes devices into config.json"
    )]
    Hardened,
    /// It calls functions or uses maps, whose addresses are not shown.
    #[error("it calls functions of the kernel or uses maps; allow the devices where this program comes from")]
    Linked,
    /// There is nothing, or nothing but zeros.
    #[error(
        "the kernel shows zeros instead of its instructions; see the sysctls net.core.bpf_jit_harden and kernel.kptr_restrict"
    )]
    Blank,
}

/// A program taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Rules that we put in front earlier.
    pub(super) ours: Vec<Rule>,
    /// The program behind them.
    rest: Vec<Instruction>,
}

impl Program {
    /// Takes a program apart. One of which a beginning of ours cannot be recognised is all rest.
    ///
    /// # Errors
    /// [`Unreadable`] if it would not work when it is loaded again.
    pub(super) fn from_instructions(instructions: &[Instruction]) -> Result<Program, Unreadable> {
        let softened = softened(instructions);
        let instructions = &softened[..];
        check(instructions)?;
        let mut program = Program { ours: Vec::new(), rest: instructions.to_vec() };
        if let Some(mut rest) = instructions.strip_prefix(&header()) {
            while let Some((rule, behind)) = leading_rule(rest) {
                program.ours.push(rule);
                rest = behind;
            }
            // A beginning alone means nothing, and what it says the rest may need.
            if !program.ours.is_empty() {
                program.rest = rest.to_vec();
            }
        }
        Ok(program)
    }

    /// The program that also allows `rules`; `None` if ours do already.
    pub(super) fn extended(&self, rules: &[Rule]) -> Option<Vec<Instruction>> {
        let missing = |rule: &&Rule| {
            let known = self.ours.iter().find(|known| known.same_device(rule));
            known.is_none_or(|known| !rule.access.without(known.access).is_none())
        };
        rules.iter().any(|rule| missing(&rule)).then(|| {
            let all: Vec<Rule> = self.ours.iter().chain(rules).copied().collect();
            let mut built = header().to_vec();
            built.extend(super::rule::merged(&all).iter().flat_map(block));
            built.extend(&self.rest);
            built
        })
    }
}

/// Undoes what `net.core.bpf_jit_harden` does to constants: the kernel replaces an instruction with one by three, which
/// compute it from two numbers in a register of its own, that no program may name. The first two become jumps to the next
/// instruction, so that all places stay the same. A zero it makes by an exclusive-or of a register with itself, which the
/// verifier takes for a use of the register.
fn softened(instructions: &[Instruction]) -> Vec<Instruction> {
    let mut softened = instructions.to_vec();
    for instruction in &mut softened {
        if instruction.code == EXCLUSIVE_OR && instruction.target() == instruction.source() {
            *instruction = Instruction::new(MOVE_IMMEDIATE, instruction.target(), 0, 0, 0);
        }
    }
    for at in 0..instructions.len().saturating_sub(2) {
        let [first, second, third] = [instructions[at], instructions[at + 1], instructions[at + 2]];
        let hardened = matches!((first.code, second.code), (0xb4, 0xa4) | (0xb7, 0xa7))
            && (first.target(), second.target()) == (HARDENING, HARDENING)
            && (third.source(), third.code & REGISTER_OPERAND) == (HARDENING, REGISTER_OPERAND)
            && matches!(third.code & CLASS, ALU | ALU64 | JMP | JMP32);
        if hardened {
            softened[at..at + 2].fill(Instruction::new(JUMP, 0, 0, 0, 0));
            let (code, immediate) = (third.code & !REGISTER_OPERAND, first.immediate ^ second.immediate);
            softened[at + 2] = Instruction { code, registers: third.target(), immediate, ..third };
        }
    }
    softened
}

/// Whether the kernel would take these instructions back.
fn check(instructions: &[Instruction]) -> Result<(), Unreadable> {
    let is_zero = |instruction: &Instruction| *instruction == Instruction::BLANK;
    if instructions.iter().all(is_zero) {
        return Err(Unreadable::Blank);
    }
    let mut second_half = false;
    for instruction in instructions {
        // The second half of a 64-bit constant has no operation of its own.
        if std::mem::take(&mut second_half) {
            continue;
        }
        second_half = instruction.code == LOAD_DOUBLE_IMMEDIATE;
        let linked = instruction.code == CALL || second_half && instruction.source() != 0;
        match instruction {
            _ if linked => return Err(Unreadable::Linked),
            _ if is_zero(instruction) => return Err(Unreadable::Blank),
            _ if instruction.target() >= REGISTERS || instruction.source() >= REGISTERS => {
                return Err(Unreadable::Hardened);
            }
            _ => {}
        }
    }
    Ok(())
}

fn header() -> [Instruction; HEADER] {
    let new = Instruction::new;
    [
        new(LOAD_WORD, TYPE, CONTEXT, 0, 0),
        new(MOVE, ACCESS, TYPE, 0, 0),
        new(AND_IMMEDIATE, TYPE, 0, 0, 0xffff),
        new(SHIFT_RIGHT_IMMEDIATE, ACCESS, 0, 0, 16),
        new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ]
}

fn block(rule: &Rule) -> [Instruction; BLOCK] {
    // To the instruction behind the block, from the one with this index.
    let skip = |register, index: usize, value| {
        Instruction::new(JUMP_IF_NOT_EQUAL_IMMEDIATE, register, 0, (BLOCK - 1 - index) as i16, value)
    };
    let set = |code, register, source, value| Instruction::new(code, register, source, 0, value);
    [
        skip(TYPE, 0, kind_number(rule.kind)),
        set(MOVE, RESULT, ACCESS, 0),
        // Whatever remains was asked for and is not the rule's to give.
        set(AND_IMMEDIATE, RESULT, 0, !i32::from(rule.access.bits())),
        skip(RESULT, 3, 0),
        skip(MAJOR, 4, rule.major as i32),
        skip(MINOR, 5, rule.minor as i32),
        set(MOVE_IMMEDIATE, RESULT, 0, 1),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ]
}

/// The rule whose block stands first, and what follows it.
fn leading_rule(instructions: &[Instruction]) -> Option<(Rule, &[Instruction])> {
    let (first, rest) = instructions.split_at_checked(BLOCK)?;
    let rule = Rule {
        kind: [Kind::Block, Kind::Char].into_iter().find(|kind| kind_number(*kind) == first[0].immediate)?,
        access: Access::from_bits(u8::try_from(!first[2].immediate).ok()?)?,
        major: first[4].immediate as u32,
        minor: first[5].immediate as u32,
    };
    (first == block(&rule)).then_some((rule, rest))
}

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
fn kind_number(kind: Kind) -> i32 {
    match kind {
        Kind::Block => 1,
        Kind::Char => 2,
    }
}

impl Instruction {
    const fn new(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
        Instruction { code, registers: target | source << 4, offset, immediate }
    }

    /// What the kernel leaves where it shows nothing.
    pub(super) const BLANK: Instruction = Instruction::new(0, 0, 0, 0, 0);

    fn target(self) -> u8 {
        self.registers & 0xf
    }

    fn source(self) -> u8 {
        self.registers >> 4
    }
}
