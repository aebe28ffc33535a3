//! Registers on their way between a vCPU and us: KVM shows them with every exit and takes them over
//! with every entry (KVM API §5, `kvm_valid_regs` and `kvm_dirty_regs`), else each is an ioctl.

use std::sync::Arc;

use boot::layout::TSS;
use boot::state::{RFLAGS_FIXED, RFLAGS_TF, refusal};
use kvm_bindings::{kvm_regs, kvm_sregs, kvm_sync_regs, kvm_vcpu_events};
use kvm_ioctls::VcpuFd;

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::run_page::{EVENTS, REGS, RunPage, SREGS};

/// The flag of a task state segment's type that says it is in use (Intel SDM vol. 3A §8.2.2).
const BUSY: u8 = 1 << 1;

/// The greatest task priority (Intel SDM vol. 3A §11.8.6). `KVM_SET_SREGS` takes any, and then no
/// entry does.
const MOST_CR8: u64 = 15;

/// What is known of a vCPU's registers between two entries, and what KVM has yet to take over.
#[derive(Debug)]
pub(crate) struct Registers {
    page: Arc<RunPage>,
    values: kvm_sync_regs,
    /// Those of `values` that the vCPU has, or gets with the next entry.
    known: u64,
    /// Those of them that it gets.
    staged: u64,
    /// KVM shows general registers with every exit, and takes over what is staged with every entry
    /// (`KVM_CAP_SYNC_REGS`).
    syncs: bool,
    /// The page shows the general registers that the vCPU has, or those that are staged.
    shows: bool,
    /// And all others.
    shows_all: bool,
    /// KVM shows every task register as busy, and a processor that runs its guests in software
    /// opens ports by the bitmap of one that is not.
    wants_free_task: bool,
    /// The vCPU does not wait for INIT and SIPI. One that does takes nothing over, and forgets what
    /// was set when it is started.
    is_started: bool,
}

impl Registers {
    pub fn new(page: Arc<RunPage>, syncs: bool, wants_free_task: bool) -> Self {
        if syncs {
            page.show(REGS);
        }
        Self {
            page,
            values: kvm_sync_regs::default(),
            known: 0,
            staged: 0,
            syncs,
            wants_free_task,
            shows: false,
            shows_all: false,
            is_started: true,
        }
    }

    /// Has KVM show special registers and events too with every exit, which takes the place of an
    /// ioctl for each.
    pub fn show_all(&mut self) {
        if self.syncs && !self.shows_all {
            // Until the next exit the page has older ones.
            self.shows = false;
            self.page.show(REGS | SREGS | EVENTS);
            self.shows_all = true;
        }
    }

    /// Takes that back.
    pub fn show_few(&mut self) {
        if self.syncs {
            self.page.show(REGS);
            self.shows_all = false;
        }
    }

    /// Does all by ioctls, as where KVM lacks `KVM_CAP_SYNC_REGS`.
    #[cfg(test)]
    pub fn do_without_sync(&mut self) {
        self.page.show(0);
        (self.syncs, self.shows) = (false, false);
    }

    pub const fn set_started(&mut self, is_started: bool) {
        self.is_started = is_started;
    }

    /// Right before `KVM_RUN`.
    pub fn before_entry(&self) {
        if self.staged != 0 {
            if self.staged & SREGS != 0 && self.wants_free_task {
                let mut values = self.values;
                values.sregs = self.as_taken(&values.sregs);
                self.page.hand_over(&values, self.staged);
                return;
            }
            self.page.hand_over(&self.values, self.staged);
        }
    }

    /// Right after it.
    pub fn after_entry(&mut self, came_to_an_exit: bool) {
        if self.staged != 0 {
            // An entry that failed at once has taken nothing over.
            self.staged &= self.page.take_back();
        }
        self.known = self.staged;
        // So may one have left the page as it was.
        self.shows = self.syncs && (self.shows || came_to_an_exit);
        self.is_started |= came_to_an_exit;
    }

    pub fn regs(&mut self, fd: &VcpuFd) -> Result<kvm_regs> {
        if let Some(known) = self.regs_at_hand() {
            return Ok(known);
        }
        let regs = fd.get_regs().map_err(Error::ioctl("KVM_GET_REGS"))?;
        self.values.regs = regs;
        self.known |= REGS;
        Ok(regs)
    }

    /// The same, if they are known without an ioctl.
    pub fn regs_at_hand(&self) -> Option<kvm_regs> {
        if self.known & REGS != 0 {
            return Some(self.values.regs);
        }
        self.shows.then(|| self.page.registers())
    }

    /// Whether a debug exception may wait in KVM, which changes DR6 as soon as its state is asked
    /// for. True where that is not known.
    pub fn may_step(&self) -> bool {
        let known = self.regs_at_hand();
        known.is_none_or(|registers| registers.rflags & RFLAGS_TF != 0)
    }

