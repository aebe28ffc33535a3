use boot::{MemorySlot, layout};

use super::*;
use crate::kvm::exit::{MmioAccess, PortAccess};
use crate::limits::{MAX_GPA, MAX_ROUTE_LENGTH};

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

fn claim(base: Base, length: u64) -> Claim {
    Claim { base, length }
}

fn port(port: u16, length: u64) -> Claim {
    claim(Base::Port(port), length)
}

fn rows(claims: &[Claim], standing: Standing) -> Vec<Row> {
    let rows = claims.iter().zip(0..).map(|(claim, id)| Row {
        id: RouteId::new(id),
        claim: *claim,
        standing,
    });
    rows.collect()
}

fn table(claims: &[Claim]) -> Result<Table> {
    Table::new(&rows(claims, Standing::Configured))
}

fn find_port(table: &Table, port: u16) -> Option<(usize, u32)> {
    let exit = Exit::PioIn(PortAccess {
        port,
        size: 1,
        count: 1,
        data_offset: 0,
    });
    table.find(&exit).map(|(Place(row), offset)| (row, offset))
}

fn find_gpa(table: &Table, gpa: u64) -> Option<(usize, u32)> {
    let exit = Exit::MmioRead(MmioAccess { gpa, size: 1 });
    table.find(&exit).map(|(Place(row), offset)| (row, offset))
}

#[test]
fn an_access_belongs_to_the_route_of_its_first_byte() {
    let claims = [
        port(0x60, 4),
        port(0x70, 1),
        claim(Base::Gpa(0xd000_0000), 0x100),
    ];
    let table = table(&claims).unwrap();
    let found = [0x5f, 0x60, 0x63, 0x64, 0x70, 0x71].map(|port| find_port(&table, port));
    assert_eq!(
        found,
        [None, Some((0, 0)), Some((0, 3)), None, Some((1, 0)), None]
    );
    assert_eq!(find_gpa(&table, 0xd000_00ff), Some((2, 0xff)));
    assert_eq!(find_gpa(&table, 0xd000_0100), None);
    assert_eq!(find_gpa(&table, 0x60), None);
}

#[test]
fn overlaps_name_both_routes() {
    let error = table(&[port(0x64, 1), port(0x80, 1), port(0x60, 8)]).unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidOption);
    assert_eq!(
        error.message,
        "routes[2] (port 0x60..=0x67) overlaps routes[0] (port 0x64)"
    );
    let mut all = rows(&[port(0x3f8, 8)], Standing::Board);
    all.extend(rows(&[port(0x3ff, 1)], Standing::Attached));
    assert_eq!(
        Table::new(&all).unwrap_err().message,
        "route (port 0x3ff) overlaps the machine's own device (port 0x3f8..=0x3ff)"
    );
}

#[test]
fn what_yields_keeps_what_nobody_else_claims_and_its_offsets() {
    let mut all = rows(&[port(0x61, 1), port(0x64, 4)], Standing::Configured);
    all.extend(rows(&[port(0x60, 5), port(0x65, 1)], Standing::Yields));
    let table = Table::new(&all).unwrap();
    let found = (0x5f..0x69).map(|port| find_port(&table, port));
    let expected = [
        None,
        Some((2, 0)),
        Some((0, 0)),
        Some((2, 2)),
        Some((2, 3)),
        Some((1, 0)),
        Some((1, 1)),
        Some((1, 2)),
        Some((1, 3)),
        None,
    ];
    assert!(found.eq(expected));
}

#[test]
fn a_port_and_an_address_never_overlap() {
    assert!(table(&[port(0x64, 1), claim(Base::Gpa(0x64), 1)]).is_ok());
}

#[test]
fn a_route_in_memory_would_never_be_asked() {
    for gpa in [0x1000, (2 << 20) - 1, layout::SYSTEM_START] {
        let refused = claim(Base::Gpa(gpa), 1).check("routes[0]", &MEMORY);
        let error = refused.unwrap_err();
        assert!(error.message.contains("overlaps guest memory"), "{error}");
    }
    assert!(
        claim(Base::Gpa(0x8000_0000), 8)
            .check("routes[0]", &MEMORY)
            .is_ok(),
        "read-only memory exits on writes"
    );
}

#[test]
fn ranges_are_bounded() {
    for bad in [
        port(0, 0),
        port(0xffff, 2),
        claim(Base::Gpa(MAX_GPA), 1),
        claim(Base::Gpa(u64::MAX), 2),
        claim(Base::Gpa(1 << 33), MAX_ROUTE_LENGTH + 1),
    ] {
        assert_eq!(
            bad.check("routes[0]", &[]).unwrap_err().code,
            ErrorCode::InvalidOption,
            "{bad:?}"
        );
    }
    let many = vec![port(0, 1); MAX_ROUTES + 1];
    assert_eq!(table(&many).unwrap_err().code, ErrorCode::Limit);
}
