//! System calls about signals.

use linux_raw_sys::general::{
    __NR_futex, __NR_kill, __NR_pause, __NR_rt_sigaction, __NR_rt_sigpending, __NR_rt_sigprocmask,
    __NR_rt_sigqueueinfo, __NR_rt_sigreturn, __NR_rt_sigsuspend, __NR_rt_sigtimedwait,
    __NR_sigaltstack, __NR_tgkill, __NR_tkill, SI_TKILL, SI_USER, SIG_BLOCK, SIG_SETMASK,
    SIG_UNBLOCK, SIGPIPE,
};

use super::frame::{INFO_BYTES, info, parse_info};
use super::futex::futex;
use super::pending::Sent;
use super::set::{self, SET_BYTES, SIGNALS, UNBLOCKABLE};
use super::state::{Next, Signals};
use super::timer;
use crate::calls::identity::own;
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::limits::{PARENT, PROCESS, USER};

/// The sender that a `siginfo` names: a process and its user.
const fn sender(process: u32) -> u64 {
    process as u64 | (USER as u64) << 32
}

/// One that comes from elsewhere.
pub fn from_outside(signal: u32) -> Sent {
    Sent {
        signal,
        code: SI_USER.cast_signed(),
        details: [sender(PARENT), 0],
    }
}

/// That of a write to a pipe that nothing reads.
pub fn of_pipe() -> Sent {
    Sent {
        signal: SIGPIPE,
        code: SI_USER.cast_signed(),
        details: [sender(PROCESS), 0],
    }
}

/// Answers a call of this subject.
pub fn answer(
    signals: &mut Signals,
    number: u32,
    [a, b, c, d, ..]: [u64; 6],
    world: &mut World<'_>,
) -> Option<Answer> {
    let result = match number {
        __NR_rt_sigaction => action(signals, [a, b, c, d], world),
        __NR_rt_sigprocmask => mask(signals, [a, b, c, d], world),
        __NR_rt_sigpending if b <= SET_BYTES => {
            let bytes = usize::try_from(b).unwrap_or(0);
            let waiting = signals.pending.set() & signals.blocked;
            world.write(a, &waiting.to_le_bytes()[..bytes]).map(|()| 0)
        }
        __NR_rt_sigpending => Err(Errno::EINVAL),
        __NR_sigaltstack => {
            let rsp = world.thread.rsp;
            signals.stack.change(a, b, rsp, world).map(|()| 0)
        }
        __NR_futex => futex(a, low(b), low(c), d, world),
        _ => return None,
    };
    Some(result.into())
}

/// Answers a call of this subject that a program of its own may make, a process.
pub fn answer_process(
    signals: &mut Signals,
    number: u32,
    [a, b, c, d, ..]: [u64; 6],
    world: &mut World<'_>,
) -> Option<Answer> {
    let result = match number {
        __NR_kill => kill(signals, a, b),
        __NR_tkill => send_to_thread(signals, a, a, b),
        __NR_tgkill => send_to_thread(signals, a, b, c),
        __NR_rt_sigqueueinfo => queue(signals, [a, b, c], world),
        __NR_rt_sigsuspend => return Some(suspend(signals, a, b, world).into()),
        __NR_rt_sigtimedwait => return Some(wait(signals, [a, b, c, d], world).into()),
        __NR_pause => return Some(pause(signals, world).into()),
        __NR_rt_sigreturn => return Some(Answer::Return),
        _ => timer::answer(signals, number, [a, b, c, d, 0, 0], world)?,
    };
    Some(result.into())
}

fn action(
    signals: &mut Signals,
    [signal, new, old, bytes]: [u64; 4],
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let changed = signals.actions.change(low(signal), new, old, bytes, world);
    if let Some(ignored) = changed? {
        signals.pending.drop_all(set::of(ignored));
    }
    Ok(0)
}

