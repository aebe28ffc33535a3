//! The native program of a vCPU, as runs and snapshots find it.

use std::sync::Arc;

use linux::Trap;

use crate::debug::{Caught, Fault};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::run::outcome::{End, ExitRecord};
use crate::run::processor::{Pending, Processor};
use crate::run::verdict::Verdict;
use crate::user::{Refusal, Ruling, UserState};

impl Processor {
    /// What becomes of an exit of a program.
    pub(crate) fn judge_user(&mut self, exit: &Exit) -> Result<Verdict> {
        let Some(user) = &mut self.user else {
            return Ok(Verdict::Nothing);
        };
        Ok(match user.judge(exit, &mut self.vcpu)? {
            Ruling::Go => Verdict::Done,
            Ruling::Fault(refusal) => self.trapped(Box::new(caught(&refusal)))?,
            Ruling::End => {
                let end = End::Exit(ExitRecord {
                    exit: exit.clone(),
                    data: self.vcpu.access_data(exit)?.to_vec(),
                });
                if exit.is_access() {
                    Verdict::End(end)
                } else {
                    Verdict::Over(end)
                }
            }
        })
    }

    /// What becomes of a fault: a program may have touched memory for the first time.
    pub(crate) fn refused(&mut self, caught: Box<Caught>) -> Result<Verdict> {
        let user = self.user.as_mut();
        let Fault {
            address,
            error_code,
            rip,
            ..
        } = caught.fault;
        if let (Some(user), Some(address), Some(code)) = (user, address, error_code)
            && user.mends(address, code, rip)
        {
            return Ok(Verdict::Mended(caught));
        }
        self.trapped(caught)
    }

    /// A fault of a program's own, for which it may have a handler.
    fn trapped(&mut self, mut caught: Box<Caught>) -> Result<Verdict> {
        let fault = caught.fault;
        let trap = Trap {
            vector: fault.vector,
            error_code: fault.error_code.unwrap_or_default(),
            address: fault.address.unwrap_or_default(),
            rip: fault.rip,
            exceptions: 0,
        };
        let handler = match &mut self.user {
            Some(user) => user.trapped(&mut self.vcpu, trap, &caught.registers)?,
            None => None,
        };
        let Some(registers) = handler else {
            return Ok(Verdict::Fault(caught));
        };
        caught.registers = registers;
        Ok(Verdict::Mended(caught))
    }

    /// At the end of a run: a program is in ring 3, but for a fault, which is gone back from.
    pub(crate) fn settle_user(&mut self) -> Result<()> {
        let is_caught = matches!(self.pending, Pending::Caught(_));
        match &mut self.user {
            Some(user) if !is_caught => user.settle(&mut self.vcpu),
            _ => Ok(()),
        }
    }

    /// The state of its program.
    pub(crate) fn save_user(&mut self) -> Result<Option<UserState>> {
        let Some(user) = &mut self.user else {
            return Ok(None);
        };
        user.prepare(&mut self.vcpu)?;
        Ok(Some(user.state.clone()))
    }

    /// Before memory goes back: what of its page tables may be remembered.
    pub(crate) fn leave_user(&self) -> Vec<(u64, u64)> {
        let memory = Arc::clone(self.vcpu.page().memory());
        let user = self.user.as_ref();
        user.map_or(Vec::new(), |user| user.leaves(&memory))
    }

    /// After it went back.
    pub(crate) fn restore_user(&mut self, state: Option<&UserState>, before: &[(u64, u64)]) {
        let memory = Arc::clone(self.vcpu.page().memory());
        if let (Some(user), Some(state)) = (&mut self.user, state) {
            user.restore(state, &memory, before);
        }
    }
}

const fn caught(refusal: &Refusal) -> Caught {
    Caught {
        fault: Fault {
            vector: refusal.vector,
            error_code: refusal.error_code,
            address: refusal.address,
            rip: refusal.rip,
        },
        registers: refusal.registers,
        special: refusal.special,
    }
}
