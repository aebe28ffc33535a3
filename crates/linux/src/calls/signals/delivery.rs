//! Signals come to their handlers, and handlers return.

use linux_raw_sys::general::{
    __NR_clock_nanosleep, __NR_epoll_pwait, __NR_epoll_wait, __NR_nanosleep, __NR_pause, __NR_poll,
    __NR_ppoll, __NR_pselect6, __NR_rt_sigsuspend, __NR_rt_sigtimedwait, __NR_select, SA_NODEFER,
    SA_ONSTACK, SA_RESETHAND, SA_RESTART, SA_RESTORER, SA_SIGINFO, SI_KERNEL, SIGSEGV,
};

use super::actions::{Action, Disposition};
use super::frame::{CONTEXT_AT, CONTEXT_BYTES, Context, FRAME_BYTES, INFO_AT, Registers, info};
use super::pending::Sent;
use super::set::{self, UNBLOCKABLE};
use super::state::{Next, Signals};
use crate::calls::world::{Answer, World};
use crate::errno::Errno;
use crate::space::USER_END;

/// Bytes below RSP that a function may use without moving it (System V ABI, AMD64 supplement,
/// §3.2.2).
const RED_ZONE: u64 = 128;
/// Bytes of `syscall`.
const SYSCALL_BYTES: u64 = 2;
/// RFLAGS that a return sets: CF, PF, AF, ZF, SF, TF, DF, OF, RF, AC (`FIX_EFLAGS` of the kernel);
/// and those that a handler begins without: TF, DF, RF.
const RETURNED_FLAGS: u64 = 0x0005_0dd5;
const FLAGS_OF_NO_HANDLER: u64 = 0x0001_0500;
/// These are never made again after a handler (signal(7)).
const ALWAYS_INTERRUPTED: [u32; 11] = [
    __NR_pause,
    __NR_rt_sigsuspend,
    __NR_rt_sigtimedwait,
    __NR_poll,
    __NR_ppoll,
    __NR_select,
    __NR_pselect6,
    __NR_epoll_wait,
    __NR_epoll_pwait,
    __NR_nanosleep,
    __NR_clock_nanosleep,
];

/// What has come of signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The program goes on with its registers, in the last of these handlers if there are any:
    /// where the frame of each lies.
    Goes(Vec<u64>),
    /// It is over.
    Killed {
        /// By this one.
        signal: u32,
    },
}

/// Delivers all that wait and are not blocked to a program that goes on with `registers`.
/// `call` is the system call that it comes from, if that may have been interrupted.
pub fn deliver(
    signals: &mut Signals,
    registers: &mut Registers,
    call: Option<u64>,
    world: &mut World<'_>,
) -> Delivery {
    let mut frames = Vec::new();
    let mut call = call.filter(|_| Answer::Value(registers.rax) == Errno::EINTR.into());
    let awaited = std::mem::take(&mut signals.awaited);
    if signals.pending.first_of(awaited).is_some()
        && let Some(call) = call.take()
    {
        // It finds what it has waited for.
        again(registers, call);
    }
    loop {
        match signals.next() {
            Next::Nothing => break,
            Next::Deadly(signal) => return Delivery::Killed { signal },
            Next::Handled => {}
        }
        let Some(sent) = signals.pending.take(!signals.blocked) else {
            break;
        };
        let Disposition::Handled(action) = signals.actions.of(sent.signal) else {
            continue;
        };
        if let Some(call) = call.take()
            && action.has(SA_RESTART)
            && !ALWAYS_INTERRUPTED
                .iter()
                .any(|number| u64::from(*number) == call)
        {
            again(registers, call);
        }
        match enter(signals, registers, &sent, &action, world) {
            Some(frame) => frames.push(frame),
            None => signals.force_fault(sent.signal, segmentation_fault()),
        }
    }
    if let Some(before) = signals.suspended.take() {
        signals.blocked = before;
    }
    Delivery::Goes(frames)
}

const fn again(registers: &mut Registers, call: u64) {
    registers.rax = call;
    registers.rip = registers.rip.wrapping_sub(SYSCALL_BYTES);
}

const fn segmentation_fault() -> Sent {
    Sent {
        signal: SIGSEGV,
        code: SI_KERNEL.cast_signed(),
        details: [0; 2],
    }
}

/// Writes a frame, and makes `registers` those of the handler's first instruction.
fn enter(
    signals: &mut Signals,
    registers: &mut Registers,
    sent: &Sent,
    action: &Action,
    world: &mut World<'_>,
) -> Option<u64> {
    if action.handler >= USER_END || !action.has(SA_RESTORER) {
        return None;
    }
    let frame = place(signals, registers.rsp, action)?;
    let context = Context {
        registers: *registers,
        stack: signals.stack.saved(),
        trap: signals.trap,
        mask: signals.suspended.unwrap_or(signals.blocked),
    };
    let mut bytes = action.restorer.to_le_bytes().to_vec();
    bytes.extend(context.bytes());
    if action.has(SA_SIGINFO) {
        bytes.extend(info(sent));
    }
    world.write(frame, &bytes).ok()?;
    *registers = Registers {
        rax: 0,
        rdi: sent.signal.into(),
        rsi: frame + INFO_AT,
        rdx: frame + CONTEXT_AT,
        rsp: frame,
        rip: action.handler,
        rflags: registers.rflags & !FLAGS_OF_NO_HANDLER,
        ..*registers
    };
    signals.suspended = None;
    signals.stack.disarm();
    signals.blocked |= action.mask & !UNBLOCKABLE;
    if !action.has(SA_NODEFER) {
        signals.blocked |= set::of(sent.signal);
    }
    if action.has(SA_RESETHAND) {
        signals.actions.reset(sent.signal);
    }
    Some(frame)
}

/// Where the frame lies: below the red zone, or on the stack for handlers, so that a function that
/// begins there finds RSP as after a call. None if that stack would overflow.
fn place(signals: &Signals, rsp: u64, action: &Action) -> Option<u64> {
    let stack = &signals.stack;
    let mut below = rsp.wrapping_sub(RED_ZONE);
    let was_there = stack.is_used(rsp);
    let mut enters = false;
    if action.has(SA_ONSTACK)
        && !stack.is_used(below)
        && let Some(end) = stack.end()
    {
        below = end;
        enters = true;
    }
    let frame = (below.checked_sub(FRAME_BYTES)? & !15).checked_sub(8)?;
    let overflows = (was_there || enters) && !stack.holds(frame);
    (!overflows && frame < USER_END).then_some(frame)
}

/// `rt_sigreturn`: a handler has returned, with RSP after the frame's first word. `registers`
/// become those that the frame has; what no program may have is refused by SIGSEGV. Returns where
/// the frame lies.
pub fn leave(
    signals: &mut Signals,
    registers: &mut Registers,
    world: &mut World<'_>,
) -> Option<u64> {
    let frame = registers.rsp.wrapping_sub(CONTEXT_AT);
    let mut bytes = [0; CONTEXT_BYTES];
    let read = world.read(registers.rsp, &mut bytes);
    let (wanted, stack, mask) = Context::parse(&bytes);
    if read.is_err() || wanted.rip >= USER_END {
        signals.force(segmentation_fault());
        return None;
    }
    let flags = registers.rflags & !RETURNED_FLAGS | wanted.rflags & RETURNED_FLAGS;
    *registers = Registers {
        rflags: flags,
        ..wanted
    };
    signals.blocked = mask & !UNBLOCKABLE;
    signals.stack.restore(stack, registers.rsp);
    Some(frame)
}
