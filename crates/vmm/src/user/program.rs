//! The program of a vCPU: how it goes on, and what its exits mean.

use std::sync::Arc;
use std::time::Duration;

use boot::Privilege;
use boot::layout::{FAULT_STACK_END, USER_CODE};
use boot::state::spin::SPIN;
use boot::state::user::{ENTERED, USER_END, flags_of_ring_3, in_ring};
use boot::state::{traps, user as facts};
use kvm_bindings::kvm_regs;
use linux::{Access, Answer, Call, Commit, Kernel, Protection, Space, Thread, Touch, Trap, World};

use crate::error::Result;
use crate::kvm::exit::{Exit, PortAccess};
use crate::kvm::memory::GuestMemory;
use crate::kvm::vcpu::Vcpu;
use crate::user::calls::system_call;
use crate::user::force;
use crate::user::journal::{self, Journal};
use crate::user::signals::{self, Delivered};
use crate::user::state::{Refusal, Ruling, UserState, UserStop, go_on_in_ring_3, refused};

/// The bytes of `syscall`.
const SYSCALL_BYTES: u64 = 2;
/// The vector of a page fault.
const PAGE_FAULT: u8 = 14;
/// A page fault's error code: a store, ring 3, a fetch (Intel SDM vol. 3A §5.7).
const OF_WRITE: u32 = 1 << 1;
const OF_USER: u32 = 1 << 2;
const OF_FETCH: u32 = 1 << 4;

/// What the caller has said of how it goes on.
#[derive(Clone, Copy, Debug)]
enum Next {
    Answer(u64),
    Call { rsp: u64 },
    Spin,
}

/// The program of a vCPU.
#[derive(Debug)]
pub(crate) struct User {
    pub state: UserState,
    next: Option<Next>,
    /// The bases of a thread, as they were before a system call that was answered meanwhile.
    rebased: Option<Thread>,
    /// That call was a handler's return.
    returns: bool,
    /// It looks for calls by itself.
    spins: bool,
    journal: Journal,
    /// The processor has seen page tables.
    has_run: bool,
    /// Where an access was refused last that was allowed: the instruction and the address.
    stale: Option<(u64, u64)>,
}

impl User {
    pub fn new(state: UserState) -> Self {
        Self {
            state,
            next: None,
            rebased: None,
            returns: false,
            spins: false,
            journal: Journal::default(),
            has_run: false,
            stale: None,
        }
    }

    /// Why the program stands still, after a run that has ended there.
    pub const fn stop(&self) -> Option<&UserStop> {
        self.state.stop.as_ref()
    }

    /// What the system call comes to that has ended the last run; whether there was one.
    pub fn answer(&mut self, value: u64) -> bool {
        let is_asked = self.state.asked.is_some();
        if is_asked {
            self.next = Some(Next::Answer(value));
        }
        is_asked
    }

    /// Lets the kernel answer the system call that has ended the last run; `None` if it cannot,
    /// or if the program is over then.
    pub fn go_on(&mut self, memory: &GuestMemory) -> Option<u64> {
        let Some(UserStop::Call {
            number, arguments, ..
        }) = self.state.stop
        else {
            return None;
        };
        let before = self.state.thread;
        match self.state.go_on(&Call { number, arguments }, memory) {
            Answer::Value(value) => {
                self.rebased.get_or_insert(before);
                return Some(value);
            }
            Answer::Return => {
                self.returns = true;
                return Some(0);
            }
            Answer::Exit { code } => self.state.stop = Some(UserStop::Exit { code }),
            Answer::Killed { signal } => self.state.stop = Some(UserStop::Killed { signal }),
            Answer::Ask => {}
        }
        None
    }

    /// The next run begins at the gate, with this stack.
    pub const fn call(&mut self, rsp: u64) {
        self.next = Some(Next::Call { rsp });
        self.spins = false;
    }

    /// The next run looks for calls in the mailbox.
    pub const fn spin(&mut self) {
        self.next = Some(Next::Spin);
        self.spins = true;
    }

    /// Sends it a signal; returns whether a call that waits is interrupted.
    pub fn signal(&mut self, signal: u32) -> bool {
        self.state.kernel.send_signal(signal)
    }

    /// How long until its timer sends a signal, and whether a call that waits is interrupted.
    pub fn look_at_timer(&mut self, memory: &GuestMemory) -> (Option<Duration>, bool) {
        let look = |kernel: &mut Kernel, world: &mut World<'_>| kernel.look_at_timer(world);
        self.state.with_kernel(memory, look)
    }

