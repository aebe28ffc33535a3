//! Routes that the kernel answers without an exit: coalesced writes and ioeventfds.

pub mod coalescing;

use kvm_ioctls::{Cap, IoEventAddress, NoDatamatch, VmFd};
use vmm_sys_util::eventfd::EventFd;

use crate::bus::{Base, Claim, Feed, Route, RouteConfig, RouteTarget};
use crate::error::{Error, Result};
use crate::kvm::host::Host;

/// Registers what a route wants of the kernel; whether the kernel gathers its writes.
///
/// # Errors
/// `KvmCapability`, `KvmIoctl`.
pub(crate) fn register(
    host: &Host,
    vm: &VmFd,
    route: &RouteConfig,
    feed: Option<&Feed>,
    vcpus: u32,
) -> Result<bool> {
    match (route.target, feed) {
        (RouteTarget::Coalesce { .. }, _) => return coalesce(host, vm, &route.claim(), vcpus),
        (RouteTarget::Event { datamatch }, Some(Feed::Count(count))) => {
            host.require(Cap::Ioeventfd, "KVM_CAP_IOEVENTFD")?;
            count_writes(vm, count.fd(), route.base, datamatch)?;
        }
        _ => {}
    }
    Ok(false)
}

/// Takes back what [`register`] and a device's doorbells have registered; no write is on its way in
/// the kernel's ring.
///
/// # Errors
/// `KvmIoctl`.
pub(crate) fn unregister(vm: &VmFd, route: &Route) -> Result<()> {
    let claim = &route.row.claim;
    if route.is_gathered {
        vm.unregister_coalesced_mmio(address(claim.base), zone_size(claim))
            .map_err(Error::ioctl("KVM_UNREGISTER_COALESCED_MMIO"))?;
    }
    if let Some(Feed::Count(count)) = &route.feed {
        count_no_longer(vm, count.fd(), claim.base, route.datamatch)?;
    }
    for bell in &route.doorbells {
        count_no_longer(vm, &bell.fd, bell.base, bell.datamatch)?;
    }
    Ok(())
}

/// Registers again what counts writes right after a coalesced range. The kernel keeps its ranges
/// sorted, but puts one in after a range without a length that begins where it ends, and then finds
/// neither for sure.
///
/// # Errors
/// `KvmIoctl`.
pub(crate) fn sort_after(vm: &VmFd, zone: &Claim, routes: &[Route]) -> Result<()> {
    let follows = |base: Base| {
        let one = Claim { base, length: 1 };
        let last = Claim {
            base: zone.base,
            length: zone.length + 1,
        };
        one.start() == zone.end() && one.meets(&last)
    };
    let again = |fd: &EventFd, base: Base| {
        count_no_longer(vm, fd, base, None)?;
        count_writes(vm, fd, base, None)
    };
    for route in routes {
        if let (Some(Feed::Count(count)), None) = (&route.feed, route.datamatch)
            && follows(route.row.claim.base)
        {
            again(count.fd(), route.row.claim.base)?;
        }
        for bell in &route.doorbells {
            if bell.datamatch.is_none() && follows(bell.base) {
                again(&bell.fd, bell.base)?;
            }
        }
    }
    Ok(())
}

/// Makes the kernel count writes at an address.
///
/// # Errors
/// `KvmIoctl`.
pub(crate) fn count_writes(
    vm: &VmFd,
    fd: &EventFd,
    base: Base,
    datamatch: Option<(u64, u8)>,
) -> Result<()> {
    let at = address(base);
    let registered = match datamatch {
        None => vm.register_ioevent(fd, &at, NoDatamatch),
        Some((value, 1)) => vm.register_ioevent(fd, &at, value as u8),
        Some((value, 2)) => vm.register_ioevent(fd, &at, value as u16),
        Some((value, 4)) => vm.register_ioevent(fd, &at, value as u32),
        Some((value, _)) => vm.register_ioevent(fd, &at, value),
    };
    registered.map_err(Error::ioctl("KVM_IOEVENTFD"))
}

fn count_no_longer(
    vm: &VmFd,
    fd: &EventFd,
    base: Base,
    datamatch: Option<(u64, u8)>,
) -> Result<()> {
    let at = address(base);
    let unregistered = match datamatch {
        None => vm.unregister_ioevent(fd, &at, NoDatamatch),
        Some((value, 1)) => vm.unregister_ioevent(fd, &at, value as u8),
        Some((value, 2)) => vm.unregister_ioevent(fd, &at, value as u16),
        Some((value, 4)) => vm.unregister_ioevent(fd, &at, value as u32),
        Some((value, _)) => vm.unregister_ioevent(fd, &at, value),
    };
    unregistered.map_err(Error::ioctl("KVM_IOEVENTFD"))
}

/// Whether the kernel gathers: where it would lose writes, they exit, and go into the route's ring
/// as those of a queue do.
fn coalesce(host: &Host, vm: &VmFd, claim: &Claim, vcpus: u32) -> Result<bool> {
    match claim.base {
        Base::Port(_) => host.require(Cap::CoalescedPio, "KVM_CAP_COALESCED_PIO")?,
        Base::Gpa(_) => host.require(Cap::CoalescedMmio, "KVM_CAP_COALESCED_MMIO")?,
    }
    if vcpus > 1 && coalescing::loses_writes(host)? {
        return Ok(false);
    }
    vm.register_coalesced_mmio(address(claim.base), zone_size(claim))
        .map_err(Error::ioctl("KVM_REGISTER_COALESCED_MMIO"))?;
    Ok(true)
}

/// A zone's size has 32 bits; a route of 4 GiB is one byte short of the last write that could begin
/// in it.
fn zone_size(claim: &Claim) -> u32 {
    u32::try_from(claim.length).unwrap_or(u32::MAX)
}

fn address(base: Base) -> IoEventAddress {
    match base {
        Base::Port(port) => IoEventAddress::Pio(u64::from(port)),
        Base::Gpa(gpa) => IoEventAddress::Mmio(gpa),
    }
}
