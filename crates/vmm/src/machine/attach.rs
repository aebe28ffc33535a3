//! Making a route with what stands there, and taking it apart.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use boot::firmware::{DEBUG_CONSOLE_PORT, DEBUG_CONSOLE_VALUE};
use boot::state::traps;
use devices::{Clock, Context, DmaMemory, Memory, SystemClock, Trigger};
use kvm_ioctls::Cap;
use vmm_sys_util::eventfd::EventFd;

use crate::bus::{
    Backend, Base, Claim, Doorbell, Route, RouteConfig, RouteId, RouteTarget, Row, Standing,
    irqchip,
};
use crate::error::{Error, ErrorCode, Result};
use crate::interrupts::Interrupts;
use crate::kvm::host::Host;
use crate::kvm::vm::Vm;
use crate::offload;

/// What a route may need of its machine.
pub(crate) struct Surroundings<'a> {
    pub host: &'a Host,
    pub vm: &'a Arc<Vm>,
    pub interrupts: &'a Interrupts,
    /// It has a trap table.
    pub faults: bool,
}

/// The row of a route that is to be attached with an id.
///
/// # Errors
/// `Limit` where ids have run out, `InvalidOption` where the irqchip answers; those of `check`,
/// which gets its name.
pub(crate) fn row(
    id: u32,
    claim: Claim,
    irqchip: bool,
    check: impl FnOnce(&str) -> Result<()>,
) -> Result<Row> {
    if id == u32::MAX {
        return Err(Error::new(
            ErrorCode::Limit,
            "a machine has no more ids for routes",
        ));
    }
    let (id, standing) = (RouteId::new(id), Standing::Attached);
    if irqchip {
        irqchip::check(&claim, &standing.name(id))?;
    }
    check(&standing.name(id))?;
    Ok(Row {
        id,
        claim,
        standing,
    })
}

/// A route of the caller's, known to the kernel if it concerns it.
///
/// # Errors
/// `KvmCapability`, `KvmIoctl`.
pub(crate) fn configured(
    around: &Surroundings<'_>,
    row: Row,
    config: &RouteConfig,
    vcpus: u32,
) -> Result<Route> {
    if matches!(
        config.target,
        RouteTarget::Coalesce { .. } | RouteTarget::Event { .. }
    ) {
        check_exits(around, &row.claim, &row.standing.name(row.id))?;
    }
    let mut backend = Backend::new(config.target)?;
    if let (Backend::Console(console), Base::Port(DEBUG_CONSOLE_PORT)) = (&mut backend, config.base)
    {
        console.answer = DEBUG_CONSOLE_VALUE;
    }
    let mut route = Route::new(row, backend);
    route.target = Some(config.target);
    if let RouteTarget::Event { datamatch } = config.target {
        route.datamatch = datamatch;
    }
    let feed = route.feed.as_ref();
    route.is_gathered = offload::register(around.host, around.vm, config, feed, vcpus)?;
    Ok(route)
}

/// Refuses what would have the kernel take the writes of the trap table's stubs without an exit.
fn check_exits(around: &Surroundings<'_>, claim: &Claim, name: &str) -> Result<()> {
    let port = Claim {
        base: Base::Port(u16::from(traps::FAULT_PORT)),
        length: 1,
    };
    if !around.faults || !claim.meets(&port) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidOption,
        format!(
            "{name} ({}) overlaps {}, to which the trap table writes: with faults: 'report' it cannot be one that the kernel answers",
            claim.describe(),
            port.describe()
        ),
    ))
}

/// A route whose device, if it has one, knows its machine.
///
/// # Errors
/// `InvalidOption` with what the device misses.
pub(crate) fn plugged(around: &Surroundings<'_>, mut route: Route) -> Result<Route> {
    let mut wall = Wall {
        around,
        claim: route.row.claim,
        doorbells: Vec::new(),
        failed: None,
    };
    let backend = route.backend.get_mut();
    let backend = backend.unwrap_or_else(std::sync::PoisonError::into_inner);
    let attached = match backend {
        Backend::Device(device) => device.attach(&mut wall),
        _ => Ok(()),
    };
    route.doorbells = wall.doorbells;
    if let Err(why) = attached {
        offload::unregister(around.vm, &route)?;
        let missing = || Error::new(ErrorCode::InvalidOption, why);
        return Err(wall.failed.unwrap_or_else(missing));
    }
    Ok(route)
}

/// The machine, as a device sees it that is being attached.
struct Wall<'a> {
    around: &'a Surroundings<'a>,
    claim: Claim,
    doorbells: Vec<Doorbell>,
    /// What the host has refused.
    failed: Option<Error>,
}

impl Context for Wall<'_> {
    fn line(&mut self, line: u32) -> Option<Box<dyn Trigger + Send + Sync>> {
        let line = self.around.interrupts.line(line).ok()?;
        Some(Box::new(line))
    }

    fn memory(&self) -> Arc<dyn Memory> {
        Arc::clone(self.around.vm.memory()) as Arc<dyn Memory>
    }

    fn dma(&self) -> Arc<DmaMemory> {
        self.around.vm.memory().dma()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    fn doorbell(
        &mut self,
        offset: u32,
        datamatch: Option<(u64, u8)>,
    ) -> Result<Arc<dyn devices::Doorbell>, String> {
        match self.hang(offset, datamatch) {
            Ok((bell, counted)) => {
                self.doorbells.push(counted);
                Ok(Arc::new(bell))
            }
            Err(error) => {
                let why = error.message.clone();
                self.failed = Some(error);
                Err(why)
            }
        }
    }
}

impl Wall<'_> {
    fn hang(&self, offset: u32, datamatch: Option<(u64, u8)>) -> Result<(Bell, Doorbell)> {
        let length = self.claim.length;
        let fits = datamatch.is_none_or(|(_, bytes)| [1, 2, 4, 8].contains(&bytes));
        if u64::from(offset) >= length || !fits {
            return Err(Error::new(
                ErrorCode::InvalidOption,
                format!(
                    "a doorbell is for 1, 2, 4 or 8 bytes below offset {length}, got {datamatch:?} at {offset}"
                ),
            ));
        }
        let base = match self.claim.base {
            Base::Port(port) => Base::Port(port.wrapping_add(offset as u16)),
            Base::Gpa(gpa) => Base::Gpa(gpa + u64::from(offset)),
        };
        check_exits(self.around, &Claim { base, length: 1 }, "a doorbell")?;
        self.around
            .host
            .require(Cap::Ioeventfd, "KVM_CAP_IOEVENTFD")?;
        let fd = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
        let fd = fd.map_err(Error::io("eventfd"))?;
        let bell = Bell(fd.try_clone().map_err(Error::io("dup"))?);
        offload::count_writes(self.around.vm, &fd, base, datamatch)?;
        Ok((
            bell,
            Doorbell {
                fd,
                base,
                datamatch,
            },
        ))
    }
}

/// The device's end of a doorbell.
#[derive(Debug)]
struct Bell(EventFd);

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl devices::Doorbell for Bell {
    fn take(&self) -> u64 {
        // Non-blocking: an error is "nothing".
        self.0.read().unwrap_or(0)
    }

    fn ring(&self) {
        // It fails only where 2^64 rings wait.
        self.0.write(1).ok();
    }
}
