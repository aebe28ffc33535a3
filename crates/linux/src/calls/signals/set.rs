//! Sets of signals, as the kernel has them: a bit for each, that of signal 1 first.

use linux_raw_sys::general::{SIGKILL, SIGSTOP};

/// Bytes of a set.
pub const SET_BYTES: u64 = 8;
/// How many signals there are.
pub const SIGNALS: u32 = 64;
/// These cannot be blocked.
pub const UNBLOCKABLE: u64 = of(SIGKILL) | of(SIGSTOP);

/// The set of one signal; empty if there is none of that number.
pub const fn of(signal: u32) -> u64 {
    if signal == 0 || signal > SIGNALS {
        return 0;
    }
    1 << (signal - 1)
}
