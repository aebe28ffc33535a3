//! What a VM has besides memory and vCPUs, as a value: the interrupt controllers, the timer, and
//! the clock that its guest may read.
#![allow(unsafe_code)]

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_clock_data, kvm_irqchip,
    kvm_pit_state2,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::kvm::vm::Vm;

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
