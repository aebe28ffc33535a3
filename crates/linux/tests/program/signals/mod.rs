//! Signals of a process: what lies on its stack, what is blocked, and what it may make of that.

mod hostile;

use super::bed::Bed;
use linux::{Answer, Call, Delivery, Errno, Registers, Setup, Trap};
use linux_raw_sys::errno::{EAGAIN, EINTR, EINVAL, EPERM, ESRCH};
use linux_raw_sys::general::*;

const HANDLER: u64 = 0x40_0000;
const RESTORER: u64 = 0x40_0001;
const PROCESS: u64 = 2;
/// Of a frame.
const CONTEXT: u64 = 8;
const MASK: u64 = 304;
const INFO: u64 = 312;
const FRAME_BYTES: u64 = 440;
const RIP: u64 = 48 + 16 * 8;

fn process() -> Bed {
    Bed::with_tree(Setup {
        directory: b"/".to_vec(),
        ..Setup::default()
    })
}

/// Any registers, with the stack pointer at the end of pages that can be written.
fn registers(bed: &mut Bed) -> Registers {
    Registers {
        r8: 8,
        r9: 9,
        r10: 10,
        r11: 11,
        r12: 12,
        r13: 13,
        r14: 14,
        r15: 15,
        rdi: 16,
        rsi: 17,
        rbp: 18,
        rbx: 19,
        rdx: 20,
        rax: 21,
        rcx: 22,
        rsp: bed.pages(16) + 0x10_000,
        rip: 0x40_1234,
        rflags: 0x602,
    }
}

fn action(bed: &mut Bed, at: u64, signal: u32, flags: u32, mask: u64) {
    let flags = u64::from(flags | SA_RESTORER);
    let words = [HANDLER, flags, RESTORER, mask].map(u64::to_le_bytes);
    bed.write(at, &words.concat());
    assert_eq!(bed.value(__NR_rt_sigaction, &[signal.into(), at, 0, 8]), 0);
}

fn kill(bed: &mut Bed, signal: u32) -> Answer {
    bed.answer(__NR_kill, &[PROCESS, signal.into()])
}

fn deliver(bed: &mut Bed, registers: &mut Registers, call: Option<u32>) -> Delivery {
    let call = call.map(u64::from);
    bed.with_kernel(|kernel, world| kernel.deliver(registers, call, world))
}

/// `rt_sigreturn`, as after `ret` of a handler.
fn leave(bed: &mut Bed, registers: &mut Registers) -> Option<u64> {
    bed.with_kernel(|kernel, world| kernel.leave_handler(registers, world))
}

fn blocked(bed: &mut Bed, at: u64) -> u64 {
    assert_eq!(bed.value(__NR_rt_sigprocmask, &[0, 0, at, 8]), 0);
    bed.word(at)
}

fn one_frame(delivery: &Delivery) -> u64 {
    match delivery {
        Delivery::Goes(frames) if frames.len() == 1 => frames[0],
        other => panic!("{other:?}"),
    }
}

const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

#[test]
fn a_frame_is_laid_out_as_linux_does() {
    let mut bed = process();
    let at = bed.pages(1);
    action(&mut bed, at, SIGUSR1, SA_SIGINFO, bit(SIGHUP));
    let before = registers(&mut bed);
    assert_eq!(kill(&mut bed, SIGUSR1), Answer::Value(0));
    let mut now = before;
    let frame = one_frame(&deliver(&mut bed, &mut now, None));
    // As after a call, below the red zone.
    assert_eq!(frame % 16, 8);
    assert!(frame + FRAME_BYTES <= before.rsp - 128);
    assert!(frame + FRAME_BYTES + 32 > before.rsp - 128);
    assert_eq!(bed.word(frame), RESTORER);
    // UC_SIGCONTEXT_SS and UC_STRICT_RESTORE_SS, no link.
    assert_eq!([bed.word(frame + 8), bed.word(frame + 16)], [6, 0]);
    assert_eq!(bed.word(frame + 32), u64::from(SS_DISABLE));
    let expected: Vec<u64> = (8..23)
        .chain([before.rsp, before.rip, before.rflags])
        .collect();
    let saved: Vec<u64> = (0..18)
        .map(|index| bed.word(frame + 48 + index * 8))
        .collect();
    assert_eq!(saved, expected);
    assert_eq!(bed.word(frame + 192), 0x2b << 48 | 0x33);
    // No extended state.
    assert_eq!(bed.word(frame + 48 + 184), 0);
    assert_eq!(bed.word(frame + MASK), 0);
    let info = [u64::from(SIGUSR1), 0, PROCESS | 1000 << 32, 0];
    let said: Vec<u64> = (0..4)
        .map(|index| bed.word(frame + INFO + index * 8))
        .collect();
    assert_eq!(said, info);
    let first = Registers {
        rax: 0,
        rdi: SIGUSR1.into(),
        rsi: frame + INFO,
        rdx: frame + CONTEXT,
        rsp: frame,
        rip: HANDLER,
        rflags: 0x202,
        ..before
    };
    assert_eq!(now, first);
    assert_eq!(blocked(&mut bed, at), bit(SIGUSR1) | bit(SIGHUP));
    // And back.
    now.rsp += 8;
    assert_eq!(leave(&mut bed, &mut now), Some(frame));
    let flags = Registers {
        rflags: now.rflags,
        ..before
    };
    assert_eq!(now, flags);
    assert_eq!(now.rflags & 0x602, before.rflags);
    assert_eq!(blocked(&mut bed, at), 0);
}

