//! Programs against a model of what they should allow, run by an interpreter.

use super::{
    interpreter::{Request, run},
    *,
};
use proptest::prelude::*;

const ALLOW: [Instruction; 2] = [Instruction::new(MOVE_IMMEDIATE, 0, 0, 0, 1), Instruction::new(EXIT, 0, 0, 0, 0)];
const REFUSE: [Instruction; 2] = [Instruction::new(MOVE_IMMEDIATE, 0, 0, 0, 0), Instruction::new(EXIT, 0, 0, 0, 0)];

/// Like those of low-level runtimes: `/dev/null` may be used, any node be made, and nothing else.
pub(in super::super) fn runtimes() -> Vec<Instruction> {
    let new = Instruction::new;
    vec![
        new(LOAD_WORD, 2, 1, 0, 0),
        new(0x54, 2, 0, 0, 0xffff), // w2 &= 0xffff
        new(LOAD_WORD, 3, 1, 0, 0),
        new(0x74, 3, 0, 0, 16), // w3 >>= 16
        new(LOAD_WORD, 4, 1, 4, 0),
        new(LOAD_WORD, 5, 1, 8, 0),
        new(0x55, 2, 0, 4, 2), // not a character device: to the next rule
        new(0x55, 4, 0, 3, 1),
        new(0x55, 5, 0, 2, 3),
        ALLOW[0],
        ALLOW[1],
        new(0xbc, 1, 3, 0, 0), // w1 = w3: clobbers the context, as runc's does
        new(0x54, 1, 0, 0, 1), // only mknod
        new(0x5d, 1, 3, 2, 0), // something else too
        ALLOW[0],
        ALLOW[1],
        REFUSE[0],
        REFUSE[1],
    ]
}

fn extended(program: &[Instruction], rules: &[Rule]) -> Vec<Instruction> {
    Program::from_instructions(program).unwrap().extended(rules).expect("something to add")
}

fn opened(program: &[Instruction], major: u32, minor: u32) -> bool {
    run(program, Request { kind: 2, access: 6, major, minor }) == 1
}

/// Asks the kernel who the process is, and refuses.
pub(in super::super) fn calling() -> Vec<Instruction> {
    const CURRENT_UID_AND_GID: i32 = 15;
    [vec![Instruction::new(CALL, 0, 0, 0, CURRENT_UID_AND_GID)], REFUSE.to_vec()].concat()
}

#[test]
fn the_rules_are_asked_first_and_the_old_program_then() {
    let program = extended(&runtimes(), &[Rule::character(195, 0), Rule::character(195, 255)]);
    assert_eq!(program.len(), HEADER + 2 * BLOCK + runtimes().len());
    for (major, minor, want) in [(195, 0, true), (195, 255, true), (195, 1, false), (1, 3, true), (1, 5, false)] {
        assert_eq!(opened(&program, major, minor), want, "{major}:{minor}");
    }
    assert!(!opened(&runtimes(), 195, 0), "the test's program alone refuses");
}

#[test]
fn every_bit_that_is_asked_for_must_be_granted() {
    let program = extended(&REFUSE, &[Rule { access: Access::READ, ..Rule::character(195, 0) }]);
    for (access, want) in [(2, 1), (4, 0), (6, 0), (1, 0), (3, 0), (0, 1), (0x8002, 0)] {
        let request = Request { kind: 2, access, major: 195, minor: 0 };
        assert_eq!(run(&program, request), want, "access {access}");
    }
    let request = Request { kind: 1, access: 2, major: 195, minor: 0 };
    assert_eq!(run(&program, request), 0, "a block device of the same number");
}

#[test]
fn a_second_time_adds_nothing() {
    let rules = [Rule::character(195, 0), Rule::character(195, 255)];
    let once = extended(&runtimes(), &rules);
    let again = Program::from_instructions(&once).unwrap();
    assert_eq!(again.ours, rules);
    assert_eq!(again.extended(&rules), None);
    assert_eq!(again.extended(&rules[..1]), None);
    assert_eq!(again.extended(&[]), None);
    // What is new goes into the same beginning.
    let more = again.extended(&[rules[0], Rule::character(195, 1)]).unwrap();
    assert_eq!(more.len(), once.len() + BLOCK);
    assert!(opened(&more, 195, 0) && opened(&more, 195, 1) && opened(&more, 1, 3) && !opened(&more, 195, 2));
    // So does more of the same device.
    let wider = again.extended(&[Rule { access: Access::ALL, ..rules[0] }]).unwrap();
    assert_eq!(wider.len(), once.len());
    assert_eq!(Program::from_instructions(&wider).unwrap().ours[0].access, Access::ALL);
}

#[test]
fn another_tools_beginning_is_not_taken_for_ours() {
    let mut foreign = header().to_vec();
    foreign.extend(REFUSE);
    assert_eq!(Program::from_instructions(&foreign).unwrap(), Program { ours: Vec::new(), rest: foreign.clone() });
    // One instruction changed: the rest is theirs.
    let mut changed = extended(&REFUSE, &[Rule::character(195, 0), Rule::character(195, 1)]);
    changed[HEADER + BLOCK + 1] = Instruction::new(MOVE, RESULT, MINOR, 0, 0);
    let taken = Program::from_instructions(&changed).unwrap();
    assert_eq!(taken.ours, [Rule::character(195, 0)]);
    assert_eq!(taken.rest.len(), BLOCK + REFUSE.len());
}

