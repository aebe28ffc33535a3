//! What makes a vCPU stop before its guest does: breakpoints, watchpoints, every instruction.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};
use crate::limits::MAX_STOPS;

/// Where a breakpoint lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopAt {
    /// A linear address, as the vCPU's page tables have it at the time.
    Linear(u64),
    /// A guest physical address, whatever maps it.
    Gpa(u64),
}

/// Which accesses a watchpoint is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchOn {
    /// Stores.
    Write,
    /// Loads.
    Read,
    /// Both.
    Access,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// An instruction, before it is executed.
    Breakpoint(StopAt),
    /// An instruction that accesses memory, after it was executed.
    Watchpoint {
        /// The first linear address.
        linear: u64,
        /// 1 to 8.
        bytes: u8,
        /// What counts.
        on: WatchOn,
    },
    /// Every instruction of one vCPU, after it was executed.
    Step {
        /// Its index.
        vcpu: u32,
        /// The other vCPUs stand still.
        alone: bool,
    },
}

/// A stop of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Tells it from others of the machine.
    pub id: u32,
    /// What is waited for.
    pub kind: StopKind,
    /// Whether the handler says if the run ends there; else it does.
    pub asks: bool,
}

/// What a vCPU has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum HitKind {
    /// The instruction is the next one.
    Breakpoint,
    /// The instruction was the last one.
    Watchpoint,
    /// An instruction, or as many as were wanted.
    Step,
    /// As many instructions as the run was allowed.
    InstructionLimit,
}

/// A stop that a vCPU has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Hit {
    /// The stop's id; none for the limits of a run.
    pub id: Option<u32>,
    /// What it is.
    pub kind: HitKind,
    /// Linear: of the next instruction; of a watchpoint the watched address.
    pub address: u64,
    /// What is watched, before the instruction and after it.
    pub watched: Option<Watched>,
    /// Whether the handler is asked.
    pub asks: bool,
}

/// Bytes before and after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Watched {
    /// How many count.
    pub bytes: u8,
    /// Before.
    pub before: [u8; 8],
    /// After.
    pub after: [u8; 8],
}

/// The stops of a machine.
#[derive(Debug, Default)]
pub struct Stops {
    list: Vec<Stop>,
    next_id: u32,
}

impl Stops {
    /// Adds one, and gives its id.
    ///
    /// # Errors
    /// `Limit` if there are too many.
    pub fn add(&mut self, kind: StopKind, asks: bool) -> Result<u32> {
        if self.list.len() >= MAX_STOPS {
            let what = format!("a machine has at most {MAX_STOPS} breakpoints and watchpoints");
            return Err(Error::new(ErrorCode::Limit, what));
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.list.push(Stop { id, kind, asks });
        Ok(id)
    }

    /// Removes one, if it is there.
    pub fn remove(&mut self, id: u32) {
        self.list.retain(|stop| stop.id != id);
    }

    /// In the order in which they were added.
    pub fn list(&self) -> &[Stop] {
        &self.list
    }

    /// The vCPU that alone shall run, if one shall.
    pub fn alone(&self) -> Option<u32> {
        self.list.iter().find_map(|stop| match stop.kind {
            StopKind::Step { vcpu, alone: true } => Some(vcpu),
            _ => None,
        })
    }
}
