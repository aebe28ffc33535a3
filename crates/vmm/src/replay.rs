//! The last instruction of a guest that shuts down, where KVM has reset the vCPU: a machine made of
//! a snapshot does the same once more, at first as fast as it can, then instruction by instruction.
//!
//! What cannot be replayed is said, and no error: the answers of handlers are not in a snapshot.

use std::time::Duration;

use boot::paging::{MissReason, PagingState, TableLevel};
use boot::state::{CR0_PE, EFER_LMA, trapped};
use boot::{CpuMode, layout};
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::bus::{PostedRing, RouteId};
use crate::debug::VirtualMemory;
use crate::error::{Error, ErrorCode, Result};
use crate::kvm::exit::Exit;
use crate::kvm::kick::KickHandle;
use crate::kvm::memory::GuestMemory;
use crate::limits::{BOOT_VCPU, MAX_REPLAY, MAX_REPLAY_INSTRUCTIONS, PAGE_BYTES};
use crate::machine::Machine;
use crate::run::{
    Alarm, At, End, ExitHandler, Outcome, Processor, ReadAnswer, Reply, RunLimits, WriteAnswer,
};
use crate::snapshot::{Others, Snapshot};

/// How far a replay goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayLimits {
    /// Instructions that are stepped through.
    pub instructions: u64,
    /// The time of all of it.
    pub timeout: Duration,
    /// Steps even where KVM has kept the registers of the shutdown.
    pub always_steps: bool,
}

impl Default for ReplayLimits {
    fn default() -> Self {
        Self {
            instructions: MAX_REPLAY_INSTRUCTIONS,
            timeout: MAX_REPLAY,
            always_steps: false,
        }
    }
}

/// What a replay has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// The last instruction, if it came to a shutdown.
    pub last: Option<LastInstruction>,
    /// How it ended, by the names of [`End::name`]; `instructions` if they were too many.
    pub ended: &'static str,
    /// Exits that were answered at full speed before the first step.
    pub exits: u64,
    /// Instructions that were stepped through.
    pub steps: u64,
    /// Accesses that the handlers of the first machine would have answered: reads got all ones, and
    /// writes went nowhere.
    pub answered: u64,
}

/// A vCPU before the instruction that shut it down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LastInstruction {
    /// General registers, RIP and RFLAGS.
    pub registers: kvm_regs,
    /// Segment, descriptor-table and control registers.
    pub special: kvm_sregs,
    /// The exception, if it is known.
    pub exception: Option<Exception>,
    /// The linear address of a page fault, if it is known.
    pub address: Option<u64>,
}

/// An exception that could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// 0 to 31.
    pub vector: u8,
    /// Of those exceptions that have one.
    pub error_code: Option<u32>,
}

impl LastInstruction {
    const fn is_page_fault(&self) -> bool {
        matches!(self.exception, Some(Exception { vector: 14, .. }))
    }
}

/// In KVM's place for the vector of the last exception it stands for none. KVM never asks what
/// stands there while no exception is on its way.
const NO_VECTOR: u8 = 0xff;

/// Finds the last instruction before the shutdown to which a snapshot leads.
///
/// # Errors
/// `InvalidOption` for several vCPUs, `Snapshot` as of [`Machine::from_snapshot`], `KvmIoctl`.
pub fn replay(snapshot: &Snapshot, limits: ReplayLimits) -> Result<Replay> {
    if snapshot.vcpus() > 1 {
        let what = format!(
            "replay: a machine with one vCPU can be replayed, and the snapshot has {}",
            snapshot.vcpus()
        );
        return Err(Error::new(ErrorCode::InvalidOption, what));
    }
    let kick = KickHandle::new();
    let alarm = RunLimits {
        timeout: Some(limits.timeout),
        ..RunLimits::default()
    };
    let _alarm = Alarm::set(alarm, &kick)?;
    let mut player = Player {
        machine: Machine::from_snapshot(snapshot, Others::default())?,
        kick,
        answers: Answers::default(),
    };
    player.reply();
    player.forget_exception()?;
    let first = player.run(None)?;
    if !is_shutdown(&first.end) {
        return Ok(player.over(first.end.name(), None));
    }
    if first.whereabouts.is_some() && !limits.always_steps {
        let state = player.state()?;
        let mut last = player.last(state)?;
        last.address = last.is_page_fault().then_some(last.special.cr2);
        return Ok(player.over(first.end.name(), Some(last)));
    }
    // What comes before the last exit needs no stepping, if the guest does the same again.
    let before = first.exits.saturating_sub(1);
    if before > 0 && player.again(snapshot, before)? {
        let found = player.step(before, limits.instructions)?;
        if found.last.is_some() {
            return Ok(found);
        }
    }
    player.again(snapshot, 0)?;
    player.step(0, limits.instructions)
}

