//! Flat images: bytes for one place.

use std::borrow::Cow;

use super::loaded::{Loaded, Part, StartRegisters};
use super::memory_map::slot_range;
use super::request::{Format, LoadRequest};
use super::space::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::state::Protocol;

pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let gpa = request.load_gpa;
    space.place(Part {
        what: "image",
        gpa,
        bytes: Cow::Borrowed(request.image),
        memory_bytes: request.image.len() as u64,
    })?;
    let entry_gpa = request.entry_gpa.unwrap_or(gpa);
    let same_slot =
        |range: &std::ops::Range<u64>| range.contains(&gpa) && range.contains(&entry_gpa);
    if !request
        .slots
        .iter()
        .map(slot_range)
        .any(|it| same_slot(&it))
    {
        return Err(Error::new(
            ErrorKind::Payload,
            format!("payload.entryGpa must lie in the image's slot, got {entry_gpa:#x}"),
        ));
    }
    Ok(Loaded {
        format: Format::Flat,
        mode: None,
        protocol: Protocol::Plain,
        entry_gpa,
        registers: StartRegisters::default(),
        parts: space.parts,
    })
}
