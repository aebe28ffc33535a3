//! What CPUID says of a vCPU's place: a package of as many cores as there are vCPUs, a thread each,
//! whatever the host is.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::collections::BTreeMap;

use common::{Answer, Question};
use common::{LIMITS, LONG, config, port};
use vmm::{Host, KickHandle, Machine, RouteTarget};

/// Asks for every leaf in the list at 0x800, writes the answers to 0x10000 + 0x1000 * RDI, waits
/// for the others, stops.
const GUEST: &str = "
    89 fd                   ; mov %edi,%ebp
    c1 e5 0c                ; shl $12,%ebp
    81 c5 00 00 01 00       ; add $0x10000,%ebp
    be 00 08 00 00          ; mov $0x800,%esi
    8b 06                   ; 1: mov (%rsi),%eax
    83 f8 ff                ; cmp $-1,%eax
    74 19                   ; je 2f
    8b 4e 04                ; mov 4(%rsi),%ecx
    0f a2                   ; cpuid
    89 45 00                ; mov %eax,(%rbp)
    89 5d 04                ; mov %ebx,4(%rbp)
    89 4d 08                ; mov %ecx,8(%rbp)
    89 55 0c                ; mov %edx,12(%rbp)
    83 c6 08                ; add $8,%esi
    83 c5 10                ; add $16,%ebp
    eb e0                   ; jmp 1b
    f0 ff 04 25 00 07 00 00 ; 2: lock incl 0x700
    8b 04 25 00 07 00 00    ; 3: mov 0x700,%eax
    3b 04 25 04 07 00 00    ; cmp 0x704,%eax
    75 f0                   ; jne 3b
    e6 f4                   ; out %al,$0xf4
";

/// Function and index.
type Leaf = (u32, u32);
/// EAX, EBX, ECX, EDX.
type Answers = BTreeMap<Leaf, [u32; 4]>;

const LEAVES: [Leaf; 20] = [
    (0, 0),
    (1, 0),
    (4, 0),
    (4, 1),
    (4, 2),
    (4, 3),
    (0xb, 0),
    (0xb, 1),
    (0xb, 2),
    (0x1f, 0),
    (0x1f, 1),
    (0x1f, 2),
    (0x15, 0),
    (0x4000_0000, 0),
    (0x4000_0010, 0),
    (0x8000_0000, 0),
    (0x8000_0008, 0),
    (0x8000_001d, 0),
    (0x8000_001d, 3),
    (0x8000_001e, 0),
];

/// What each of `count` vCPUs is told.
fn ask(count: u32) -> Vec<Answers> {
    let mut config = config(LONG, GUEST, &[port(0xf4, 1, RouteTarget::Stop)]);
    config.vcpus = count;
    let mut machine = Machine::new(config).unwrap();
    let list = LEAVES
        .iter()
        .flat_map(|(function, index)| [*function, *index]);
    let words: Vec<u8> = list.chain([u32::MAX]).flat_map(u32::to_le_bytes).collect();
    machine.memory().write(0x800, &words).unwrap();
    machine.memory().write(0x704, &count.to_le_bytes()).unwrap();
    let handler = |_: Question<'_>| Answer::Done;
    let handlers: Vec<_> = (0..count).map(|_| &handler).collect();
    let outcome = machine
        .run_together(&KickHandle::new(), LIMITS, &mut common::handlers(handlers))
        .unwrap();
    assert_eq!(common::exit_code(&outcome), count);
    let answer = |vcpu: u32, at: usize| {
        let gpa = 0x1_0000 + 0x1000 * u64::from(vcpu) + 16 * at as u64;
        let bytes: [u8; 16] = common::read(&machine, gpa);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        [word(0), word(4), word(8), word(12)]
    };
    (0..count)
        .map(|vcpu| {
            let answers = LEAVES.iter().enumerate();
            answers
                .map(|(at, leaf)| (*leaf, answer(vcpu, at)))
                .collect()
        })
        .collect()
}

/// Cache levels from this one on are shared by all.
const SHARED_LEVEL: u32 = 3;

fn assert_place(answers: &Answers, index: u32, count: u32) {
    let bits = count.next_power_of_two().trailing_zeros();
    let [_, ebx, _, edx] = answers[&(1, 0)];
    assert_eq!((ebx >> 24, ebx >> 16 & 0xff), (index, count));
    // A KVM may show HTT unasked; it says that the count above is to be read, which is right for
    // one, too.
    assert!(count == 1 || edx >> 28 & 1 == 1);
    let highest = answers[&(0, 0)][0];
    for leaf in [0xb, 0x1f].into_iter().filter(|leaf| *leaf <= highest) {
        assert_eq!(answers[&(leaf, 0)], [0, 1, 0x100, index], "{leaf:#x}");
        let core = [bits, count, 0x201, index];
        assert_eq!(answers[&(leaf, 1)], core, "{leaf:#x}");
        let [_, processors, ecx, _] = answers[&(leaf, 2)];
        assert_eq!((processors, ecx >> 8), (0, 0), "{leaf:#x}");
    }
    for (leaf, answer) in answers {
        let ([eax, ..], (function, _)) = (answer, leaf);
        let is_cache = [4, 0x8000_001d].contains(function) && eax & 0x1f != 0;
        if is_cache {
            let shared = eax >> 5 & 7 >= SHARED_LEVEL;
            let sharers = if shared { count - 1 } else { 0 };
            assert_eq!(eax >> 14 & 0xfff, sharers, "{leaf:x?}");
        }
        if is_cache && *function == 4 {
            assert_eq!(eax >> 26, count - 1, "{leaf:x?}");
        }
    }
    let highest = answers[&(0x8000_0000, 0)][0];
    if highest >= 0x8000_0008 {
        let ecx = answers[&(0x8000_0008, 0)][2];
        assert_eq!((ecx & 0xff, ecx >> 12 & 0xf), (count - 1, bits));
    }
    if highest >= 0x8000_001e {
        let [apic, core, node, _] = answers[&(0x8000_001e, 0)];
        assert_eq!((apic, core, node), (index, index, 0));
    }
}

#[test]
fn every_leaf_says_the_same_for_every_number_of_vcpus() {
    require!(LONG);
    for count in [1, 2, 4] {
        for (index, answers) in (0..).zip(ask(count)) {
            println!("vCPU {index} of {count}: {answers:x?}");
            assert_place(&answers, index, count);
        }
    }
}

#[test]
fn the_guest_reads_the_frequency_that_the_host_knows() {
    require!(LONG);
    let answers = ask(1).remove(0);
    let khz = u64::from(Host::get().unwrap().tsc_khz());
    assert!((100_000..10_000_000).contains(&khz), "{khz} kHz");
    let [highest, ..] = answers[&(0x4000_0000, 0)];
    assert!(highest >= 0x4000_0010, "{highest:#x}");
    assert_eq!(u64::from(answers[&(0x4000_0010, 0)][0]), khz);
    if answers[&(0, 0)][0] >= 0x15 {
        let [denominator, numerator, crystal, _] = answers[&(0x15, 0)].map(u64::from);
        assert_eq!(crystal * numerator / denominator, khz * 1000);
    }
}
