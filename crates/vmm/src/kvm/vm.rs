//! The VM's descriptor and the memory that it maps, with one owner.
#![allow(unsafe_code)]

use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use boot::{MemorySlot, layout};
use kvm_bindings::{
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_MEM_LOG_DIRTY_PAGES, KVM_MEM_READONLY, KVMIO,
    kvm_clear_dirty_log, kvm_dirty_log, kvm_enable_cap, kvm_userspace_memory_region,
};
use kvm_ioctls::{Cap, VmFd};

use crate::error::{Error, Result};
use crate::kvm::memory::GuestMemory;
use crate::limits::PAGE_BYTES;

/// `_IOW(KVMIO, 0x42, struct kvm_dirty_log)`.
const KVM_GET_DIRTY_LOG: libc::c_ulong = 1 << 30
    | (size_of::<kvm_dirty_log>() as libc::c_ulong) << 16
    | (KVMIO as libc::c_ulong) << 8
    | 0x42;

/// `_IOWR(KVMIO, 0xc0, struct kvm_clear_dirty_log)`.
const KVM_CLEAR_DIRTY_LOG: libc::c_ulong = 3 << 30
    | (size_of::<kvm_clear_dirty_log>() as libc::c_ulong) << 16
    | (KVMIO as libc::c_ulong) << 8
    | 0xc0;

/// A VM of KVM's with its guest memory. Whatever keeps the VM alive holds one of these, so memory
/// never goes before the VM: the descriptor is closed first, by the order of the fields.
#[derive(Debug)]
pub(crate) struct Vm {
    fd: VmFd,
    memory: Arc<GuestMemory>,
    /// Held while a line is up, so that two pulses are not one.
    pulsing: Mutex<()>,
}

impl Vm {
    /// Tells KVM about every slot (`KVM_SET_USER_MEMORY_REGION`).
    pub fn new(fd: VmFd, memory: GuestMemory) -> Result<Self> {
        // From here on the memory lives as long as the descriptor.
        let vm = Self {
            fd,
            memory: Arc::new(memory),
            pulsing: Mutex::default(),
        };
        for (index, slot) in vm.memory.slots().iter().enumerate() {
            vm.set_slot(index, slot, 0)?;
        }
        Ok(vm)
    }

    fn set_slot(&self, index: usize, slot: &MemorySlot, flags: u32) -> Result<()> {
        let Some(host) = self.memory.host_range(slot.gpa) else {
            return Ok(());
        };
        let read_only = if slot.read_only { KVM_MEM_READONLY } else { 0 };
        let region = kvm_userspace_memory_region {
            slot: index as u32,
            flags: flags | read_only,
            guest_phys_addr: slot.gpa,
            memory_size: slot.bytes,
            userspace_addr: host.start as u64,
        };
        // SAFETY: the range is a mapping of exactly this size, and `self` keeps it until the
        // descriptor is closed.
        unsafe { self.fd.set_user_memory_region(region) }
            .map_err(Error::ioctl("KVM_SET_USER_MEMORY_REGION"))
    }

    /// From here on KVM notes which pages the guest, or KVM for it, writes; what is noted stays so
    /// until it is cleared (KVM API, `KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2`).
    pub fn log_writes(&self) -> Result<()> {
        let capability = kvm_enable_cap {
            cap: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
            args: [1, 0, 0, 0],
            ..Default::default()
        };
        self.fd
            .enable_cap(&capability)
            .map_err(Error::ioctl("KVM_ENABLE_CAP"))?;
        let slots = self.memory.slots().iter().enumerate();
        for (index, slot) in slots.filter(|(_, slot)| !slot.read_only) {
            self.set_slot(index, slot, KVM_MEM_LOG_DIRTY_PAGES)?;
        }
        Ok(())
    }

    /// Fills a set's words of a slot with the pages that were written since they were cleared.
    pub fn writes(&self, slot: usize, words: &mut [u64]) -> Result<()> {
        self.check_words(slot, words)?;
        let log = kvm_dirty_log {
            slot: slot as u32,
            padding1: 0,
            __bindgen_anon_1: kvm_bindings::kvm_dirty_log__bindgen_ty_1 {
                dirty_bitmap: words.as_mut_ptr().cast(),
            },
        };
        // SAFETY: the words are checked above, and nobody else's.
        unsafe { self.log_call("KVM_GET_DIRTY_LOG", KVM_GET_DIRTY_LOG, &log) }
    }

    /// Clears pages of a slot: the next write to them is noted again.
    pub fn clear_writes(&self, slot: usize, words: &[u64]) -> Result<()> {
        self.check_words(slot, words)?;
        let log = kvm_clear_dirty_log {
            slot: slot as u32,
            num_pages: self.pages(slot) as u32,
            first_page: 0,
            __bindgen_anon_1: kvm_bindings::kvm_clear_dirty_log__bindgen_ty_1 {
                dirty_bitmap: words.as_ptr().cast_mut().cast(),
            },
        };
        // SAFETY: the words are checked above, and KVM only reads them.
        unsafe { self.log_call("KVM_CLEAR_DIRTY_LOG", KVM_CLEAR_DIRTY_LOG, &log) }
    }

