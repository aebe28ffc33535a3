//! The routes of a machine, as its vCPUs reach them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devices::{Console, Output, Remotes};

use crate::bus::access::Access;
use crate::bus::backend::{Backend, Reaction};
use crate::bus::claim::RouteId;
use crate::bus::feed::Feed;
use crate::bus::gate::{Gate, Turn};
use crate::bus::ring::PostedRing;
use crate::bus::route::Route;
use crate::bus::saved::BusState;
use crate::bus::table::{Place, Row, Table};
use crate::error::Result;
use crate::kvm::exit::Exit;
use crate::kvm::vcpu::Coalesced;

/// A coalesced write that has left the kernel's ring, and how many of its pieces are posted.
pub(crate) type Straggler = Option<(Coalesced, usize)>;

/// All routes, and what they share. They change only while no vCPU runs, and then table and list
/// together.
#[derive(Debug)]
pub(crate) struct Bus {
    routes: Vec<Route>,
    table: Table,
    /// Console text for the outcome.
    output: Mutex<Output>,
    /// Held for each step out of the kernel's ring, so that the vCPUs together keep its order.
    straggler: Mutex<Straggler>,
    /// Those that have text for the handler, of all routes.
    consoles: Vec<Place>,
    /// Those with a feed.
    posted: Vec<Place>,
    /// What is answered by requests from outside.
    pub remotes: Remotes,
    /// Those whose devices mind whether the machine runs.
    minding: Vec<Place>,
    /// Whether the kernel counts writes for us.
    pub counts: bool,
    /// Whether the kernel gathers writes for us.
    pub coalesces: bool,
    /// Whether unclaimed accesses read as all ones and write nowhere, instead of ending the run.
    pub is_empty_bus: bool,
}

impl Bus {
    /// # Errors
    /// As [`Table::new`].
    pub fn new(routes: Vec<Route>, is_empty_bus: bool) -> Result<Self> {
        let rows: Vec<_> = routes.iter().map(|route| route.row).collect();
        let mut bus = Self {
            table: Table::new(&rows)?,
            routes,
            output: Mutex::default(),
            straggler: Mutex::default(),
            consoles: Vec::new(),
            posted: Vec::new(),
            remotes: Remotes::default(),
            minding: Vec::new(),
            counts: false,
            coalesces: false,
            is_empty_bus,
        };
        bus.look_through();
        Ok(bus)
    }

    /// All routes: the configured ones, the machine's own, and then those that were attached,
    /// oldest first.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The caller's routes.
    pub fn callers(&self) -> impl Iterator<Item = &Route> {
        let routes = self.routes.iter();
        routes.filter(|route| route.row.standing.is_callers())
    }

    /// The table with one route more, not yet in use.
    ///
    /// # Errors
    /// As [`Table::new`].
    pub fn table_with(&self, row: Row) -> Result<Table> {
        let mut rows: Vec<_> = self.routes.iter().map(|route| route.row).collect();
        rows.push(row);
        Table::new(&rows)
    }

    /// Takes a route with its table of [`table_with`](Self::table_with).
    pub fn attach(&mut self, route: Route, table: Table) {
        self.routes.push(route);
        self.table = table;
        self.look_through();
    }

    /// Takes a route away. Text that waits for its handler joins the outcome's.
    ///
    /// # Errors
    /// As [`Table::new`]; without one route there are no more overlaps than with it.
    pub fn detach(&mut self, id: RouteId) -> Result<Option<Route>> {
        let Some(index) = self.routes.iter().position(|route| route.row.id == id) else {
            return Ok(None);
        };
        let rest = self.routes.iter().filter(|route| route.row.id != id);
        let rows: Vec<_> = rest.map(|route| route.row).collect();
        let table = Table::new(&rows)?;
        let output = exclusive(&mut self.output);
        let mut route = self.routes.remove(index);
        if let Some(text) = text_of(exclusive(&mut route.backend), output).and_then(Console::take) {
            output.push(&text);
        }
        self.table = table;
        self.look_through();
        Ok(Some(route))
    }

