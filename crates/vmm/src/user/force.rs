//! Changes of page tables come into force.
//!
//! What was absent may simply be written: no processor remembers that, and KVM looks again. What
//! allowed something is changed by the guest, in ring 0: KVM with page tables of its own for the
//! guest notices that, and not what the host writes.

use std::sync::atomic::Ordering;

use boot::Privilege;
use boot::layout::{USER_EDIT, USER_EDITS, USER_SYSTEM_END};
use boot::state::RFLAGS_FIXED;
use boot::state::user::{Teller, in_ring, teller_at};
use kvm_bindings::kvm_regs;
use linux::{Edit, Effects};

use crate::error::{Error, Result};
use crate::kvm::exit::Exit;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::{Entry, Vcpu};
use crate::user::journal::Journal;

/// Bytes for the changes of one entry.
const ROOM: usize = (USER_SYSTEM_END - USER_EDITS) as usize;
/// The most bytes that zeros are written of at a time.
const ZEROS: [u8; 4096] = [0; 4096];

/// Does all of that, in its order. To be called right before an entry, or between runs.
pub(super) fn force(
    vcpu: &mut Vcpu,
    journal: &mut Journal,
    has_run: bool,
    effects: Effects,
) -> Result<()> {
    let Effects { edits, zeros } = effects;
    if edits.is_empty() && zeros.is_empty() {
        return Ok(());
    }
    let first = edits.iter().position(|edit| edit.revokes && has_run);
    let (plain, others) = edits.split_at(first.unwrap_or(edits.len()));
    let page = std::sync::Arc::clone(vcpu.page());
    let memory = page.memory();
    for edit in plain {
        memory.write(edit.gpa, &bytes(edit))?;
    }
    if has_run {
        edits.iter().for_each(|edit| journal.note(edit));
    }
    let mut rest = others;
    while !rest.is_empty() {
        let (records, count) = records(rest);
        memory.write(USER_EDITS, &records)?;
        by_guest(vcpu, count)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    for (gpa, count) in zeros {
        clear(memory, gpa, count)?;
    }
    Ok(())
}

fn clear(memory: &GuestMemory, gpa: u64, bytes: u64) -> Result<()> {
    let step = ZEROS.len() as u64;
    for at in (gpa..gpa + bytes).step_by(ZEROS.len()) {
        let count = step.min(gpa + bytes - at) as usize;
        memory.write(at, ZEROS.get(..count).unwrap_or_default())?;
    }
    Ok(())
}

fn bytes(edit: &Edit) -> Vec<u8> {
    edit.words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

/// As the guest's code reads them, and how many.
fn records(edits: &[Edit]) -> (Vec<u8>, usize) {
    let mut all = Vec::new();
    let mut count = 0;
    for edit in edits {
        if count > 0 && all.len() + 16 + edit.words.len() * 8 > ROOM {
            break;
        }
        all.extend(edit.gpa.to_le_bytes());
        all.extend((edit.words.len() as u64).to_le_bytes());
        all.extend(bytes(edit));
        count += 1;
    }
    (all, count)
}

/// Has the guest do it. A kick that comes meanwhile counts for the next entry.
fn by_guest(vcpu: &mut Vcpu, count: usize) -> Result<()> {
    let (registers, special) = (vcpu.registers()?, vcpu.special_registers()?);
    let events = vcpu.events()?;
    let editor = kvm_regs {
        rip: USER_EDIT,
        rbx: USER_EDITS,
        rdx: count as u64,
        rflags: RFLAGS_FIXED,
        ..Default::default()
    };
    vcpu.stage(&editor, &in_ring(&special, Privilege::Kernel), &events)?;
    let mut was_interrupted = false;
    loop {
        match vcpu.enter()? {
            Entry::Exit(Exit::PioOut(_))
                if teller_at(vcpu.registers()?.rip) == Some(Teller::Edit) =>
            {
                break;
            }
            Entry::Exit(exit) => {
                let what = format!("page tables: an exit {} in between", exit.name());
                return Err(Error::internal(&what));
            }
            Entry::Interrupted => {
                was_interrupted = true;
                vcpu.page().immediate_exit().store(0, Ordering::SeqCst);
            }
            Entry::InterruptWindow | Entry::NotStarted => {}
        }
    }
    if was_interrupted {
        vcpu.page().immediate_exit().store(1, Ordering::SeqCst);
    }
    vcpu.stage(&registers, &special, &events)
}