    fn pages(&self, slot: usize) -> u64 {
        let slot = self.memory.slots().get(slot);
        slot.map_or(0, |slot| slot.bytes / PAGE_BYTES)
    }

    /// KVM reads and writes a word for each 64 pages of the slot.
    fn check_words(&self, slot: usize, words: &[u64]) -> Result<()> {
        if words.len() as u64 == self.pages(slot).div_ceil(u64::from(u64::BITS)) {
            return Ok(());
        }
        Err(Error::internal("a dirty log of another size"))
    }

    /// # Safety
    /// The request takes a pointer to a struct of this type, whose bitmap has a word for each 64
    /// pages of its slot.
    unsafe fn log_call<T>(
        &self,
        name: &'static str,
        request: libc::c_ulong,
        log: &T,
    ) -> Result<()> {
        let (fd, log) = (self.fd.as_raw_fd(), std::ptr::from_ref(log));
        // SAFETY: the caller's promise.
        if unsafe { libc::ioctl(fd, request as libc::Ioctl, log) } < 0 {
            return Err(Error::io(name)(std::io::Error::last_os_error()));
        }
        Ok(())
    }

    /// Raises a line and lowers it (`KVM_IRQ_LINE`): one edge, which the interrupt controllers have
    /// when this returns. Through an irqfd they get it some time later, and a state that is saved
    /// or restored meanwhile would miss it, or have it twice.
    pub fn pulse(&self, line: u32) -> Result<()> {
        let _alone = self.pulsing.lock().unwrap_or_else(PoisonError::into_inner);
        let set = |level| self.fd.set_irq_line(line, level);
        set(true)
            .and_then(|()| set(false))
            .map_err(Error::ioctl("KVM_IRQ_LINE"))
    }

    /// The guest's memory.
    pub const fn memory(&self) -> &Arc<GuestMemory> {
        &self.memory
    }
}

/// Gives a VM what Intel processors without unrestricted guests need for modes without paging:
/// pages of their own (KVM API, `KVM_SET_TSS_ADDR`). Other KVMs take the call and do nothing.
pub(crate) fn prepare_unpaged(vm: &VmFd) -> Result<()> {
    if vm.check_extension(Cap::SetIdentityMapAddr) {
        vm.set_identity_map_address(layout::KVM_IDENTITY_MAP)
            .map_err(Error::ioctl("KVM_SET_IDENTITY_MAP_ADDR"))?;
    }
    if vm.check_extension(Cap::SetTssAddr) {
        vm.set_tss_address(layout::KVM_TSS as usize)
            .map_err(Error::ioctl("KVM_SET_TSS_ADDR"))?;
    }
    Ok(())
}

impl Deref for Vm {
    type Target = VmFd;

    fn deref(&self) -> &VmFd {
        &self.fd
    }
}

#[cfg(test)]
mod tests {
    use boot::MemorySlot;
    use kvm_bindings::{KVM_IRQCHIP_PIC_MASTER, kvm_irqchip};

    use super::*;
    use crate::error::ErrorCode;
    use crate::kvm::host::Host;
    use crate::limits::PAGE_BYTES;

    fn vm() -> Result<Vm> {
        let fd = Host::get()?.create_vm()?;
        fd.create_irq_chip()
            .map_err(Error::ioctl("KVM_CREATE_IRQCHIP"))?;
        let page = MemorySlot {
            gpa: 0,
            bytes: PAGE_BYTES,
            read_only: false,
        };
        Vm::new(fd, GuestMemory::new(&[page])?)
    }

    /// The lines of the first PIC that have seen an edge which no vCPU has taken.
    fn waiting(vm: &Vm) -> u8 {
        let mut chip = kvm_irqchip {
            chip_id: KVM_IRQCHIP_PIC_MASTER,
            ..Default::default()
        };
        match vm.get_irqchip(&mut chip) {
            // SAFETY: the kernel has filled in a PIC, and its fields are plain bytes.
            Ok(()) => unsafe { chip.chip.pic.irr },
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn an_edge_is_in_the_controllers_when_the_call_returns() {
        let vm = match vm() {
            Ok(vm) => vm,
            Err(error) if error.code == ErrorCode::KvmUnavailable => {
                let name = "an_edge_is_in_the_controllers_when_the_call_returns";
                return println!("skipped: {name}: {}", error.message);
            }
            Err(error) => panic!("{error}"),
        };
        let mut seen = waiting(&vm);
        // Line 2 is the other PIC's.
        for line in [0, 1, 3, 4, 5, 6, 7] {
            assert_eq!(vm.pulse(line), Ok(()));
            seen |= 1 << line;
            assert_eq!(waiting(&vm), seen, "line {line}");
        }
    }
}
