//! What a PC's firmware prepares for an operating system: where the devices are, and tables that
//! say so.
//!
//! The ports and interrupt lines here are promises of the tables: who wires the devices keeps them.

pub mod acpi;
pub mod fw_cfg;
mod interrupts;
pub mod legacy;

use crate::layout;
use crate::limits::MAX_VIRTIO;

/// Where the registers of a virtio device lie, and its interrupt, edge-triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtioPlace {
    /// The first register.
    pub gpa: u32,
    /// Its GSI.
    pub line: u32,
}

/// Bytes of a virtio device's registers.
pub const VIRTIO_BYTES: u32 = devices::virtio::VIRTIO_MMIO_BYTES;

/// The lines of virtio devices, one for each: those that ISA does not have, and then such as
/// nothing here uses.
const VIRTIO_LINES: [u32; MAX_VIRTIO] = [16, 17, 18, 19, 20, 21, 22, 23, 5, 10, 11, 7];

/// Where the first `count` virtio devices are.
pub fn virtio(count: usize) -> impl Iterator<Item = VirtioPlace> {
    let gpas = (layout::VIRTIO_START..).step_by(layout::VIRTIO_STRIDE as usize);
    let places = gpas.zip(VIRTIO_LINES).take(count);
    places.map(|(gpa, line)| VirtioPlace {
        gpa: gpa as u32,
        line,
    })
}

/// First of COM1's eight ports.
pub const COM1_PORT: u16 = 0x3f8;

/// COM1's interrupt, edge-triggered (ISA IRQ 4).
pub const COM1_GSI: u32 = 4;

/// The PS/2 controller's offset 0; its command port is 0x64.
pub const I8042_PORT: u16 = 0x60;

/// The keyboard's interrupt, edge-triggered (ISA IRQ 1).
pub const KEYBOARD_GSI: u32 = 1;

/// The CMOS clock's index port; its data port follows.
pub const CMOS_PORT: u16 = 0x70;

/// ACPI's PM1a event block, followed by its control block, where QEMU has them too.
pub const PM1_PORT: u16 = 0x600;

/// System control port A: the gate of address line 20, and a way to reset.
pub const CONTROL_A_PORT: u16 = 0x92;

/// The firmware configuration device.
pub const FW_CFG_PORT: u16 = 0x510;

/// Where firmware looks for a console that shows what it does: one that reads as
/// [`DEBUG_CONSOLE_VALUE`] (QEMU, `isa-debugcon`).
pub const DEBUG_CONSOLE_PORT: u16 = 0x402;

/// What says that there is one.
pub const DEBUG_CONSOLE_VALUE: u8 = 0xe9;

/// The reset control register.
pub const RESET_PORT: u16 = 0xcf9;

/// The registers of a VGA adapter, up to 0x3df.
pub const VGA_PORT: u16 = 0x3c0;

/// ACPI's system control interrupt, level-triggered, active high. The power button raises it.
pub const SCI_GSI: u16 = 9;

/// The local APIC of every CPU (Intel SDM vol. 3A §11.4.1).
pub const LOCAL_APIC_GPA: u32 = 0xfee0_0000;

/// The one IOAPIC, for GSIs from 0.
pub const IOAPIC_GPA: u32 = layout::SYSTEM_LIMIT as u32;

/// Line 0, the PIT's.
pub const PIT_LINE: u8 = 0;

/// The IOAPIC's input that has the PIT, as on every PC. Line 2 connects the 8259s and goes nowhere.
pub const PIT_INPUT: u8 = 2;

/// The IOAPIC's input that a line goes to: that of its number, but for the PIT's. KVM has the PIT
/// at input 0 unless it is told (`KVM_SET_GSI_ROUTING`).
pub const fn ioapic_input(line: u8) -> u8 {
    if line == PIT_LINE { PIT_INPUT } else { line }
}
