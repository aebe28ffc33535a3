//! What the kernel's interrupt controllers and timer answer themselves, so that no access to it
//! ever exits.

use boot::firmware::{IOAPIC_GPA, LOCAL_APIC_GPA};

use crate::bus::claim::{Base, Claim};
use crate::error::{Error, ErrorCode, Result};
use crate::limits::PAGE_BYTES;

/// Ports: who has them, the first and how many (KVM API, `KVM_CREATE_IRQCHIP` and
/// `KVM_CREATE_PIT2`).
const PORTS: [(&str, u16, u64); 5] = [
    ("PIC", 0x20, 2),
    ("PIT", 0x40, 4),
    ("PIT speaker", 0x61, 1),
    ("PIC", 0xa0, 2),
    ("ELCR", 0x4d0, 2),
];

/// Pages of memory-mapped registers: whose they are, and the first address.
const PAGES: [(&str, u32); 2] = [("IOAPIC", IOAPIC_GPA), ("local APIC", LOCAL_APIC_GPA)];

/// Refuses a claim of a machine with an irqchip that would never be asked; `name` is what messages
/// call its route.
///
/// # Errors
/// `InvalidOption`, naming the route and whose the port or address is.
pub(crate) fn check(claim: &Claim, name: &str) -> Result<()> {
    let ports = PORTS.map(|(owner, port, length)| (owner, Base::Port(port), length));
    let pages = PAGES.map(|(owner, gpa)| (owner, Base::Gpa(u64::from(gpa)), PAGE_BYTES));
    let mut owned = ports
        .into_iter()
        .chain(pages)
        .map(|(owner, base, length)| (owner, Claim { base, length }));
    match owned.find(|(_, theirs)| claim.meets(theirs)) {
        None => Ok(()),
        Some((owner, theirs)) => Err(Error::new(
            ErrorCode::InvalidOption,
            format!(
                "{name} ({}) overlaps {} of the kernel's {owner}: with irqchip: true no access there exits",
                claim.describe(),
                theirs.describe()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(base: Base, length: u64) -> Claim {
        Claim { base, length }
    }

    #[test]
    fn a_route_where_the_kernel_answers_is_refused() {
        let refused = [
            (route(Base::Port(0x20), 1), "PIC:"),
            (route(Base::Port(0x21), 1), "PIC:"),
            (route(Base::Port(0x3f), 2), "PIT:"),
            (route(Base::Port(0x43), 8), "PIT:"),
            (route(Base::Port(0x60), 5), "speaker:"),
            (route(Base::Port(0xa1), 1), "PIC:"),
            (route(Base::Port(0x4d1), 1), "ELCR:"),
            (route(Base::Port(0), 0x1_0000), "PIC:"),
            (route(Base::Gpa(0xfec0_0000), 1), "IOAPIC:"),
            (route(Base::Gpa(0xfee0_0ff0), 0x10), "local APIC:"),
        ];
        for (bad, owner) in refused {
            let error = check(&bad, "routes[1]").unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidOption);
            assert!(error.message.starts_with("routes[1] ("), "{error}");
            assert!(error.message.contains(owner), "{error}");
        }
    }

    #[test]
    fn beside_it_a_route_may_stand() {
        let routes = [
            route(Base::Port(0), 0x20),
            route(Base::Port(0x22), 0x1e),
            route(Base::Port(0x44), 0x1d),
            route(Base::Port(0x62), 0x3e),
            route(Base::Port(0xa2), 0x42e),
            route(Base::Port(0x4d2), 1),
            route(Base::Gpa(0x20), 2),
            route(Base::Gpa(0xfec0_1000), 0x1f_f000),
            route(Base::Gpa(0xfee0_1000), 1),
        ];
        assert!(routes.iter().all(|route| check(route, "routes[0]").is_ok()));
    }
}
