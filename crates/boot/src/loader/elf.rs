//! ELF images for x86, 32 and 64 bits (System V ABI, chapters 4 and 5): header, program headers,
//! notes.

use std::borrow::Cow;
use std::ops::Range;

use linux_loader::elf::{
    EI_CLASS, EI_DATA, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, ELFMAG, EM_386, EM_AARCH64, EM_ARM,
    EM_PPC64, EM_RISCV, EM_X86_64, ET_DYN, ET_EXEC, PF_X, PT_INTERP, PT_LOAD, PT_NOTE,
};

use super::image::Image;
use super::loaded::{Loaded, Part, StartRegisters};
use super::note::{Descriptor, xen_entry};
use super::request::{Format, LoadRequest};
use super::space::Space;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::MAX_PROGRAM_HEADERS;
use crate::mode::CpuMode;
use crate::state::Protocol;

/// `e_type`, at the same offset in both classes.
const E_TYPE: u64 = 0x10;
/// `e_machine`.
const E_MACHINE: u64 = 0x12;
/// `e_entry`.
const E_ENTRY: u64 = 0x18;

/// The offsets of the fields of one class: those of the header, then those of a program header.
#[derive(Debug)]
struct Layout {
    wide: bool,
    e_phoff: u64,
    e_phentsize: u64,
    e_phnum: u64,
    entry_bytes: u16,
    p_flags: u64,
    p_offset: u64,
    p_vaddr: u64,
    p_paddr: u64,
    p_filesz: u64,
    p_memsz: u64,
    p_align: u64,
}

const ELF32: Layout = Layout {
    wide: false,
    e_phoff: 0x1c,
    e_phentsize: 0x2a,
    e_phnum: 0x2c,
    entry_bytes: 32,
    p_flags: 0x18,
    p_offset: 0x04,
    p_vaddr: 0x08,
    p_paddr: 0x0c,
    p_filesz: 0x10,
    p_memsz: 0x14,
    p_align: 0x1c,
};

const ELF64: Layout = Layout {
    wide: true,
    e_phoff: 0x20,
    e_phentsize: 0x36,
    e_phnum: 0x38,
    entry_bytes: 56,
    p_flags: 0x04,
    p_offset: 0x08,
    p_vaddr: 0x10,
    p_paddr: 0x18,
    p_filesz: 0x20,
    p_memsz: 0x28,
    p_align: 0x30,
};

/// A program header: which bytes of the file belong where.
#[derive(Clone, Copy, Debug)]
struct Segment {
    p_type: u32,
    executable: bool,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

impl Segment {
    /// Its bytes in the file, once they are known to be there.
    fn bytes(&self) -> Range<u64> {
        self.offset..self.offset + self.filesz
    }

    fn physical(&self) -> Range<u64> {
        self.paddr..self.paddr.saturating_add(self.memsz)
    }

    /// Where a virtual address within it lies in physical memory.
    fn translate(&self, virtual_address: u64) -> Option<u64> {
        let into = virtual_address.checked_sub(self.vaddr)?;
        let inside = into < self.memsz;
        inside.then(|| self.paddr.checked_add(into)).flatten()
    }
}

/// An ELF image whose headers are read.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    image: Image<'a>,
    /// The mode that its code is made for.
    pub mode: CpuMode,
    e_entry: u64,
    segments: Vec<Segment>,
}

