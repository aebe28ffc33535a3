//! A machine's native program.

use std::sync::Arc;
use std::time::Duration;

use linux::{Entry, Tree, WatchedCalls};

use crate::error::{Error, ErrorCode, Result};
use crate::machine::Machine;
use crate::user::{User, UserProgram, UserStop, found};

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

    /// Lets the kernel answer the system call that has ended the last run: RAX, which is still to
    /// be given to [`user_answer`](Self::user_answer). `None` if it does not know the call either,
    /// or the program is over: [`user_stop`](Self::user_stop) says so.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_go_on(&mut self) -> Result<Option<u64>> {
        let memory = Arc::clone(self.memory());
        Ok(self.user()?.go_on(&memory))
    }

    /// What the caller is asked about, even if it would be answered here.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_watch(&mut self, watched: WatchedCalls) -> Result<()> {
        self.user()?.state.kernel.watch(watched);
        Ok(())
    }

    /// What a descriptor is to the caller, if it is the caller's: 0, 1 and 2 are the standard
    /// streams, whichever numbers the program has for them.
    pub fn user_stream(&mut self, descriptor: i32) -> Option<u32> {
        self.user().ok()?.state.kernel.host_of(descriptor)
    }

    /// How often each system call came, by its number; the last one is of all that are larger.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_counts(&mut self) -> Result<&[u64]> {
        Ok(self.user()?.state.kernel.counts())
    }

    /// All bytes of a file that the program finds at a path.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program, or that no files; `Payload` with the errno.
    pub fn user_file(&mut self, path: &[u8]) -> Result<Vec<u8>> {
        let tree = self.user_tree()?;
        found(path, tree.read_file(path))
    }

    /// What is in a directory that the program finds at a path.
    ///
    /// # Errors
    /// As [`user_file`](Self::user_file).
    pub fn user_list(&mut self, path: &[u8]) -> Result<Vec<Entry>> {
        let tree = self.user_tree()?;
        found(path, tree.list(path))
    }

    /// Where the files of the host are, as the program has them, that it has open.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_host_files(&mut self) -> Result<Vec<Vec<u8>>> {
        Ok(self.user()?.state.kernel.host_files())
    }

    /// What `/proc/self/cmdline` has from now on.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program, or that no files.
    pub fn user_arguments(&mut self, arguments: Vec<Vec<u8>>) -> Result<()> {
        self.user_tree()?.set_arguments(arguments);
        Ok(())
    }

    fn user_tree(&mut self) -> Result<&mut Tree> {
        self.user()?.state.kernel.tree().ok_or_else(|| {
            let what = "the program has no files";
            Error::new(ErrorCode::InvalidOption, what)
        })
    }

    /// Looks at the timer that `alarm` or `setitimer` has set, which sends `SIGALRM` if it is due.
    /// Returns how long is left until it sends the next one, if it does, and whether a system call
    /// that waits for its answer is interrupted. Both calls end a run, as time that passes without
    /// the program is its caller's to watch; [`user_go_on`](Self::user_go_on) answers them.
    ///
    /// # Errors
    /// `InvalidOption` if the machine has no program.
    pub fn user_timer(&mut self) -> Result<(Option<Duration>, bool)> {
        let memory = Arc::clone(self.memory());
        Ok(self.user()?.look_at_timer(&memory))
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
        Err(out_of_reach(address, bytes.len(), "read"))
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
        Err(out_of_reach(address, bytes.len(), "write"))
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

fn out_of_reach(address: u64, bytes: usize, access: &str) -> Error {
    let what = format!("{bytes} bytes at {address:#x}: the program could not {access} them all");
    Error::new(ErrorCode::GuestMemory, what)
}
