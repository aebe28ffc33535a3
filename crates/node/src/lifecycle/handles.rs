//! What reaches into a machine at any time, also while a thread of its own has it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use vmm::{
    Error, ErrorCode, GuestMemory, Interrupts, Machine, NicCounts, Panel, Remote, RemoteNic,
    Result, ScreenView, SerialPort,
};

use super::remotes::Remotes;

/// Gone once the machine is closed, so that all of it goes then and not with the object.
pub struct Handles {
    reach: RefCell<Option<Reach>>,
    /// For what they have counted, which can be asked for after that.
    nics: Vec<Arc<RemoteNic>>,
}

struct Reach {
    memory: Arc<GuestMemory>,
    interrupts: Arc<Interrupts>,
    panel: Panel,
    screen: Option<ScreenView>,
    remotes: Rc<Remotes>,
}

impl Handles {
    pub fn new(machine: &Machine) -> Self {
        let ends = machine.remotes().ends.iter();
        let nics = ends.filter_map(|end| match end {
            Remote::Nic(nic) => Some(Arc::clone(nic)),
            _ => None,
        });
        let nics = nics.collect();
        let reach = RefCell::new(Some(Reach {
            memory: Arc::clone(machine.memory()),
            interrupts: Arc::clone(machine.interrupts()),
            panel: machine.panel().clone(),
            screen: machine.screen(),
            remotes: Rc::new(Remotes::new(machine.remotes())),
        }));
        Self { reach, nics }
    }

    /// What the network cards have counted, in their order.
    pub fn nic_counts(&self) -> impl Iterator<Item = NicCounts> + '_ {
        self.nics.iter().map(|nic| nic.counts())
    }

    /// The machine is closed.
    pub fn release(&self) {
        if let Some(reach) = self.reach.take() {
            reach.remotes.end();
        }
    }

    /// The guest's memory.
    pub fn memory(&self) -> Result<Arc<GuestMemory>> {
        self.reach(|reach| Arc::clone(&reach.memory))
    }

    /// Lines, vectors and NMIs.
    pub fn interrupts(&self) -> Result<Arc<Interrupts>> {
        self.reach(|reach| Arc::clone(&reach.interrupts))
    }

    /// The host's end of COM1, if there is one.
    pub fn serial(&self) -> Option<Arc<SerialPort>> {
        self.panel().serial
    }

    /// The host's ends of the machine's own devices; none once it is closed.
    pub fn panel(&self) -> Panel {
        let reach = self.reach.borrow();
        reach
            .as_ref()
            .map(|reach| reach.panel.clone())
            .unwrap_or_default()
    }

    /// The machine's screen, if it has one.
    pub fn screen(&self) -> Result<ScreenView> {
        let none = || Error::new(ErrorCode::InvalidOption, "the machine has no screen");
        self.reach(|reach| reach.screen.clone())?.ok_or_else(none)
    }

    /// The host's ends of devices that JavaScript answers by requests.
    pub fn remotes(&self) -> Option<Rc<Remotes>> {
        let reach = self.reach.borrow();
        reach.as_ref().map(|reach| Rc::clone(&reach.remotes))
    }

    fn reach<T>(&self, get: impl FnOnce(&Reach) -> T) -> Result<T> {
        self.reach.borrow().as_ref().map(get).ok_or_else(closed)
    }
}

/// What every call on a closed machine returns.
pub fn closed() -> Error {
    Error::new(ErrorCode::VmClosed, "the machine is closed")
}

/// What a call that needs it idle returns during a run.
pub fn busy() -> Error {
    Error::new(
        ErrorCode::VmBusy,
        "the machine is running; wait for its run to end, or stop() it first",
    )
}

/// What a run returns during another one's pause.
pub fn paused() -> Error {
    Error::new(
        ErrorCode::VmBusy,
        "the machine is paused; resume() its run and wait for the end, or stop() it first",
    )
}
