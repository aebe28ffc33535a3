//! Runs of a machine, and what stops them.

use std::time::Duration;

use crate::debug::StopKind;
use crate::error::Result;
use crate::kvm::kick::KickHandle;
use crate::machine::Machine;
use crate::run::{Crew, ExitHandler, Outcome, RunLimits, Scene, StopMeans, stop_means};

impl Machine {
    /// Runs the vCPU of a machine that has one, on this thread, until something ends the run.
    ///
    /// A further run continues where this one ended.
    ///
    /// # Errors
    /// `UnansweredRead` while the guest waits for [`reply`](Self::reply), `Handler` when the
    /// handler fails, `KvmIoctl` when `KVM_RUN` does, `InvalidOption` when there are several vCPUs,
    /// `Internal` ever after a run that panicked.
    pub fn run(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handler: &mut dyn ExitHandler,
    ) -> Result<Outcome> {
        let (crew, scene) = self.crew_and_scene();
        crew.run_alone(scene, kick, limits, handler)
    }

    /// Runs every vCPU until one of them ends the run: the first on this thread, each other on a
    /// thread of its own. There is one handler for each vCPU.
    ///
    /// # Errors
    /// As [`run`](Self::run), but also for one vCPU; `InvalidOption` unless each has a handler.
    pub fn run_together<H: ExitHandler + Send>(
        &mut self,
        kick: &KickHandle,
        limits: RunLimits,
        handlers: &mut [H],
    ) -> Result<Outcome> {
        let (crew, scene) = self.crew_and_scene();
        crew.run_together(scene, kick, limits, handlers)
    }

    /// Whether a run can begin: the errors of [`run`](Self::run) that come before an entry.
    ///
    /// # Errors
    /// `UnansweredRead`, `Internal`.
    pub fn check_ready(&mut self) -> Result<()> {
        self.crew.check_ready()
    }

    /// Enters the guest again and again until it halts, and returns the time that took: the
    /// yardstick where no C compiler can build `bench/raw.c`. Its writes go nowhere, uncounted.
    ///
    /// # Errors
    /// `InvalidOption` when the guest does anything but write and halt, or not within `timeout`;
    /// `KvmIoctl`.
    pub fn run_bare(&mut self, timeout: Duration) -> Result<Duration> {
        self.crew.run_bare(timeout)
    }

    /// Adds a breakpoint, a watchpoint, or a look at every instruction, for the runs that follow;
    /// `asks` whether the handler is asked, else the run ends there. Gives the stop's id.
    ///
    /// # Errors
    /// `Limit`.
    pub fn add_stop(&mut self, kind: StopKind, asks: bool) -> Result<u32> {
        self.stops.add(kind, asks)
    }

    /// Removes it, if it is there.
    pub fn remove_stop(&mut self, id: u32) {
        self.stops.remove(id);
    }

    /// By what it stops where its first vCPU is.
    ///
    /// # Errors
    /// As of [`DebugMeans::get`](crate::DebugMeans::get).
    pub fn stop_means(&mut self) -> Result<StopMeans> {
        stop_means(self.crew.boot_mut())
    }

    fn crew_and_scene(&mut self) -> (&mut Crew, Scene<'_>) {
        let scene = Scene {
            bus: &mut self.bus,
            counters: &self.counters,
            memory: self.vm.memory(),
            stops: &self.stops,
        };
        (&mut self.crew, scene)
    }
}
