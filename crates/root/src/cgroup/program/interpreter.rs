//! Runs a device program on one request, as far as such programs go; for tests only. It is written from the kernel's
//! document of the instruction set and shares nothing with the assembler but the layout.

use super::Instruction;

/// A question that the kernel asks the program.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub kind: u32,
    pub access: u32,
    pub major: u32,
    pub minor: u32,
}

/// What the program returns. Panics on what a verifier would refuse.
pub fn run(program: &[Instruction], request: Request) -> u64 {
    let context = [request.kind | request.access << 16, request.major, request.minor];
    let mut registers: [Option<u64>; 11] = [None; 11];
    registers[1] = Some(0);
    let mut at = 0usize;
    for _ in 0..100_000 {
        let Instruction { code, offset, immediate, .. } = program[at];
        let (target, source) = (program[at].target() as usize, program[at].source() as usize);
        at += 1;
        let operand = |registers: &[Option<u64>; 11]| match code & 8 {
            0 => immediate as i64 as u64,
            _ => registers[source].expect("reads a register that was never set"),
        };
        match code & 7 {
            // Loads.
            0 if code == 0x18 => {
                let high = program[at].immediate as u32;
                at += 1;
                registers[target] = Some(u64::from(immediate as u32) | u64::from(high) << 32);
            }
            1 => {
                assert_eq!(registers[source], Some(0), "only the context can be read");
                let bytes: Vec<u8> = context.iter().flat_map(|word| word.to_le_bytes()).collect();
                let (from, width) = (offset as usize, [4, 2, 1, 8][usize::from(code >> 3 & 3)]);
                let mut number = [0; 8];
                number[..width].copy_from_slice(&bytes[from..from + width]);
                registers[target] = Some(u64::from_le_bytes(number));
            }
            // Arithmetic in 32 and 64 bits.
            class @ (4 | 7) => {
                let value = operand(&registers);
                let old = || registers[target].expect("computes with a register that was never set");
                let result = match code >> 4 {
                    0 => old().wrapping_add(value),
                    4 => old() | value,
                    5 => old() & value,
                    6 => old() << (value & 63),
                    7 if class == 4 => u64::from(old() as u32 >> (value & 31)),
                    7 => old() >> (value & 63),
                    10 => old() ^ value,
                    11 => value,
                    other => panic!("arithmetic {other}"),
                };
                registers[target] = Some(if class == 4 { u64::from(result as u32) } else { result });
            }
            // Jumps.
            class @ (5 | 6) => {
                if code == 0x95 {
                    return registers[0].expect("returns what was never set");
                }
                let narrow = |value: u64| if class == 6 { u64::from(value as u32) } else { value };
                let taken = code == 5 || {
                    let left = narrow(registers[target].expect("compares a register that was never set"));
                    let right = narrow(operand(&registers));
                    match code >> 4 {
                        1 => left == right,
                        2 => left > right,
                        4 => left & right != 0,
                        5 => left != right,
                        other => panic!("jump {other}"),
                    }
                };
                at = if taken { at.wrapping_add_signed(offset.into()) } else { at };
            }
            other => panic!("class {other}"),
        }
    }
    panic!("does not end")
}
