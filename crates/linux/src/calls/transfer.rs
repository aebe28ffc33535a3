//! Bytes between a program's memory and its files: `read`, `write` and their kin.

use linux_raw_sys::general::{
    __NR_pread64, __NR_preadv, __NR_preadv2, __NR_pwrite64, __NR_pwritev, __NR_pwritev2, __NR_read,
    __NR_readv, __NR_write, __NR_writev,
};

use super::world::{Answer, Clock, World, int, low};
use crate::errno::Errno;
use crate::files::{self, Files, Object, Step};
use crate::limits::{BUFFERS, TRANSFER_BYTES};
use crate::space::Access;
use crate::tree::{Content, Device};

/// Bytes that are copied at once.
const PIECE: usize = 64 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Write,
}

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [descriptor, at, count, position, _, flags]: [u64; 6],
    files: &mut Files,
    world: &mut World<'_>,
) -> Option<Answer> {
    let (way, is_one, is_placed) = match number {
        __NR_read => (Way::Read, true, false),
        __NR_write => (Way::Write, true, false),
        __NR_pread64 => (Way::Read, true, true),
        __NR_pwrite64 => (Way::Write, true, true),
        __NR_readv => (Way::Read, false, false),
        __NR_writev => (Way::Write, false, false),
        __NR_preadv => (Way::Read, false, true),
        __NR_pwritev => (Way::Write, false, true),
        __NR_preadv2 | __NR_pwritev2 if low(flags) != 0 => {
            return Some(Errno::EOPNOTSUPP.into());
        }
        // As `preadv`; a position of -1 is where the last transfer ended.
        __NR_preadv2 => (Way::Read, false, position != u64::MAX),
        __NR_pwritev2 => (Way::Write, false, position != u64::MAX),
        _ => return None,
    };
    let descriptor = int(descriptor);
    let result = match files.get(descriptor).map(|found| &found.object) {
        Err(errno) => Err(errno),
        Ok(Object::Host(_)) => return Some(Answer::Ask),
        Ok(_) => {
            let mut transfer = Transfer {
                descriptor,
                way,
                position: is_placed.then_some(position),
                done: 0,
            };
            if is_one {
                transfer.run(&[(at, count)], files, world)
            } else {
                buffers(at, count, world).and_then(|all| transfer.run(&all, files, world))
            }
        }
    };
    Some(result.into())
}

/// Where each buffer is, and how many bytes it has.
fn buffers(at: u64, count: u64, world: &mut World<'_>) -> Result<Vec<(u64, u64)>, Errno> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > BUFFERS {
        return Err(Errno::EINVAL);
    }
    let mut total = 0_i64;
    (0..count as u64)
        .map(|index| {
            let entry = index
                .checked_mul(16)
                .and_then(|offset| at.checked_add(offset));
            let [base, length] = world.words(entry.ok_or(Errno::EFAULT)?)?;
            let signed = i64::try_from(length).map_err(|_| Errno::EINVAL)?;
            total = total.checked_add(signed).ok_or(Errno::EINVAL)?;
            Ok((base, length))
        })
        .collect()
}

/// Whether what is read is chance.
fn is_chance(descriptor: i32, files: &Files) -> bool {
    let object = files.get(descriptor).map(|found| &found.object);
    match object {
        Ok(Object::Opened(opened)) => matches!(opened.content, Content::Device(Device::Random, _)),
        _ => false,
    }
}

struct Transfer {
    descriptor: i32,
    way: Way,
    position: Option<u64>,
    done: u64,
}

impl Transfer {
    fn run(
        &mut self,
        buffers: &[(u64, u64)],
        files: &mut Files,
        world: &mut World<'_>,
    ) -> Result<Answer, Errno> {
        if self
            .position
            .is_some_and(|position| i64::try_from(position).is_err())
        {
            return Err(Errno::EINVAL);
        }
        let most = buffers.iter().map(|(_, length)| *length).max().unwrap_or(0);
        let mut bytes = vec![0; usize::try_from(most).map_or(PIECE, |most| most.min(PIECE))];
        if bytes.is_empty() {
            return self.step(0, &mut bytes, files, world);
        }
        for (at, length) in buffers {
            let mut left = (*length).min(TRANSFER_BYTES - self.done);
            let mut from = *at;
            while left > 0 {
                let access = match self.way {
                    Way::Read => Access::Write,
                    Way::Write => Access::Read,
                };
                let most = left.min(PIECE as u64);
                let count = usize::try_from(world.space.reach(from, most, access)).unwrap_or(0);
                let before = self.done;
                let stepped = match count {
                    0 => Err(Errno::EFAULT),
                    _ => self.step(from, &mut bytes[..count], files, world),
                };
                match stepped {
                    // What is done is done; the next call says what went wrong.
                    _ if before > 0 && self.done == before => return Ok(Answer::Value(before)),
                    Ok(Answer::Value(_)) => {}
                    other => return other,
                }
                let moved = self.done - before;
                if moved < count as u64 || (count as u64) < most {
                    return Ok(Answer::Value(self.done));
                }
                from += moved;
                left -= moved;
            }
        }
        Ok(Answer::Value(self.done))
    }

    /// Moves up to one piece, which the program may access.
    fn step(
        &mut self,
        at: u64,
        bytes: &mut [u8],
        files: &mut Files,
        world: &mut World<'_>,
    ) -> Result<Answer, Errno> {
        let position = self
            .position
            .map(|position| position.saturating_add(self.done));
        let step = match self.way {
            Way::Read if is_chance(self.descriptor, files) => {
                world.host.random(bytes);
                Step::Done(bytes.len())
            }
            Way::Read => files::read(files, self.descriptor, position, bytes)?,
            Way::Write => {
                world.read(at, bytes)?;
                let now = match files.get(self.descriptor)?.object {
                    Object::Opened(_) => world.host.now(Clock::Realtime),
                    _ => (0, 0),
                };
                files::write(files, self.descriptor, position, bytes, now)?
            }
        };
        let count = match step {
            Step::Done(count) => count,
            Step::Wait if files.get(self.descriptor)?.never_waits() => return Err(Errno::EAGAIN),
            Step::Wait => return Ok(Answer::Ask),
        };
        if self.way == Way::Read {
            world.write(at, &bytes[..count])?;
        }
        self.done += count as u64;
        Ok(Answer::Value(self.done))
    }
}