    /// Before the first entry of a run; false if a signal ends the program.
    pub fn begin(&mut self, vcpu: &mut Vcpu) -> Result<bool> {
        vcpu.show_all();
        let call = match (self.next, self.state.asked) {
            (Some(Next::Answer(_)), Some(asked)) => Some(asked.rax),
            _ => None,
        };
        let registers = match self.next.take() {
            Some(Next::Answer(value)) => self.state.asked.take().map(|asked| kvm_regs {
                rax: value,
                ..asked
            }),
            Some(Next::Call { rsp }) => Some(at(facts::GATE, rsp)),
            Some(Next::Spin) => Some(at(SPIN, 0)),
            None => None,
        };
        self.state.asked = None;
        if let Some(before) = self.rebased.take()
            && before != self.state.thread
        {
            let special = vcpu.special_registers()?;
            vcpu.set_special_registers(&self.state.thread_registers(&special, before))?;
        }
        if let Some(registers) = registers {
            vcpu.set_registers(&registers)?;
        }
        self.state.stop = None;
        let page = Arc::clone(vcpu.page());
        self.look_at_timer(page.memory());
        let returns = std::mem::take(&mut self.returns);
        if !returns && !self.state.kernel.has_signal() {
            return Ok(true);
        }
        let registers = vcpu.registers()?;
        let delivered = if returns {
            signals::leave(&mut self.state, vcpu, &registers)?
        } else {
            signals::deliver(&mut self.state, vcpu, &registers, call)?
        };
        match delivered {
            Delivered::Goes(registers) => vcpu.set_registers(&registers).map(|()| true),
            Delivered::Killed => Ok(false),
        }
    }

    /// A fault that is the program's own; the registers with which its handler begins, if it has
    /// one that can be entered.
    pub fn trapped(
        &mut self,
        vcpu: &mut Vcpu,
        trap: Trap,
        registers: &kvm_regs,
    ) -> Result<Option<kvm_regs>> {
        let delivered = signals::trapped(&mut self.state, vcpu, trap, registers)?;
        Ok(match delivered {
            Some(Delivered::Goes(registers)) => Some(registers),
            Some(Delivered::Killed) | None => None,
        })
    }

    /// At the end of a run, also of one that was cut off within what is ours: the vCPU is in
    /// ring 3, where the program goes on.
    pub fn settle(&mut self, vcpu: &mut Vcpu) -> Result<()> {
        let special = vcpu.special_registers()?;
        if special.cs.dpl == 3 {
            return Ok(());
        }
        let mut registers = vcpu.registers()?;
        match registers.rip {
            // The call is yet to be told of, or it is answered.
            USER_CODE => {
                registers.rip = registers.rcx.wrapping_sub(SYSCALL_BYTES);
                registers.rflags = registers.r11;
            }
            ENTERED => (registers.rip, registers.rflags) = (registers.rcx, registers.r11),
            // What was refused is refused again.
            rip if traps::vector_at(rip).is_some() => {
                registers = as_pushed(&registers, vcpu.page().memory())?;
            }
            _ => registers.rip = 0,
        }
        registers.rip &= USER_END - 1;
        registers.rflags = flags_of_ring_3(registers.rflags);
        go_on_in_ring_3(vcpu, &registers, &special)
    }

    /// Right before each entry: what has changed in the tables comes into force.
    pub fn prepare(&mut self, vcpu: &mut Vcpu) -> Result<()> {
        let effects = self.state.space.take_effects();
        force::force(vcpu, &mut self.journal, self.has_run, effects)?;
        self.has_run = true;
        Ok(())
    }

    /// What becomes of an exit that tells of no fault as a guest's own trap table would.
    pub fn judge(&mut self, exit: &Exit, vcpu: &mut Vcpu) -> Result<Ruling> {
        const PORT: u16 = facts::USER_PORT as u16;
        match exit {
            Exit::PioOut(PortAccess { port: PORT, .. }) => {
                let registers = vcpu.registers()?;
                match facts::teller_at(registers.rip) {
                    Some(facts::Teller::Call) => system_call(&mut self.state, vcpu, &registers),
                    Some(facts::Teller::Return) => {
                        self.state.stop = Some(UserStop::Returned);
                        Ok(Ruling::End)
                    }
                    Some(facts::Teller::Park) if self.spins => {
                        self.state.stop = Some(UserStop::Parked);
                        Ok(Ruling::End)
                    }
                    _ => refused(vcpu, registers),
                }
            }
            // The bitmap opens ports for both directions.
            Exit::PioIn(PortAccess { port: PORT, .. }) => {
                vcpu.access_data(exit)?.fill(0xff);
                Ok(Ruling::Go)
            }
            _ if exit.is_access() => self.strange_fault(vcpu),
            _ => Ok(Ruling::End),
        }
    }

