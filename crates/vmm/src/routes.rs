//! Who answers which port and which address.

use boot::{MemorySlot, layout};

use crate::access::Access;
use crate::error::{Error, ErrorCode, Result};
use crate::exit::Exit;
use crate::limits::{MAX_GPA, MAX_ROUTE_LENGTH, MAX_ROUTES};

/// Where a claim begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// An I/O port.
    Port(u16),
    /// A guest physical address.
    Gpa(u64),
}

/// What becomes of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// Writes are text; with `deliver` they go to the handler in batches, else into the outcome.
    Console {
        /// Whether the handler gets them.
        deliver: bool,
    },
    /// Reads give this value, writes are dropped.
    Constant(u64),
    /// Writes are dropped.
    Discard,
    /// Writes are dropped; what comes is counted, as on every route.
    Count,
    /// A write ends the run, its value is the exit code.
    Stop,
    /// The handler is asked.
    Device,
    /// Writes go into a ring, and nobody waits.
    Queue {
        /// What reads give; without it they are not claimed.
        read_value: Option<u64>,
    },
    /// As `Queue`, gathered by the kernel without an exit (KVM API, `KVM_REGISTER_COALESCED_MMIO`).
    Coalesce {
        /// As for `Queue`.
        read_value: Option<u64>,
    },
    /// A device of the board; the machine puts these routes behind the caller's.
    Board,
    /// Writes are counted by the kernel without an exit (KVM API, `KVM_IOEVENTFD`); reads are not claimed.
    Event {
        /// Only writes of this value and size count; the others are not claimed.
        datamatch: Option<(u64, u8)>,
    },
}

/// One route, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteConfig {
    /// The first port or address.
    pub base: Base,
    /// Ports or bytes, at least 1.
    pub length: u64,
    /// Where an access goes.
    pub target: RouteTarget,
}

impl RouteConfig {
    const fn start(&self) -> u64 {
        match self.base {
            Base::Port(port) => port as u64,
            Base::Gpa(gpa) => gpa,
        }
    }

    /// One past the last address of an MMIO route.
    pub(crate) fn gpa_end(&self) -> Option<u64> {
        match self.base {
            Base::Port(_) => None,
            Base::Gpa(gpa) => gpa.checked_add(self.length),
        }
    }

    /// Whether it claims any of `length` ports or addresses from `base` on.
    pub(crate) fn meets(&self, base: &Base, length: u64) -> bool {
        let (start, is_same_kind) = match (self.base, *base) {
            (Base::Port(_), Base::Port(port)) => (u64::from(port), true),
            (Base::Gpa(_), Base::Gpa(gpa)) => (gpa, true),
            _ => (0, false),
        };
        let end = self.start().saturating_add(self.length);
        is_same_kind && self.start() < start.saturating_add(length) && start < end
    }

    /// For messages.
    pub(crate) fn describe(&self) -> String {
        let last = self.start().saturating_add(self.length.saturating_sub(1));
        let kind = if matches!(self.base, Base::Port(_)) {
            "port"
        } else {
            "gpa"
        };
        if self.length == 1 {
            format!("{kind} {:#x}", self.start())
        } else {
            format!("{kind} {:#x}..={last:#x}", self.start())
        }
    }
}

#[derive(Debug)]
struct Claim {
    start: u64,
    end: u64,
    route: usize,
}

/// The routes of a machine, found by binary search.
#[derive(Debug)]
pub struct RouteTable {
    ports: Vec<Claim>,
    gpas: Vec<Claim>,
}

