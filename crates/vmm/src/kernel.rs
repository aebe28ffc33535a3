//! Routes that the kernel answers without an exit: coalesced writes and ioeventfds.

use kvm_ioctls::{Cap, IoEventAddress, NoDatamatch, VmFd};

use crate::coalescing;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::feed::Feed;
use crate::host::Host;
use crate::routes::{Base, RouteConfig, RouteTarget};

/// Registers what the routes want of the kernel; whether any of them coalesces.
pub(crate) fn claim(
    host: &Host,
    vm: &VmFd,
    routes: &[RouteConfig],
    devices: &[Device],
    vcpus: u32,
) -> Result<bool> {
    let mut coalesces = false;
    for (route, device) in routes.iter().zip(devices) {
        match (route.target, device.feed()) {
            (RouteTarget::Coalesce { .. }, _) => {
                coalesces |= coalesce(host, vm, route, vcpus)?;
            }
            (RouteTarget::Event { datamatch }, Some(Feed::Count(count))) => {
                let fd = count.fd();
                host.require(Cap::Ioeventfd, "KVM_CAP_IOEVENTFD")?;
                let at = address(route);
                let registered = match datamatch {
                    None => vm.register_ioevent(fd, &at, NoDatamatch),
                    Some((value, 1)) => vm.register_ioevent(fd, &at, value as u8),
                    Some((value, 2)) => vm.register_ioevent(fd, &at, value as u16),
                    Some((value, 4)) => vm.register_ioevent(fd, &at, value as u32),
                    Some((value, _)) => vm.register_ioevent(fd, &at, value),
                };
                registered.map_err(Error::ioctl("KVM_IOEVENTFD"))?;
            }
            _ => {}
        }
    }
    Ok(coalesces)
}

/// Whether the kernel gathers: where it would lose writes, they exit, and go into the route's ring as those of a queue do.
fn coalesce(host: &Host, vm: &VmFd, route: &RouteConfig, vcpus: u32) -> Result<bool> {
    match route.base {
        Base::Port(_) => host.require(Cap::CoalescedPio, "KVM_CAP_COALESCED_PIO")?,
        Base::Gpa(_) => host.require(Cap::CoalescedMmio, "KVM_CAP_COALESCED_MMIO")?,
    }
    if vcpus > 1 && coalescing::loses_writes(host)? {
        return Ok(false);
    }
    // A zone's size has 32 bits; a route of 4 GiB is one byte short of the last write that could begin in it.
    let size = u32::try_from(route.length).unwrap_or(u32::MAX);
    vm.register_coalesced_mmio(address(route), size)
        .map_err(Error::ioctl("KVM_REGISTER_COALESCED_MMIO"))?;
    Ok(true)
}

fn address(route: &RouteConfig) -> IoEventAddress {
    match route.base {
        Base::Port(port) => IoEventAddress::Pio(u64::from(port)),
        Base::Gpa(gpa) => IoEventAddress::Mmio(gpa),
    }
}