impl<'a> Elf<'a> {
    /// Whether the image begins as ELF images do.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(ELFMAG)
    }

    pub fn parse(image: Image<'a>) -> Result<Self> {
        if !Self::is_one(image.bytes) {
            return Err(image.unfit("it does not begin with \\x7fELF"));
        }
        let (layout, mode) = layout_of(&image)?;
        let e_type = image.u16("e_type", E_TYPE)?;
        if e_type != ET_EXEC && e_type != ET_DYN {
            return Err(image.broken("e_type", E_TYPE, "2 (executable) or 3 (shared)", e_type));
        }
        let segments = segments_of(&image, layout)?;
        let interpreted = segments.iter().any(|it| it.p_type == PT_INTERP);
        if e_type == ET_DYN && interpreted {
            return Err(image.unfit(
                "it is a program for an operating system (PT_INTERP); link it statically, for a fixed address",
            ));
        }
        Ok(Self {
            image,
            mode,
            e_entry: word(&image, layout, "e_entry", E_ENTRY)?,
            segments,
        })
    }

    /// Puts every segment at its physical address.
    pub fn place(&self, space: &mut Space<'a>) -> Result<()> {
        self.place_moved(0, space)
    }

    /// The physical addresses of all segments, with what lies between them.
    pub fn span(&self) -> Range<u64> {
        let all = || self.loadable().map(Segment::physical);
        let start = all().map(|range| range.start).min().unwrap_or(0);
        start..all().map(|range| range.end).max().unwrap_or(0)
    }

    /// Puts every segment so far above its physical address, in arithmetic of 64 bits.
    pub fn place_moved(&self, distance: u64, space: &mut Space<'a>) -> Result<()> {
        let mut budget = self.image.bytes.len() as u64;
        for segment in self.loadable() {
            self.spend(&mut budget, "segment", segment)?;
            let bytes = self
                .image
                .slice("segment", segment.offset, segment.filesz)?;
            let what = if bytes.is_empty() { "bss" } else { "segment" };
            space.place(Part {
                what,
                gpa: segment.paddr.wrapping_add(distance),
                bytes: Cow::Borrowed(bytes),
                memory_bytes: segment.memsz,
            })?;
        }
        if space.parts.is_empty() {
            return Err(self.image.unfit("it has no segment to load (PT_LOAD)"));
        }
        Ok(())
    }

    /// Where `e_entry` lies in physical memory. It is a virtual address, as the ABI has it, if code
    /// lies there, and else a physical one, as kernels give it that map themselves later.
    pub fn entry_gpa(&self) -> Result<u64> {
        let entry = self.e_entry;
        let mut code = self.loadable().filter(|it| it.executable);
        if let Some(gpa) = code.find_map(|it| it.translate(entry)) {
            return Ok(gpa);
        }
        if self.loadable().any(|it| it.physical().contains(&entry)) {
            return Ok(entry);
        }
        self.loadable()
            .find_map(|it| it.translate(entry))
            .ok_or_else(|| {
                let (must, got) = ("inside a segment", format_args!("{entry:#x}"));
                self.image.broken("e_entry", E_ENTRY, must, got)
            })
    }

    /// What the note `XEN_ELFNOTE_PHYS32_ENTRY` says, if the image has one.
    pub fn pvh_entry(&self) -> Result<Option<u64>> {
        let note = self.pvh_note()?;
        note.map(|note| self.phys32(note)).transpose()
    }

    /// Whether the image has that note. Notes that cannot be read say nothing: all that a plain
    /// image needs are its segments.
    pub fn is_pvh(&self) -> Result<bool> {
        match self.pvh_note() {
            Ok(Some(note)) => self.phys32(note).map(|_| true),
            Ok(None) | Err(_) => Ok(false),
        }
    }

    fn pvh_note(&self) -> Result<Option<Descriptor>> {
        let mut unreadable = None;
        let mut budget = self.image.bytes.len() as u64;
        for segment in self.segments.iter().filter(|it| it.p_type == PT_NOTE) {
            let note = self.spend(&mut budget, "PT_NOTE", segment);
            match note.and_then(|()| xen_entry(&self.image, segment.bytes(), segment.align)) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
        unreadable.map_or(Ok(None), Err)
    }

    /// An address of 4 bytes, or of 8 as Linux writes it for 64 bits.
    fn phys32(&self, note: Descriptor) -> Result<u64> {
        let (field, offset) = ("XEN_ELFNOTE_PHYS32_ENTRY", note.at);
        let entry = match note.bytes {
            4 => u64::from(self.image.u32(field, offset)?),
            8 => self.image.u64(field, offset)?,
            got => {
                let got = format_args!("{got} bytes");
                return Err(self.image.broken(field, offset, "4 or 8 bytes", got));
            }
        };
        if !self.loadable().any(|it| it.physical().contains(&entry)) {
            let got = format_args!("{entry:#x}");
            return Err(self.image.broken(field, offset, "inside a segment", got));
        }
        Ok(entry)
    }

    /// Takes a segment's bytes off what may yet be read. The segments of one kind share the image's
    /// bytes, and each byte is one's: else 256 headers over the same megabytes would be work
    /// without end.
    fn spend(&self, budget: &mut u64, kind: &str, segment: &Segment) -> Result<()> {
        self.image.slice(kind, segment.offset, segment.filesz)?;
        match budget.checked_sub(segment.filesz) {
            Some(rest) => *budget = rest,
            None => {
                let bytes = self.image.bytes.len();
                return Err(self.image.unfit(format_args!(
                    "{kind} overlaps others: together they have more than the image's {bytes} bytes"
                )));
            }
        }
        Ok(())
    }

    fn loadable(&self) -> impl Iterator<Item = &Segment> {
        self.segments
            .iter()
            .filter(|it| it.p_type == PT_LOAD && it.memsz != 0)
    }
}