impl RouteTable {
    /// Checks the routes against each other and against memory.
    ///
    /// # Errors
    /// `InvalidOption` or `Limit`, naming the route, and for an overlap both.
    pub fn new(routes: &[RouteConfig], slots: &[MemorySlot]) -> Result<Self> {
        if routes.len() > MAX_ROUTES {
            let got = routes.len();
            return Err(Error::new(
                ErrorCode::Limit,
                format!("routes: at most {MAX_ROUTES}, got {got}"),
            ));
        }
        let (mut ports, mut gpas) = (Vec::new(), Vec::new());
        for (index, route) in routes.iter().enumerate() {
            check_range(index, route)?;
            check_memory(index, route, slots)?;
            check_event(index, route)?;
            let claim = Claim {
                start: route.start(),
                end: route.start() + route.length,
                route: index,
            };
            match route.base {
                Base::Port(_) => ports.push(claim),
                Base::Gpa(_) => gpas.push(claim),
            }
        }
        for claims in [&mut ports, &mut gpas] {
            claims.sort_by_key(|claim| claim.start);
            check_overlaps(claims, routes)?;
        }
        Ok(Self { ports, gpas })
    }

    /// The claimed access behind a port or MMIO exit.
    pub(crate) fn claim(&self, exit: &Exit) -> Option<Access> {
        let (route, offset) = match exit {
            Exit::PioOut(port) | Exit::PioIn(port) => self.find_port(port.port)?,
            Exit::MmioWrite(mmio) | Exit::MmioRead(mmio) => self.find_gpa(mmio.gpa)?,
            _ => return None,
        };
        Some(Access::new(route, offset, exit))
    }

    /// The route that claims a port, and the offset in it. An access belongs to the route of its first byte.
    pub fn find_port(&self, port: u16) -> Option<(usize, u32)> {
        find(&self.ports, u64::from(port))
    }

    /// The route that claims an address, and the offset in it.
    pub fn find_gpa(&self, gpa: u64) -> Option<(usize, u32)> {
        find(&self.gpas, gpa)
    }
}

fn find(claims: &[Claim], address: u64) -> Option<(usize, u32)> {
    let behind = claims.partition_point(|claim| claim.start <= address);
    let claim = claims.get(behind.checked_sub(1)?)?;
    (address < claim.end).then_some((claim.route, (address - claim.start) as u32))
}

fn check_range(index: usize, route: &RouteConfig) -> Result<()> {
    let end = match route.base {
        Base::Port(_) => 0x1_0000,
        Base::Gpa(_) => MAX_GPA,
    };
    if route.length == 0
        || route.length > MAX_ROUTE_LENGTH
        || route.start() >= end
        || route.length > end - route.start()
    {
        return Err(Error::new(
            ErrorCode::InvalidOption,
            format!(
                "routes[{index}].length must be 1 to {MAX_ROUTE_LENGTH} and end at or below {end:#x}, got {} from {:#x}",
                route.length,
                route.start()
            ),
        ));
    }
    Ok(())
}

/// An access to memory never exits, so a route there would never be asked.
fn check_memory(index: usize, route: &RouteConfig, slots: &[MemorySlot]) -> Result<()> {
    let Some(end) = route.gpa_end() else {
        return Ok(());
    };
    let system = MemorySlot {
        gpa: layout::SYSTEM_START,
        bytes: layout::SYSTEM_LIMIT - layout::SYSTEM_START,
        read_only: false,
    };
    let inside =
        |slot: &&MemorySlot| route.start() < slot.end() && slot.gpa < end && !slot.read_only;
    match slots.iter().chain([&system]).find(inside) {
        None => Ok(()),
        Some(slot) => Err(Error::new(
            ErrorCode::InvalidOption,
            format!(
                "routes[{index}] ({}) overlaps guest memory {:#x}..{:#x}, where no access exits",
                route.describe(),
                slot.gpa,
                slot.end()
            ),
        )),
    }
}

/// An ioeventfd stands at one address and matches 1, 2, 4 or 8 bytes.
fn check_event(index: usize, route: &RouteConfig) -> Result<()> {
    let RouteTarget::Event { datamatch } = route.target else {
        return Ok(());
    };
    if route.length != 1 {
        return Err(Error::new(
            ErrorCode::InvalidOption,
            format!(
                "routes[{index}].length must be 1 for an event, got {}",
                route.length
            ),
        ));
    }
    match datamatch {
        Some((_, size)) if ![1, 2, 4, 8].contains(&size) => Err(Error::new(
            ErrorCode::InvalidOption,
            format!("routes[{index}].size must be 1, 2, 4 or 8, got {size}"),
        )),
        _ => Ok(()),
    }
}

