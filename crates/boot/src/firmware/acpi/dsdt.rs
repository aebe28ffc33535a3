//! What only code can say (ACPI 6.5 §5.2.11.1): the sleep type of S5, and devices that nothing else
//! announces.

use acpi_tables::Aml;
use acpi_tables::aml::{
    Device, EISAName, IO, Interrupt, Memory32Fixed, Name, Package, ResourceTemplate, Scope,
};
use devices::S5_SLEEP_TYPE;

use super::bytes::bytes_of;
use crate::firmware::{COM1_GSI, COM1_PORT, I8042_PORT, KEYBOARD_GSI, VIRTIO_BYTES, VirtioPlace};

/// The id by which Linux finds a virtio device over MMIO.
const VIRTIO_HID: &str = "LNRO0005";

/// What comes after the table's header.
pub(super) fn body(virtio: &[VirtioPlace]) -> Vec<u8> {
    let sleep_type = Package::new(vec![&S5_SLEEP_TYPE, &S5_SLEEP_TYPE, &0u8, &0u8]);
    let s5 = bytes_of(&Name::new("_S5_".into(), &sleep_type));
    let virtio = virtio.iter().zip(0..);
    let devices = [com1(), keyboard()]
        .into_iter()
        .chain(virtio.map(|(place, index)| virtio_device(*place, index)))
        .map(Code);
    let devices: Vec<_> = devices.collect();
    let devices = devices.iter().map(|device| device as &dyn Aml);
    let bus = bytes_of(&Scope::new("_SB_".into(), devices.collect()));
    [s5, bus].concat()
}

/// Code that is ready.
struct Code(Vec<u8>);

impl Aml for Code {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

/// COM1 with its interrupt.
fn com1() -> Vec<u8> {
    let ports = IO::new(COM1_PORT, COM1_PORT, 1, 8);
    let interrupt = Interrupt::new(true, true, false, false, COM1_GSI);
    let resources = ResourceTemplate::new(vec![&ports, &interrupt]);
    let (id, uid, settings) = (
        Name::new("_HID".into(), &EISAName::new("PNP0501")),
        Name::new("_UID".into(), &1u8),
        Name::new("_CRS".into(), &resources),
    );
    bytes_of(&Device::new("COM1".into(), vec![&id, &uid, &settings]))
}

/// The keyboard behind the PS/2 controller: its data port, its command port, its interrupt. Without
/// it Linux probes for a mouse, too.
fn keyboard() -> Vec<u8> {
    let (data, command) = (I8042_PORT, I8042_PORT + 4);
    let data = IO::new(data, data, 1, 1);
    let command = IO::new(command, command, 1, 1);
    let interrupt = Interrupt::new(true, true, false, false, KEYBOARD_GSI);
    let resources = ResourceTemplate::new(vec![&data, &command, &interrupt]);
    let (id, settings) = (
        Name::new("_HID".into(), &EISAName::new("PNP0303")),
        Name::new("_CRS".into(), &resources),
    );
    bytes_of(&Device::new("KBD_".into(), vec![&id, &settings]))
}

/// A virtio device, whose interrupt is an edge, and which sees what the caches hold.
fn virtio_device(place: VirtioPlace, index: u8) -> Vec<u8> {
    let registers = Memory32Fixed::new(true, place.gpa, VIRTIO_BYTES);
    let interrupt = Interrupt::new(true, true, false, false, place.line);
    let resources = ResourceTemplate::new(vec![&registers, &interrupt]);
    let (id, uid, coherent, settings) = (
        Name::new("_HID".into(), &VIRTIO_HID),
        Name::new("_UID".into(), &index),
        Name::new("_CCA".into(), &1u8),
        Name::new("_CRS".into(), &resources),
    );
    let name = format!("VR{index:02}");
    let parts: Vec<&dyn Aml> = vec![&id, &uid, &coherent, &settings];
    bytes_of(&Device::new(name.as_str().into(), parts))
}
