//! ACPI's objects as bytes.

use acpi_tables::Aml;

pub(super) fn bytes_of(object: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.to_aml_bytes(&mut bytes);
    bytes
}
