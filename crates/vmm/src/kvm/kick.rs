//! Making a running vCPU return. The race is worked out in `docs/stop.md`; the numbers K1…K4 and
//! R1…R5 here are its timing points.
#![allow(unsafe_code)]

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use kvm_bindings::kvm_regs;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kvm::run_page::RunPage;

/// Why a run was interrupted from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[repr(u8)]
pub enum KickCause {
    /// A caller asked for it.
    Stop = 1,
    /// The run's time is up.
    Timeout = 2,
    /// The machine is being closed.
    Close = 3,
    /// Another vCPU of the machine has ended the run for all.
    Peer = 4,
    /// The machine is wanted for a while, and the run goes on after that.
    Pause = 5,
    /// A caller pressed the reset button.
    Reset = 6,
}

impl KickCause {
    const fn from_u8(value: u8) -> Option<Self> {
        match value {
            1 => Some(Self::Stop),
            2 => Some(Self::Timeout),
            3 => Some(Self::Close),
            4 => Some(Self::Peer),
            5 => Some(Self::Pause),
            6 => Some(Self::Reset),
            _ => None,
        }
    }
}

/// Ends one run, or pauses it, from any thread, whether that run has not begun, is under way or is
/// over.
///
/// A handle belongs to one run: a kick that comes early is kept for it, one that comes late does
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct KickHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    cause: AtomicU8,
    /// A nudge that no vCPU has taken yet.
    nudged: AtomicBool,
    targets: Mutex<Vec<Target>>,
}

/// A vCPU and the thread that runs it.
#[derive(Debug)]
struct Target {
    vcpu: u32,
    page: Arc<RunPage>,
    /// A `pthread_t`, which musl has as a pointer.
    pthread: usize,
    /// That of `kick_signal`.
    signal: libc::c_int,
    thread: Thread,
}

impl Target {
    /// Only under the lock on the targets.
    fn interrupt(&self) {
        // K3: a KVM_RUN that has not looked at the flag yet returns at once.
        self.page.immediate_exit().store(1, Ordering::SeqCst);
        // K4: one that has looked is interrupted; the flag of K3 covers the moment in between.
        // Elsewhere the signal would only interrupt system calls of handlers.
        if self.page.in_guest().load(Ordering::SeqCst) && !self.send(self.signal) {
            // No entry in the user's queue of signals is free (EAGAIN), and only this one needs
            // none.
            ready_spare_signal();
            self.send(SPARE_SIGNAL);
        }
        self.thread.unpark();
    }

    /// Whether the signal was sent.
    fn send(&self, signal: libc::c_int) -> bool {
        // SAFETY: the thread is alive, see K2, and the signal has a handler: `kick_signal`,
        // `ready_spare_signal`.
        unsafe { libc::pthread_kill(self.pthread as libc::pthread_t, signal) == 0 }
    }
}

impl KickHandle {
    /// A handle for a run that is to come.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the run. The first cause counts, but a close replaces any other, and a pause gives way
    /// to each.
    pub fn kick(&self, cause: KickCause) {
        let stored = &self.0.cause;
        // K1: from here on the run loop sees the request before it enters again.
        match cause {
            // The closing call may come from the handler for which a vCPU waits; only this cause
            // ends that wait.
            KickCause::Close => stored.store(cause as u8, Ordering::SeqCst),
            _ => {
                self.replace(0, cause as u8);
                if cause != KickCause::Pause {
                    self.replace(KickCause::Pause as u8, cause as u8);
                }
            }
        }
        self.interrupt(None);
    }

    /// Takes a pause back, once every vCPU has left: the run may go on. `false` if something else
    /// has ended it.
    pub fn resume(&self) -> bool {
        self.replace(KickCause::Pause as u8, 0)
    }

    fn replace(&self, cause: u8, by: u8) -> bool {
        let order = Ordering::SeqCst;
        let stored = &self.0.cause;
        stored.compare_exchange(cause, by, order, order).is_ok()
    }

