//! Whether several vCPUs may fill the kernel's ring of coalesced writes.
//!
//! Kernels before a fix of 2024 take the room in the ring for `(first - last - 1) % 170` in 32
//! unsigned bits, and 2³² is no multiple of 170. From `first <= last` on, the ring seems full at 85
//! entries. And where other vCPUs fill it while `first` comes round to 0 with more than 85 waiting,
//! it never seems full: `last` comes round to 0, too, and all 170 read as none. A single vCPU
//! drains the ring whole before it writes on, and loses nothing.

use std::sync::{Arc, OnceLock};

use boot::state::{self, cpuid::Place};
use boot::{CpuMode, Format};
use kvm_ioctls::IoEventAddress;

use crate::config::MachineConfig;
use crate::error::{Error, Result};
use crate::kvm::exit::Exit;
use crate::kvm::host::{Host, MOST_INTERRUPTIONS};
use crate::kvm::vcpu::{Entry, Vcpu};
use crate::kvm::vm::Vm;
use crate::limits::BOOT_VCPU;
use crate::placement;

/// `mov $100,%ecx; 1: out %al,$0x10; loop 1b; hlt`: more writes than seem to fit, and fewer than
/// fit.
const GUEST: [u8; 10] = [0xb9, 100, 0, 0, 0, 0xe6, 0x10, 0xe2, 0xfc, 0xf4];
const PORT: u64 = 0x10;

/// Whether the ring loses writes of several vCPUs: found out once in a process, by a machine of one
/// vCPU. An error is not kept, nor that signals kept the machine from an answer: then it counts as
/// losing, which costs an exit per write and nothing else.
pub(crate) fn loses_writes(host: &Host) -> Result<bool> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    Ok(stops_early(host)?.is_none_or(|found| *KNOWN.get_or_init(|| found)))
}

/// Whether the guest leaves before it halts; `None` when signals did not let it.
fn stops_early(host: &Host) -> Result<Option<bool>> {
    let config = MachineConfig::new(CpuMode::Long, &GUEST[..]);
    let slots = config.all_slots();
    let prepared = placement::prepare(&config, Format::Flat, &slots)?;
    let vm = Arc::new(Vm::new(host.create_vm()?, prepared.memory)?);
    vm.register_coalesced_mmio(IoEventAddress::Pio(PORT), 1)
        .map_err(Error::ioctl("KVM_REGISTER_COALESCED_MMIO"))?;
    let place = Place {
        index: BOOT_VCPU,
        count: 1,
        irqchip: false,
    };
    let cpuid = host.cpuid_of(None, place)?;
    let mut vcpu = Vcpu::new(host, &vm, BOOT_VCPU, &cpuid)?;
    let reset = vcpu.special_registers()?;
    vcpu.set_special_registers(&state::special_registers(&prepared.boot, None, reset))?;
    vcpu.set_registers(&state::registers(&prepared.boot))?;
    for _ in 0..MOST_INTERRUPTIONS {
        // The signal may be for something else.
        if let Entry::Exit(exit) = vcpu.enter()? {
            return Ok(Some(exit != Exit::Hlt));
        }
    }
    Ok(None)
}
