//! The descriptors of a machine: its VM, and its vCPUs in front of their first instruction.

use std::sync::Arc;

use boot::state::{self, BootConfig, cpuid::Place};
use boot::{CpuMode, StartRegisters};
use kvm_bindings::{CpuId, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config, kvm_regs};
use kvm_ioctls::{Cap, VmFd};

use crate::config::MachineConfig;
use crate::counters::Counters;
use crate::error::{Error, Result};
use crate::kvm::host::Host;
use crate::kvm::vcpu::Vcpu;
use crate::kvm::vm::{Vm, prepare_unpaged};
use crate::kvm::{anchor, chips};
use crate::limits::BOOT_VCPU;
use crate::run::Processor;

/// A vCPU before its first instruction, or without one. With an irqchip all but the first wait for
/// INIT and SIPI.
pub(crate) fn processor(
    host: &Host,
    vm: &Arc<Vm>,
    config: &MachineConfig<'_>,
    first: Option<&CpuId>,
    start: Option<(&BootConfig, &StartRegisters)>,
    (counters, faults): (&Arc<Counters>, bool),
    index: u32,
) -> Result<Processor> {
    let place = Place {
        index,
        count: config.vcpus,
        irqchip: config.irqchip,
    };
    let cpuid = host.cpuid_of(first, place)?;
    let mut vcpu = Vcpu::new(host, vm, index, &cpuid)?;
    if !config.irqchip {
        anchor::keep(host);
    }
    if let Some((boot, start)) = start
        && (index == BOOT_VCPU || !config.irqchip)
    {
        let (xcr0, reset) = (state::xcr0(boot, &cpuid), vcpu.special_registers()?);
        vcpu.set_special_registers(&state::special_registers(boot, xcr0, reset))?;
        xcr0.map_or(Ok(()), |xcr0| vcpu.set_xcr0(xcr0))?;
        vcpu.set_registers(&kvm_regs {
            rax: start.rax,
            rbx: start.rbx,
            rsi: start.rsi,
            rdi: u64::from(index),
            ..state::registers(boot)
        })?;
    } else {
        vcpu.set_started(false);
    }
    Ok(Processor::new(
        vcpu,
        index,
        config.irqchip,
        faults,
        Arc::clone(counters),
    ))
}

/// A VM of a configuration, for a vCPU that starts in a mode.
pub(crate) fn vm(host: &Host, mode: CpuMode, config: &MachineConfig<'_>) -> Result<VmFd> {
    let irqchip = config.irqchip;
    let vm = host.create_vm()?;
    // An application processor begins in real mode.
    let unpaged = matches!(mode, CpuMode::Real | CpuMode::Protected) || irqchip;
    if unpaged {
        prepare_unpaged(&vm)?;
    }
    if irqchip {
        host.require(Cap::Irqchip, "KVM_CAP_IRQCHIP")?;
        host.require(Cap::Pit2, "KVM_CAP_PIT2")?;
        vm.create_irq_chip()
            .map_err(Error::ioctl("KVM_CREATE_IRQCHIP"))?;
        // The speaker's port answers without an exit.
        let pit = kvm_pit_config {
            flags: KVM_PIT_SPEAKER_DUMMY,
            ..Default::default()
        };
        vm.create_pit2(pit)
            .map_err(Error::ioctl("KVM_CREATE_PIT2"))?;
    }
    if config.pc {
        host.require(Cap::IrqRouting, "KVM_CAP_IRQ_ROUTING")?;
        chips::connect_lines(&vm)?;
    }
    Ok(vm)
}
