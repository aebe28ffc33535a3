//! By which of KVM's means a vCPU stops at a breakpoint: the first one that fires where it is.

use boot::code::{HLT, INT3};
use boot::state::{CR0_PE, EFER_LMA, traps};
use boot::{CpuMode, layout};
use kvm_bindings::kvm_sregs;

use crate::debug::{DebugMeans, Int3, Means, Place};
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::vcpu_debug::control::HARDWARE_STOPS;

/// A selector's requested privilege level.
const RPL: u16 = 3;

/// How a breakpoint works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mean {
    /// A byte at this guest physical address.
    Patch(u64, u8),
    /// One of the processor's own.
    Hardware,
    /// A look at every instruction.
    Step,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Circumstances {
    pub irqchip: bool,
    /// Our trap table is the guest's.
    pub traps: bool,
    /// How many more of the processor's own there are.
    pub hardware_left: usize,
}

/// By what a machine stops where a vCPU of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopMeans {
    /// Single steps come out.
    pub step: bool,
    /// `int3`, `hlt`, `trap`, `hardware` or `step`; none if nothing stops it.
    pub breakpoint: Option<&'static str>,
    /// `step`, if it can.
    pub watch: Option<&'static str>,
    /// How many breakpoints the processor's registers hold.
    pub hardware: u32,
}

/// Those of a place.
pub(super) fn stop_means(means: &DebugMeans, place: Place, now: &Circumstances) -> StopMeans {
    let here = means.at(place);
    let step = can_step(here, now);
    let is_kvms = place != Place::User || here.int3 == Some(Int3::Debug);
    let breakpoint = match choose(means, place, Some(0), Some(0), now).ok() {
        None => None,
        Some(Mean::Patch(_, HLT)) => Some("hlt"),
        Some(Mean::Patch(..)) if is_kvms => Some("int3"),
        Some(Mean::Patch(..)) => Some("trap"),
        Some(Mean::Hardware) => Some("hardware"),
        Some(Mean::Step) => Some("step"),
    };
    StopMeans {
        step,
        breakpoint,
        watch: step.then_some("step"),
        hardware: if here.hardware {
            HARDWARE_STOPS as u32
        } else {
            0
        },
    }
}

/// Where a vCPU with these registers is.
pub(super) const fn place(special: &kvm_sregs) -> Place {
    if special.cr0 & CR0_PE == 0 {
        Place::Real
    } else if special.cs.dpl == 3 && special.cs.selector & RPL == 3 {
        Place::User
    } else if special.efer & EFER_LMA != 0 {
        Place::Long
    } else {
        Place::Protected
    }
}

/// Whether faults land at our stubs.
pub(super) fn has_traps(special: &kvm_sregs, is_offered: bool) -> bool {
    let mode = if special.efer & EFER_LMA != 0 {
        CpuMode::Long
    } else {
        CpuMode::Protected
    };
    let table = traps::register(mode);
    is_offered && (special.idt.base, special.idt.limit) == (table.base, table.limit)
}

/// Whether the page tables are those that a machine begins with, which let ring 3 everywhere.
pub(super) const fn has_our_tables(special: &kvm_sregs) -> bool {
    special.cr3 & !0xfff == layout::TOP_TABLE
}

/// The mean for an instruction in such a place, at a guest physical address that has memory.
pub(super) fn choose(
    means: &DebugMeans,
    place: Place,
    at: Option<u64>,
    linear: Option<u64>,
    now: &Circumstances,
) -> Result<Mean> {
    let here = means.at(place);
    let patch = at.and_then(|gpa| Some(Mean::Patch(gpa, byte(means, place, now)?)));
    if let Some(patch) = patch {
        return Ok(patch);
    }
    if linear.is_some() && here.hardware && now.hardware_left > 0 {
        return Ok(Mean::Hardware);
    }
    if can_step(here, now) {
        return Ok(Mean::Step);
    }
    let what = format!(
        "nothing that this KVM has stops {} at {}; {}",
        name(place),
        linear.map_or_else(
            || format!("guest physical address {:#x}", at.unwrap_or_default()),
            |linear| format!("address {linear:#x}"),
        ),
        remedy(place)
    );
    Err(Error::new(ErrorCode::KvmCapability, what))
}

/// The instruction that makes KVM exit there, if one does.
fn byte(means: &DebugMeans, place: Place, now: &Circumstances) -> Option<u8> {
    let here = means.at(place);
    if place == Place::User {
        let is_caught = here.int3 == Some(Int3::Debug) || now.traps && here.trap_int3;
        return is_caught.then_some(INT3);
    }
    // A guest leaves long mode seldom, and the other two often.
    let rings = [Place::Real, Place::Protected, Place::Long];
    let everywhere = rings.iter().all(|place| means.at(*place).int3.is_some());
    if here.int3.is_some() && (everywhere || place == Place::Long) {
        return Some(INT3);
    }
    if here.hlt && !now.irqchip {
        return Some(HLT);
    }
    (here.int3.is_some() && !here.hardware).then_some(INT3)
}

/// Whether single steps come out there.
pub(super) const fn can_step(here: &Means, now: &Circumstances) -> bool {
    here.step || now.traps && here.trap_step
}

/// The error of a vCPU that is to step and cannot.
pub(super) fn no_step(place: Place) -> Error {
    let what = format!("this KVM cannot step {}; {}", name(place), remedy(place));
    Error::new(ErrorCode::KvmCapability, what)
}

const fn name(place: Place) -> &'static str {
    match place {
        Place::Real => "real mode",
        Place::Protected => "protected mode",
        Place::Long => "long mode",
        Place::User => "ring 3",
    }
}

const fn remedy(place: Place) -> &'static str {
    match place {
        Place::User => "with faults: 'report' and no table of the guest's own it can",
        _ => "npx vmexit doctor lists what it can",
    }
}
