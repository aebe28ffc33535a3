//! Memory: `brk`, `mmap` and what belongs to them.

use std::ops::Range;

use linux_raw_sys::general::{
    __NR_brk, __NR_madvise, __NR_mmap, __NR_mprotect, __NR_mremap, __NR_munmap, MADV_DODUMP,
    MADV_DONTDUMP, MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_NORMAL,
    MADV_WILLNEED, MAP_32BIT, MAP_ANONYMOUS, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_HUGETLB,
    MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, MAP_TYPE, MREMAP_FIXED, MREMAP_MAYMOVE,
    O_ACCMODE, O_PATH, O_WRONLY, PROT_EXEC, PROT_READ, PROT_WRITE,
};
use serde::{Deserialize, Serialize};

use super::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::host::HostFile;
use crate::limits::{PAGE, STACK_BYTES, STACK_END, STACK_GROWN};
use crate::program::Loaded;
use crate::space::{Commit, Protection};
use crate::tree::{Content, Device, MemoryFile};

/// Bytes of a file of the host that are copied at once.
const PIECE: usize = 256 << 10;

/// Where the program's memory ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Heap {
    start: u64,
    /// The break.
    end: u64,
    /// RSP at the start.
    stack: u64,
}

fn pages(bytes: u64) -> Result<u64, Errno> {
    bytes.checked_next_multiple_of(PAGE).ok_or(Errno::ENOMEM)
}

