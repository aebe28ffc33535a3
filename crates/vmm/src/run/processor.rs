//! A vCPU between its entries: what KVM still waits for, and what is left of a run that another
//! vCPU ended.

use std::collections::VecDeque;
use std::sync::Arc;

use boot::paging::PagingState;
use kvm_bindings::{kvm_regs, kvm_sregs};

use crate::bus::{RouteId, fill_items};
use crate::counters::Counters;
use crate::debug::{Caught, Sampler};
use crate::error::{Error, ErrorCode, Result};
use crate::interrupts::{Injection, Injections};
use crate::kvm::exit::Exit;
use crate::kvm::vcpu::Vcpu;
use crate::run::outcome::End;
use crate::run::saved::half_done::{LatestReads, Owed};
use crate::run::saved::held::Held;
use crate::run::stopping::StopMemory;
use crate::trace::Tracer;
use crate::user::User;

/// RFLAGS.IF, interrupts enabled (Intel SDM vol. 1 §3.4.3.3).
const RFLAGS_IF: u64 = 1 << 9;

/// What KVM waits for before the guest can continue.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Nothing.
    Nothing,
    /// A read is answered, and KVM takes the value over at the next entry.
    Answered,
    /// A write is done, and KVM goes on after it at the next entry.
    Written,
    /// An I/O exit is yet to be answered, from this piece on.
    Open(Exit, usize),
    /// A stub of the trap table has told of a fault, and the vCPU goes back to where it was.
    Caught(Box<Caught>),
    /// An unclaimed read ended a run; [`Processor::reply`] answers it.
    Reply(Exit),
}

impl Pending {
    pub const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// One vCPU of a machine that is not running.
#[derive(Debug)]
pub struct Processor {
    pub(crate) vcpu: Vcpu,
    pub(crate) index: u32,
    pub(crate) pending: Pending,
    /// Exits that KVM has completed, which a saved state made it do. If there is one, the first is
    /// what is open, and KVM waits for nothing.
    pub(crate) owed: VecDeque<Owed>,
    /// The machine has no other, which might write the tables that confine this one.
    pub(crate) is_alone: bool,
    /// The state that it was saved to or restored from last.
    pub(crate) held: Option<Held>,
    /// What came before an open read.
    pub(crate) reads: LatestReads,
    /// How it would have ended a run that another vCPU ended first; the next run ends with it.
    pub(crate) kept: Option<End>,
    pub(crate) injections: Arc<Injections>,
    /// Where it is among the stops of its machine.
    pub(crate) stops: StopMemory,
    /// KVM may have an NMI that the guest has not taken.
    pub(crate) nmi_sent: bool,
    /// Whether it has a local APIC.
    pub(crate) irqchip: bool,
    /// Whether the machine has a trap table.
    pub(crate) faults: bool,
    /// The native program that it runs.
    pub(crate) user: Option<Box<User>>,
    tracer: Tracer,
    counters: Arc<Counters>,
    /// All of a machine have the same.
    pub(crate) sampler: Arc<Sampler>,
}

impl Processor {
    pub(crate) fn new(
        vcpu: Vcpu,
        index: u32,
        irqchip: bool,
        faults: bool,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            vcpu,
            index,
            pending: Pending::Nothing,
            owed: VecDeque::new(),
            is_alone: false,
            held: None,
            reads: LatestReads::default(),
            kept: None,
            injections: Arc::default(),
            stops: StopMemory::default(),
            nmi_sent: false,
            irqchip,
            faults,
            user: None,
            tracer: Tracer::default(),
            counters,
            sampler: Arc::default(),
        }
    }

    /// What its machine is sampled by.
    pub const fn sampler(&self) -> &Arc<Sampler> {
        &self.sampler
    }

