//! Bytes from one descriptor to another: `sendfile`, `copy_file_range`.

use linux_raw_sys::general::{__NR_copy_file_range, __NR_sendfile};

use super::world::{Answer, Clock, World, int};
use crate::errno::Errno;
use crate::files::{self, Files, Object, Step};
use crate::limits::TRANSFER_BYTES;

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, e, f]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let result = match number {
        __NR_sendfile => copy([(b, c), (a, 0)], d, false, files, world),
        __NR_copy_file_range if f != 0 => Err(Errno::EINVAL),
        __NR_copy_file_range => copy([(a, b), (c, d)], e, true, files, world),
        _ => return None,
    };
    Some(result.into())
}

/// Where a position is, if the call has one of its own, and what it says.
struct Position {
    at: u64,
    offset: u64,
}

impl Position {
    fn read(at: u64, world: &mut World<'_>) -> Result<Option<Self>, Errno> {
        if at == 0 {
            return Ok(None);
        }
        let [offset] = world.words(at)?;
        i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        Ok(Some(Self { at, offset }))
    }
}

/// C libraries copy by `read` and `write` where this is `EINVAL`: what is the host's, and pipes
/// that something is read from.
fn copy(
    [(from, from_at), (to, to_at)]: [(u64, u64); 2],
    bytes: u64,
    is_file: bool,
    files: &mut Files,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    let (from, to) = (int(from), int(to));
    let is_regular = |object: &Object| match object {
        Object::Opened(opened) => opened.content.is_regular(),
        Object::Memory(_) => true,
        _ => false,
    };
    let source = is_regular(&files.get(from)?.object);
    let target = &files.get(to)?.object;
    let is_target = is_regular(target) || (!is_file && matches!(target, Object::Writer(_)));
    if !source || !is_target {
        return Err(Errno::EINVAL);
    }
    let mut positions = [
        Position::read(from_at, world)?,
        Position::read(to_at, world)?,
    ];
    let now = world.host.now(Clock::Realtime);
    let mut piece = vec![0; PIECE];
    let (mut done, most) = (0, bytes.min(TRANSFER_BYTES));
    while done < most {
        let wanted = usize::try_from(most - done).map_or(PIECE, |left| left.min(PIECE));
        let part = piece.get_mut(..wanted).unwrap_or_default();
        let [reads, writes] = &positions;
        let (reads, writes) = (
            reads.as_ref().map(|position| position.offset),
            writes.as_ref().map(|position| position.offset),
        );
        // What does not fit is not taken.
        let start = match reads {
            Some(offset) => offset,
            None => files.get(from)?.offset,
        };
        let Step::Done(count) = files::read(files, from, Some(start), part)? else {
            break;
        };
        let part = part.get(..count).unwrap_or_default();
        let written = match files::write(files, to, writes, part, now) {
            Ok(Step::Done(written)) => written,
            Ok(Step::Wait) if done == 0 => return Err(Errno::EAGAIN),
            Err(errno) if done == 0 => return Err(errno),
            _ => break,
        };
        let moved = written as u64;
        match &mut positions[0] {
            Some(position) => position.offset = start.saturating_add(moved),
            None => files.get_mut(from)?.offset = start.saturating_add(moved),
        }
        if let Some(position) = &mut positions[1] {
            position.offset = position.offset.saturating_add(moved);
        }
        done += moved;
        if count == 0 || written < wanted {
            break;
        }
    }
    for position in positions.iter().flatten() {
        world.write(position.at, &position.offset.to_le_bytes())?;
    }
    Ok(done)
}