    /// What the loop asks of all routes, found out once.
    fn look_through(&mut self) {
        let places = |wanted: fn(&Route) -> bool| {
            let all = self.routes.iter().enumerate();
            all.filter(move |(_, route)| wanted(route))
                .map(|(index, _)| Place(index))
                .collect()
        };
        self.consoles = places(|route| route.has_text);
        self.posted = places(|route| route.feed.is_some());
        self.minding = places(|route| route.minds_runs);
        let is_count = |route: &Route| matches!(route.feed, Some(Feed::Count(_)));
        self.counts = self.routes.iter().any(is_count);
        self.coalesces = self.routes.iter().any(|route| route.is_gathered);
    }

    /// Tells the devices that mind that the machine begins to run, or has come to rest.
    pub fn run(&mut self, on: bool) {
        for place in &self.minding {
            if let Some(route) = self.routes.get_mut(place.0)
                && let Backend::Device(device) = route.backend_mut()
            {
                device.run(on);
            }
        }
    }

    /// The access that an exit is, if a route claims it.
    pub fn claim(&self, exit: &Exit) -> Option<Access> {
        let (place, offset) = self.table.find(exit)?;
        let route = self.routes.get(place.0)?.row.id;
        Some(Access::new(route, place, offset, exit))
    }

    /// An access counts once, when it is done, in however many runs it was asked about.
    pub fn count(&self, access: &Access) {
        if let Some(route) = self.routes.get(access.place.0) {
            let counters = &route.counters;
            let side = if access.write {
                &counters.writes
            } else {
                &counters.reads
            };
            side.add((access.bytes / access.item_bytes.max(1)) as u64);
        }
    }

    /// Whether any posted write waits.
    pub fn posts(&self) -> bool {
        let mut feeds = self.posted.iter().filter_map(|place| self.feed(*place));
        feeds.any(Feed::waits)
    }

    fn feed(&self, place: Place) -> Option<&Feed> {
        self.routes.get(place.0)?.feed.as_ref()
    }

    /// Where posted writes wait, of the routes that have such a place.
    pub fn feeds(&self) -> Vec<(RouteId, Feed)> {
        let feeds = self.routes.iter();
        feeds
            .filter_map(|route| Some((route.row.id, route.feed.clone()?)))
            .collect()
    }

    /// The routes that may have text for the handler, one after the other.
    pub fn console_at(&self, index: usize) -> Option<(RouteId, Place)> {
        let place = *self.consoles.get(index)?;
        Some((self.routes.get(place.0)?.row.id, place))
    }

    /// Console text of a run.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(exclusive(&mut self.output))
    }

    /// What everything on it would need to go on elsewhere. Nothing changes; the kernel's ring is
    /// empty, see `Crew::save_bus`.
    pub fn save(&mut self) -> BusState {
        BusState::of(&mut self.routes, exclusive(&mut self.output))
    }

    /// Refuses the state of a bus with other claims, or other kinds of routes.
    ///
    /// # Errors
    /// `Snapshot`, naming the first claim that differs.
    pub fn check(&self, state: &BusState) -> Result<()> {
        state.check(&self.routes)
    }

    /// Goes on where a bus of the same claims was saved, whose order may be another. The consumers
    /// of posted writes have yet to be told; what was counted stays counted.
    ///
    /// # Errors
    /// `Snapshot`, naming the first claim that differs; nothing has then changed, unless the state
    /// is none that anything saves.
    pub fn restore(&mut self, state: &BusState) -> Result<()> {
        state.check(&self.routes)?;
        *exclusive(&mut self.straggler) = None;
        state.restore(&mut self.routes, exclusive(&mut self.output))
    }

    /// Console text that handlers have yet to get, by route.
    pub fn take_undelivered(&mut self) -> Vec<(RouteId, Vec<u8>)> {
        let output = exclusive(&mut self.output);
        let routes = self.routes.iter_mut();
        routes
            .filter_map(|route| {
                let console = text_of(exclusive(&mut route.backend), output)?;
                Some((route.row.id, console.take()?))
            })
            .collect()
    }
}

/// The console of a backend that has one.
fn text_of<'b>(backend: &'b mut Backend, output: &mut Output) -> Option<&'b mut Console> {
    match backend {
        Backend::Console(console) => Some(console),
        Backend::Com1(com1) => Some(com1.console(output)),
        _ => None,
    }
}