    /// General registers, RIP and RFLAGS. While a read waits for its value they are those before
    /// the instruction.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn registers(&mut self) -> Result<kvm_regs> {
        self.complete()?;
        self.vcpu.registers()
    }

    /// The same, if they are known without a call to KVM.
    pub fn registers_at_hand(&self) -> Option<kvm_regs> {
        match self.pending {
            // What a program writes is no access of its own.
            Pending::Written if self.user.is_some() => self.registers_at_exit(),
            Pending::Answered | Pending::Written | Pending::Caught(_) => None,
            _ => self.registers_at_exit(),
        }
    }

    /// The general registers as KVM has shown them with the last exit, if it has and nothing has
    /// changed them: RIP may be that of an instruction which KVM has yet to complete.
    pub fn registers_at_exit(&self) -> Option<kvm_regs> {
        self.vcpu.registers_at_hand()
    }

    /// Sets general registers, RIP and RFLAGS.
    ///
    /// # Errors
    /// `UnansweredRead` while an instruction waits for the value of a read, `KvmIoctl` when KVM
    /// refuses.
    pub fn set_registers(&mut self, registers: &kvm_regs) -> Result<()> {
        self.complete_all("set registers")?;
        self.vcpu.set_registers(registers)
    }

    /// Segment, descriptor-table and control registers.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn special_registers(&mut self) -> Result<kvm_sregs> {
        self.complete()?;
        self.vcpu.special_registers()
    }

    /// How it translates linear addresses.
    ///
    /// # Errors
    /// `KvmIoctl`.
    pub fn paging(&mut self) -> Result<PagingState> {
        let special = self.special_registers()?;
        Ok(PagingState::new(&special, self.vcpu.paging))
    }

    /// Sets segment, descriptor-table and control registers.
    ///
    /// # Errors
    /// As [`set_registers`](Self::set_registers).
    pub fn set_special_registers(&mut self, registers: &kvm_sregs) -> Result<()> {
        self.complete_all("set special registers")?;
        self.vcpu.set_special_registers(registers)
    }

    /// Gives the unclaimed read that ended a run its value, for every item of a string read.
    ///
    /// # Errors
    /// `UnansweredRead` when no read waits.
    pub fn reply(&mut self, value: u64) -> Result<()> {
        self.reply_with(|data, size| {
            fill_items(data, size, value);
            Ok(())
        })
    }

    /// Gives the unclaimed read that ended a run its bytes: item size times count.
    ///
    /// # Errors
    /// `UnansweredRead` when no read waits, `InvalidOption` when the number of bytes differs.
    pub fn reply_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.reply_with(|data, _| {
            if data.len() != bytes.len() {
                return Err(Error::new(
                    ErrorCode::InvalidOption,
                    format!(
                        "reply needs {} bytes (size times count), got {}",
                        data.len(),
                        bytes.len()
                    ),
                ));
            }
            data.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn reply_with(&mut self, fill: impl FnOnce(&mut [u8], usize) -> Result<()>) -> Result<()> {
        let Pending::Reply(exit) = &self.pending else {
            return Err(Error::new(
                ErrorCode::UnansweredRead,
                "reply: the guest waits for no value; reply once, after a run that ended with an unclaimed read",
            ));
        };
        let exit = exit.clone();
        let size = match &exit {
            Exit::PioIn(access) => usize::from(access.size),
            _ => 8,
        };
        fill(self.vcpu.access_data(&exit)?, size)?;
        self.pending = self.done(&exit, None)?;
        self.complete()
    }

    /// Counts an exit, right after it came.
    pub(crate) fn count(&mut self, exit: &Exit) {
        self.counters.count_exit(exit);
        self.tracer
            .exits(&self.counters.trace, self.index, exit, &mut self.vcpu);
    }

    /// Right before an entry.
    pub(crate) fn enters(&mut self) {
        self.tracer.enters(&self.counters.trace, self.index);
    }

    /// Its part of a run is over, or paused.
    pub(crate) fn leaves(&mut self) {
        self.tracer.leaves(self.index);
    }

    /// Lets go of a trace that is closed.
    pub fn look_at_trace(&mut self) {
        self.tracer.look(&self.counters.trace);
    }

    /// What an exit leaves to KVM that was answered, by a route or otherwise, or that needs no
    /// answer.
    pub(crate) fn done(&mut self, exit: &Exit, route: Option<RouteId>) -> Result<Pending> {
        self.tracer
            .settles(self.index, exit, route.map(RouteId::get), &mut self.vcpu);
        if let Exit::MmioRead(access) = exit {
            self.reads.note(*access, self.vcpu.access_data(exit)?);
            return Ok(Pending::Answered);
        }
        self.reads.clear();
        if self.owed.pop_front().is_some() {
            let next = self.owed.front().map(|next| next.exit.clone());
            return next.map_or(Ok(Pending::Nothing), |next| {
                self.show_owed()?;
                self.count(&next);
                Ok(Pending::Open(next, 0))
            });
        }
        Ok(match exit {
            _ if exit.is_read() => Pending::Answered,
            _ if exit.is_access() => Pending::Written,
            _ => Pending::Nothing,
        })
    }

    /// Puts the data of an exit to where a handler looks for them, if KVM has completed it.
    pub(crate) fn show_owed(&mut self) -> Result<()> {
        if let Some(Owed { exit, data }) = self.owed.front() {
            self.vcpu.access_data(exit)?.copy_from_slice(data);
        }
        Ok(())
    }

    /// Keeps an end that came after another vCPU's. An access that nothing claims stays open: the
    /// next run may have an answer to it.
    pub(crate) fn keep(&mut self, late: End) {
        match late {
            End::Exit(record) if record.exit.is_access() => {
                let is_kvms = matches!(self.pending, Pending::Written | Pending::Reply(_));
                self.pending = Pending::Open(record.exit.clone(), 0);
                if !is_kvms {
                    let (exit, data) = (record.exit, record.data);
                    self.owed.push_front(Owed { exit, data });
                }
            }
            late => self.kept = Some(late),
        }
    }

    /// Lets KVM take over the value of an answered read, which may change memory, and takes a vCPU
    /// out of the trap table.
    pub(crate) fn complete_at_end(&mut self) -> Result<()> {
        if matches!(self.pending, Pending::Answered | Pending::Caught(_)) {
            return self.complete();
        }
        Ok(())
    }

    /// Lets KVM complete an answered access, so that registers are final. The next access of the
    /// same instruction is kept.
    pub(crate) fn complete(&mut self) -> Result<()> {
        if let Pending::Caught(caught) = &self.pending {
            let caught = caught.clone();
            return self.go_back(&caught);
        }
        if !matches!(self.pending, Pending::Answered | Pending::Written) {
            return Ok(());
        }
        self.pending = match self.vcpu.complete()? {
            None => Pending::Nothing,
            Some(exit) => {
                self.count(&exit);
                Pending::Open(exit, 0)
            }
        };
        Ok(())
    }

    /// Leaves the trap table as `iret` would.
    fn go_back(&mut self, caught: &Caught) -> Result<()> {
        self.vcpu.complete()?;
        self.pending = Pending::Nothing;
        self.vcpu.set_special_registers(&caught.special)?;
        self.vcpu.set_registers(&caught.registers)?;
        if caught.fault.is_nmi() {
            self.vcpu.unmask_nmi()?;
        }
        // Nothing is half done, and the entry before was not that of the handler's gate.
        let takes = caught.registers.rflags & RFLAGS_IF != 0;
        self.vcpu.set_takes_interrupt(takes);
        Ok(())
    }

    /// Whether something waits that ends a halt.
    pub(crate) fn wakes(&mut self) -> Result<bool> {
        Ok(match self.injections.first() {
            Some(Injection::Nmi) => true,
            Some(Injection::Vector(_)) => self.vcpu.interrupts_enabled(),
            // One that came during the handler of another is delivered only at the next entry.
            None if self.nmi_sent => {
                self.nmi_sent = self.vcpu.nmi_pending()?;
                self.nmi_sent
            }
            None => false,
        })
    }

    /// Completes what is answered, before the state changes; refuses while anything is not.
    pub(crate) fn complete_all(&mut self, what: &str) -> Result<()> {
        self.complete()?;
        match self.pending {
            // A stop waits for nothing of KVM's.
            Pending::Open(Exit::Debug { .. }, _) => Ok(()),
            Pending::Open(..) | Pending::Reply(_) => Err(Error::new(
                ErrorCode::UnansweredRead,
                format!(
                    "cannot {what}: an instruction of the guest waits for its I/O; reply or run on first"
                ),
            )),
            _ => Ok(()),
        }
    }
}
