//! Interrupts from outside the guest: lines of the in-kernel irqchip, and what a vCPU's own thread
//! injects.

mod queue;

use std::sync::{Arc, Weak};

use devices::{Level, Trigger};

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::vm::Vm;
use crate::limits::{IRQ_LINES, MAX_QUEUED_VECTORS};

pub(crate) use queue::{Injection, InjectionState, Injections};

/// Raises the interrupts of one machine, from any thread, whether it runs or not.
#[derive(Debug)]
pub struct Interrupts {
    /// The VM, if it has an irqchip.
    irqchip: Option<Arc<Vm>>,
    /// By vCPU.
    waiting: Vec<Arc<Injections>>,
}

impl Interrupts {
    pub(crate) const fn new(irqchip: Option<Arc<Vm>>, waiting: Vec<Arc<Injections>>) -> Self {
        Self { irqchip, waiting }
    }

    /// Raises or lowers a line (KVM API, `KVM_IRQ_LINE`): 0 to 15 reach the PIC and the IOAPIC, 16
    /// to 23 the IOAPIC.
    ///
    /// # Errors
    /// `InvalidOption` without an irqchip or for a line that it does not have, `KvmIoctl`.
    pub fn set_line(&self, line: u32, level: bool) -> Result<()> {
        let vm = self.irqchip(line)?;
        vm.set_irq_line(line, level)
            .map_err(Error::ioctl("KVM_IRQ_LINE"))
    }

    /// Raises a line and lowers it at once: one edge.
    ///
    /// # Errors
    /// As [`set_line`](Self::set_line).
    pub fn pulse(&self, line: u32) -> Result<()> {
        self.irqchip(line)?.pulse(line)
    }

    /// Whether there are lines.
    pub(crate) const fn has_irqchip(&self) -> bool {
        self.irqchip.is_some()
    }

    /// A line, for a device that pulses or sets it itself.
    pub(crate) fn line(&self, line: u32) -> Result<Line> {
        let vm = Arc::downgrade(self.irqchip(line)?);
        Ok(Line { vm, line })
    }

    /// Queues an external interrupt for a vCPU of a machine without an irqchip (KVM API,
    /// `KVM_INTERRUPT`). It is delivered when the guest takes interrupts; the caller then has to
    /// poke that vCPU.
    ///
    /// # Errors
    /// `InvalidOption` with an irqchip, which is asked through its lines, or for a vCPU that does
    /// not exist; `Limit` when too many wait.
    pub fn interrupt(&self, vcpu: u32, vector: u8) -> Result<()> {
        if self.irqchip.is_some() {
            return Err(invalid(
                "interrupt is for machines without an irqchip; raise a line with irq(line) instead"
                    .into(),
            ));
        }
        if self.waiting(vcpu)?.push_vector(vector) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::Limit,
            format!(
                "{MAX_QUEUED_VECTORS} interrupts wait for vCPU {vcpu} already; let the guest take them first"
            ),
        ))
    }

    /// Queues a non-maskable interrupt for a vCPU (KVM API, `KVM_NMI`).
    ///
    /// # Errors
    /// `InvalidOption` for a vCPU that does not exist.
    pub fn nmi(&self, vcpu: u32) -> Result<()> {
        self.waiting(vcpu)?.push_nmi();
        Ok(())
    }

    fn irqchip(&self, line: u32) -> Result<&Arc<Vm>> {
        if line >= IRQ_LINES {
            return Err(invalid(format!(
                "line must be 0 to {}, got {line}",
                IRQ_LINES - 1
            )));
        }
        self.irqchip.as_ref().ok_or_else(|| {
            invalid("the machine has no interrupt lines; make it with irqchip: true".into())
        })
    }

    fn waiting(&self, vcpu: u32) -> Result<&Injections> {
        self.waiting
            .get(vcpu as usize)
            .map(|waiting| &**waiting)
            .ok_or_else(|| {
                let count = self.waiting.len();
                invalid(format!("vcpu must be 0 to {}, got {vcpu}", count - 1))
            })
    }
}

/// A line that a device pulses or sets from any thread; it keeps no VM alive.
#[derive(Debug)]
pub(crate) struct Line {
    vm: Weak<Vm>,
    line: u32,
}

impl Trigger for Line {
    fn trigger(&self) {
        // The line is one that the irqchip has, so it does not fail.
        if let Some(vm) = self.vm.upgrade() {
            vm.pulse(self.line).ok();
        }
    }
}

impl Level for Line {
    fn set(&self, is_high: bool) {
        if let Some(vm) = self.vm.upgrade() {
            vm.set_irq_line(self.line, is_high).ok();
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidOption, message)
}
