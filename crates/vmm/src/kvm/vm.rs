//! The VM's descriptor and the memory that it maps, with one owner.
#![allow(unsafe_code)]

use std::ops::Deref;
use std::sync::Arc;

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
}

impl Vm {
    /// Tells KVM about every slot (`KVM_SET_USER_MEMORY_REGION`).
    pub fn new(fd: VmFd, memory: GuestMemory) -> Result<Self> {
        // From here on the memory lives as long as the descriptor.
        let vm = Self {
            fd,
            memory: Arc::new(memory),
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
