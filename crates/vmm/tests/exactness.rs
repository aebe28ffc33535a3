//! What follows a snapshot follows a restore and a further machine, too: the same questions,
//! registers and memory, at any question of random guests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[macro_use]
mod common;

use common::{Answer, Asked, Cpu, DELIVER, FLAT, LONG, Question};
use common::{affordable, config, gpa, pattern, port, set, try_run};
use vmm::{KickCause, KickHandle, Machine, RouteConfig, RouteTarget, kvm_regs, kvm_sregs};

const DEVICE: u64 = 0xd000_0000;

/// Instructions that ask, write or change registers, and take the same bytes in 32 and 64 bits.
const PIECES: [&str; 14] = [
    "e6 60             ; out %al,$0x60",
    "e5 60             ; in $0x60,%eax",
    "e7 70             ; out %eax,$0x70",
    "66 e5 10          ; in $0x10,%ax",
    "e6 e9             ; out %al,$0xe9",
    "e6 50             ; out %al,$0x50",
    "89 07             ; mov %eax,(%rdi)",
    "03 06             ; add (%rsi),%eax",
    "89 03             ; mov %eax,(%rbx)",
    "8b 43 10          ; mov 16(%rbx),%eax",
    "01 43 20          ; add %eax,32(%rbx)",
    "b9 05 00 00 00 f3 6e ; mov $5,%ecx; rep outsb",
    "b9 03 00 00 00 f3 6d ; mov $3,%ecx; rep insl",
    "81 f7 00 10 00 00 ; xor $0x1000,%edi",
];

/// Marsaglia's xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

fn routes() -> [RouteConfig; 5] {
    [
        port(0x60, 1, RouteTarget::Device),
        port(0xe9, 1, DELIVER),
        port(0x50, 1, RouteTarget::Queue { read_value: None }),
        port(0x10, 2, RouteTarget::Constant(0x1234)),
        gpa(DEVICE, 0x30, RouteTarget::Device),
    ]
}

fn guest(random: &mut Random, cpu: Cpu, irqchip: bool) -> Machine {
    let count = 3 + random.below(8);
    let pieces: Vec<_> = (0..count)
        .map(|_| PIECES[random.below(PIECES.len())])
        .collect();
    let listing = format!("{}\n e6 60 ; out %al,$0x60", pieces.join("\n"));
    let mut bytes = common::code(&listing);
    let back = -(bytes.len() as i32 + 5);
    bytes.push(0xe9);
    bytes.extend(back.to_le_bytes());
    let mut config = config(cpu, "", &routes());
    config.payload.image = bytes.into();
    config.irqchip = irqchip;
    let mut machine = Machine::new(config).unwrap();
    machine.memory().write(0x4000, &pattern(0x2000)).unwrap();
    set(&mut machine, |regs| {
        (regs.rdi, regs.rsi, regs.rbx, regs.rdx) = (0x8000, 0x4000, DEVICE, 0x70);
    });
    machine
}

/// Goes on for so many questions, and stops at the next one, answered or not.
fn go_on(machine: &mut Machine, questions: usize, leaves_open: bool) -> Vec<Asked> {
    let (kick, mut asked) = (KickHandle::new(), Vec::new());
    let answer = |question: Question<'_>| {
        let is_text = matches!(question, Question::Console { .. } | Question::Posted);
        if is_text || matches!(question, Question::Tick) {
            return Answer::Done;
        }
        if asked.len() >= questions {
            kick.kick(KickCause::Stop);
            if leaves_open {
                return Answer::Withdrawn;
            }
        }
        asked.push(Asked::from(&question));
        Answer::Value(asked.len() as u64 * 0x9e37_79b9)
    };
    try_run(machine, &kick, answer).unwrap();
    asked
}

type Seen = (Vec<Asked>, kvm_regs, kvm_sregs);

fn seen(machine: &mut Machine, questions: usize, leaves_open: bool) -> Seen {
    let asked = go_on(machine, questions, leaves_open);
    let registers = machine.registers().unwrap();
    (asked, registers, machine.special_registers().unwrap())
}

#[test]
fn a_random_guest_does_after_a_restore_and_elsewhere_what_it_did_before() {
    require!(LONG);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..affordable(80) {
        let cpu = FLAT[random.below(FLAT.len())];
        if common::missing(&[cpu]).is_some() {
            continue;
        }
        let irqchip = random.below(4) == 0;
        let mut machine = guest(&mut random, cpu, irqchip);
        go_on(&mut machine, random.below(30), random.below(2) == 0);
        let (questions, leaves_open) = (1 + random.below(20), random.below(2) == 0);
        let what = format!("{round}: {cpu:?}, irqchip {irqchip}, {questions} questions");

        let base = machine.snapshot().unwrap();
        let first = seen(&mut machine, questions, leaves_open);
        let end = machine.snapshot().unwrap();
        machine.restore(&base).unwrap();
        let second = seen(&mut machine, questions, leaves_open);
        assert_eq!(second, first, "{what}");
        let mut further = Machine::from_snapshot(&base, &[]).unwrap();
        let third = seen(&mut further, questions, leaves_open);
        assert_eq!(third, first, "{what}");
        for machine in [&mut machine, &mut further] {
            let other = machine.snapshot().unwrap();
            let differences = end.diff(&other).unwrap().map(|page| page.gpa);
            assert_eq!(differences.collect::<Vec<_>>(), [0_u64; 0], "{what}");
        }
        // The end is a state like any other.
        further.restore(&end).unwrap();
        let fourth = seen(&mut further, 5, false);
        machine.restore(&end).unwrap();
        assert_eq!(seen(&mut machine, 5, false), fourth, "{what}");
    }
}