/// One vCPU's way to the bus. A machine with a single vCPU pays for no lock.
#[derive(Debug)]
pub(crate) enum BusAccess<'a> {
    Alone(&'a mut Bus),
    Among(&'a Bus),
}

impl<'a> BusAccess<'a> {
    pub fn bus(&self) -> &Bus {
        match self {
            Self::Alone(bus) => bus,
            Self::Among(bus) => bus,
        }
    }

    /// Lets what stands at a route answer, or say who does.
    pub fn react(&mut self, access: &Access, data: &mut [u8]) -> Reaction {
        let reaction = self.at(access.place, |backend, output| {
            if access.write {
                backend.write(access, data, output)
            } else {
                backend.read(access, data)
            }
        });
        reaction.unwrap_or(Reaction::Unclaimed)
    }

    /// Calls with the console at a route.
    pub fn console<T>(&mut self, place: Place, call: impl FnOnce(&mut Console) -> T) -> Option<T> {
        self.at(place, |backend, output| text_of(backend, output).map(call))?
    }

    /// Calls with the ring at a route; no other vCPU puts anything in meanwhile.
    pub fn ring<T>(&mut self, place: Place, call: impl FnOnce(&Arc<PostedRing>) -> T) -> Option<T> {
        self.at(place, |backend, _| match backend {
            Backend::Posted { ring, .. } => Some(call(ring)),
            _ => None,
        })?
    }

    /// The turn to ask about a route; `None` if `give_up` says so first. A single vCPU need not
    /// wait.
    pub fn turn(
        &self,
        place: Place,
        vcpu: u32,
        give_up: impl Fn() -> bool,
    ) -> Option<Option<Turn<'a>>> {
        match self.gate(place) {
            Some(gate) => gate.enter(vcpu, give_up).map(Some),
            None => Some(None),
        }
    }

    /// The turn to ask about a route, if it is free.
    pub fn try_turn(&self, place: Place) -> Option<Option<Turn<'a>>> {
        match self.gate(place) {
            Some(gate) => gate.try_enter().map(Some),
            None => Some(None),
        }
    }

    /// Ends the turn that a vCPU has kept through a pause, if it has one.
    pub fn let_go(&self, vcpu: u32) {
        if let Self::Among(bus) = self {
            let gates = bus.routes.iter().map(|route| &route.gate);
            gates.for_each(|gate| drop(gate.kept(vcpu)));
        }
    }

    fn gate(&self, place: Place) -> Option<&'a Gate> {
        match self {
            Self::Alone(_) => None,
            Self::Among(bus) => Some(&bus.routes.get(place.0)?.gate),
        }
    }

    /// Calls with the coalesced write that is half posted; no other vCPU does meanwhile.
    pub fn in_order<T>(&mut self, call: impl FnOnce(&mut Straggler, &mut BusAccess<'_>) -> T) -> T {
        match self {
            Self::Alone(bus) => {
                let mut straggler = exclusive(&mut bus.straggler).take();
                let result = call(&mut straggler, &mut BusAccess::Alone(bus));
                *exclusive(&mut bus.straggler) = straggler;
                result
            }
            Self::Among(bus) => call(&mut lock(&bus.straggler), &mut BusAccess::Among(bus)),
        }
    }

    fn at<T>(
        &mut self,
        place: Place,
        call: impl FnOnce(&mut Backend, &mut Output) -> T,
    ) -> Option<T> {
        match self {
            Self::Alone(bus) => {
                let route = bus.routes.get_mut(place.0)?;
                Some(call(
                    exclusive(&mut route.backend),
                    exclusive(&mut bus.output),
                ))
            }
            Self::Among(bus) => {
                let mut backend = lock(&bus.routes.get(place.0)?.backend);
                Some(if backend.writes_text() {
                    call(&mut backend, &mut lock(&bus.output))
                } else {
                    call(&mut backend, &mut Output::default())
                })
            }
        }
    }
}

fn exclusive<T>(slot: &mut Mutex<T>) -> &mut T {
    slot.get_mut().unwrap_or_else(PoisonError::into_inner)
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
