//! One vCPU: its file descriptor and the `KVM_RUN` ioctl.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use boot::paging::PagingFeatures;
use boot::state::cpuid::with_tsc;
use kvm_bindings::{
    CpuId, KVM_EXIT_IRQ_WINDOW_OPEN, KVMIO, kvm_interrupt, kvm_regs, kvm_run, kvm_sregs,
    kvm_vcpu_events, kvm_xcrs,
};
use kvm_ioctls::VcpuFd;

use crate::error::{Error, Result};
use crate::kvm::exit::{Exit, MmioAccess, PortAccess};
use crate::kvm::host::{Host, uninterrupted};
use crate::kvm::image::mapping::stays_here;
use crate::kvm::registers::Registers;
use crate::kvm::run_page::RunPage;
use crate::kvm::vcpu_debug::control::GuestDebug;
use crate::kvm::vm::Vm;

/// `_IO(KVMIO, 0x80)`.
const KVM_RUN: libc::c_ulong = (KVMIO as libc::c_ulong) << 8 | 0x80;

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)`.
const KVM_INTERRUPT: libc::c_ulong = 1 << 30
    | (size_of::<kvm_interrupt>() as libc::c_ulong) << 16
    | (KVMIO as libc::c_ulong) << 8
    | 0x86;

/// `_IO(KVMIO, 0x9a)`.
const KVM_NMI: libc::c_ulong = (KVMIO as libc::c_ulong) << 8 | 0x9a;

/// The result of one entry into the guest.
#[derive(Debug)]
pub(crate) enum Entry {
    /// KVM returned an exit.
    Exit(Exit),
    /// The guest takes interrupts now; nothing is asked.
    InterruptWindow,
    /// A signal or `immediate_exit` ended it; nothing is asked.
    Interrupted,
    /// An application processor that waits for INIT and SIPI; nothing is asked.
    NotStarted,
}

/// A write that the kernel has saved instead of exiting.
#[derive(Debug)]
pub(crate) struct Coalesced {
    /// The exit that it would have been.
    pub exit: Exit,
    /// What the guest wrote.
    pub data: [u8; 8],
}

#[derive(Debug)]
pub(crate) struct Vcpu {
    pub(super) fd: VcpuFd,
    page: Arc<RunPage>,
    pub(super) registers: Registers,
    /// As its CPUID says.
    pub paging: PagingFeatures,
    /// Since the state was saved or restored, the guest has exited by accesses alone, and the host
    /// has set no special register, MSR or debug register.
    pub(super) is_untouched: bool,
    /// What KVM ends entries by, as set last.
    pub(super) debug: GuestDebug,
}

impl Vcpu {
    /// `KVM_CREATE_VCPU`, with the CPUID that the guest shall see; what it says of frequencies is
    /// this KVM's.
    pub fn new(host: &Host, vm: &Arc<Vm>, index: u32, cpuid: &CpuId) -> Result<Self> {
        let run_bytes = host.run_bytes;
        let mut fd = uninterrupted(|| vm.create_vcpu(u64::from(index)))
            .map_err(Error::ioctl("KVM_CREATE_VCPU"))?;
        // Another mapping of the same page, which kvm-ioctls has made.
        stays_here((&raw mut *fd.get_kvm_run()).cast(), run_bytes)?;
        let page = Arc::new(RunPage::map(&fd, run_bytes, Arc::clone(vm))?);
        fd.set_cpuid2(&with_tsc(cpuid, host.tsc_khz_of(&fd)))
            .map_err(Error::ioctl("KVM_SET_CPUID2"))?;
        let registers = Registers::new(
            Arc::clone(&page),
            host.syncs_registers,
            host.wants_free_task,
        );
        Ok(Self {
            fd,
            page,
            registers,
            paging: PagingFeatures::of(cpuid),
            is_untouched: false,
            debug: GuestDebug::default(),
        })
    }

    /// Whether it has left the state in which an application processor waits for INIT and SIPI
    /// (`KVM_MP_STATE_UNINITIALIZED`).
    pub const fn set_started(&mut self, is_started: bool) {
        self.registers.set_started(is_started);
    }

    /// Whether no kick has a hold of it.
    pub fn is_own(&self) -> bool {
        // This one's, and that of its registers.
        Arc::strong_count(&self.page) == 2
    }

    /// The mapping, for a kick.
    pub fn page(&self) -> &Arc<RunPage> {
        &self.page
    }

    /// Runs the guest until it exits or is interrupted.
    pub fn enter(&mut self) -> Result<Entry> {
        let entry = self.run();
        self.is_untouched &= match &entry {
            Ok(Entry::Exit(exit)) => exit.is_access() && !self.registers.may_step(),
            Ok(_) => true,
            Err(_) => false,
        };
        entry
    }

    fn run(&mut self) -> Result<Entry> {
        self.registers.before_entry();
        // SAFETY: KVM_RUN takes no argument, and the fd is a vCPU's.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), KVM_RUN as libc::Ioctl, 0) };
        self.registers.after_entry(result >= 0);
        if result >= 0 {
            return Ok(match self.page.decode() {
                Exit::Unknown {
                    exit_reason: KVM_EXIT_IRQ_WINDOW_OPEN,
                    ..
                } => Entry::InterruptWindow,
                exit => Entry::Exit(exit),
            });
        }
        let errno = std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EINVAL);
        match errno {
            libc::EINTR => Ok(Entry::Interrupted),
            libc::EAGAIN => Ok(Entry::NotStarted),
            errno => self.page.decode_failed(errno).map(Entry::Exit),
        }
    }

    /// Lets KVM complete an I/O exit without running the guest (KVM API §5, `immediate_exit`).
    ///
    /// Only while no kick is attached: `immediate_exit` is then this thread's alone. Returns the
    /// next exit when the same instruction has more to ask.
    pub fn complete(&mut self) -> Result<Option<Exit>> {
        self.page.immediate_exit().store(1, Ordering::SeqCst);
        let entry = self.enter();
        self.page.immediate_exit().store(0, Ordering::SeqCst);
        match entry? {
            Entry::Exit(exit) => Ok(Some(exit)),
            Entry::InterruptWindow | Entry::Interrupted | Entry::NotStarted => Ok(None),
        }
    }

    /// Whether the guest takes an external interrupt at the next entry, going by the last one.
    pub fn takes_interrupt(&self) -> bool {
        self.page
            .byte(offset_of!(kvm_run, ready_for_interrupt_injection))
            != 0
    }

    /// Whether the guest had interrupts enabled (RFLAGS.IF) when it exited.
    pub fn interrupts_enabled(&self) -> bool {
        self.page.byte(offset_of!(kvm_run, if_flag)) != 0
    }

    /// Makes `KVM_RUN` return once the guest takes interrupts (§5, `request_interrupt_window`).
    pub fn want_interrupt_window(&mut self, wanted: bool) {
        let offset = offset_of!(kvm_run, request_interrupt_window);
        self.page.set_byte(offset, u8::from(wanted));
    }

    /// Drops what the last exit showed of interrupts, which may have changed.
    pub(super) fn forget_interrupts(&self) {
        self.set_takes_interrupt(false);
    }

    /// As if the last exit had shown it.
    pub fn set_takes_interrupt(&self, takes: bool) {
        let offset = offset_of!(kvm_run, ready_for_interrupt_injection);
        self.page.set_byte(offset, u8::from(takes));
    }

    /// `KVM_INTERRUPT`.
    pub fn interrupt(&mut self, vector: u8) -> Result<()> {
        self.registers.flush_events(&self.fd)?;
        let interrupt = kvm_interrupt {
            irq: u32::from(vector),
        };
        self.command(
            "KVM_INTERRUPT",
            KVM_INTERRUPT,
            &raw const interrupt as libc::c_ulong,
        )
    }

    /// `KVM_NMI`.
    pub fn nmi(&mut self) -> Result<()> {
        self.registers.flush_events(&self.fd)?;
        self.command("KVM_NMI", KVM_NMI, 0)
    }

    /// Whether an NMI waits inside KVM (`KVM_GET_VCPU_EVENTS`).
    pub fn nmi_pending(&self) -> Result<bool> {
        let events = self.events()?;
        Ok(events.nmi.pending != 0 || events.nmi.injected != 0)
    }

    pub(super) fn command(
        &self,
        name: &'static str,
        request: libc::c_ulong,
        argument: libc::c_ulong,
    ) -> Result<()> {
        // SAFETY: the request takes no argument, or a pointer to a struct of the caller's.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), request as libc::Ioctl, argument) };
        if result >= 0 {
            return Ok(());
        }
        let errno = std::io::Error::last_os_error().raw_os_error();
        Err(Error::call(name, errno.unwrap_or(libc::EINVAL)))
    }

    /// The bytes of a port access (all items) or an MMIO access, in `kvm_run`; else none.
    pub fn access_data(&mut self, exit: &Exit) -> Result<&mut [u8]> {
        const MMIO_DATA: usize = offset_of!(kvm_run, __bindgen_anon_1) + 8;
        match exit {
            Exit::PioOut(access) | Exit::PioIn(access) => {
                let start = usize::try_from(access.data_offset).unwrap_or(usize::MAX);
                self.page.data(start, access.bytes())
            }
            Exit::MmioWrite(access) | Exit::MmioRead(access) => {
                self.page.data(MMIO_DATA, usize::from(access.size))
            }
            _ => Ok(&mut []),
        }
    }

    /// Maps the ring of coalesced writes.
    pub fn map_coalesced(&mut self) -> Result<()> {
        self.fd
            .map_coalesced_mmio_ring()
            .map_err(Error::ioctl("mmap"))
    }

    /// Takes the oldest write out of the kernel's ring (`KVM_REGISTER_COALESCED_MMIO`).
    pub fn next_coalesced(&mut self) -> Result<Option<Coalesced>> {
        let entry = self
            .fd
            .coalesced_mmio_read()
            .map_err(Error::ioctl("coalesced_mmio_ring"))?;
        Ok(entry.map(|entry| {
            // SAFETY: both fields of the union are the same plain word.
            let is_port = unsafe { entry.__bindgen_anon_1.pio } == 1;
            let size = entry.len.clamp(1, 8) as u8;
            let exit = if is_port {
                let port = entry.phys_addr as u16;
                Exit::PioOut(PortAccess {
                    port,
                    size,
                    count: 1,
                    data_offset: 0,
                })
            } else {
                Exit::MmioWrite(MmioAccess {
                    gpa: entry.phys_addr,
                    size,
                })
            };
            Coalesced {
                exit,
                data: entry.data,
            }
        }))
    }

    /// General registers, RIP and RFLAGS: as the last exit has shown them, or `KVM_GET_REGS`.
    pub fn registers(&mut self) -> Result<kvm_regs> {
        self.registers.regs(&self.fd)
    }

    /// The same, if they are known without an ioctl.
    pub fn registers_at_hand(&self) -> Option<kvm_regs> {
        self.registers.regs_at_hand()
    }

    /// Has the page show them, and with it the run's [`KickHandle`](crate::KickHandle), while the
    /// vCPU waits for an answer.
    pub fn show_registers(&mut self) -> Result<()> {
        self.registers.show_regs(&self.fd)
    }

    /// Sets general registers with the next entry, or by `KVM_SET_REGS`.
    pub fn set_registers(&mut self, registers: &kvm_regs) -> Result<()> {
        self.forget_interrupts();
        self.registers.set_regs(&self.fd, registers)
    }

    /// `KVM_GET_SREGS`, once after an entry.
    pub fn special_registers(&mut self) -> Result<kvm_sregs> {
        self.registers.sregs(&self.fd)
    }

    /// `KVM_SET_SREGS`, which tells whether KVM takes them.
    pub fn set_special_registers(&mut self, registers: &kvm_sregs) -> Result<()> {
        self.forget_interrupts();
        self.is_untouched = false;
        self.registers.set_sregs(&self.fd, registers)
    }

    /// Exceptions, interrupts and NMIs on their way (`KVM_GET_VCPU_EVENTS`).
    pub fn events(&self) -> Result<kvm_vcpu_events> {
        self.registers.events(&self.fd)
    }

    /// Sets all three with the next entry, which fails if KVM refuses them: for values that KVM
    /// itself has given. The bits of `events.flags` say which of the events count.
    pub fn stage(
        &mut self,
        registers: &kvm_regs,
        special: &kvm_sregs,
        events: &kvm_vcpu_events,
    ) -> Result<()> {
        self.forget_interrupts();
        self.registers.stage(&self.fd, registers, special, events)
    }

    /// Has KVM show all registers and events with every exit, for a vCPU that is asked for them
    /// each time.
    pub fn show_all(&mut self) {
        self.registers.show_all();
    }

    /// Takes that back.
    pub fn show_few(&mut self) {
        self.registers.show_few();
    }

    /// The vector of the last exception (`KVM_GET_VCPU_EVENTS`), also if it was delivered.
    pub fn last_exception(&self) -> Result<u8> {
        match self.registers.exception_at_hand() {
            Some(vector) => Ok(vector),
            None => Ok(self.events()?.exception.nr),
        }
    }

    /// Sets what is staged at once. To be called before an ioctl that depends on registers
    /// (`KVM_TRANSLATE`), or sets what they or events change (`KVM_SET_VCPU_EVENTS`).
    pub fn flush(&mut self) -> Result<()> {
        self.registers.flush(&self.fd)
    }

    /// Whatever is known of registers may have changed, and nothing is staged.
    pub(super) const fn forget_registers(&mut self) {
        self.registers.forget();
    }

    /// `KVM_SET_XCRS` with XCR0 alone, the only one there is.
    pub fn set_xcr0(&self, value: u64) -> Result<()> {
        let mut xcrs = kvm_xcrs {
            nr_xcrs: 1,
            ..Default::default()
        };
        xcrs.xcrs[0].value = value;
        self.fd
            .set_xcrs(&xcrs)
            .map_err(Error::ioctl("KVM_SET_XCRS"))
    }
}

#[cfg(test)]
mod tests;
