//! What a VM has besides memory and vCPUs, as a value: the interrupt controllers, the timer, and
//! the clock that its guest may read.
#![allow(unsafe_code)]

use boot::firmware::{PIT_INPUT, ioapic_input};
use kvm_bindings::{
    KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
    KvmIrqRouting, kvm_clock_data, kvm_irq_routing_entry, kvm_irq_routing_irqchip, kvm_irqchip,
    kvm_pit_state2,
};
use kvm_ioctls::VmFd;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kvm::vm::Vm;
use crate::limits::IRQ_LINES;

/// Inputs of one PIC.
const PIC_INPUTS: u8 = 8;

/// Connects the lines as a PC has them (`KVM_SET_GSI_ROUTING`): the first 16 to the PICs and the
/// IOAPIC, the others to the IOAPIC, and the PIT's to another of its inputs than KVM by itself.
/// What uses a line by its number, irqfds among it, needs no other one.
pub(crate) fn connect_lines(vm: &VmFd) -> Result<()> {
    let lines = 0..IRQ_LINES as u8;
    // It is the PICs' own connection.
    let lines = lines.filter(|line| *line != PIT_INPUT);
    let entries: Vec<_> = lines.flat_map(inputs_of).collect();
    let routing =
        KvmIrqRouting::from_entries(&entries).map_err(|_| Error::internal("too many lines"))?;
    vm.set_gsi_routing(&routing)
        .map_err(Error::ioctl("KVM_SET_GSI_ROUTING"))
}

/// Where a line goes.
fn inputs_of(line: u8) -> impl Iterator<Item = kvm_irq_routing_entry> {
    let pic = match line / PIC_INPUTS {
        0 => Some(KVM_IRQCHIP_PIC_MASTER),
        1 => Some(KVM_IRQCHIP_PIC_SLAVE),
        _ => None,
    };
    let pic = pic.map(|irqchip| (irqchip, line % PIC_INPUTS));
    let ioapic = Some((KVM_IRQCHIP_IOAPIC, ioapic_input(line)));
    pic.into_iter().chain(ioapic).map(move |(irqchip, pin)| {
        let mut entry = kvm_irq_routing_entry {
            gsi: line.into(),
            type_: KVM_IRQ_ROUTING_IRQCHIP,
            ..Default::default()
        };
        entry.u.irqchip = kvm_irq_routing_irqchip {
            irqchip,
            pin: pin.into(),
        };
        entry
    })
}

/// Both PICs, and the IOAPIC.
const CONTROLLERS: [u32; 3] = [
    KVM_IRQCHIP_PIC_MASTER,
    KVM_IRQCHIP_PIC_SLAVE,
    KVM_IRQCHIP_IOAPIC,
];

/// Bytes of the largest controller's state, `kvm_irqchip.chip`.
const CONTROLLER_BYTES: usize = 512;

/// Where a VM has none, there is nothing of the irqchip's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct ChipState {
    /// Nanoseconds of the clock that guests read by `MSR_KVM_SYSTEM_TIME`.
    pub clock: u64,
    pub irqchip: Option<Box<Irqchip>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct Irqchip {
    /// PIC master, PIC slave, IOAPIC, as the bytes of `kvm_irqchip.chip`.
    #[serde(with = "controllers")]
    pub controllers: [[u8; CONTROLLER_BYTES]; 3],
    pub pit: kvm_pit_state2,
}

/// Serde knows no arrays of this size.
mod controllers {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::CONTROLLER_BYTES;

    type Controllers = [[u8; CONTROLLER_BYTES]; 3];

    pub fn serialize<S: Serializer>(all: &Controllers, to: S) -> Result<S::Ok, S::Error> {
        all.as_flattened().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Controllers, D::Error> {
        let bytes = Vec::<u8>::deserialize(from)?;
        let (chunks, rest) = bytes.as_chunks();
        match chunks.try_into() {
            Ok(all) if rest.is_empty() => Ok(all),
            _ => Err(D::Error::custom("another number of interrupt controllers")),
        }
    }
}

impl ChipState {
    pub fn save(vm: &Vm, irqchip: bool) -> Result<Self> {
        let clock = vm.get_clock().map_err(Error::ioctl("KVM_GET_CLOCK"))?;
        Ok(Self {
            clock: clock.clock,
            irqchip: irqchip.then(|| Irqchip::save(vm)).transpose()?,
        })
    }

