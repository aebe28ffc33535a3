//! Sampling a machine for a while, by the clock of its runs.

use std::sync::Arc;
use std::time::Duration;

use crate::debug::{Sampler, Samples};
use crate::error::{Error, ErrorCode, Result};
use crate::limits::MAX_SAMPLE_HZ;
use crate::run::Alarm;

/// Samples a machine until it is dropped, whether runs begin or end meanwhile.
///
/// # Examples
/// ```no_run
/// use vmm::{CpuMode, KickHandle, Machine, MachineConfig, RunLimits, Sampling};
///
/// // hlt
/// let mut machine = Machine::new(MachineConfig::new(CpuMode::Real, vec![0xf4]))?;
/// let sampler = machine.vcpu(0).map(|vcpu| vcpu.sampler().clone()).unwrap_or_default();
/// let sampling = Sampling::begin(&sampler, 99.0)?;
/// machine.run(&KickHandle::new(), RunLimits::default(), &mut ())?;
/// assert!(sampling.end().samples.len() < 5);
/// # Ok::<(), vmm::Error>(())
/// ```
#[derive(Debug)]
pub struct Sampling {
    sampler: Arc<Sampler>,
    /// Its clock; none after the end.
    alarm: Option<Alarm>,
}

impl Sampling {
    /// Begins, `hz` times a second for each vCPU.
    ///
    /// # Errors
    /// `InvalidOption` for a rate that is none; `VmBusy` while the machine is sampled already;
    /// `Limit` for a thread that cannot start.
    pub fn begin(sampler: &Arc<Sampler>, hz: f64) -> Result<Self> {
        if !(1.0..=MAX_SAMPLE_HZ).contains(&hz) {
            let what = format!("hz must be 1 to {MAX_SAMPLE_HZ}, got {hz}");
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        let period = Duration::from_secs_f64(1.0 / hz);
        sampler.begin(period)?;
        let alarm = Alarm::sample(period, sampler).inspect_err(|_| {
            sampler.end();
        })?;
        Ok(Self {
            sampler: Arc::clone(sampler),
            alarm: Some(alarm),
        })
    }

    /// How many samples there are so far.
    pub fn taken(&self) -> u64 {
        self.sampler.taken()
    }

    /// Ends, with what was found.
    pub fn end(mut self) -> Samples {
        self.alarm = None;
        self.sampler.end().unwrap_or_default()
    }
}

impl Drop for Sampling {
    fn drop(&mut self) {
        if self.alarm.is_some() {
            self.sampler.end();
        }
    }
}