    /// Makes one vCPU's `KVM_RUN` return once and the run continue, so that its thread can do other
    /// work: the first vCPU that is in the guest. If none is, the first to enter does it; the
    /// others may be waiting for long.
    pub fn nudge(&self) {
        self.0.nudged.store(true, Ordering::SeqCst);
        let targets = self.targets();
        let in_guest = |target: &&Target| target.page.in_guest().load(Ordering::SeqCst);
        match targets.iter().find(in_guest) {
            Some(target) => target.interrupt(),
            None => targets.iter().for_each(Target::interrupt),
        }
    }

    /// Makes one vCPU look at its events before it enters the guest again.
    pub fn poke(&self, vcpu: u32) {
        self.interrupt(Some(vcpu));
    }

    /// Pokes every vCPU, after telling which it is and whether it is in the guest.
    pub(crate) fn poke_each(&self, mut tell: impl FnMut(u32, bool)) {
        for target in &*self.targets() {
            tell(target.vcpu, target.page.in_guest().load(Ordering::SeqCst));
            target.interrupt();
        }
    }

    /// The cause for which the run has to end, if any.
    pub fn requested(&self) -> Option<KickCause> {
        KickCause::from_u8(self.0.cause.load(Ordering::SeqCst))
    }

    /// The general registers of a vCPU of this run, as KVM shows them at an exit; none without such
    /// a vCPU. They are right only while that vCPU waits for an answer.
    pub fn registers(&self, vcpu: u32) -> Option<kvm_regs> {
        let targets = self.targets();
        let target = targets.iter().find(|target| target.vcpu == vcpu)?;
        Some(target.page.registers())
    }

    /// Registers this thread as the one that runs a vCPU, until the guard is dropped.
    pub(crate) fn attach(&self, vcpu: u32, page: &Arc<RunPage>) -> Result<Attached<'_>> {
        let signal = prepare_thread()?;
        // SAFETY: no precondition.
        let pthread = unsafe { libc::pthread_self() } as usize;
        let target = Target {
            vcpu,
            page: Arc::clone(page),
            pthread,
            signal,
            thread: std::thread::current(),
        };
        // R1: a kick before this point is found at R2, one after it finds the target.
        self.targets().push(target);
        // A nudge before R1 has its tick at the first entry, one after it interrupts as a kick
        // does.
        if self.0.nudged.load(Ordering::SeqCst) {
            page.immediate_exit().store(1, Ordering::SeqCst);
        }
        Ok(Attached {
            handle: self,
            vcpu,
            page: Arc::clone(page),
        })
    }

    /// Interrupts one vCPU, or all.
    fn interrupt(&self, only: Option<u32>) {
        // K2: under the lock no target can detach, so its thread is alive.
        let targets = self.targets();
        let wanted = |target: &&Target| only.is_none_or(|vcpu| target.vcpu == vcpu);
        targets.iter().filter(wanted).for_each(Target::interrupt);
    }

    fn targets(&self) -> MutexGuard<'_, Vec<Target>> {
        self.0
            .targets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A vCPU's part of a run in progress, as a kick sees it.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    handle: &'a KickHandle,
    vcpu: u32,
    page: Arc<RunPage>,
}

impl Attached<'_> {
    /// Right before R3: from here on a kick sends its signal. One that came before has set the flag
    /// that `KVM_RUN` looks at.
    pub fn enter(&self) {
        self.page.in_guest().store(true, Ordering::SeqCst);
    }

    /// Right after R3.
    pub fn leave(&self) {
        self.page.in_guest().store(false, Ordering::Release);
    }

    /// Its thread has completed an access, for which it has used the flag: a nudge that came
    /// meanwhile has it set again. A kick is found at R2, and what a poke is for before R3.
    pub fn has_completed(&self) {
        if self.handle.0.nudged.load(Ordering::SeqCst) {
            self.page.immediate_exit().store(1, Ordering::SeqCst);
        }
    }

    /// Clears the flag after an interrupted entry and returns whether it was a nudge.
    pub fn acknowledge(&self) -> bool {
        // R4: cleared before R2 looks again, so a kick that set it in between is found there.
        self.page.immediate_exit().store(0, Ordering::SeqCst);
        self.handle.0.nudged.swap(false, Ordering::SeqCst)
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        // R5: after this lock no signal can come any more, and the flag belongs to the vCPU's owner
        // again.
        let mut targets = self.handle.targets();
        targets.retain(|target| target.vcpu != self.vcpu);
        self.page.immediate_exit().store(0, Ordering::SeqCst);
    }
}