    /// A fault whose frame no `iret` would take, as where ring 3 has loaded a selector that only
    /// this KVM lets it load; or an access that no program can make.
    fn strange_fault(&mut self, vcpu: &mut Vcpu) -> Result<Ruling> {
        let registers = vcpu.registers()?;
        let Some(vector) = traps::vector_at(registers.rip) else {
            return refused(vcpu, registers);
        };
        let special = vcpu.special_registers()?;
        let registers = as_pushed(&registers, vcpu.page().memory())?;
        Ok(Ruling::Fault(Box::new(Refusal {
            vector,
            error_code: traps::has_error_code(vector).then_some(0),
            address: (vector == PAGE_FAULT).then_some(special.cr2),
            rip: registers.rip,
            registers,
            special: in_ring(&special, Privilege::User),
        })))
    }

    /// Whether a page fault was an access to memory that waited for it, and can be tried again.
    pub fn mends(&mut self, address: u64, code: u32, rip: u64) -> bool {
        if code & OF_USER == 0 {
            return false;
        }
        let access = match () {
            () if code & OF_FETCH != 0 => Access::Execute,
            () if code & OF_WRITE != 0 => Access::Write,
            () => Access::Read,
        };
        match self.state.space.touch(address, access) {
            Touch::Mended => true,
            Touch::Stale => {
                let place = Some((rip, address));
                self.state.space.refresh(address);
                std::mem::replace(&mut self.stale, place) != place
            }
            Touch::Denied => false,
        }
    }

    /// Before memory goes back to a state: what of the tables may be remembered.
    pub fn leaves(&self, memory: &GuestMemory) -> Vec<(u64, u64)> {
        self.journal.words(memory)
    }

    /// Memory is that of a state; `before` is what [`leaves`](Self::leaves) gave.
    pub fn restore(&mut self, state: &UserState, memory: &GuestMemory, before: &[(u64, u64)]) {
        self.state.clone_from(state);
        self.next = None;
        self.rebased = None;
        self.returns = false;
        self.stale = None;
        self.state.space.rewrite(journal::changed(memory, before));
    }

    /// Copies from the program's memory, by its addresses.
    pub fn read(&mut self, memory: &GuestMemory, address: u64, bytes: &mut [u8]) -> bool {
        self.state.space.read(memory, address, bytes).is_ok()
    }

    /// Maps memory of zeros where nothing is.
    pub fn map(&mut self, address: u64, bytes: u64) -> bool {
        let space = &mut self.state.space;
        let map =
            |space: &mut Space| space.map(address, bytes, Protection::READ_WRITE, Commit::Later);
        space.is_free(address, bytes) && map(space).is_ok()
    }

    /// Copies to it, if the program itself may write there: where, may be what it says.
    pub fn write(&mut self, memory: &GuestMemory, address: u64, bytes: &[u8]) -> bool {
        self.state.space.write(memory, address, bytes).is_ok()
    }
}

/// Registers with those that the processor has pushed for a fault: RIP, CS, RFLAGS, RSP, SS.
fn as_pushed(registers: &kvm_regs, memory: &GuestMemory) -> Result<kvm_regs> {
    const WORDS: u64 = 5;
    let word = |index: u64| {
        let mut bytes = [0; 8];
        let read = memory.read(FAULT_STACK_END - (WORDS - index) * 8, &mut bytes);
        read.map(|()| u64::from_le_bytes(bytes))
    };
    Ok(kvm_regs {
        rip: word(0)?,
        rflags: flags_of_ring_3(word(2)?),
        rsp: word(3)?,
        ..*registers
    })
}

/// The registers of ring 3 at code of ours.
fn at(rip: u64, rsp: u64) -> kvm_regs {
    kvm_regs {
        rip,
        rsp,
        rflags: flags_of_ring_3(0),
        ..Default::default()
    }
}
