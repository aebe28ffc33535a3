//! The guest programs that `build.rs` has embedded.

use napi_derive::napi;
use vmm::{CpuMode, Error, ErrorCode, Privilege, Result};

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

/// The image of a guest for a mode and ring.
pub fn find(name: &str, mode: Option<CpuMode>, privilege: Privilege) -> Result<&'static [u8]> {
    let Some(mode) = mode else {
        return Err(Error::new(
            ErrorCode::InvalidOption,
            "mode must be given for an embedded guest, got none",
        ));
    };
    let wanted = match (mode, privilege) {
        (CpuMode::Real, _) => "16",
        (CpuMode::Protected | CpuMode::Paged32, _) => "32",
        (CpuMode::Long, Privilege::Kernel) => "64",
        (CpuMode::Long, Privilege::User) => "64-user",
    };
    let image = GUEST_IMAGES
        .iter()
        .find(|(guest, variant, _)| *guest == name && *variant == wanted);
    image.map(|(_, _, bytes)| *bytes).ok_or_else(|| {
        let (mode, ring) = (mode.name(), privilege.name());
        Error::new(
            ErrorCode::Payload,
            format!(
                "payload: guest '{name}' has no image for mode '{mode}' with privilege '{ring}'"
            ),
        )
    })
}

/// Names of the embedded guests, each once, sorted.
#[napi]
pub fn guest_names() -> Vec<String> {
    let mut names: Vec<_> = GUEST_IMAGES
        .iter()
        .map(|(name, _, _)| (*name).to_owned())
        .collect();
    names.dedup();
    names
}
