//! System calls, by subject. Each subject keeps what it has to, and says of a call that is not its
//! own so.

#![expect(non_upper_case_globals, reason = "the numbers have the kernel's names")]

mod copying;
mod credentials;
mod descriptors;
mod heap;
mod identity;
mod locks;
mod paths;
mod poll;
mod record;
mod resources;
mod select;
mod signals;
mod time;
mod transfer;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use linux_raw_sys::general::{__NR_exit, __NR_exit_group};
use serde::{Deserialize, Serialize};

use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::limits::COUNTED_CALLS;
use crate::program::Loaded;
use crate::space::Space;
use crate::tree::Tree;
use heap::Heap;
use resources::Resources;
pub use signals::{Delivery, Registers, Trap};
use signals::{Next, Signals};
pub use world::{Answer, Call, Clock, HostFacts, Thread, World};

/// What an operating system remembers of one program.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Kernel {
    heap: Heap,
    #[serde(deserialize_with = "Files::stored")]
    files: Files,
    resources: Resources,
    signals: Signals,
    /// How often each number came; all that are too large are the last one.
    counts: Vec<u64>,
    /// What the host is asked about before it is answered here.
    #[serde(skip)]
    watched: WatchedCalls,
}

/// System calls by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WatchedCalls {
    /// None.
    #[default]
    None,
    /// These.
    These(BTreeSet<u64>),
    /// All, known or not.
    All,
}

impl Kernel {
    /// For a program that has been loaded, in a machine with so many bytes of memory.
    pub fn new(loaded: &Loaded, memory_bytes: u64) -> Self {
        Self {
            heap: Heap::new(loaded),
            files: Files::new(),
            resources: Resources::new(memory_bytes),
            signals: Signals::new(),
            counts: vec![0; COUNTED_CALLS + 1],
            watched: WatchedCalls::None,
        }
    }

    /// For a program that has files of its own.
    pub fn with_tree(loaded: &Loaded, memory_bytes: u64, tree: Tree) -> Self {
        let mut kernel = Self::new(loaded, memory_bytes);
        kernel.files.tree = Some(tree);
        kernel
    }

    /// What it finds by path.
    pub fn tree(&mut self) -> Option<&mut Tree> {
        self.files.tree.as_mut()
    }

    /// It has files and signals of its own.
    fn is_process(&self) -> bool {
        self.files.tree.is_some()
    }

    /// Answers a system call.
    ///
    /// [`Answer::Ask`] comes for what only the host can answer: its own descriptors, paths, other
    /// processes, time that shall pass, signals that are sent, and whatever is not known here.
    pub fn call(&mut self, call: &Call, world: &mut World<'_>) -> Answer {
        let number = usize::try_from(call.number).map_or(COUNTED_CALLS, |n| n.min(COUNTED_CALLS));
        if let Some(count) = self.counts.get_mut(number) {
            *count = count.wrapping_add(1);
        }
        let is_watched = match &self.watched {
            WatchedCalls::None => false,
            WatchedCalls::These(numbers) => numbers.contains(&call.number),
            WatchedCalls::All => true,
        };
        // Time that passes without the program is its host's to watch.
        let is_timed = signals::sets_timer(call.number) && !world.host.is_fixed();
        if is_watched || is_timed && self.is_process() {
            return Answer::Ask;
        }
        self.go_on(call, world)
    }

    /// Answers a system call that the host was asked about first, and has left to this.
    pub fn go_on(&mut self, call: &Call, world: &mut World<'_>) -> Answer {
        let answer = u32::try_from(call.number)
            .ok()
            .and_then(|number| self.answer(number, call.arguments, world));
        if answer == Some(Errno::EPIPE.into()) && self.is_process() {
            // It comes once, and so never too often.
            let _ = self.signals.send(signals::of_pipe());
        }
        signals::look_at_time(&mut self.signals, world);
        match (answer, self.signals.next()) {
            (Some(Answer::Value(_)), Next::Deadly(signal)) => Answer::Killed { signal },
            (answer, _) => answer.unwrap_or(Answer::Ask),
        }
    }

