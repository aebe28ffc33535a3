//! ELF images of x86-64 programs: what the headers say, checked. Nothing is loaded here.

use std::ops::Range;

use object::elf::{
    DT_NEEDED, DT_PLTRELSZ, DT_RELASZ, DT_RELRSZ, Dyn64, EM_X86_64, ET_DYN, ET_EXEC, FileHeader64,
    PF_R, PF_W, PF_X, PT_DYNAMIC, PT_GNU_STACK, PT_INTERP, PT_LOAD, ProgramHeader64,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{LittleEndian, pod};

use crate::error::LoadError;
use crate::error::LoadErrorKind::{Broken, Limit, Unsupported};
use crate::limits::{PARTS, PATH_BYTES};
use crate::space::Protection;

type Header = FileHeader64<LittleEndian>;
type Segment = ProgramHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// One `PT_LOAD`. Addresses are as linked.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The addresses it takes.
    pub span: Range<u64>,
    /// What lies at its start; the rest is zeros.
    pub bytes: &'a [u8],
    /// Who may do what with it.
    pub protection: Protection,
    /// Where its bytes stand in the file.
    pub offset: u64,
}

/// An image with sound headers.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// It may lie anywhere (`ET_DYN`).
    pub movable: bool,
    /// In ascending order, none overlapping another; at least one.
    pub parts: Vec<Part<'a>>,
    /// The first instruction, as linked; 0 is none.
    pub entry: u64,
    /// Where the program headers are in memory, as linked, if a part holds them.
    pub headers: Option<u64>,
    /// How many there are.
    pub header_count: u64,
    /// The path in `PT_INTERP`, without its NUL.
    pub interpreter: Option<&'a [u8]>,
    /// `PT_GNU_STACK` asks for a stack that can be executed.
    pub executable_stack: bool,
    /// A loader has to relocate it, or to find libraries for it.
    pub wants_loader: bool,
}

fn broken(what: impl Into<String>) -> LoadError {
    LoadError::new(Broken, what)
}

/// Reads the headers of `file`.
///
/// # Errors
/// The file is no ELF image of an x86-64 program, is cut short, or contradicts itself.
pub fn read(file: &[u8]) -> Result<Image<'_>, LoadError> {
    let header = header(file)?;
    let segments = header
        .program_headers(LE, file)
        .map_err(|error| broken(format!("ELF program headers: {error}")))?;
    let parts = parts(segments, file)?;
    let Some(first) = parts.first() else {
        return Err(broken("the ELF image has no part to load (PT_LOAD)"));
    };
    let movable = header.e_type(LE) == ET_DYN;
    let entry = header.e_entry(LE);
    if entry != 0 && !parts.iter().any(|part| part.span.contains(&entry)) {
        return Err(broken(format!(
            "e_entry {entry:#x} lies in no part; the first one is at {:#x}",
            first.span.start
        )));
    }
    let table = header.e_phoff(LE);
    Ok(Image {
        movable,
        entry,
        headers: parts.iter().find_map(|part| {
            let within = table.checked_sub(part.offset)?;
            (within < part.bytes.len() as u64).then(|| part.span.start + within)
        }),
        header_count: segments.len() as u64,
        interpreter: interpreter(segments, file)?,
        executable_stack: segments.iter().any(|segment| {
            segment.p_type(LE) == PT_GNU_STACK && segment.p_flags(LE).0 & PF_X.0 != 0
        }),
        wants_loader: wants_loader(segments, file),
        parts,
    })
}

fn header(file: &[u8]) -> Result<&Header, LoadError> {
    if !file.starts_with(b"\x7fELF") {
        return Err(broken(
            "the image is no ELF file: it does not start with 7f 45 4c 46",
        ));
    }
    let unsupported = |what: String| Err(LoadError::new(Unsupported, what));
    if let Some(class) = file.get(4)
        && *class != 2
    {
        return unsupported(format!(
            "the ELF image has class {class}; 64-bit images have 2"
        ));
    }
    let header = Header::parse(file).map_err(|error| broken(format!("the ELF header: {error}")))?;
    let machine = header.e_machine(LE);
    if !header.is_little_endian() || machine != EM_X86_64 {
        return unsupported(format!(
            "the ELF image is for machine {}; x86-64 is {}",
            machine.0, EM_X86_64.0
        ));
    }
    let kind = header.e_type(LE);
    if kind != ET_EXEC && kind != ET_DYN {
        return unsupported(format!(
            "the ELF image has type {}; programs have 2 (ET_EXEC) or 3 (ET_DYN)",
            kind.0
        ));
    }
    Ok(header)
}

