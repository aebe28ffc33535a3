//! Images and the first stack, put into an address space.

use std::ops::Range;

use crate::elf::{self, Image, Part};
use crate::errno::Errno;
use crate::error::LoadError;
use crate::error::LoadErrorKind::{Address, NoMemory, Unsupported};
use crate::limits::{INTERPRETER, MOVABLE_BASE, OURS, PAGE, PROGRAM};
use crate::memory::Memory;
use crate::program::{Loaded, Program};
use crate::space::{Commit, Protection, Space};
use crate::start::{self, Start};

/// The path of the interpreter that `image` asks for (`PT_INTERP`).
///
/// # Errors
/// The image is no ELF image of an x86-64 program.
pub fn interpreter(image: &[u8]) -> Result<Option<&[u8]>, LoadError> {
    Ok(elf::read(image)?.interpreter)
}

/// Maps the parts of the program and its stack, with the protection that the image says, and
/// writes the stack's first contents.
///
/// # Errors
/// The image is broken, or asks for what is not here; a part lies where no program may lie; memory
/// or the bounds on arguments do not suffice.
pub fn load(
    space: &mut Space,
    memory: &dyn Memory,
    program: &Program<'_>,
) -> Result<Loaded, LoadError> {
    let image = elf::read(program.image)?;
    let other = program.interpreter.map(elf::read).transpose()?;
    supported(&image, other.as_ref())?;
    let base = place(&image, MOVABLE_BASE, PROGRAM)?;
    put(space, memory, &image, base)?;
    let start_of =
        |image: &Image<'_>, base: u64| (image.entry != 0).then(|| image.entry.wrapping_add(base));
    let mut entry = start_of(&image, base);
    let mut interpreter_base = None;
    if let Some(other) = &other {
        let there = place(other, INTERPRETER.start, INTERPRETER)?;
        put(space, memory, other, there)?;
        interpreter_base = Some(there);
        entry = start_of(other, there);
    }
    let stack = start::stack(
        space,
        memory,
        program,
        &Start {
            entry: image.entry.wrapping_add(base),
            headers: image.headers.map(|address| address.wrapping_add(base)),
            header_count: image.header_count,
            interpreter: interpreter_base.unwrap_or(0),
            executable: image.executable_stack,
        },
    )?;
    let span = pages(&image.span(), base);
    Ok(Loaded {
        base,
        entry,
        stack,
        brk: span.end,
        span,
        interpreter_base,
        interpreter: image.interpreter.map(<[u8]>::to_vec),
    })
}

/// What its own code cannot do for an image has to be somewhere.
fn supported(image: &Image<'_>, other: Option<&Image<'_>>) -> Result<(), LoadError> {
    let refused = |what: String| Err(LoadError::new(Unsupported, what));
    match (image.interpreter, other) {
        (Some(path), None) => refused(format!(
            "the image asks for the interpreter {}: link it with -static or -static-pie",
            String::from_utf8_lossy(path)
        )),
        (None, Some(_)) => refused("the image asks for no interpreter, and one is given".into()),
        (Some(_), Some(other)) if other.interpreter.is_some() || other.entry == 0 => {
            refused("the interpreter asks for an interpreter, or has no entry".into())
        }
        (None, None) if image.movable && image.entry == 0 && image.wants_loader => refused(
            "the image has relocations or needs libraries, and no entry: nothing in it relocates \
             it. Link it with -static, or -static-pie"
                .into(),
        ),
        _ => Ok(()),
    }
}

/// What to add to the image's addresses, so that all of its parts lie within `room`.
fn place(image: &Image<'_>, base: u64, room: Range<u64>) -> Result<u64, LoadError> {
    let first = image.span().start / PAGE * PAGE;
    let bias = if image.movable {
        base.wrapping_sub(first)
    } else {
        0
    };
    for part in &image.parts {
        let Range { start, end } = part.span;
        let moved = if image.movable { base } else { first };
        let (from, to) = (
            moved.checked_add(start - first),
            moved.checked_add(end - first),
        );
        let (Some(from), Some(to)) = (from, to) else {
            return Err(LoadError::new(
                Address,
                format!("the part of {start:#x} to {end:#x} ends beyond 64 bits"),
            ));
        };
        let what = if from < room.start {
            format!("below {:#x}", room.start)
        } else if to > room.end {
            format!("above {:#x}", room.end)
        } else if from < OURS.end && to > OURS.start {
            format!(
                "in {:#x} to {:#x}, which the engine has",
                OURS.start, OURS.end
            )
        } else {
            continue;
        };
        return Err(LoadError::new(
            Address,
            format!("the part of {from:#x} to {to:#x} lies {what}"),
        ));
    }
    Ok(bias)
}

/// The pages of `span`, once moved by `bias`.
fn pages(span: &Range<u64>, bias: u64) -> Range<u64> {
    let start = span.start.wrapping_add(bias) / PAGE * PAGE;
    start..span.end.wrapping_add(bias).next_multiple_of(PAGE)
}

fn put(
    space: &mut Space,
    memory: &dyn Memory,
    image: &Image<'_>,
    bias: u64,
) -> Result<(), LoadError> {
    let failed = |span: &Range<u64>, errno: Errno| {
        let Range { start, end } = span;
        LoadError::new(
            NoMemory,
            format!(
                "no memory for the part of {start:#x} to {end:#x} (errno {}); \
                 give more memoryBytes",
                errno.0
            ),
        )
    };
    for (range, protection) in protections(&image.parts, bias) {
        space
            .map(
                range.start,
                range.end - range.start,
                protection,
                Commit::Later,
            )
            .map_err(|errno| failed(&range, errno))?;
    }
    for part in &image.parts {
        space
            .put(memory, part.span.start.wrapping_add(bias), part.bytes)
            .map_err(|errno| failed(&part.span, errno))?;
    }
    Ok(())
}

/// Ranges of pages in ascending order. A page that two parts share may be used as either may.
fn protections(parts: &[Part<'_>], bias: u64) -> Vec<(Range<u64>, Protection)> {
    let mut ranges: Vec<(Range<u64>, Protection)> = Vec::new();
    for part in parts {
        let mut own = pages(&part.span, bias);
        let protection = part.protection;
        if let Some((last, before)) = ranges.last_mut()
            && own.start < last.end
        {
            // Parts do not overlap, so the one page that they share is the last one there.
            let both = Protection {
                read: before.read || protection.read,
                write: before.write || protection.write,
                execute: before.execute || protection.execute,
            };
            let shared = own.start..last.end;
            last.end = shared.start;
            own.start = shared.end;
            if last.is_empty() {
                ranges.pop();
            }
            ranges.push((shared, both));
        }
        if !own.is_empty() {
            ranges.push((own, protection));
        }
    }
    ranges
}