#[test]
fn what_would_not_load_again_is_refused() {
    let new = Instruction::new;
    let with = |instruction: Instruction| [vec![instruction], REFUSE.to_vec()].concat();
    for (program, want) in [
        (vec![], Unreadable::Blank),
        (vec![new(0, 0, 0, 0, 0); 8], Unreadable::Blank),
        (with(new(0, 0, 0, 0, 0)), Unreadable::Blank),
        (with(new(CALL, 0, 0, 0, 5)), Unreadable::Linked),
        (with(new(LOAD_DOUBLE_IMMEDIATE, 1, 1, 0, 7)), Unreadable::Linked),
        (with(new(0xb4, 11, 0, 0, 7)), Unreadable::Hardened),
        (with(new(0xbc, 2, 11, 0, 0)), Unreadable::Hardened),
    ] {
        assert_eq!(Program::from_instructions(&program), Err(want), "{program:?}");
    }
    // A 64-bit constant whose second half looks like nothing is fine.
    let wide = [vec![new(LOAD_DOUBLE_IMMEDIATE, 6, 0, 0, 7), new(0, 0, 0, 0, 0)], ALLOW.to_vec()].concat();
    assert!(Program::from_instructions(&wide).is_ok());
}

#[test]
fn constants_that_the_kernel_hardened_become_constants_again() {
    let new = Instruction::new;
    // `if r2 != 2 goto +3; r0 = 0; exit; r0 = 1; exit`, as the kernel shows it with net.core.bpf_jit_harden = 2.
    let hardened = [
        new(0xb7, 11, 0, 0, 0x1234_0002),
        new(0xa7, 11, 0, 0, 0x1234_0000),
        new(0x5d, 2, 11, 2, 0),
        new(0xaf, 0, 0, 0, 0),
        new(EXIT, 0, 0, 0, 0),
        new(0xb7, 11, 0, 0, -8),
        new(0xa7, 11, 0, 0, -7),
        new(0xbf, 0, 11, 0, 0),
        new(EXIT, 0, 0, 0, 0),
    ];
    let nothing = new(JUMP, 0, 0, 0, 0);
    let want = [
        [nothing, nothing, new(0x55, 2, 0, 2, 2)].to_vec(),
        REFUSE.to_vec(),
        [nothing, nothing].to_vec(),
        ALLOW.to_vec(),
    ];
    assert_eq!(Program::from_instructions(&hardened).unwrap().rest, want.concat());
    // Only in that form: a pair of others' is not guessed at.
    assert_eq!(Program::from_instructions(&hardened[1..]), Err(Unreadable::Hardened));
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let kind = prop_oneof![Just(Kind::Block), Just(Kind::Char)];
    (kind, 190..198u32, prop_oneof![0..4u32, Just(0xf_ffff)], 0..8u8).prop_map(|(kind, major, minor, access)| Rule {
        kind,
        major,
        minor,
        access: Access::from_bits(access).unwrap(),
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    (1..3u32, 0..8u32, 190..198u32, prop_oneof![0..4u32, Just(0xf_ffff)])
        .prop_map(|(kind, access, major, minor)| Request { kind, access, major, minor })
}

/// The meaning of a list of rules, said once more.
fn allowed(rules: &[Rule], request: Request) -> bool {
    let devices = super::super::rule::merged(rules);
    devices.iter().any(|rule| {
        let kind = if rule.kind == Kind::Char { 2 } else { 1 };
        (kind, rule.major, rule.minor) == (request.kind, request.major, request.minor)
            && request.access & !u32::from(rule.access.bits()) == 0
    })
}

proptest! {
    #[test]
    fn programs_do_what_rules_say(
        first in prop::collection::vec(any_rule(), 0..6),
        second in prop::collection::vec(any_rule(), 0..6),
        requests in prop::collection::vec(any_request(), 40),
        old in prop_oneof![Just(ALLOW.to_vec()), Just(REFUSE.to_vec()), Just(runtimes())],
    ) {
        let (first, second) = (super::super::rule::merged(&first), super::super::rule::merged(&second));
        let step = |program: Vec<Instruction>, rules: &[Rule]| {
            Program::from_instructions(&program).unwrap().extended(rules).unwrap_or(program)
        };
        let built = step(step(old.clone(), &first), &second);
        let all = [first, second].concat();
        for request in requests {
            let want = allowed(&all, request) || run(&old, request) == 1;
            prop_assert_eq!(run(&built, request) == 1, want, "{:?}", request);
        }
        prop_assert_eq!(Program::from_instructions(&built).unwrap().extended(&all), None);
    }

    #[test]
    fn any_instructions_are_taken_apart_or_refused(words in prop::collection::vec(any::<u64>(), 0..40)) {
        let mut instructions = header().to_vec();
        instructions.extend(words.iter().map(|word| {
            let (registers, offset) = ((word >> 8) as u8, (word >> 16) as i16);
            Instruction { code: *word as u8, registers, offset, immediate: (word >> 32) as i32 }
        }));
        let _ = Program::from_instructions(&instructions);
    }
}