fn parts<'a>(segments: &[Segment], file: &'a [u8]) -> Result<Vec<Part<'a>>, LoadError> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    let loads = segments
        .iter()
        .enumerate()
        .filter(|(_, segment)| segment.p_type(LE) == PT_LOAD && segment.p_memsz(LE) != 0);
    for (index, segment) in loads {
        let (start, bytes) = (segment.p_vaddr(LE), segment.p_memsz(LE));
        let Some(end) = start.checked_add(bytes) else {
            return Err(broken(format!(
                "ELF part {index} at {start:#x} with {bytes:#x} bytes ends beyond 64 bits"
            )));
        };
        let Ok(contents) = segment.data(LE, file) else {
            return Err(broken(format!(
                "ELF part {index} takes {:#x} bytes at offset {:#x} of a file of {:#x}",
                segment.p_filesz(LE),
                segment.p_offset(LE),
                file.len()
            )));
        };
        if contents.len() as u64 > bytes {
            return Err(broken(format!(
                "ELF part {index} has {:#x} bytes in the file and {bytes:#x} in memory",
                contents.len()
            )));
        }
        let flags = segment.p_flags(LE).0;
        parts.push(Part {
            span: start..end,
            bytes: contents,
            protection: Protection {
                // The processor reads what it may write or execute.
                read: flags & (PF_R.0 | PF_W.0 | PF_X.0) != 0,
                write: flags & PF_W.0 != 0,
                execute: flags & PF_X.0 != 0,
            },
            offset: segment.p_offset(LE),
        });
        if parts.len() > PARTS {
            return Err(LoadError::new(
                Limit,
                format!("the ELF image has over {PARTS} parts"),
            ));
        }
    }
    parts.sort_by_key(|part| part.span.start);
    match parts
        .windows(2)
        .find(|two| two[0].span.end > two[1].span.start)
    {
        Some(two) => Err(broken(format!(
            "ELF parts overlap: {:#x} to {:#x}, and {:#x} to {:#x}",
            two[0].span.start, two[0].span.end, two[1].span.start, two[1].span.end
        ))),
        None => Ok(parts),
    }
}

fn interpreter<'a>(segments: &[Segment], file: &'a [u8]) -> Result<Option<&'a [u8]>, LoadError> {
    let Some(segment) = segments
        .iter()
        .find(|segment| segment.p_type(LE) == PT_INTERP)
    else {
        return Ok(None);
    };
    let path = segment.data(LE, file).ok().and_then(|bytes| {
        let bytes = bytes.get(..bytes.len().min(PATH_BYTES))?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        bytes.get(..end).filter(|path| !path.is_empty())
    });
    match path {
        Some(path) => Ok(Some(path)),
        None => Err(broken(format!(
            "PT_INTERP holds no path of up to {PATH_BYTES} bytes with a NUL at its end"
        ))),
    }
}

/// An image without an entry has no code that relocates it.
fn wants_loader(segments: &[Segment], file: &[u8]) -> bool {
    let dynamic = segments
        .iter()
        .find(|segment| segment.p_type(LE) == PT_DYNAMIC);
    let Some(bytes) = dynamic.and_then(|segment| segment.data(LE, file).ok()) else {
        return false;
    };
    let size = size_of::<Dyn64<LittleEndian>>();
    bytes.chunks_exact(size).any(|entry| {
        pod::from_bytes::<Dyn64<LittleEndian>>(entry).is_ok_and(|(entry, _)| {
            let (tag, value) = (entry.d_tag(LE), entry.d_val(LE));
            tag == DT_NEEDED || ([DT_RELASZ, DT_RELRSZ, DT_PLTRELSZ].contains(&tag) && value != 0)
        })
    })
}

impl Image<'_> {
    /// All addresses of its parts, as linked.
    pub fn span(&self) -> Range<u64> {
        let first = self.parts.first().map_or(0, |part| part.span.start);
        first..self.parts.last().map_or(first, |part| part.span.end)
    }
}
