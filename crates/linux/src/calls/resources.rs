//! Limits of resources, and how much there is.

use linux_raw_sys::general::{
    __NR_getrlimit, __NR_prlimit64, __NR_setrlimit, __NR_sysinfo, RLIM_NLIMITS, RLIMIT_CORE,
    RLIMIT_NOFILE, RLIMIT_STACK, rlimit64,
};
use linux_raw_sys::system::sysinfo;
use serde::{Deserialize, Serialize};

use super::identity::own;
use super::record::record;
use super::world::{Answer, Clock, World, low};
use crate::errno::Errno;
use crate::limits::{DESCRIPTORS, STACK_BYTES};

/// The limit that is none.
const INFINITY: u64 = u64::MAX;

/// What a program may have of each resource. It may lower them; only ours bind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Resources {
    memory: u64,
    /// The soft and the hard limit.
    limits: [[u64; 2]; RLIM_NLIMITS as usize],
}

impl Resources {
    /// Of a machine with so many bytes.
    pub fn new(memory: u64) -> Self {
        let mut limits = [[INFINITY; 2]; RLIM_NLIMITS as usize];
        limits[RLIMIT_STACK as usize] = [STACK_BYTES; 2];
        limits[RLIMIT_NOFILE as usize] = [DESCRIPTORS as u64; 2];
        limits[RLIMIT_CORE as usize] = [0; 2];
        Self { memory, limits }
    }

    /// Bytes of memory in all.
    pub const fn memory(&self) -> u64 {
        self.memory
    }

    /// The limits that bind, with their names and units.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, [u64; 2])> {
        [
            ("Max stack size", "bytes", RLIMIT_STACK),
            ("Max core file size", "bytes", RLIMIT_CORE),
            ("Max open files", "files", RLIMIT_NOFILE),
        ]
        .into_iter()
        .map(|(name, units, index)| (name, units, self.limits[index as usize]))
    }

    /// Answers a call of this subject.
    pub fn answer(
        &mut self,
        number: u32,
        [a, b, c, d, ..]: [u64; 6],
        world: &mut World<'_>,
    ) -> Option<Answer> {
        let result = match number {
            __NR_prlimit64 => own(a).and_then(|()| self.limit(b, c, d, world)),
            __NR_getrlimit => self.limit(a, 0, b, world),
            __NR_setrlimit => self.limit(a, b, 0, world),
            __NR_sysinfo => self.info(a, world),
            _ => return None,
        };
        Some(result.into())
    }

    fn limit(
        &mut self,
        resource: u64,
        new: u64,
        old: u64,
        world: &mut World<'_>,
    ) -> Result<u64, Errno> {
        let index = usize::try_from(low(resource)).map_err(|_| Errno::EINVAL)?;
        let limit = self.limits.get_mut(index).ok_or(Errno::EINVAL)?;
        let [current, most] = *limit;
        let wanted = match new {
            0 => *limit,
            _ => world.words(new)?,
        };
        if wanted[0] > wanted[1] {
            return Err(Errno::EINVAL);
        }
        if wanted[1] > most {
            return Err(Errno::EPERM);
        }
        let before = record!(rlimit64 {
            rlim_cur: current,
            rlim_max: most
        });
        world.write_optional(old, &before)?;
        *limit = wanted;
        Ok(0)
    }

    fn info(&self, at: u64, world: &mut World<'_>) -> Result<u64, Errno> {
        let (uptime, _) = world.host.now(Clock::Monotonic);
        let info = record!(sysinfo {
            uptime: uptime,
            totalram: self.memory,
            freeram: world.space.free_bytes(),
            procs: 1_u16,
            mem_unit: 1_u32,
        });
        world.write(at, &info)?;
        Ok(0)
    }
}