    pub fn restore(&self, vm: &Vm) -> Result<()> {
        if let Some(irqchip) = &self.irqchip {
            irqchip.restore(vm)?;
        }
        // Without KVM_CLOCK_REALTIME: the guest's clock goes on where it was.
        let clock = kvm_clock_data {
            clock: self.clock,
            ..Default::default()
        };
        vm.set_clock(&clock).map_err(Error::ioctl("KVM_SET_CLOCK"))
    }
}

impl Irqchip {
    fn save(vm: &Vm) -> Result<Box<Self>> {
        let mut controllers = [[0; CONTROLLER_BYTES]; 3];
        for (chip_id, bytes) in CONTROLLERS.into_iter().zip(&mut controllers) {
            let mut chip = kvm_irqchip {
                chip_id,
                ..Default::default()
            };
            vm.get_irqchip(&mut chip)
                .map_err(Error::ioctl("KVM_GET_IRQCHIP"))?;
            // SAFETY: `dummy` covers the union with plain bytes, all of them initialised above.
            *bytes = unsafe { chip.chip.dummy }.map(|byte| byte as u8);
        }
        let pit = vm.get_pit2().map_err(Error::ioctl("KVM_GET_PIT2"))?;
        Ok(Box::new(Self { controllers, pit }))
    }

    fn restore(&self, vm: &Vm) -> Result<()> {
        for (chip_id, bytes) in CONTROLLERS.into_iter().zip(&self.controllers) {
            let mut chip = kvm_irqchip {
                chip_id,
                ..Default::default()
            };
            chip.chip.dummy = bytes.map(|byte| byte as _);
            vm.set_irqchip(&chip)
                .map_err(Error::ioctl("KVM_SET_IRQCHIP"))?;
        }
        vm.set_pit2(&self.pit).map_err(Error::ioctl("KVM_SET_PIT2"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::kvm::host::Host;

    fn vm() -> Result<VmFd> {
        let vm = Host::get()?.create_vm()?;
        vm.create_irq_chip()
            .map_err(Error::ioctl("KVM_CREATE_IRQCHIP"))?;
        connect_lines(&vm)?;
        Ok(vm)
    }

    fn chip(vm: &VmFd, chip_id: u32) -> kvm_irqchip {
        let mut chip = kvm_irqchip {
            chip_id,
            ..Default::default()
        };
        match vm.get_irqchip(&mut chip) {
            Ok(()) => chip,
            Err(error) => panic!("{error}"),
        }
    }

    /// The inputs that see a line: of both PICs, and of the IOAPIC.
    fn inputs(vm: &VmFd) -> (u16, u32) {
        let pic = |id| {
            let chip = chip(vm, id);
            // SAFETY: the kernel has filled in a PIC, and its fields are plain bytes.
            let pic = unsafe { chip.chip.pic };
            // The second one's output is an input of the first, and no line.
            pic.irr & if id == KVM_IRQCHIP_PIC_MASTER { !4 } else { !0 }
        };
        let pics = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE].map(pic);
        let ioapic = chip(vm, KVM_IRQCHIP_IOAPIC);
        // SAFETY: the kernel has filled in an IOAPIC, and its fields are plain words.
        let ioapic = unsafe { ioapic.chip.ioapic.irr };
        (u16::from_le_bytes(pics), ioapic)
    }

    #[test]
    fn lines_reach_the_pics_and_the_ioapic_as_on_a_pc() {
        for line in 0..IRQ_LINES {
            // An input of a PIC keeps an edge until a vCPU takes it.
            let vm = match vm() {
                Ok(vm) => vm,
                Err(error) if error.code == ErrorCode::KvmUnavailable => {
                    let name = "lines_reach_the_pics_and_the_ioapic_as_on_a_pc";
                    return println!("skipped: {name}: {}", error.message);
                }
                Err(error) => panic!("{error}"),
            };
            let expected = match line {
                0 => (1, 1 << 2),
                2 => (0, 0),
                16.. => (0, 1 << line),
                _ => (1 << line, 1 << line),
            };
            vm.set_irq_line(line, true).ok();
            assert_eq!(inputs(&vm), expected, "line {line}");
        }
    }
}
