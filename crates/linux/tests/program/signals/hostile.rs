//! What a hostile process makes of its signals: forged frames, wild sequences, stored states.

use super::{PROCESS, action, bit, blocked, deliver, kill, leave, process, registers};
use crate::bed::Bed;
use crate::hostile::{Chance, turns};
use linux::{Answer, Call, Delivery, Kernel, Registers, Trap};
use linux_raw_sys::errno::EINTR;
use linux_raw_sys::general::*;

/// Words that a program could try in a frame.
fn nasty(chance: &mut Chance) -> u64 {
    let word = chance.one_of(&[
        0,
        u64::MAX,
        1 << 47,
        (1 << 47) - 1,
        0xfea0_0000,
        0xfe00_0000,
        0x7fff_ffff_f000,
        1 << 63,
        0x3000,
        0x40_0000,
    ]);
    match chance.below(3) {
        0 => chance.next(),
        1 => word.wrapping_add(chance.below(16)),
        _ => word,
    }
}

#[test]
fn no_frame_gives_a_program_what_none_has() {
    /// CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC.
    const MAY_CHANGE: u64 = 0x0005_0dd5;
    let mut chance = Chance(0x51_9ea1);
    let mut bed = process();
    let at = bed.pages(4);
    let (mut left, mut refused) = (0_u64, 0_u64);
    for turn in 0..turns(20_000) {
        let mut words = [0_u64; 64];
        words.iter_mut().for_each(|word| *word = nasty(&mut chance));
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bed.write(at, &bytes);
        let rsp = match chance.below(4) {
            0 => nasty(&mut chance),
            _ => at + chance.below(64),
        };
        let mut now = Registers {
            rsp,
            rflags: 0x246,
            ..Registers::default()
        };
        let is_left = leave(&mut bed, &mut now).is_some();
        if is_left {
            left += 1;
            assert!(now.rip < linux::USER_END, "{turn}");
        } else {
            refused += 1;
            assert_eq!(now.rip, 0);
        }
        assert_eq!(now.rflags & !MAY_CHANGE, 0x246 & !MAY_CHANGE, "{turn}");
        if is_left {
            let blocked = blocked(&mut bed, at + 0x3000);
            assert_eq!(blocked & (bit(SIGKILL) | bit(SIGSTOP)), 0);
        }
        // SIGSEGV if it was refused, and whatever waits.
        let delivery = deliver(&mut bed, &mut now, Some(chance.below(400) as u32));
        let expected = Delivery::Killed { signal: SIGSEGV };
        assert_eq!(delivery == expected, !is_left, "{turn}: {delivery:?}");
        if !is_left {
            bed.kernel = process().kernel;
        }
    }
    assert!(left > 0 && refused > 0, "{left} left, {refused} refused");
}

const CALLS: [u32; 17] = [
    __NR_rt_sigaction,
    __NR_rt_sigaction,
    __NR_rt_sigprocmask,
    __NR_sigaltstack,
    __NR_kill,
    __NR_kill,
    __NR_tkill,
    __NR_rt_sigqueueinfo,
    __NR_rt_sigsuspend,
    __NR_rt_sigtimedwait,
    __NR_rt_sigpending,
    __NR_pause,
    __NR_ppoll,
    __NR_pselect6,
    __NR_alarm,
    __NR_setitimer,
    __NR_getitimer,
];

/// Words that a structure could hold.
fn scatter(bed: &mut Bed, chance: &mut Chance, at: u64) {
    for _ in 0..8 {
        let word = match chance.below(4) {
            0 => u64::from(SA_RESTORER) | nasty(chance),
            1 => at + chance.below(0x1_0000),
            2 => chance.below(70),
            _ => nasty(chance),
        };
        bed.write(at + chance.below(64) * 8, &word.to_le_bytes());
    }
}

