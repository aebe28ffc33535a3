//! What a program's system calls reach of the machine.

use std::fs::File;
use std::io::Read;

use linux::{Clock, HostFacts, Memory};

use crate::kvm::host::clock;
use crate::kvm::memory::GuestMemory;

impl Memory for GuestMemory {
    fn read(&self, gpa: u64, bytes: &mut [u8]) -> bool {
        Self::read(self, gpa, bytes).is_ok()
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> bool {
        Self::write(self, gpa, bytes).is_ok()
    }
}

/// Time and chance as this host has them.
pub(super) struct Facts;

impl HostFacts for Facts {
    fn now(&mut self, clock: Clock) -> (i64, u32) {
        clock::kernel_time(match clock {
            Clock::Realtime => libc::CLOCK_REALTIME,
            Clock::Monotonic => libc::CLOCK_MONOTONIC,
            Clock::Processor => libc::CLOCK_THREAD_CPUTIME_ID,
        })
    }

    fn random(&mut self, bytes: &mut [u8]) {
        // A host without it has no chance; zeros are then as good as any.
        let _ = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes));
    }
}