fn is_shutdown(end: &End) -> bool {
    matches!(end, End::Exit(record) if record.exit == Exit::Shutdown)
}

/// The machine that does it again.
struct Player {
    machine: Machine,
    kick: KickHandle,
    answers: Answers,
}

type State = (kvm_regs, kvm_sregs);

impl Player {
    fn processor(&mut self) -> Result<&mut Processor> {
        let boot = self.machine.vcpu(BOOT_VCPU);
        boot.ok_or_else(|| Error::internal("a machine without a vCPU"))
    }

    fn state(&mut self) -> Result<State> {
        Ok((self.machine.registers()?, self.machine.special_registers()?))
    }

    /// The read for which an earlier run ended has no other answer either.
    fn reply(&mut self) {
        self.answers = Answers::default();
        self.answers.0 += u64::from(self.machine.reply(u64::MAX).is_ok());
    }

    fn run(&mut self, exits: Option<u64>) -> Result<Outcome> {
        let limits = RunLimits {
            exits,
            ..RunLimits::default()
        };
        self.machine.run(&self.kick, limits, &mut self.answers)
    }

    /// Goes back, and on to so many exits; whether it came there.
    fn again(&mut self, snapshot: &Snapshot, exits: u64) -> Result<bool> {
        self.machine.restore(snapshot)?;
        self.reply();
        self.forget_exception()?;
        if exits == 0 {
            return Ok(true);
        }
        let end = self.run(Some(exits))?.end;
        Ok(matches!(end, End::Kicked(_)) && self.kick.requested().is_none())
    }

    /// Steps to the shutdown.
    fn step(&mut self, exits: u64, most: u64) -> Result<Replay> {
        let mut steps = 0;
        self.processor()?.vcpu.show_all();
        let mut state = self.state()?;
        let ended = loop {
            if steps >= most {
                break "instructions";
            }
            self.forget_exception()?;
            self.processor()?.vcpu.step_once()?;
            let end = self.run(Some(1))?.end;
            match &end {
                End::Exit(record) if matches!(record.exit, Exit::Debug { .. }) => steps += 1,
                // An access was answered.
                End::Kicked(_) if self.kick.requested().is_none() => {}
                end if is_shutdown(end) => {
                    let mut last = self.last(state)?;
                    self.ask_again(&mut last)?;
                    return Ok(self.over_after(end.name(), Some(last), (exits, steps)));
                }
                end => break end.name(),
            }
            state = self.state()?;
        };
        Ok(self.over_after(ended, None, (exits, steps)))
    }

    fn last(&mut self, (registers, special): State) -> Result<LastInstruction> {
        let raw = self.processor()?.events()?.exception;
        let exception = (raw.nr != NO_VECTOR).then(|| Exception {
            vector: raw.nr,
            error_code: (raw.has_error_code != 0).then_some(raw.error_code),
        });
        Ok(LastInstruction {
            registers,
            special,
            exception,
            address: None,
        })
    }

    /// Has the last instruction fail once more, with a trap table in force, if that tells more: CR2
    /// went with the registers, and of some exceptions KVM has no vector. The guest may map no such
    /// table; then nothing more is known.
    fn ask_again(&mut self, last: &mut LastInstruction) -> Result<()> {
        let is_known = last.exception.is_some() && !last.is_page_fault();
        if is_known || last.special.cr0 & CR0_PE == 0 {
            return Ok(());
        }
        let mode = match last.special.efer & EFER_LMA {
            0 => CpuMode::Protected,
            _ => CpuMode::Long,
        };
        let (special, tables) = trapped(mode, &last.special);
        let processor = self.processor()?;
        let paging = PagingState::new(&special, processor.vcpu.paging);
        processor.faults = true;
        processor.vcpu.step_no_more()?;
        processor.set_special_registers(&special)?;
        processor.set_registers(&last.registers)?;
        let memory = self.machine.memory();
        let mut writes = tables.iter();
        if !writes.all(|table| memory.write(table.gpa, &table.bytes).is_ok()) {
            // The slot of a machine that began in another mode is smaller.
            return Ok(());
        }
        if mode == CpuMode::Long {
            map_system_slot(paging, memory)?;
        }
        let answered = self.answers.0;
        let end = self.run(Some(1))?.end;
        self.answers.0 = answered;
        let End::Fault(fault) = end else {
            return Ok(());
        };
        let exception = Exception {
            vector: fault.vector,
            error_code: fault.error_code,
        };
        if last.exception.is_none_or(|known| known == exception) {
            last.exception = Some(exception);
            last.address = fault.address;
        }
        Ok(())
    }

