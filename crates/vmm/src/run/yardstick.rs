//! The bare `KVM_RUN` loop: what an exit costs without routing and answering.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::exit::Exit;
use crate::kvm::kick::KickHandle;
use crate::kvm::vcpu::Entry;
use crate::run::clock::{Alarm, RunLimits};
use crate::run::processor::Processor;

/// Enters the guest again and again until it halts; the time that took.
///
/// # Errors
/// `InvalidOption` when the guest does anything but write and halt, or not within `timeout`;
/// `KvmIoctl`.
pub(crate) fn run(processor: &mut Processor, timeout: Duration) -> Result<Duration> {
    let kick = KickHandle::new();
    let attached = kick.attach(processor.index, processor.vcpu.page())?;
    let limits = RunLimits {
        timeout: Some(timeout),
        ..RunLimits::default()
    };
    let _alarm = Alarm::set(limits, &kick)?;
    attached.enter();
    let begin = Instant::now();
    loop {
        match processor.vcpu.enter()? {
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

fn unfit(what: &str) -> Error {
    Error::new(
        ErrorCode::InvalidOption,
        format!("a bare loop needs a guest that writes and halts; this one came to {what}"),
    )
}
