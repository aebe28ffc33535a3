//! Interrupts from outside the guest: lines of the in-kernel irqchip, and what a vCPU's own thread
//! injects.

mod queue;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use devices::Trigger;
use vmm_sys_util::eventfd::EventFd;

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::vm::Vm;
use crate::limits::{IRQ_LINES, MAX_QUEUED_VECTORS};

#[allow(unused_imports, reason = "a vCPU's saved state is yet to come")]
pub(crate) use queue::InjectionState;
pub(crate) use queue::{Injection, Injections};

/// Raises the interrupts of one machine, from any thread, whether it runs or not.
#[derive(Debug)]
pub struct Interrupts {
    /// The VM, if it has an irqchip.
    irqchip: Option<Arc<Vm>>,
    /// By vCPU.
    waiting: Vec<Arc<Injections>>,
    /// The irqfd of each line that was pulsed, made at its first pulse.
    pulses: Mutex<BTreeMap<u32, EventFd>>,
}

impl Interrupts {
    pub(crate) fn new(irqchip: Option<Arc<Vm>>, waiting: Vec<Arc<Injections>>) -> Self {
        Self {
            irqchip,
            waiting,
            pulses: Mutex::default(),
        }
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

    /// Raises a line and lowers it at once, through an irqfd (KVM API, `KVM_IRQFD`): one edge.
    ///
    /// # Errors
    /// As [`set_line`](Self::set_line).
    pub fn pulse(&self, line: u32) -> Result<()> {
        let vm = self.irqchip(line)?;
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        let fd = match pulses.entry(line) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => place.insert(irqfd(vm, line)?),
        };
        fd.write(1).map_err(Error::io("write"))
    }

    /// Whether there are lines.
    pub(crate) const fn has_irqchip(&self) -> bool {
        self.irqchip.is_some()
    }

    /// An irqfd of a line, for a device that pulses it itself.
    pub(crate) fn irqfd(&self, line: u32) -> Result<IrqFd> {
        Ok(IrqFd(irqfd(self.irqchip(line)?, line)?))
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

    fn irqchip(&self, line: u32) -> Result<&Vm> {
        if line >= IRQ_LINES {
            return Err(invalid(format!(
                "line must be 0 to {}, got {line}",
                IRQ_LINES - 1
            )));
        }
        self.irqchip.as_deref().ok_or_else(|| {
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

/// A line that a device pulses from any thread.
#[derive(Debug)]
pub(crate) struct IrqFd(EventFd);

impl Trigger for IrqFd {
    fn trigger(&self) {
        // Non-blocking, it fails only when its counter is full: the interrupt is then pending
        // anyway.
        self.0.write(1).ok();
    }
}

fn irqfd(vm: &Vm, line: u32) -> Result<EventFd> {
    let fd = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(Error::io("eventfd"))?;
    vm.register_irqfd(&fd, line)
        .map_err(Error::ioctl("KVM_IRQFD"))?;
    Ok(fd)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidOption, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use devices::Com1;

    const DATA: u8 = 0;
    const INTERRUPT_ENABLE: u8 = 1;

    #[test]
    fn an_irqfd_is_a_trigger_and_a_full_one_no_obstacle() {
        let pair = EventFd::new(libc::EFD_NONBLOCK).and_then(|fd| Ok((fd.try_clone()?, fd)));
        let Ok((fd, line)) = pair else {
            panic!("no eventfd: {pair:?}");
        };
        let mut com1 = Com1::new(Some(Box::new(IrqFd(line))));
        let enable = std::iter::once((INTERRUPT_ENABLE, 0x01));
        com1.write(enable, &mut devices::Output::default());
        com1.port.input(b"abc");
        assert_eq!(fd.read().ok(), Some(1));
        assert!(fd.write(u64::MAX - 1).is_ok());
        assert_eq!((com1.read(DATA), com1.read(DATA)), (b'a', b'b'));
    }
}
