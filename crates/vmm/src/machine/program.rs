//! A machine's native program.

use std::sync::Arc;

use crate::error::{Error, ErrorCode, Result};
use crate::machine::Machine;
use crate::user::{User, UserProgram, UserStop};

impl Machine {
    /// Why the program stands still, after a run that has ended as an unclaimed write to a port of
    /// its own.
    pub fn user_stop(&mut self) -> Option<&UserStop> {
        self.crew.boot_mut().user.as_ref()?.stop()
    }

    /// Where the program lies.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has none.
    pub fn user_program(&mut self) -> Result<UserProgram> {
        Ok(self.user()?.state.program)
    }

    /// Gives RAX after the system call that has ended the last run; the next run goes on with it.
    ///
    /// # Errors
    /// `InvalidOption` if there was none.
    pub fn user_answer(&mut self, value: u64) -> Result<()> {
        if self.user()?.answer(value) {
            return Ok(());
        }
        let what = "no system call of the program waits for its answer";
        Err(Error::new(ErrorCode::InvalidOption, what))
    }

    /// Sends the program a signal, which is delivered when it runs next; it may end that run at
    /// once, as [`UserStop::Killed`]. Returns whether a system call that waits for its answer is
    /// interrupted, and has to be answered by `EINTR`. A library's program has no signals.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program, or there is no such signal.
    pub fn user_signal(&mut self, signal: u32) -> Result<bool> {
        if !(1..=64).contains(&signal) {
            let what = format!("signal {signal}: signals are 1 to 64");
            return Err(Error::new(ErrorCode::InvalidOption, what));
        }
        Ok(self.user()?.signal(signal))
    }

    /// The next run calls the function in the mailbox, with this stack.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_call(&mut self, rsp: u64) -> Result<()> {
        self.user()?.call(rsp);
        Ok(())
    }

    /// The next run looks in the mailbox for calls, until there is none for long.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_spin(&mut self) -> Result<()> {
        self.user()?.spin();
        Ok(())
    }

    /// Copies from the program's memory, by its own addresses.
    ///
    /// # Errors
    /// `GuestMemory` unless the program may read all of it.
    pub fn user_read(&mut self, address: u64, bytes: &mut [u8]) -> Result<()> {
        let memory = Arc::clone(self.memory());
        if self.user()?.read(&memory, address, bytes) {
            return Ok(());
        }
        Err(not_mapped(address, bytes.len()))
    }

    /// Copies to the program's memory, by its own addresses, and where the program may only read,
    /// too.
    ///
    /// # Errors
    /// `GuestMemory` unless all of it is mapped.
    pub fn user_write(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let memory = Arc::clone(self.memory());
        if self.user()?.write(&memory, address, bytes) {
            return Ok(());
        }
        Err(not_mapped(address, bytes.len()))
    }

    /// Maps memory of zeros that the program may read and write.
    ///
    /// # Errors
    /// `Limit` if it is too much, or something is mapped there.
    pub fn user_map(&mut self, address: u64, bytes: u64) -> Result<()> {
        if self.user()?.map(address, bytes) {
            return Ok(());
        }
        let what = format!("{bytes} bytes at {address:#x} cannot be mapped; give more memoryBytes");
        Err(Error::new(ErrorCode::Limit, what))
    }

    fn user(&mut self) -> Result<&mut User> {
        let user = self.crew.boot_mut().user.as_mut();
        user.map(AsMut::as_mut).ok_or_else(|| {
            let what = "the machine runs no native program";
            Error::new(ErrorCode::InvalidOption, what)
        })
    }
}

fn not_mapped(address: u64, bytes: usize) -> Error {
    let what = format!("{bytes} bytes at {address:#x}: the program has not mapped them all");
    Error::new(ErrorCode::GuestMemory, what)
}