#[test]
fn what_is_ignored_or_blocked_does_not_come() {
    let mut bed = process();
    let at = bed.pages(1);
    for signal in [
        SIGCHLD, SIGCONT, SIGURG, SIGWINCH, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU,
    ] {
        assert_eq!(kill(&mut bed, signal), Answer::Value(0));
        assert!(!bed.kernel.has_signal() && !bed.kernel.send_signal(signal));
    }
    // SIG_IGN, and then what waits is forgotten by it.
    bed.write(at, &[1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bed.value(__NR_rt_sigaction, &[SIGTERM.into(), at, 0, 8]), 0);
    assert_eq!(kill(&mut bed, SIGTERM), Answer::Value(0));
    bed.write(at + 64, &(bit(SIGHUP) | bit(SIGTERM)).to_le_bytes());
    assert_eq!(
        bed.value(__NR_rt_sigprocmask, &[SIG_BLOCK.into(), at + 64, 0, 8]),
        0
    );
    assert_eq!(kill(&mut bed, SIGHUP), Answer::Value(0));
    assert_eq!(kill(&mut bed, SIGTERM), Answer::Value(0));
    assert!(!bed.kernel.has_signal());
    assert_eq!(bed.value(__NR_rt_sigpending, &[at + 128, 8]), 0);
    assert_eq!(bed.word(at + 128), bit(SIGHUP) | bit(SIGTERM));
    assert_eq!(bed.value(__NR_rt_sigaction, &[SIGHUP.into(), at, 0, 8]), 0);
    assert_eq!(bed.value(__NR_rt_sigpending, &[at + 128, 8]), 0);
    assert_eq!(bed.word(at + 128), bit(SIGTERM));
    // SIGTERM is ignored still, and so harmless when it comes.
    bed.write(at + 64, &[0; 8]);
    let unblocked = [SIG_SETMASK.into(), at + 64, 0, 8];
    assert_eq!(
        bed.answer(__NR_rt_sigprocmask, &unblocked),
        Answer::Value(0)
    );
    assert!(!bed.kernel.has_signal());
    for signal in [SIGKILL, SIGABRT, SIGSYS, 40, 64] {
        assert_eq!(kill(&mut process(), signal), Answer::Killed { signal });
    }
}

#[test]
fn signals_go_to_the_process_itself_alone() {
    let mut bed = process();
    for (process, errno) in [(1, EPERM), (3, ESRCH), (u64::MAX, ESRCH), (1 << 31, ESRCH)] {
        let sent = bed.value(__NR_kill, &[process, SIGKILL.into()]);
        assert_eq!(sent, -i64::from(errno), "{process:#x}");
    }
    let own = [0, PROCESS, PROCESS.wrapping_neg()];
    for process in own {
        assert_eq!(bed.value(__NR_kill, &[process, 0]), 0);
        assert_eq!(bed.value(__NR_kill, &[process, 65]), -i64::from(EINVAL));
    }
    for (number, arguments) in [(__NR_tkill, [0, 9, 0]), (__NR_tgkill, [PROCESS, 0, 9])] {
        assert_eq!(bed.value(number, &arguments), -i64::from(EINVAL));
    }
    let killed = bed.answer(__NR_tgkill, &[PROCESS, PROCESS, SIGKILL.into()]);
    assert_eq!(killed, Answer::Killed { signal: SIGKILL });
}

#[test]
fn what_waits_is_bounded_and_the_standard_signals_always_come() {
    let mut bed = process();
    let at = bed.pages(1);
    bed.write(at, &u64::MAX.to_le_bytes());
    assert_eq!(
        bed.value(__NR_rt_sigprocmask, &[SIG_BLOCK.into(), at, 0, 8]),
        0
    );
    let mut taken = 0;
    for _ in 0..1000 {
        taken += u64::from(kill(&mut bed, 40) == Answer::Value(0));
    }
    assert_eq!(taken, linux::limits::PENDING_SIGNALS as u64);
    assert_eq!(bed.value(__NR_kill, &[PROCESS, 41]), -i64::from(EAGAIN));
    assert_eq!(kill(&mut bed, SIGTERM), Answer::Value(0));
    assert_eq!(bed.value(__NR_rt_sigpending, &[at, 8]), 0);
    assert_eq!(bed.word(at), bit(SIGTERM) | bit(40));
    assert_eq!(kill(&mut bed, SIGKILL), Answer::Killed { signal: SIGKILL });
}

#[test]
fn a_fault_has_a_signal_if_its_handler_can_run() {
    let trap = |vector| Trap {
        vector,
        error_code: 6,
        address: 0x123,
        rip: 0x40_0000,
        exceptions: 4,
    };
    let signals = [
        (0, SIGFPE, FPE_INTDIV, 0x40_0000),
        (3, SIGTRAP, SI_KERNEL, 0),
        (6, SIGILL, ILL_ILLOPN, 0x40_0000),
        (13, SIGSEGV, SI_KERNEL, 0),
        (14, SIGSEGV, SEGV_MAPERR, 0x123),
        (16, SIGFPE, FPE_FLTDIV, 0x40_0000),
        (17, SIGBUS, BUS_ADRALN, 0),
    ];
    for (vector, signal, code, address) in signals {
        let mut bed = process();
        assert!(!bed.kernel.take_trap(&trap(vector), &bed.space));
        let at = bed.pages(1);
        action(&mut bed, at, signal, SA_SIGINFO, 0);
        assert!(bed.kernel.take_trap(&trap(vector), &bed.space));
        let mut now = registers(&mut bed);
        let frame = one_frame(&deliver(&mut bed, &mut now, None));
        let info = [0, 8, 16].map(|at| bed.word(frame + INFO + at));
        assert_eq!(info, [signal.into(), code.into(), address], "{vector}");
        let trap_of = [0, 8, 24].map(|at| bed.word(frame + 200 + at));
        assert_eq!(trap_of, [6, vector.into(), 0x123]);
        // Within its handler it is blocked, and ends the program.
        assert!(!bed.kernel.take_trap(&trap(vector), &bed.space));
    }
    let mut library = Bed::new();
    assert!(!library.kernel.take_trap(&trap(14), &library.space));
}

#[test]
fn an_interrupted_call_is_made_again_where_its_handler_says_so() {
    let interrupted = i64::from(EINTR).wrapping_neg().cast_unsigned();
    for (number, flags, again) in [
        (__NR_read, SA_RESTART, true),
        (__NR_read, 0, false),
        (__NR_poll, SA_RESTART, false),
        (__NR_clock_nanosleep, SA_RESTART, false),
    ] {
        let mut bed = process();
        let at = bed.pages(1);
        action(&mut bed, at, SIGUSR1, flags, 0);
        assert!(bed.kernel.send_signal(SIGUSR1));
        let mut now = registers(&mut bed);
        let rip = now.rip;
        now.rax = interrupted;
        let frame = one_frame(&deliver(&mut bed, &mut now, Some(number)));
        let saved = (bed.word(frame + RIP), bed.word(frame + 48 + 13 * 8));
        let expected = if again {
            (rip - 2, number.into())
        } else {
            (rip, interrupted)
        };
        assert_eq!(saved, expected, "{number}");
    }
    // What has a value is never made again.
    let mut bed = process();
    let at = bed.pages(1);
    action(&mut bed, at, SIGUSR1, SA_RESTART, 0);
    assert!(bed.kernel.send_signal(SIGUSR1));
    let mut now = registers(&mut bed);
    let before = now;
    let frame = one_frame(&deliver(&mut bed, &mut now, Some(__NR_read)));
    assert_eq!(bed.word(frame + RIP), before.rip);
}

#[test]
fn a_wait_for_signals_finds_those_that_it_waits_for() {
    let mut bed = process();
    let at = bed.pages(1);
    bed.write(at, &bit(SIGUSR2).to_le_bytes());
    assert_eq!(
        bed.value(__NR_rt_sigprocmask, &[SIG_BLOCK.into(), at, 0, 8]),
        0
    );
    let wait = [at, at + 64, 0, 8];
    assert_eq!(bed.answer(__NR_rt_sigtimedwait, &wait), Answer::Ask);
    assert!(!bed.kernel.send_signal(SIGCHLD));
    assert!(bed.kernel.send_signal(SIGUSR2));
    let mut now = registers(&mut bed);
    now.rax = i64::from(EINTR).wrapping_neg().cast_unsigned();
    let rip = now.rip;
    let delivery = deliver(&mut bed, &mut now, Some(__NR_rt_sigtimedwait));
    assert_eq!(delivery, Delivery::Goes(Vec::new()));
    assert_eq!((now.rip, now.rax), (rip - 2, __NR_rt_sigtimedwait.into()));
    assert_eq!(
        bed.answer(__NR_rt_sigtimedwait, &wait),
        Answer::Value(SIGUSR2.into())
    );
    assert_eq!(bed.word(at + 64), SIGUSR2.into());
    bed.write(at + 200, &[0; 16]);
    let none = bed.value(__NR_rt_sigtimedwait, &[at, 0, at + 200, 8]);
    assert_eq!(none, -i64::from(EAGAIN));
}

#[test]
fn a_wait_for_descriptors_is_open_to_other_signals() {
    for number in [__NR_ppoll, __NR_pselect6] {
        let mut bed = process();
        let at = bed.pages(1);
        action(&mut bed, at, SIGUSR1, SA_RESTART, 0);
        // An empty set, the one that is blocked, no time at all, and the sixth of `pselect6`.
        let words = [0, bit(SIGUSR1), 0, 0, at, 8].map(u64::to_le_bytes);
        bed.write(at, &words.concat());
        let block = [SIG_BLOCK.into(), at + 8, 0, 8];
        assert_eq!(bed.value(__NR_rt_sigprocmask, &block), 0);
        let call = |time| match number {
            __NR_ppoll => [0, 0, time, at, 8, 0],
            _ => [0, 0, 0, 0, time, at + 32],
        };
        // What does not wait leaves it blocked.
        assert_eq!(kill(&mut bed, SIGUSR1), Answer::Value(0));
        assert_eq!(bed.value(number, &call(at + 16)), 0);
        assert_eq!(blocked(&mut bed, at + 64), bit(SIGUSR1));
        // One that waits already, and one that comes while the call waits.
        assert_eq!(bed.value(number, &call(0)), -i64::from(EINTR));
        let mut now = registers(&mut bed);
        let frame = one_frame(&deliver(&mut bed, &mut now, Some(number)));
        assert_eq!(bed.word(frame + MASK), bit(SIGUSR1));
        leave(
            &mut bed,
            &mut Registers {
                rsp: frame + 8,
                ..now
            },
        );
        assert_eq!(bed.answer(number, &call(0)), Answer::Ask);
        assert!(bed.kernel.send_signal(SIGUSR1));
        let frame = one_frame(&deliver(&mut bed, &mut now, Some(number)));
        assert_eq!(bed.word(frame + MASK), bit(SIGUSR1));
    }
    let mut bed = process();
    let at = bed.pages(1);
    assert_eq!(bed.value(__NR_ppoll, &[0, 0, 0, at, 4]), -i64::from(EINVAL));
}

#[test]
fn a_timer_sends_its_signal_when_it_is_due() {
    // A look at the clock of these tests takes a second.
    let mut bed = process();
    let at = bed.pages(1);
    action(&mut bed, at, SIGALRM, SA_SIGINFO, 0);
    assert_eq!(bed.answer(__NR_alarm, &[3]), Answer::Ask);
    let go_on = |bed: &mut Bed, number: u32, arguments: [u64; 6]| {
        let call = Call {
            number: number.into(),
            arguments,
        };
        bed.with_kernel(|kernel, world| kernel.go_on(&call, world))
    };
    let look = |bed: &mut Bed| bed.with_kernel(|kernel, world| kernel.look_at_timer(world));
    let set = go_on(&mut bed, __NR_alarm, [5, 0, 0, 0, 0, 0]);
    assert_eq!(set, Answer::Value(0));
    let (left, interrupts) = look(&mut bed);
    assert!(left.is_some_and(|left| left.as_secs() < 5) && !interrupts);
    // Seconds that are left.
    let left = go_on(&mut bed, __NR_alarm, [9, 0, 0, 0, 0, 0]);
    assert!(matches!(left, Answer::Value(1..5)), "{left:?}");
    while look(&mut bed).0.is_some() {}
    assert_eq!(look(&mut bed), (None, true));
    let mut now = registers(&mut bed);
    let frame = one_frame(&deliver(&mut bed, &mut now, None));
    assert_eq!(bed.word(frame + INFO), SIGALRM.into());
    assert_eq!(bed.word(frame + INFO + 8), SI_KERNEL.into());
    // Every second, first in two; then what is no time.
    for (words, expected) in [
        ([1, 0, 2, 0], Answer::Value(0)),
        ([0, 1_000_000, 2, 0], Errno::EINVAL.into()),
        ([0, 0, u64::MAX, 0], Errno::EINVAL.into()),
        ([u64::MAX >> 1, 0, u64::MAX >> 1, 999_999], Answer::Value(0)),
    ] {
        bed.write(at, &words.map(u64::to_le_bytes).concat());
        let set = go_on(&mut bed, __NR_setitimer, [0, at, at + 64, 0, 0, 0]);
        assert_eq!(set, expected, "{words:?}");
    }
    assert_eq!(bed.word(at + 64), 1);
}