fn aligned(address: u64) -> Result<(), Errno> {
    if address.is_multiple_of(PAGE) {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

fn protection(bits: u64) -> Result<Protection, Errno> {
    let known = u64::from(PROT_READ | PROT_WRITE | PROT_EXEC);
    if bits & !known != 0 {
        return Err(Errno::EINVAL);
    }
    Ok(Protection {
        // The processor reads what it may write or execute.
        read: bits != 0,
        write: bits & u64::from(PROT_WRITE) != 0,
        execute: bits & u64::from(PROT_EXEC) != 0,
    })
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.start < other.end && other.start < one.end
}

impl Heap {
    pub fn new(loaded: &Loaded) -> Self {
        Self {
            start: loaded.brk,
            end: loaded.brk,
            stack: loaded.stack,
        }
    }

    /// Answers a call of this subject.
    pub fn answer(
        &mut self,
        number: u32,
        [a, b, c, d, e, f]: [u64; 6],
        files: &Files,
        world: &mut World<'_>,
    ) -> Option<Answer> {
        let result = match number {
            __NR_brk => Ok(self.brk(a, world)),
            __NR_mmap => return Some(map([a, b, c, d, e, f], files, world).into()),
            __NR_munmap => unmap(a, b, world),
            __NR_mprotect => protect(a, b, c, world),
            __NR_mremap => self.remap([a, b, c, d, e], world),
            __NR_madvise => advise(a, b, low(c), world),
            _ => return None,
        };
        Some(result.into())
    }

    fn brk(&mut self, wanted: u64, world: &mut World<'_>) -> u64 {
        let (Ok(old), Ok(new)) = (pages(self.end), pages(wanted)) else {
            return self.end;
        };
        if wanted < self.start {
            return self.end;
        }
        let done = if new > old {
            world.space.is_free(old, new - old)
                && world
                    .space
                    .map(old, new - old, Protection::READ_WRITE, Commit::Later)
                    .is_ok()
        } else {
            new == old || world.space.unmap(new, old - new).is_ok()
        };
        if done {
            self.end = wanted;
        }
        self.end
    }

    fn remap(
        &self,
        [from, old, new, flags, target]: [u64; 5],
        world: &mut World<'_>,
    ) -> Result<u64, Errno> {
        let (may_move, fixed) = (u64::from(MREMAP_MAYMOVE), u64::from(MREMAP_FIXED));
        let is_fixed = flags & fixed != 0;
        if flags & !(may_move | fixed) != 0 || (is_fixed && flags & may_move == 0) {
            return Err(Errno::EINVAL);
        }
        aligned(from)?;
        let (old, new) = (pages(old)?, pages(new)?);
        let source = from..from.checked_add(old).ok_or(Errno::EFAULT)?;
        if old == 0 || new == 0 {
            return Err(Errno::EINVAL);
        }
        let last = world.space.protection(source.end - PAGE);
        let (Some(_), Some(protection)) = (world.space.protection(from), last) else {
            return Err(Errno::EFAULT);
        };
        if self.is_below_stack(&source) {
            return Err(Errno::EFAULT);
        }
        if is_fixed {
            aligned(target)?;
            let there = target..target.checked_add(new).ok_or(Errno::EINVAL)?;
            if overlap(&source, &there) {
                return Err(Errno::EINVAL);
            }
            return moved(&source, &there, protection, world);
        }
        if new <= old {
            if new < old {
                world.space.unmap(from + new, old - new)?;
            }
            return Ok(from);
        }
        if world.space.is_free(source.end, new - old) {
            world
                .space
                .map(source.end, new - old, protection, Commit::Later)?;
            return Ok(from);
        }
        if flags & may_move == 0 {
            return Err(Errno::ENOMEM);
        }
        let target = world.space.find(new).ok_or(Errno::ENOMEM)?;
        moved(&source, &(target..target + new), protection, world)
    }

    /// Linux grows the stack page by page, and musl measures it by this call until it fails with
    /// `EFAULT`. Here all of it is mapped; this keeps musl from asking for each of its pages.
    fn is_below_stack(&self, range: &Range<u64>) -> bool {
        let grown = self.stack.saturating_sub(STACK_GROWN);
        range.start >= STACK_END - STACK_BYTES && range.end <= grown
    }
}

/// Pages of `source` at `target`, with zeros after them if there is more room.
fn moved(
    source: &Range<u64>,
    target: &Range<u64>,
    protection: Protection,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let (old, new) = (source.end - source.start, target.end - target.start);
    let kept = old.min(new);
    if new > old {
        world
            .space
            .map(target.start + old, new - old, protection, Commit::Later)?;
    }
    if let Err(errno) = world.space.relocate(source.start, kept, target.start) {
        if new > old {
            world.space.unmap(target.start + old, new - old)?;
        }
        return Err(errno);
    }
    if old > kept {
        world.space.unmap(source.start + kept, old - kept)?;
    }
    Ok(target.start)
}

fn unmap(start: u64, bytes: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    aligned(start)?;
    let bytes = pages(bytes).map_err(|_| Errno::EINVAL)?;
    if bytes == 0 {
        return Err(Errno::EINVAL);
    }
    // Linux says EINVAL for addresses that no program has.
    world
        .space
        .unmap(start, bytes)
        .map_err(|errno| match errno {
            Errno::ENOMEM if start.checked_add(bytes).is_none() => Errno::EINVAL,
            other => other,
        })?;
    Ok(0)
}

fn protect(start: u64, bytes: u64, bits: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    aligned(start)?;
    let (bytes, protection) = (pages(bytes)?, protection(bits)?);
    if bytes != 0 {
        world.space.protect(start, bytes, protection)?;
    }
    Ok(0)
}

fn advise(start: u64, bytes: u64, advice: u32, world: &mut World<'_>) -> Result<u64, Errno> {
    aligned(start)?;
    let bytes = pages(bytes).map_err(|_| Errno::EINVAL)?;
    start.checked_add(bytes).ok_or(Errno::EINVAL)?;
    match advice {
        MADV_DONTNEED if bytes > 0 => world.space.discard(start, bytes)?,
        // What is freed may keep its contents, and the rest is advice.
        MADV_NORMAL..=MADV_WILLNEED
        | MADV_DONTNEED
        | MADV_FREE
        | MADV_HUGEPAGE
        | MADV_NOHUGEPAGE
        | MADV_DONTDUMP
        | MADV_DODUMP => {}
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// What is mapped.
enum Mapped<'a> {
    Zeros,
    Memory(&'a MemoryFile),
    Host(&'a HostFile),
}

/// What a descriptor leads to, as far as it can be mapped; `None` if the host knows.
fn mapped(
    descriptor: i32,
    is_written_back: bool,
    files: &Files,
) -> Result<Option<Mapped<'_>>, Errno> {
    let description = files.get(descriptor)?;
    let mapped = match &description.object {
        Object::Host(_) => return Ok(None),
        Object::Memory(file) => Mapped::Memory(file),
        Object::Reader(_) | Object::Writer(_) => return Err(Errno::ENODEV),
        Object::Opened(_) if description.flags & O_PATH != 0 => return Err(Errno::EBADF),
        Object::Opened(_) if description.flags & O_ACCMODE == O_WRONLY => {
            return Err(Errno::EACCES);
        }
        Object::Opened(opened) => match (&opened.content, &files.tree) {
            (Content::Node(id, _), Some(tree)) => Mapped::Memory(tree.ground.nodes.file(*id)?),
            (Content::Host(file), _) => Mapped::Host(file),
            (Content::Device(Device::Zero, _), _) => return Ok(Some(Mapped::Zeros)),
            _ => return Err(Errno::ENODEV),
        },
    };
    // Nothing would carry the writes back.
    if is_written_back {
        return Err(Errno::ENODEV);
    }
    Ok(Some(mapped))
}

/// `mmap`. A file is copied: what is written to it later does not show.
fn map(
    [address, bytes, bits, flags, descriptor, offset]: [u64; 6],
    files: &Files,
    world: &mut World<'_>,
) -> Result<Answer, Errno> {
    let protection = protection(bits)?;
    let flags = low(flags);
    let kind = flags & MAP_TYPE;
    if bytes == 0 || ![MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE].contains(&kind) {
        return Err(Errno::EINVAL);
    }
    aligned(offset)?;
    let bytes = pages(bytes)?;
    let file = if flags & MAP_ANONYMOUS == 0 {
        let is_written_back = kind != MAP_PRIVATE && protection.write;
        match mapped(int(descriptor), is_written_back, files)? {
            None => return Ok(Answer::Ask),
            Some(file) => file,
        }
    } else {
        Mapped::Zeros
    };
    if flags & (MAP_HUGETLB | MAP_32BIT) != 0 {
        return Err(Errno::ENOMEM);
    }
    let start = place(address, bytes, flags, world)?;
    world.space.map(start, bytes, protection, Commit::Later)?;
    let filled = match file {
        Mapped::Zeros => Ok(()),
        Mapped::Memory(file) => fill(file, start, bytes, offset, world),
        Mapped::Host(file) => fill_from_host(file, start, bytes, offset, world),
    };
    if let Err(errno) = filled {
        world.space.unmap(start, bytes)?;
        return Err(errno);
    }
    Ok(Answer::Value(start))
}

fn fill(
    file: &MemoryFile,
    start: u64,
    bytes: u64,
    offset: u64,
    world: &mut World<'_>,
) -> Result<(), Errno> {
    let mut page = [0; 4096];
    // Holes stay untouched.
    let end = file.size().saturating_sub(offset).min(bytes);
    for at in file.present(offset, end) {
        let count = file.read(at, &mut page);
        let to = start + (at - offset);
        world.space.put(world.memory, to, &page[..count])?;
    }
    Ok(())
}

fn fill_from_host(
    file: &HostFile,
    start: u64,
    bytes: u64,
    offset: u64,
    world: &mut World<'_>,
) -> Result<(), Errno> {
    let left = file.status()?.size.saturating_sub(offset).min(bytes);
    let mut piece = vec![0; usize::try_from(left).map_or(PIECE, |left| left.min(PIECE))];
    let mut done = 0;
    while done < left {
        let most = usize::try_from(left - done).map_or(PIECE, |left| left.min(piece.len()));
        let piece = piece.get_mut(..most).unwrap_or_default();
        let count = file.read_at(offset + done, piece)?;
        if count == 0 {
            break;
        }
        let bytes = piece.get(..count).unwrap_or_default();
        world.space.put(world.memory, start + done, bytes)?;
        done += count as u64;
    }
    Ok(())
}

fn place(hint: u64, bytes: u64, flags: u32, world: &World<'_>) -> Result<u64, Errno> {
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
        aligned(hint)?;
        let is_taken = !world.space.is_free(hint, bytes);
        if flags & MAP_FIXED_NOREPLACE != 0 && is_taken {
            return Err(Errno::EEXIST);
        }
        return Ok(hint);
    }
    let hint = hint / PAGE * PAGE;
    if hint != 0 && world.space.is_free(hint, bytes) {
        return Ok(hint);
    }
    world.space.find(bytes).ok_or(Errno::ENOMEM)
}
