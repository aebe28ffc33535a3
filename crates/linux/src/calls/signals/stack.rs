//! The stack that handlers may have for themselves (`sigaltstack`).

use linux_raw_sys::general::{MINSIGSTKSZ, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK, sigaltstack};
use serde::{Deserialize, Serialize};

use crate::calls::record::record;
use crate::calls::world::{World, low};
use crate::errno::Errno;

/// Bytes of `stack_t`.
pub const STACK_BYTES: usize = size_of::<sigaltstack>();

/// Address, flags and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct AlternateStack(u64, u32, u64);

impl AlternateStack {
    pub const NONE: Self = Self(0, SS_DISABLE, 0);

    /// `sigaltstack`, with the stack pointer of the call.
    pub fn change(
        &mut self,
        new: u64,
        old: u64,
        rsp: u64,
        world: &mut World<'_>,
    ) -> Result<(), Errno> {
        let wanted = if new == 0 {
            *self
        } else {
            self.wanted(world.words(new)?, rsp)?
        };
        if old != 0 {
            let Self(_, flags, _) = *self;
            let place = match self.is_used(rsp) {
                true => SS_ONSTACK,
                false => 0,
            };
            world.write(old, &self.record(flags | place))?;
        }
        *self = wanted;
        Ok(())
    }

    /// As a handler's return does; what cannot be is left as it is.
    pub fn restore(&mut self, words: [u64; 3], rsp: u64) {
        if let Ok(wanted) = self.wanted(words, rsp) {
            *self = wanted;
        }
    }

    fn wanted(&self, [address, flags, size]: [u64; 3], rsp: u64) -> Result<Self, Errno> {
        if self.is_used(rsp) {
            return Err(Errno::EPERM);
        }
        let flags = low(flags);
        if ![0, SS_ONSTACK, SS_DISABLE].contains(&(flags & !SS_AUTODISARM)) {
            return Err(Errno::EINVAL);
        }
        if flags & SS_DISABLE != 0 {
            return Ok(Self::NONE);
        }
        if size < MINSIGSTKSZ.into() {
            return Err(Errno::ENOMEM);
        }
        Ok(Self(address, flags & SS_AUTODISARM, size))
    }

    /// As a frame has it.
    pub fn saved(&self) -> [u8; STACK_BYTES] {
        self.record(self.1)
    }

    fn record(&self, flags: u32) -> [u8; STACK_BYTES] {
        let Self(address, _, size) = *self;
        // A pointer has no bytes to be written; it is the first field.
        let mut bytes = record!(sigaltstack {
            ss_flags: flags.cast_signed(),
            ss_size: size
        });
        bytes[..8].copy_from_slice(&address.to_le_bytes());
        bytes
    }

    /// Whether an address lies in it, whose end belongs to it.
    pub const fn holds(&self, rsp: u64) -> bool {
        let Self(address, _, size) = *self;
        rsp > address && rsp - address <= size
    }

    /// Whether it is in use; one that disarms itself never is.
    pub const fn is_used(&self, rsp: u64) -> bool {
        self.1 & SS_AUTODISARM == 0 && self.holds(rsp)
    }

    /// Its end, if there is one that can be switched to.
    pub const fn end(&self) -> Option<u64> {
        let Self(address, flags, size) = *self;
        if flags & SS_DISABLE != 0 {
            return None;
        }
        address.checked_add(size)
    }

    /// After a handler was entered.
    pub const fn disarm(&mut self) {
        if self.1 & SS_AUTODISARM != 0 {
            *self = Self::NONE;
        }
    }
}
