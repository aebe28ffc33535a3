//! The bare `KVM_RUN` loop: what an exit costs when nobody routes or answers it.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorCode, Result};
use crate::exit::Exit;
use crate::kick::KickHandle;
use crate::limits::BOOT_VCPU;
use crate::machine::Machine;
use crate::timekeeper::{Alarm, RunLimits};
use crate::vcpu::Entry;

impl Machine {
    /// Enters the guest again and again until it halts, and returns the time that took. Its writes go nowhere and
    /// are not counted: this is the yardstick where no C compiler can build `bench/raw.c`.
    ///
    /// # Errors
    /// `InvalidOption` when the guest does anything but write and halt, or not within `timeout`; `KvmIoctl`.
    pub fn run_bare(&mut self, timeout: Duration) -> Result<Duration> {
        let kick = KickHandle::new();
        let attached = kick.attach(BOOT_VCPU, self.boot.vcpu.page())?;
        let _alarm = Alarm::set(
            RunLimits {
                timeout: Some(timeout),
                ..RunLimits::default()
            },
            &kick,
        )?;
        attached.enter();
        let begin = Instant::now();
        loop {
            match self.boot.vcpu.enter()? {
                Entry::Exit(Exit::PioOut(_) | Exit::MmioWrite(_)) => {}
                Entry::Exit(Exit::Hlt) => return Ok(begin.elapsed()),
                Entry::Exit(exit) => return Err(unfit(exit.name())),
                // However the kernel refuses to run it, the time-out ends it.
                _ if kick.requested().is_some() => return Err(unfit("a time-out")),
                Entry::InterruptWindow | Entry::NotStarted => {}
                Entry::Interrupted => {
                    attached.acknowledge();
                }
            }
        }
    }
}

fn unfit(what: &str) -> Error {
    Error::new(
        ErrorCode::InvalidOption,
        format!("a bare loop needs a guest that writes and halts; this one came to {what}"),
    )
}