    fn answer(
        &mut self,
        number: u32,
        arguments: [u64; 6],
        world: &mut World<'_>,
    ) -> Option<Answer> {
        if [__NR_exit, __NR_exit_group].contains(&number) {
            let [code, ..] = arguments[0].to_le_bytes();
            return Some(Answer::Exit { code: code.into() });
        }
        let is_process = self.is_process();
        let files = &mut self.files;
        transfer::answer(number, arguments, files, world)
            .or_else(|| paths::answer(number, arguments, files, &self.resources, world))
            .or_else(|| time::answer(number, arguments, world))
            .or_else(|| self.heap.answer(number, arguments, files, world))
            .or_else(|| locks::answer(number, arguments, files, world))
            .or_else(|| descriptors::answer(number, arguments, files, world))
            .or_else(|| {
                let signals = is_process.then_some(&mut self.signals);
                poll::answer(number, arguments, files, signals, world)
            })
            .or_else(|| {
                let signals = is_process.then_some(&mut self.signals);
                select::answer(number, arguments, files, signals, world)
            })
            .or_else(|| identity::answer(number, arguments, world))
            .or_else(|| credentials::answer(number, arguments, world))
            .or_else(|| signals::answer(&mut self.signals, number, arguments, world))
            .or_else(|| {
                let signals = is_process.then_some(&mut self.signals)?;
                signals::answer_process(signals, number, arguments, world)
            })
            .or_else(|| self.resources.answer(number, arguments, world))
    }

    /// The paths of the host's files that are open.
    pub fn host_files(&self) -> Vec<Vec<u8>> {
        self.files.host_files()
    }

    /// Sends a signal from outside; returns whether it interrupts a call that waits. One that is no
    /// signal, or that the program ignores, is forgotten, and so is each where it has no files of
    /// its own.
    pub fn send_signal(&mut self, signal: u32) -> bool {
        if !self.is_process() || !(1..=signals::SIGNALS).contains(&signal) {
            return false;
        }
        // Too many that queue up are as good as none.
        let _ = self.signals.send(signals::from_outside(signal));
        self.signals.wakes()
    }

    /// Looks at the timer of `alarm` and `setitimer`, which sends its signal if it is due. Returns
    /// how long is left until it sends the next one, and whether a call that waits is interrupted.
    pub fn look_at_timer(&mut self, world: &mut World<'_>) -> (Option<Duration>, bool) {
        let left = signals::look_at_time(&mut self.signals, world);
        (left, self.signals.wakes())
    }

    /// Makes a signal of a fault; false if the program has no handler that would run.
    pub fn take_trap(&mut self, trap: &Trap, space: &Space) -> bool {
        self.is_process() && signals::take(&mut self.signals, trap, space)
    }

    /// Whether [`deliver`](Self::deliver) is due before the program goes on.
    pub fn has_signal(&mut self) -> bool {
        self.is_process() && self.signals.is_due()
    }

    /// Delivers signals to a program that is to go on with `registers`. `call` is the number of the
    /// system call that it comes from, if that waited: one that has failed with `EINTR` is made
    /// again where the handler says so.
    pub fn deliver(
        &mut self,
        registers: &mut Registers,
        call: Option<u64>,
        world: &mut World<'_>,
    ) -> Delivery {
        signals::deliver(&mut self.signals, registers, call, world)
    }

    /// Goes back from a handler (`rt_sigreturn`). Returns where its frame lies; none if that is no
    /// frame, which [`deliver`](Self::deliver) then answers by `SIGSEGV`.
    pub fn leave_handler(
        &mut self,
        registers: &mut Registers,
        world: &mut World<'_>,
    ) -> Option<u64> {
        signals::leave(&mut self.signals, registers, world)
    }

    /// Says what the host is asked about, even if it would be answered here.
    pub fn watch(&mut self, watched: WatchedCalls) {
        self.watched = watched;
    }

    /// How often each system call came, by its number; the last one is of all that are larger.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Makes a descriptor of what the host has opened. `flags` are those of `open`.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn open_host(&mut self, id: u32, flags: u32, closes: bool) -> Result<u64, Errno> {
        self.files.open(Object::Host(id), flags, closes)
    }

    /// What a descriptor is to the host, if it is the host's.
    pub fn host_of(&self, descriptor: i32) -> Option<u32> {
        match self.files.get(descriptor).ok()?.object {
            Object::Host(id) => Some(id),
            _ => None,
        }
    }

    /// What the host has opened, and the program has closed, since it was asked last.
    pub fn take_closed(&mut self) -> Vec<u32> {
        self.files.take_closed()
    }
}