    /// Makes the page show them, for whom the vCPU asks.
    pub fn show_regs(&mut self, fd: &VcpuFd) -> Result<()> {
        if self.known & REGS == 0 && self.shows {
            return Ok(());
        }
        let regs = self.regs(fd)?;
        self.page.set_registers(&regs);
        Ok(())
    }

    pub fn set_regs(&mut self, fd: &VcpuFd, regs: &kvm_regs) -> Result<()> {
        self.stage_regs(regs);
        self.flush_unless_taken_over(fd)
    }

    pub fn sregs(&mut self, fd: &VcpuFd) -> Result<kvm_sregs> {
        if self.known & SREGS != 0 {
            return Ok(self.values.sregs);
        }
        if self.shows && self.shows_all {
            return Ok(self.page.special_registers());
        }
        let sregs = fd.get_sregs().map_err(Error::ioctl("KVM_GET_SREGS"))?;
        self.values.sregs = sregs;
        self.known |= SREGS;
        Ok(sregs)
    }

    /// By ioctl, which tells whether KVM takes them.
    pub fn set_sregs(&mut self, fd: &VcpuFd, sregs: &kvm_sregs) -> Result<()> {
        if sregs.cr8 > MOST_CR8 {
            let what = format!("cr8 must be from 0 to {MOST_CR8}, got {}", sregs.cr8);
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        self.flush(fd)?;
        // They change what KVM gives of the others.
        self.forget();
        self.put_sregs(fd, sregs)?;
        self.page.set_cr8(sregs.cr8);
        Ok(())
    }

    fn put_sregs(&self, fd: &VcpuFd, sregs: &kvm_sregs) -> Result<()> {
        fd.set_sregs(&self.as_taken(sregs)).map_err(|error| {
            let failed = Error::call("KVM_SET_SREGS", error.errno());
            match error.errno() {
                libc::EINVAL => failed.hint(&refusal(sregs)),
                _ => failed,
            }
        })
    }

    /// Special registers as this KVM takes them.
    fn as_taken(&self, sregs: &kvm_sregs) -> kvm_sregs {
        let mut taken = *sregs;
        if self.wants_free_task && taken.tr.base == TSS {
            taken.tr.type_ &= !BUSY;
        }
        taken
    }

    /// Only what is staged is known: whatever is injected changes events.
    pub fn events(&self, fd: &VcpuFd) -> Result<kvm_vcpu_events> {
        if self.staged & EVENTS != 0 {
            return Ok(self.values.events);
        }
        fd.get_vcpu_events()
            .map_err(Error::ioctl("KVM_GET_VCPU_EVENTS"))
    }

    /// The exception of the last exit, if the page shows it.
    pub fn exception_at_hand(&self) -> Option<u8> {
        (self.shows && self.shows_all).then(|| self.page.exception())
    }

    /// Sets all three.
    pub fn stage(
        &mut self,
        fd: &VcpuFd,
        regs: &kvm_regs,
        sregs: &kvm_sregs,
        events: &kvm_vcpu_events,
    ) -> Result<()> {
        self.stage_regs(regs);
        (self.values.sregs, self.values.events) = (*sregs, *events);
        self.staged |= SREGS | EVENTS;
        self.known |= SREGS;
        self.page.set_cr8(sregs.cr8);
        self.flush_unless_taken_over(fd)
    }

    /// As KVM will have them.
    fn stage_regs(&mut self, regs: &kvm_regs) {
        self.values.regs = *regs;
        self.values.regs.rflags |= RFLAGS_FIXED;
        self.staged |= REGS;
        self.known |= REGS;
    }

    /// Sets what is staged at once, in KVM's order.
    pub fn flush(&mut self, fd: &VcpuFd) -> Result<()> {
        if self.staged & REGS != 0 {
            fd.set_regs(&self.values.regs)
                .map_err(Error::ioctl("KVM_SET_REGS"))?;
        }
        if self.staged & SREGS != 0 {
            self.put_sregs(fd, &self.values.sregs)?;
        }
        if self.staged & EVENTS != 0 {
            fd.set_vcpu_events(&self.values.events)
                .map_err(Error::ioctl("KVM_SET_VCPU_EVENTS"))?;
        }
        if self.staged != 0 {
            // What the page shows is older.
            self.shows = false;
            self.staged = 0;
        }
        Ok(())
    }

    /// What is injected comes on top of the events that are staged.
    pub fn flush_events(&mut self, fd: &VcpuFd) -> Result<()> {
        if self.staged & !REGS == 0 {
            return Ok(());
        }
        self.flush(fd)
    }

    fn flush_unless_taken_over(&mut self, fd: &VcpuFd) -> Result<()> {
        if self.syncs && self.is_started {
            return Ok(());
        }
        let flushed = self.flush(fd);
        if flushed.is_err() {
            self.forget();
        }
        flushed
    }

    /// Nothing is known and nothing staged: an ioctl may have changed everything.
    pub const fn forget(&mut self) {
        self.shows = false;
        (self.known, self.staged) = (0, 0);
    }
}