/// Loads an image for what it is: segments, and a start at its entry with nothing in the registers.
pub(super) fn load<'a>(request: &LoadRequest<'a>, mut space: Space<'a>) -> Result<Loaded<'a>> {
    let elf = Elf::parse(Image {
        format: Format::Elf,
        bytes: request.image,
    })?;
    elf.place(&mut space)?;
    let entry_gpa = request.entry_gpa.map_or_else(|| elf.entry_gpa(), Ok)?;
    space.check_entry(entry_gpa)?;
    Ok(Loaded {
        format: Format::Elf,
        mode: Some(elf.mode),
        protocol: Protocol::Plain,
        entry_gpa,
        registers: StartRegisters::default(),
        parts: space.parts,
    })
}

/// The class's layout and mode; every other processor's images are refused by name.
fn layout_of(image: &Image) -> Result<(&'static Layout, CpuMode)> {
    let (class_at, data_at) = (EI_CLASS as u64, EI_DATA as u64);
    let class = image.u8("EI_CLASS", class_at)?;
    let data = image.u8("EI_DATA", data_at)?;
    if data != ELFDATA2LSB {
        return Err(image.broken("EI_DATA", data_at, "1 (little-endian)", data));
    }
    let machine = image.u16("e_machine", E_MACHINE)?;
    match (class, machine) {
        (ELFCLASS32, EM_386) => Ok((&ELF32, CpuMode::Protected)),
        (ELFCLASS64, EM_X86_64) => Ok((&ELF64, CpuMode::Long)),
        (ELFCLASS32 | ELFCLASS64, _) => {
            let must = if class == ELFCLASS32 {
                "3 (i386) in an ELF32 image"
            } else {
                "62 (x86-64) in an ELF64 image"
            };
            let got = format_args!("{machine}{}", machine_name(machine));
            Err(image.broken("e_machine", E_MACHINE, must, got))
        }
        _ => Err(image.broken("EI_CLASS", class_at, "1 (ELF32) or 2 (ELF64)", class)),
    }
}

fn machine_name(machine: u16) -> &'static str {
    match machine {
        EM_386 => " (i386)",
        EM_X86_64 => " (x86-64)",
        EM_ARM => " (ARM)",
        EM_AARCH64 => " (AArch64)",
        EM_RISCV => " (RISC-V)",
        EM_PPC64 => " (PowerPC)",
        _ => "",
    }
}

fn segments_of(image: &Image, layout: &Layout) -> Result<Vec<Segment>> {
    let size = image.u16("e_phentsize", layout.e_phentsize)?;
    let count = image.u16("e_phnum", layout.e_phnum)?;
    if count > MAX_PROGRAM_HEADERS {
        return Err(Error::new(
            ErrorKind::Limit,
            format!(
                "payload: e_phnum at offset {:#x}: at most {MAX_PROGRAM_HEADERS} program headers, got {count}",
                layout.e_phnum
            ),
        ));
    }
    if count != 0 && size != layout.entry_bytes {
        let must = layout.entry_bytes;
        return Err(image.broken("e_phentsize", layout.e_phentsize, must, size));
    }
    let e_phoff = word(image, layout, "e_phoff", layout.e_phoff)?;
    let bytes = u64::from(count) * u64::from(layout.entry_bytes);
    image.slice("program headers", e_phoff, bytes)?;
    (0..u64::from(count))
        .map(|index| segment_at(image, layout, e_phoff + index * u64::from(size)))
        .collect()
}

fn segment_at(image: &Image, layout: &Layout, at: u64) -> Result<Segment> {
    let field = |name, offset| word(image, layout, name, at + offset);
    let segment = Segment {
        p_type: image.u32("p_type", at)?,
        executable: image.u32("p_flags", at + layout.p_flags)? & PF_X != 0,
        offset: field("p_offset", layout.p_offset)?,
        vaddr: field("p_vaddr", layout.p_vaddr)?,
        paddr: field("p_paddr", layout.p_paddr)?,
        filesz: field("p_filesz", layout.p_filesz)?,
        memsz: field("p_memsz", layout.p_memsz)?,
        align: field("p_align", layout.p_align)?,
    };
    if segment.p_type == PT_LOAD && segment.memsz < segment.filesz {
        let must = format_args!("at least p_filesz, {:#x}", segment.filesz);
        let got = format_args!("{:#x}", segment.memsz);
        return Err(image.broken("p_memsz", at + layout.p_memsz, must, got));
    }
    Ok(segment)
}

/// A field whose size is that of the class's addresses.
fn word(image: &Image, layout: &Layout, field: &str, offset: u64) -> Result<u64> {
    if layout.wide {
        return image.u64(field, offset);
    }
    image.u32(field, offset).map(u64::from)
}
