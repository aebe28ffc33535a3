//! The VM's descriptor and the memory that it maps, with one owner.
#![allow(unsafe_code)]

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;

use crate::error::{Error, Result};
use crate::kvm::memory::GuestMemory;

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
            let Some(host) = vm.memory.host_range(slot.gpa) else {
                continue;
            };
            let region = kvm_userspace_memory_region {
                slot: index as u32,
                flags: if slot.read_only { KVM_MEM_READONLY } else { 0 },
                guest_phys_addr: slot.gpa,
                memory_size: slot.bytes,
                userspace_addr: host.start as u64,
            };
            // SAFETY: the range is a mapping of exactly this size, and `vm` keeps it until the
            // descriptor is closed.
            unsafe { vm.fd.set_user_memory_region(region) }
                .map_err(Error::ioctl("KVM_SET_USER_MEMORY_REGION"))?;
        }
        Ok(vm)
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
