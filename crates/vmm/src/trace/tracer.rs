//! One vCPU's hand in the trace of its machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kvm_bindings::kvm_regs;

use crate::kvm::exit::Exit;
use crate::kvm::vcpu::Vcpu;
use crate::trace::record::{
    FLAGS_SHIFT, HOST, REGISTER_WORDS, ROUTE, TELLS, VALUE, address, extent, flags, value,
};
use crate::trace::recording::{Trace, TraceSlot};

/// What a vCPU's thread knows between two hooks.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    /// Of the slot, when it was looked at last.
    turn: u64,
    trace: Option<Arc<Trace>>,
    /// When the guest was entered, 0 while it is not.
    entered: u64,
    /// When the last exit came, 0 as soon as the vCPU has gone on.
    left: u64,
    /// It is not answered yet.
    is_open: bool,
    /// The last time that was read. Processors may differ by a little, and threads change them.
    latest: u64,
}

impl Tracer {
    /// Looks for another trace, or none.
    pub fn look(&mut self, slot: &TraceSlot) {
        let turn = slot.turn();
        if turn != self.turn {
            *self = Self {
                turn,
                trace: slot.current(),
                ..Self::default()
            };
        }
    }

    /// The time, which never goes back.
    fn now(&mut self) -> Option<u64> {
        let now = self.trace.as_ref()?.clock().ticks();
        self.latest = self.latest.max(now);
        Some(self.latest)
    }

    /// The guest is about to run.
    pub fn enters(&mut self, slot: &TraceSlot, vcpu: u32) {
        self.look(slot);
        let Some(now) = self.now() else {
            return;
        };
        self.went_on(vcpu, now);
        if self.entered == 0 {
            self.entered = now;
        }
    }

    /// The run is over for this vCPU, or paused.
    pub fn leaves(&mut self, vcpu: u32) {
        let Some(now) = self.now() else {
            return;
        };
        self.went_on(vcpu, now);
        self.entered = 0;
    }

    /// The time of the host is over that the last exit has begun.
    fn went_on(&mut self, vcpu: u32, now: u64) {
        let left = std::mem::take(&mut self.left);
        if left == 0 {
            return;
        }
        if let Some(word) = self.last(vcpu, HOST) {
            word.store(now.saturating_sub(left).max(1), Ordering::Relaxed);
        }
    }

    fn last(&self, vcpu: u32, word: usize) -> Option<&AtomicU64> {
        self.trace.as_ref()?.ring(vcpu)?.last().get(word)
    }

    /// An exit came.
    pub fn exits(&mut self, slot: &TraceSlot, index: u32, exit: &Exit, vcpu: &mut Vcpu) {
        self.look(slot);
        let (Some(now), Some(trace)) = (self.now(), &self.trace) else {
            return;
        };
        let guest = match self.entered {
            0 => 0,
            entered => now.saturating_sub(entered),
        };
        let mut known = 0;
        let mut written = 0;
        if exit.is_access()
            && !exit.is_read()
            && let Ok(data) = vcpu.access_data(exit)
        {
            known |= flags::VALUE;
            written = value(exit, data);
        }
        let registers = match vcpu.registers_at_hand() {
            // Where they do not come with the exit, a call to KVM is what they cost.
            None if trace.has_registers() => vcpu.registers().ok(),
            at_hand => at_hand,
        };
        if registers.is_some() {
            known |= flags::REGISTERS;
        }
        if !exit.is_access() {
            known |= flags::ANSWERED;
        }
        let registers = registers.unwrap_or_default();
        let (size, count) = extent(exit);
        let record = [
            now,
            guest,
            0,
            address(exit),
            written,
            registers.rip,
            exit.kind() as u64
                | u64::from(size) << 8
                | u64::from(known) << FLAGS_SHIFT
                | u64::from(index) << 32,
            u64::from(count),
        ];
        if let Some(ring) = trace.ring(index) {
            if trace.has_registers() {
                ring.push(&record, &words(&registers));
            } else {
                ring.push(&record, &[]);
            }
        }
        self.is_open = exit.is_access();
        self.left = now;
        self.entered = 0;
    }

    /// The last exit is answered.
    pub fn settles(&mut self, index: u32, exit: &Exit, route: Option<u32>, vcpu: &mut Vcpu) {
        if !self.is_open || self.trace.is_none() {
            return;
        }
        self.is_open = false;
        let mut known = flags::ANSWERED;
        if exit.is_read()
            && let Ok(data) = vcpu.access_data(exit)
            && let Some(word) = self.last(index, VALUE)
        {
            known |= flags::VALUE;
            word.store(value(exit, data), Ordering::Relaxed);
        }
        if let Some(route) = route
            && let Some(word) = self.last(index, ROUTE)
        {
            known |= flags::ROUTE;
            let count = word.load(Ordering::Relaxed) & u64::from(u32::MAX);
            word.store(u64::from(route) << 32 | count, Ordering::Relaxed);
        }
        if let Some(word) = self.last(index, TELLS) {
            let flags = word.load(Ordering::Relaxed) | u64::from(known) << FLAGS_SHIFT;
            word.store(flags, Ordering::Release);
        }
    }
}

/// In the order of `struct kvm_regs`.
const fn words(of: &kvm_regs) -> [u64; REGISTER_WORDS] {
    [
        of.rax, of.rbx, of.rcx, of.rdx, of.rsi, of.rdi, of.rsp, of.rbp, of.r8, of.r9, of.r10,
        of.r11, of.r12, of.r13, of.r14, of.r15, of.rip, of.rflags,
    ]
}