/// The realtime signal of every kick: the highest one without a handler in this process. It is
/// chosen once; that it could not be installed is not kept.
fn kick_signal() -> Result<libc::c_int> {
    static SIGNAL: OnceLock<libc::c_int> = OnceLock::new();
    if let Some(signal) = SIGNAL.get() {
        return Ok(*signal);
    }
    // Another thread may be in here too, and takes the one that this takes.
    let ours = do_nothing as *const () as libc::sighandler_t;
    let free = (libc::SIGRTMIN()..=libc::SIGRTMAX())
        .rev()
        .find(|&signal| [libc::SIG_DFL, ours].contains(&handler_of(signal)));
    let signal = free.unwrap_or_else(|| libc::SIGRTMAX());
    install(signal)?;
    Ok(*SIGNAL.get_or_init(|| signal))
}

/// The spare signal, for when no more realtime signals can be queued: a standard signal is pending
/// or not, and needs no place in a queue. This one is ignored by default, and a handler of it has
/// to expect it without a reason.
const SPARE_SIGNAL: libc::c_int = libc::SIGURG;

/// Makes the spare signal interrupt. A handler of the program's interrupts as well as an empty one,
/// and stays; only an ignored signal is lost. A program may remove its handler, so this is checked
/// each time.
fn ready_spare_signal() {
    if matches!(handler_of(SPARE_SIGNAL), libc::SIG_DFL | libc::SIG_IGN) {
        // A kick cannot report it; the flag of K3 stays, and the next signal finds it.
        let _ = install(SPARE_SIGNAL);
    }
}

fn handler_of(signal: libc::c_int) -> libc::sighandler_t {
    // SAFETY: all-zero bytes are a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: a null new action only asks.
    unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    action.sa_sigaction
}

extern "C" fn do_nothing(_: libc::c_int) {}

fn install(signal: libc::c_int) -> Result<()> {
    // SAFETY: all-zero bytes are a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = do_nothing as *const () as libc::sighandler_t;
    // KVM_RUN returns EINTR all the same; other system calls of the thread continue.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler is async-signal-safe, it does nothing; the addon is never unloaded (-z
    // nodelete).
    let failed = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0;
    if failed {
        return Err(Error::io("sigaction")(std::io::Error::last_os_error()));
    }
    Ok(())
}

/// Installs the handler once, makes sure that this thread blocks neither signal, and gives the
/// first.
fn prepare_thread() -> Result<libc::c_int> {
    let kick = kick_signal()?;
    // SAFETY: all-zero bytes are a valid sigset_t.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in [kick, SPARE_SIGNAL] {
        // SAFETY: the set is ours.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set is ours, the old mask is not asked for.
    let errno =
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()) };
    if errno == 0 {
        Ok(kick)
    } else {
        Err(Error::call("pthread_sigmask", errno))
    }
}

/// What a thread that runs the first vCPU is called.
pub const VCPU_THREAD: &CStr = c"vmexit-vcpu0";

/// What it is called while it waits for a run.
pub const IDLE_THREAD: &CStr = c"vmexit-idle";

/// Names this thread anew, as `top` and `ps` show it; 15 bytes of the name count.
pub fn name_thread(name: &CStr) {
    // SAFETY: the name is a string that ends with a zero; the kernel copies it. It cannot fail.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}