fn mask(
    signals: &mut Signals,
    [how, new, old, bytes]: [u64; 4],
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    if bytes != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let mut wanted = signals.blocked;
    if new != 0 {
        let [set] = world.words(new)?;
        wanted = match low(how) {
            SIG_BLOCK => signals.blocked | set,
            SIG_UNBLOCK => signals.blocked & !set,
            SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
    }
    world.write_optional(old, &signals.blocked.to_le_bytes())?;
    signals.blocked = wanted & !UNBLOCKABLE;
    Ok(0)
}

/// Signal 0 only asks whether there is such a process.
fn send(signals: &mut Signals, sent: Sent) -> Result<u64, Errno> {
    match sent.signal {
        0 => Ok(0),
        1..=SIGNALS => signals.send(sent).map(|()| 0),
        _ => Err(Errno::EINVAL),
    }
}

/// Process 0 is its group, and so is the negated number of its leader.
fn kill(signals: &mut Signals, process: u64, signal: u64) -> Result<u64, Errno> {
    let sent = Sent {
        signal: low(signal),
        code: SI_USER.cast_signed(),
        details: [sender(PROCESS), 0],
    };
    if sent.signal > SIGNALS {
        return Err(Errno::EINVAL);
    }
    match int(process).unsigned_abs() {
        // All but itself, of which there is none.
        1 if int(process) < 0 => Err(Errno::ESRCH),
        PARENT => Err(Errno::EPERM),
        process => own(process.into()).and_then(|()| send(signals, sent)),
    }
}

fn send_to_thread(
    signals: &mut Signals,
    process: u64,
    thread: u64,
    signal: u64,
) -> Result<u64, Errno> {
    if int(process) <= 0 || int(thread) <= 0 {
        return Err(Errno::EINVAL);
    }
    own(process).and_then(|()| own(thread))?;
    let sent = Sent {
        signal: low(signal),
        code: SI_TKILL,
        details: [sender(PROCESS), 0],
    };
    send(signals, sent)
}

/// A signal to itself, with whatever it says of it.
fn queue(
    signals: &mut Signals,
    [process, signal, at]: [u64; 3],
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let mut bytes = [0; INFO_BYTES];
    world.read(at, &mut bytes)?;
    own(process)?;
    send(signals, parse_info(low(signal), &bytes))
}

/// Whether a signal waits already decides whether the program has to.
fn suspend(
    signals: &mut Signals,
    at: u64,
    bytes: u64,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    if bytes != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let [set] = world.words(at)?;
    signals.suspended.get_or_insert(signals.blocked);
    signals.blocked = set & !UNBLOCKABLE;
    pause(signals, world)
}

/// Makes a call that waits with other signals blocked, if `at` says so: it ends by one that comes.
///
/// # Errors
/// Those of the call; `EINTR` for a signal, `EINVAL` and `EFAULT` for what is no set.
pub fn while_open(
    signals: Option<&mut Signals>,
    [at, bytes]: [u64; 2],
    world: &mut World<'_>,
    call: impl FnOnce(&mut World<'_>) -> Result<Answer, Errno>,
) -> Result<Answer, Errno> {
    let Some(signals) = signals.filter(|_| at != 0) else {
        return call(world);
    };
    if bytes != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let [set] = world.words(at)?;
    let before = *signals.suspended.get_or_insert(signals.blocked);
    signals.blocked = set & !UNBLOCKABLE;
    let answer = call(world);
    if answer == Ok(Answer::Ask) {
        return match signals.next() {
            Next::Nothing => answer,
            _ => Err(Errno::EINTR),
        };
    }
    // What is ready goes first, and signals wait as before.
    signals.suspended = None;
    signals.blocked = before;
    answer
}

/// A timer by a clock of the program's own is the only thing that could come to it.
fn pause(signals: &mut Signals, world: &mut World<'_>) -> Result<Answer, Errno> {
    if world.host.is_fixed()
        && let Some(left) = timer::look(signals, world)
    {
        world.host.pass(left);
        timer::look(signals, world);
    }
    match signals.next() {
        Next::Nothing => Ok(Answer::Ask),
        _ => Err(Errno::EINTR),
    }
}

fn wait(
    signals: &mut Signals,
    [set, at, time, bytes]: [u64; 4],
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    if bytes != SET_BYTES {
        return Err(Errno::EINVAL);
    }
    let [set] = world.words(set)?;
    let patience = match time {
        0 => None,
        _ => Some(world.words(time)?),
    };
    if let Some([seconds, nanoseconds]) = patience
        && (seconds.cast_signed() < 0 || nanoseconds >= 1_000_000_000)
    {
        return Err(Errno::EINVAL);
    }
    let wanted = set & !UNBLOCKABLE;
    if let Some(sent) = signals.pending.take(wanted) {
        world.write_optional(at, &info(&sent))?;
        return Ok(Answer::Value(sent.signal.into()));
    }
    if patience == Some([0, 0]) {
        return Err(Errno::EAGAIN);
    }
    signals.awaited = wanted;
    Ok(Answer::Ask)
}
