//! The questions, each a guest of a few instructions whose bytes mean the same in every mode.

use boot::code::{HLT, INT3};
use boot::state::RFLAGS_TF;
use boot::state::traps::{BREAKPOINT as BP, DEBUG as DB};
use kvm_bindings::kvm_regs;

use super::place::{Int3, Means, Place};
use super::subject::{CODE, DATA, END, Subject};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::kvm::host::Host;
use crate::kvm::vcpu_debug::control::{GuestDebug, HardwareKind, HardwareStop};

const NOP: u8 = 0x90;
/// `mov %al, (%rbx)`, the same with `%ebx`, or `mov %al, (%bp, %di)` in 16 bits.
const STORE: [u8; 2] = [0x88, 0x03];
/// The way back.
const LOAD: [u8; 2] = [0x8a, 0x03];
/// `push $2` and `popf`: loads RFLAGS without TF.
const POPF: [u8; 3] = [0x6a, 0x02, 0x9d];

const NOTHING: GuestDebug = GuestDebug {
    step: false,
    block_interrupts: false,
    int3: false,
    hardware: [None; 4],
};
const STEP: GuestDebug = GuestDebug {
    step: true,
    ..NOTHING
};

/// What was found.
pub(super) struct Found {
    /// In the order of [`Place::ALL`].
    pub means: [Means; Place::ALL.len()],
    /// A vCPU that steps goes on stepping without another ioctl, wherever it can step.
    pub steps_last: bool,
}

/// Asks everything everywhere.
pub(super) fn all(host: &Host) -> Result<Found> {
    let mut subject = Subject::new(host)?;
    let mut steps_last = true;
    let mut means = [Means::default(); Place::ALL.len()];
    for (means, place) in means.iter_mut().zip(Place::ALL) {
        let _alarm = subject.go(place)?;
        let mut ask =
            |question: fn(&mut Subject) -> Result<bool>| question(&mut subject).unwrap_or(false);
        means.step = ask(steps);
        steps_last &= !means.step || ask(goes_on_stepping);
        means.blocks_interrupts = means.step && ask(blocks_interrupts);
        means.hlt = ask(halts);
        means.hardware = ask(breaks_by_hardware);
        means.watch = ask(watches_by_hardware);
        if place == Place::User {
            means.trap_step = ask(traps_step);
            means.trap_int3 = ask(traps_int3);
        }
        means.int3 = int3(&mut subject).unwrap_or(None);
    }
    Ok(Found { means, steps_last })
}

/// Enters the guest, and tells whether a debug exception ended that after so many bytes.
fn comes_to(subject: &mut Subject, at: u64) -> Result<bool> {
    let left = subject.enter()?;
    Ok(left.is_debug(DB) && left.at == at)
}

/// Single steps, each with an ioctl of its own, and one of them over `popf`.
fn steps(subject: &mut Subject) -> Result<bool> {
    subject.begin(&[&[NOP], &POPF, &[NOP]])?;
    for at in [1, 3, 4, 5] {
        subject.vcpu().set_debug(&NOTHING)?;
        subject.vcpu().set_debug(&STEP)?;
        if !comes_to(subject, at)? {
            return Ok(false);
        }
    }
    // And none that is not asked for.
    subject.vcpu().set_debug(&NOTHING)?;
    Ok(subject.enter()?.is_end())
}

/// The same with one ioctl for all, whatever loads RFLAGS: the guest, the host, and KVM when it
/// completes an instruction.
fn goes_on_stepping(subject: &mut Subject) -> Result<bool> {
    subject.begin(&[&[NOP], &POPF, &[NOP], &END, &[NOP, NOP]])?;
    subject.vcpu().set_debug(&STEP)?;
    for at in [1, 3, 4, 5] {
        if !comes_to(subject, at)? {
            return Ok(false);
        }
    }
    let registers = subject.vcpu().registers()?;
    subject.vcpu().set_registers(&registers)?;
    if !subject.enter()?.is_end() {
        return Ok(false);
    }
    let mut left = subject.enter()?;
    // KVMs differ in whether what they complete ends a step.
    if left.is_debug(DB) && left.at == 7 {
        left = subject.enter()?;
    }
    Ok(left.is_debug(DB) && left.at == 8 && comes_to(subject, 9)?)
}

