//! One vCPU's way through a run that has stops.

use boot::paging::PagingState;
use kvm_bindings::kvm_sregs;

use crate::debug::{Place, Stop, StopAt, StopKind, VirtualMemory};
use crate::run::processor::Processor;

use super::choice::Mean;
use super::stoppers::Stoppers;

/// One vCPU's part.
#[derive(Debug)]
pub(crate) struct Stopping<'a> {
    pub(super) all: &'a Stoppers<'a>,
    /// Breakpoints with their means, as of this translation and place.
    pub(super) resolved: Option<(PagingState, Place)>,
    pub(super) points: Vec<(Stop, Mean)>,
    /// Inside the guest: for one instruction with no byte in place.
    pub(super) is_alone: bool,
    /// The entry is for one instruction.
    pub(super) steps: bool,
    /// RIP before it.
    pub(super) from: Option<u64>,
    /// The instruction is `hlt`.
    pub(super) halts: bool,
}

impl<'a> Stopping<'a> {
    pub const fn new(all: &'a Stoppers<'a>) -> Self {
        Self {
            all,
            resolved: None,
            points: Vec::new(),
            is_alone: false,
            steps: false,
            from: None,
            halts: false,
        }
    }

    /// The breakpoints at a linear address.
    pub(super) fn breakpoints_at(
        &self,
        processor: &Processor,
        special: &kvm_sregs,
        linear: u64,
    ) -> impl Iterator<Item = &'a Stop> {
        self.all.stops.iter().filter(move |stop| match stop.kind {
            StopKind::Breakpoint(StopAt::Linear(at)) => at == linear,
            StopKind::Breakpoint(StopAt::Gpa(at)) => {
                self.gpa(processor, special, linear) == Some(at)
            }
            _ => false,
        })
    }

    /// Whether our byte is what a vCPU finds at a linear address.
    pub(super) fn is_patched(
        &self,
        processor: &Processor,
        special: &kvm_sregs,
        linear: u64,
        byte: u8,
    ) -> bool {
        let gpa = self.gpa(processor, special, linear);
        gpa.is_some_and(|gpa| self.all.gate.has(gpa, byte))
    }

    pub(super) fn gpa(
        &self,
        processor: &Processor,
        special: &kvm_sregs,
        linear: u64,
    ) -> Option<u64> {
        let memory = self.virtual_memory(processor, special);
        Some(memory.walk(linear).result.ok()?.gpa)
    }

    pub(super) fn virtual_memory(
        &self,
        processor: &Processor,
        special: &kvm_sregs,
    ) -> VirtualMemory<'a> {
        let paging = PagingState::new(special, processor.vcpu.paging);
        VirtualMemory::new(paging, self.all.memory)
    }
}