    /// KVM keeps the vector of an exception that the guest has handled.
    fn forget_exception(&mut self) -> Result<()> {
        let vcpu = &mut self.processor()?.vcpu;
        if vcpu.last_exception()? == NO_VECTOR {
            return Ok(());
        }
        let mut events = vcpu.events()?;
        let is_on_its_way = events.exception.injected != 0 || events.exception.pending != 0;
        if !is_on_its_way {
            events.exception.nr = NO_VECTOR;
            vcpu.set_events(&events)?;
        }
        Ok(())
    }

    fn over(&self, ended: &'static str, last: Option<LastInstruction>) -> Replay {
        self.over_after(ended, last, (0, 0))
    }

    fn over_after(
        &self,
        ended: &'static str,
        last: Option<LastInstruction>,
        (exits, steps): (u64, u64),
    ) -> Replay {
        Replay {
            last,
            ended,
            exits,
            steps,
            answered: self.answers.0,
        }
    }
}

/// Maps the system slot in the guest's own tables of long mode, if an entry is free on the way.
fn map_system_slot(paging: PagingState, memory: &GuestMemory) -> Result<()> {
    const LARGE: u64 = 1 << 7;
    const PRESENT_WRITABLE: u64 = 3;
    /// Where the tables of ours are that the guest has left.
    const SPARE: [u64; 2] = [layout::TOP_TABLE, layout::PDPT];
    let walk = VirtualMemory::new(paging, memory).walk(layout::SYSTEM_START);
    let uses_spare = walk
        .steps
        .iter()
        .any(|step| SPARE.contains(&(step.gpa & !(PAGE_BYTES - 1))));
    let is_free = matches!(walk.result, Err(miss) if miss.why == MissReason::NotPresent);
    let (Some(last), false, true) = (walk.steps.last(), uses_spare, is_free) else {
        return Ok(());
    };
    if SPARE
        .iter()
        .any(|page| memory.write(*page, &[0; PAGE_BYTES as usize]).is_err())
    {
        return Ok(());
    }
    let entry = |table: u64, shift: u32| table + (layout::SYSTEM_START >> shift & 0x1ff) * 8;
    let [third, second] = SPARE;
    // The entries from the lowest level up to the one that is free.
    let chain = [
        (entry(second, 21), layout::SYSTEM_START | LARGE),
        (entry(third, 30), second),
        (last.gpa, third),
    ];
    let levels = match last.level {
        TableLevel::Pml4 => &chain[..],
        TableLevel::Pdpt => &[chain[0], (last.gpa, second)],
        TableLevel::Pd => &[(last.gpa, layout::SYSTEM_START | LARGE)],
        TableLevel::Pml5 | TableLevel::Pt => &[],
    };
    for (gpa, to) in levels {
        memory.write(*gpa, &(to | PRESENT_WRITABLE).to_le_bytes())?;
    }
    Ok(())
}

/// Answers as an empty bus in the place of handlers, and counts.
#[derive(Debug, Default)]
struct Answers(u64);

impl ExitHandler for Answers {
    fn read(&mut self, _at: At) -> Reply<Option<u64>> {
        self.0 += 1;
        Ok(None)
    }

    fn write(&mut self, _at: At, _value: u64) -> Reply<()> {
        self.0 += 1;
        Ok(())
    }

    fn console(&mut self, _route: RouteId, _bytes: &[u8]) -> Reply<()> {
        Ok(())
    }

    fn unclaimed_read(&mut self, _exit: &Exit, _data: &[u8]) -> Reply<ReadAnswer> {
        self.0 += 1;
        Ok(ReadAnswer::Ones)
    }

    fn unclaimed_write(&mut self, _exit: &Exit, _data: &[u8]) -> Reply<WriteAnswer> {
        self.0 += 1;
        Ok(WriteAnswer::Done)
    }

    fn full(&mut self, ring: &PostedRing) -> Reply<()> {
        ring.drain();
        Ok(())
    }
}
