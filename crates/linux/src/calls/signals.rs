//! Signals: what the program wants of them is remembered. And futexes, of one thread.

use std::collections::BTreeMap;

use linux_raw_sys::general::{
    __NR_futex, __NR_rt_sigaction, __NR_rt_sigpending, __NR_rt_sigprocmask, __NR_sigaltstack,
    FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE, FUTEX_REQUEUE, FUTEX_WAIT, FUTEX_WAIT_BITSET, FUTEX_WAKE,
    FUTEX_WAKE_BITSET, FUTEX_WAKE_OP, MINSIGSTKSZ, SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, SIGKILL,
    SIGSTOP, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, sigaltstack,
};
use serde::{Deserialize, Serialize};

use super::record::record;
use super::world::{Answer, World, low};
use crate::errno::Errno;

/// Bytes of a set of signals.
const SET_BYTES: u64 = 8;
/// How many signals there are.
const SIGNALS: u32 = 64;
/// These cannot be blocked.
const UNBLOCKABLE: u64 = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1);

/// What a program has said about signals.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Signals {
    /// By number: handler, flags, restorer, mask, as in `struct kernel_sigaction`.
    actions: BTreeMap<u32, [u64; 4]>,
    blocked: u64,
    /// Address, flags and size.
    stack: (u64, u32, u64),
}

impl Signals {
    pub fn new() -> Self {
        Self {
            actions: BTreeMap::new(),
            blocked: 0,
            stack: (0, SS_DISABLE, 0),
        }
    }

    /// Answers a call of this subject.
    pub fn answer(
        &mut self,
        number: u32,
        [a, b, c, d, ..]: [u64; 6],
        world: &mut World<'_>,
    ) -> Option<Answer> {
        let result = match number {
            __NR_rt_sigaction => self.action(low(a), b, c, d, world),
            __NR_rt_sigprocmask => self.mask(low(a), b, c, d, world),
            __NR_rt_sigpending if b <= SET_BYTES => {
                let bytes = usize::try_from(b).unwrap_or(0);
                world
                    .write(a, &[0; SET_BYTES as usize][..bytes])
                    .map(|()| 0)
            }
            __NR_rt_sigpending => Err(Errno::EINVAL),
            __NR_sigaltstack => self.alternate(a, b, world),
            __NR_futex => futex(a, low(b), low(c), d, world),
            _ => return None,
        };
        Some(result.into())
    }

    fn action(
        &mut self,
        signal: u32,
        new: u64,
        old: u64,
        bytes: u64,
        world: &mut World<'_>,
    ) -> Result<u64, Errno> {
        let is_fixed = [SIGKILL, SIGSTOP].contains(&signal) && new != 0;
        if bytes != SET_BYTES || !(1..=SIGNALS).contains(&signal) || is_fixed {
            return Err(Errno::EINVAL);
        }
        let wanted = if new == 0 {
            None
        } else {
            Some(world.words::<4>(new)?)
        };
        let before = self.actions.get(&signal).copied().unwrap_or_default();
        let before: Vec<u8> = before.iter().flat_map(|word| word.to_le_bytes()).collect();
        world.write_optional(old, &before)?;
        if let Some(wanted) = wanted {
            self.actions.insert(signal, wanted);
        }
        Ok(0)
    }

    fn mask(
        &mut self,
        how: u32,
        new: u64,
        old: u64,
        bytes: u64,
        world: &mut World<'_>,
    ) -> Result<u64, Errno> {
        if bytes != SET_BYTES {
            return Err(Errno::EINVAL);
        }
        let mut wanted = self.blocked;
        if new != 0 {
            let [set] = world.words(new)?;
            wanted = match how {
                SIG_BLOCK => self.blocked | set,
                SIG_UNBLOCK => self.blocked & !set,
                SIG_SETMASK => set,
                _ => return Err(Errno::EINVAL),
            };
        }
        world.write_optional(old, &self.blocked.to_le_bytes())?;
        self.blocked = wanted & !UNBLOCKABLE;
        Ok(0)
    }

    fn alternate(&mut self, new: u64, old: u64, world: &mut World<'_>) -> Result<u64, Errno> {
        let mut wanted = self.stack;
        if new != 0 {
            let [address, flags, size] = world.words(new)?;
            let flags = low(flags);
            if ![0, SS_ONSTACK, SS_DISABLE].contains(&(flags & !SS_AUTODISARM)) {
                return Err(Errno::EINVAL);
            }
            let is_off = flags & SS_DISABLE != 0;
            if !is_off && size < MINSIGSTKSZ.into() {
                return Err(Errno::ENOMEM);
            }
            wanted = if is_off {
                (0, SS_DISABLE, 0)
            } else {
                (address, flags & SS_AUTODISARM, size)
            };
        }
        if old != 0 {
            let (address, flags, size) = self.stack;
            // A pointer has no bytes to be written; it is the first field.
            let mut before = record!(sigaltstack {
                ss_flags: flags.cast_signed(),
                ss_size: size
            });
            before[..8].copy_from_slice(&address.to_le_bytes());
            world.write(old, &before)?;
        }
        self.stack = wanted;
        Ok(0)
    }
}

/// There is one thread, so nothing waits to be woken, and nothing would wake what waits: a wait
/// with a time ends at once as if that were over, one without as if the value had changed.
fn futex(
    at: u64,
    operation: u32,
    value: u32,
    timeout: u64,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    if !at.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    match operation & FUTEX_CMD_MASK.cast_unsigned() {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let mut word = [0; 4];
            world.read(at, &mut word)?;
            if u32::from_le_bytes(word) != value || timeout == 0 {
                return Err(Errno::EAGAIN);
            }
            let [_, nanoseconds] = world.words(timeout)?;
            if nanoseconds >= 1_000_000_000 {
                return Err(Errno::EINVAL);
            }
            Err(Errno::ETIMEDOUT)
        }
        FUTEX_WAKE | FUTEX_WAKE_BITSET | FUTEX_REQUEUE | FUTEX_CMP_REQUEUE | FUTEX_WAKE_OP => Ok(0),
        _ => Err(Errno::ENOSYS),
    }
}