fn check_overlaps(sorted: &[Claim], routes: &[RouteConfig]) -> Result<()> {
    for pair in sorted.windows(2) {
        let [low, high] = pair else { continue };
        if low.end <= high.start {
            continue;
        }
        let (first, second) = (low.route.min(high.route), low.route.max(high.route));
        let name = |index: usize| match routes.get(index) {
            // The caller knows no index of it.
            Some(route) if route.target == RouteTarget::Board => {
                format!("the machine's own device ({})", route.describe())
            }
            route => {
                let what = route.map(RouteConfig::describe).unwrap_or_default();
                format!("routes[{index}] ({what})")
            }
        };
        return Err(Error::new(
            ErrorCode::InvalidOption,
            format!("{} overlaps {}", name(second), name(first)),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: [MemorySlot; 2] = [
        MemorySlot {
            gpa: 0,
            bytes: 2 << 20,
            read_only: false,
        },
        MemorySlot {
            gpa: 0x8000_0000,
            bytes: 4096,
            read_only: true,
        },
    ];

    fn route(base: Base, length: u64) -> RouteConfig {
        RouteConfig {
            base,
            length,
            target: RouteTarget::Discard,
        }
    }

    #[test]
    fn an_access_belongs_to_the_route_of_its_first_byte() {
        let routes = [
            route(Base::Port(0x60), 4),
            route(Base::Port(0x70), 1),
            route(Base::Gpa(0xd000_0000), 0x100),
        ];
        let table = RouteTable::new(&routes, &MEMORY).unwrap();
        let found: Vec<_> = [0x5f, 0x60, 0x63, 0x64, 0x70, 0x71]
            .map(|port| table.find_port(port))
            .into();
        assert_eq!(
            found,
            [None, Some((0, 0)), Some((0, 3)), None, Some((1, 0)), None]
        );
        assert_eq!(table.find_gpa(0xd000_00ff), Some((2, 0xff)));
        assert_eq!(table.find_gpa(0xd000_0100), None);
        assert_eq!(table.find_gpa(0x60), None);
    }

    #[test]
    fn overlaps_name_both_routes() {
        let routes = [
            route(Base::Port(0x64), 1),
            route(Base::Port(0x80), 1),
            route(Base::Port(0x60), 8),
        ];
        let error = RouteTable::new(&routes, &MEMORY).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert_eq!(
            error.message,
            "routes[2] (port 0x60..=0x67) overlaps routes[0] (port 0x64)"
        );
    }

    #[test]
    fn a_port_and_an_address_never_overlap() {
        assert!(
            RouteTable::new(
                &[route(Base::Port(0x64), 1), route(Base::Gpa(0x64), 1)],
                &[]
            )
            .is_ok()
        );
    }

    #[test]
    fn a_route_in_memory_would_never_be_asked() {
        for gpa in [0x1000, (2 << 20) - 1, layout::SYSTEM_START] {
            let error = RouteTable::new(&[route(Base::Gpa(gpa), 1)], &MEMORY).unwrap_err();
            assert!(error.message.contains("overlaps guest memory"), "{error}");
        }
        assert!(
            RouteTable::new(&[route(Base::Gpa(0x8000_0000), 8)], &MEMORY).is_ok(),
            "read-only memory exits on writes"
        );
    }

    #[test]
    fn ranges_are_bounded() {
        for bad in [
            route(Base::Port(0), 0),
            route(Base::Port(0xffff), 2),
            route(Base::Gpa(MAX_GPA), 1),
            route(Base::Gpa(u64::MAX), 2),
            route(Base::Gpa(1 << 33), MAX_ROUTE_LENGTH + 1),
        ] {
            assert_eq!(
                RouteTable::new(&[bad], &[]).unwrap_err().code,
                ErrorCode::InvalidOption,
                "{bad:?}"
            );
        }
        let many = vec![route(Base::Port(0), 1); MAX_ROUTES + 1];
        assert_eq!(
            RouteTable::new(&many, &[]).unwrap_err().code,
            ErrorCode::Limit
        );
    }
}
