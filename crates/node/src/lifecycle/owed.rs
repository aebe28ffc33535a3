//! Registers at the end of a run that are known only once KVM has completed an access: found out
//! when somebody looks, or right before anything changes them.

use std::cell::{Cell, RefCell};

use napi::bindgen_prelude::BigUint64Array;
use vmm::{Machine, Result};

use crate::convert::block;
use crate::ffi;

/// What is owed to the result of the last run.
#[derive(Default)]
pub struct Owed {
    into: RefCell<Option<BigUint64Array>>,
    vcpu: Cell<u32>,
}

impl Owed {
    /// Owes the registers of a vCPU.
    pub fn owe(&self, vcpu: u32, into: BigUint64Array) {
        self.vcpu.set(vcpu);
        self.into.replace(Some(into));
    }

    /// Whether nothing is.
    pub fn is_none(&self) -> bool {
        self.into.borrow().is_none()
    }

    /// Completes the access, and fills the array.
    pub fn pay(&self, machine: &mut Machine) -> Result<()> {
        let mut owed = self.into.borrow_mut();
        if let Some(into) = &mut *owed
            && let Some(processor) = machine.vcpu(self.vcpu.get())
        {
            let registers = processor.registers()?;
            ffi::fill_words(into, &block::in_order(&registers));
        }
        owed.take();
        Ok(())
    }
}