/// Whether an NMI that waits is taken by a step unless it is kept away. In the kernel it takes the
/// same way as an interrupt.
fn blocks_interrupts(subject: &mut Subject) -> Result<bool> {
    let mut is_taken = |block_interrupts| -> Result<bool> {
        subject.begin(&[&[NOP, NOP]])?;
        subject.vcpu().nmi()?;
        subject.vcpu().set_debug(&GuestDebug {
            block_interrupts,
            ..STEP
        })?;
        let is_away = !comes_to(subject, 1)?;
        Ok(is_away || !subject.vcpu().nmi_pending()?)
    };
    Ok(is_taken(false)? && !is_taken(true)?)
}

/// An `int3` in the place of an instruction that is executed after that.
fn int3(subject: &mut Subject) -> Result<Option<Int3>> {
    subject.begin(&[&[NOP, INT3, NOP]])?;
    subject.vcpu().set_debug(&GuestDebug {
        int3: true,
        ..NOTHING
    })?;
    let left = subject.enter()?;
    let found = match left.exit {
        _ if left.at != 1 => None,
        Exit::Debug { .. } if left.is_debug(BP) => Some(Int3::Debug),
        Exit::InternalError {
            suberror: Exit::NOT_EMULATED,
            ..
        } => Some(Int3::InternalError),
        _ => None,
    };
    subject.patch(1, NOP)?;
    Ok(found.filter(|_| subject.enter().is_ok_and(|left| left.is_end())))
}

/// The same with `hlt`, to which the host puts RIP back.
fn halts(subject: &mut Subject) -> Result<bool> {
    let registers = subject.begin(&[&[NOP, HLT, NOP]])?;
    let left = subject.enter()?;
    if left.exit != Exit::Hlt || left.at != 2 {
        return Ok(false);
    }
    subject.patch(1, NOP)?;
    subject.vcpu().set_registers(&kvm_regs {
        rip: CODE + 1,
        ..registers
    })?;
    Ok(subject.enter()?.is_end())
}

/// Stops before an instruction, and goes on from there.
fn breaks_by_hardware(subject: &mut Subject) -> Result<bool> {
    subject.begin(&[&[NOP, NOP]])?;
    subject
        .vcpu()
        .set_debug(&hardware(CODE + 1, HardwareKind::Execute))?;
    if !comes_to(subject, 1)? {
        return Ok(false);
    }
    subject.vcpu().set_debug(&NOTHING)?;
    Ok(subject.enter()?.is_end())
}

/// Stops after a write, and after a read.
fn watches_by_hardware(subject: &mut Subject) -> Result<bool> {
    for (code, kind) in [
        (STORE, HardwareKind::Write(1)),
        (LOAD, HardwareKind::Access(1)),
    ] {
        subject.begin(&[&code, &[NOP]])?;
        subject.vcpu().set_debug(&hardware(DATA, kind))?;
        let stops = comes_to(subject, code.len() as u64)?;
        if !stops || !subject.enter()?.is_end() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn hardware(address: u64, kind: HardwareKind) -> GuestDebug {
    let stop = HardwareStop { address, kind };
    GuestDebug {
        hardware: [Some(stop), None, None, None],
        ..NOTHING
    }
}

fn traps_step(subject: &mut Subject) -> Result<bool> {
    let registers = subject.begin(&[&[NOP, NOP]])?;
    subject.vcpu().set_registers(&kvm_regs {
        rflags: registers.rflags | RFLAGS_TF,
        ..registers
    })?;
    is_caught(subject, DB, 1)
}

fn traps_int3(subject: &mut Subject) -> Result<bool> {
    subject.begin(&[&[INT3, NOP]])?;
    is_caught(subject, BP, 1)
}

/// Whether a vector of the trap table comes, after so many bytes.
fn is_caught(subject: &mut Subject, vector: u8, at: u64) -> Result<bool> {
    let left = subject.enter()?;
    let caught = subject.caught(&left)?.map(|caught| caught.fault);
    Ok(caught.is_some_and(|fault| fault.vector == vector && fault.rip == CODE + at))
}
