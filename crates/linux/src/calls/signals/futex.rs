//! Futexes, of one thread.

use linux_raw_sys::general::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_CMP_REQUEUE, FUTEX_REQUEUE, FUTEX_WAIT,
    FUTEX_WAIT_BITSET, FUTEX_WAKE, FUTEX_WAKE_BITSET, FUTEX_WAKE_OP,
};

use crate::calls::time::{duration, pass};
use crate::calls::world::{Clock, World};
use crate::errno::Errno;

/// There is one thread, so nothing waits to be woken, and nothing would wake what waits: a wait
/// with a time ends at once as if that were over, one without as if the value had changed.
pub fn futex(
    at: u64,
    operation: u32,
    value: u32,
    timeout: u64,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    if !at.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let command = operation & FUTEX_CMD_MASK.cast_unsigned();
    match command {
        FUTEX_WAIT | FUTEX_WAIT_BITSET => {
            let mut word = [0; 4];
            world.read(at, &mut word)?;
            if u32::from_le_bytes(word) != value || timeout == 0 {
                return Err(Errno::EAGAIN);
            }
            let [seconds, nanoseconds] = world.words(timeout)?;
            let wanted = duration(seconds, nanoseconds)?;
            if world.host.is_fixed() {
                let is_absolute = command == FUTEX_WAIT_BITSET;
                let clock = match operation & FUTEX_CLOCK_REALTIME {
                    0 => Clock::Monotonic,
                    _ => Clock::Realtime,
                };
                pass(clock, is_absolute, wanted, world);
            }
            Err(Errno::ETIMEDOUT)
        }
        FUTEX_WAKE | FUTEX_WAKE_BITSET | FUTEX_REQUEUE | FUTEX_CMP_REQUEUE | FUTEX_WAKE_OP => Ok(0),
        _ => Err(Errno::ENOSYS),
    }
}