fn arguments(chance: &mut Chance, number: u32, at: u64) -> [u64; 4] {
    let mut pointer = || match chance.below(8) {
        0 => nasty(chance),
        1 => 0,
        _ => at + chance.below(64) * 8,
    };
    let (first, second, third) = (pointer(), pointer(), pointer());
    match number {
        __NR_kill | __NR_tkill => [PROCESS, chance.below(66), 0, 0],
        __NR_rt_sigqueueinfo => [PROCESS, chance.below(66), first, 0],
        __NR_rt_sigaction => [chance.below(66), first, second, 8],
        __NR_rt_sigprocmask => [chance.below(4), first, second, 8],
        __NR_rt_sigsuspend => [first, 8, 0, 0],
        __NR_alarm => [first, 0, 0, 0],
        __NR_setitimer | __NR_getitimer => [0, first, second, 0],
        _ => [first, second, third, 8],
    }
}

#[test]
fn no_sequence_of_signals_panics_or_grows() {
    let mut chance = Chance(0x0dd_5eed);
    let mut bed = process();
    let at = bed.pages(16);
    let (mut entered, mut killed) = (0_u64, 0_u64);
    for _ in 0..turns(30_000) {
        scatter(&mut bed, &mut chance, at);
        let number = chance.one_of(&CALLS);
        bed.thread.rsp = at + chance.below(0x1_0000);
        let [a, b, c, d] = arguments(&mut chance, number, at);
        let call = Call {
            number: number.into(),
            arguments: [a, b, c, d, 8, a],
        };
        // Past what it is asked about first.
        let answer = bed.with_kernel(|kernel, world| kernel.go_on(&call, world));
        if chance.below(8) == 0 {
            let trap = Trap {
                vector: chance.below(32) as u8,
                error_code: chance.next() as u32,
                address: nasty(&mut chance),
                rip: nasty(&mut chance),
                exceptions: chance.next() as u32,
            };
            bed.kernel.take_trap(&trap, &bed.space);
        }
        let mut now = Registers {
            rsp: match chance.below(4) {
                0 => nasty(&mut chance),
                _ => bed.thread.rsp,
            },
            rax: i64::from(EINTR).wrapping_neg().cast_unsigned(),
            ..Registers::default()
        };
        let is_over = matches!(answer, Answer::Killed { .. });
        match deliver(&mut bed, &mut now, Some(number)) {
            Delivery::Goes(frames) if !is_over => {
                entered += frames.len() as u64;
                assert!(now.rip < linux::USER_END || frames.is_empty());
            }
            _ => {
                killed += 1;
                bed.kernel = process().kernel;
            }
        }
    }
    let counts = format!("{entered} entered, {killed} killed");
    assert!(entered > 0 && killed > 0, "{counts}");
    let stored = postcard::to_allocvec(&bed.kernel).unwrap();
    assert!(stored.len() < 1 << 20);
}

#[test]
fn a_stored_kernel_whose_signals_were_changed_does_not_panic() {
    let mut chance = Chance(0x5_7051);
    let mut bed = process();
    let at = bed.pages(4);
    bed.write(at, &u64::MAX.to_le_bytes());
    bed.value(__NR_rt_sigprocmask, &[SIG_BLOCK.into(), at, 0, 8]);
    for signal in [SIGUSR1, SIGTERM, 40, 40] {
        kill(&mut bed, signal);
    }
    action(&mut bed, at, SIGUSR1, SA_ONSTACK, 0);
    bed.write(at, &[at, 0, 0x2000].map(u64::to_le_bytes).concat());
    assert_eq!(bed.value(__NR_sigaltstack, &[at, 0]), 0);
    let stored = postcard::to_allocvec(&bed.kernel).unwrap();
    let first = registers(&mut bed);
    let mut taken = 0;
    for _ in 0..turns(3_000) {
        let mut bytes = stored.clone();
        for _ in 0..=chance.below(4) {
            let at = chance.below(bytes.len() as u64) as usize;
            let any = chance.next() as u8;
            bytes[at] = chance.one_of(&[0, 1, 0x7f, 0x80, 0xff, any]);
        }
        let Ok(kernel) = postcard::from_bytes::<Kernel>(&bytes) else {
            continue;
        };
        taken += 1;
        bed.kernel = kernel;
        bed.write(at, &[0; 8]);
        bed.answer(__NR_rt_sigprocmask, &[SIG_SETMASK.into(), at, 0, 8]);
        let mut now = first;
        deliver(&mut bed, &mut now, None);
    }
    assert!(taken > 0);
}
