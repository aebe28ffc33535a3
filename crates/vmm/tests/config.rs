//! Every check of a configuration: its code, and a message that names the option and the value. No
//! KVM is needed, since nothing is made before all is checked.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

use boot::layout;
use vmm::limits::{MAX_GPA, MAX_MEMORY_BYTES, MAX_ROUTE_LENGTH, MAX_ROUTES, MAX_SLOTS};
use vmm::{Base, CpuMode, ErrorCode, Machine, MachineConfig, MemorySlot, Privilege};
use vmm::{RouteConfig, RouteTarget};

fn valid(mode: CpuMode) -> MachineConfig<'static> {
    // hlt
    MachineConfig::new(mode, vec![0xf4])
}

fn slot(gpa: u64, bytes: u64) -> MemorySlot {
    MemorySlot {
        gpa,
        bytes,
        read_only: false,
    }
}

fn route(base: Base, length: u64) -> RouteConfig {
    let target = RouteTarget::Discard;
    RouteConfig {
        base,
        length,
        target,
    }
}

/// Making the machine fails with this code, and the message has all of `words`.
#[track_caller]
fn assert_refused(config: MachineConfig, code: ErrorCode, words: &[&str]) {
    let error = Machine::new(config).unwrap_err();
    assert_eq!(error.code, code, "{error}");
    assert_eq!((error.call, error.errno), (None, None));
    for word in words {
        assert!(error.message.contains(word), "'{word}' is not in '{error}'");
    }
}

#[test]
fn the_defaults_are_valid_in_every_mode() {
    for mode in CpuMode::ALL {
        valid(mode).check().unwrap();
    }
    let user = MachineConfig {
        privilege: Privilege::User,
        ..valid(CpuMode::Long)
    };
    user.check().unwrap();
}

#[test]
fn ring_3_is_for_long_mode() {
    for mode in [CpuMode::Real, CpuMode::Protected, CpuMode::Paged32] {
        let config = MachineConfig {
            privilege: Privilege::User,
            ..valid(mode)
        };
        let words = ["privilege", "'user'", "'long'", mode.name()];
        assert_refused(config, ErrorCode::InvalidOption, &words);
    }
}

#[test]
fn memory_is_a_positive_multiple_of_a_page() {
    for bytes in [0, 1, 4095, 4097, (2 << 20) + 512] {
        let config = MachineConfig {
            memory_bytes: bytes,
            ..valid(CpuMode::Long)
        };
        let words = ["memoryBytes", "4096", &bytes.to_string()];
        assert_refused(config, ErrorCode::InvalidOption, &words);
    }
}

#[test]
fn slot_0_ends_at_3_gib() {
    let of = |memory_bytes| MachineConfig {
        memory_bytes,
        ..valid(CpuMode::Long)
    };
    of(MAX_MEMORY_BYTES).check().unwrap();
    let bytes = MAX_MEMORY_BYTES + 4096;
    let words = ["memoryBytes", "3221225472", &bytes.to_string()];
    assert_refused(of(bytes), ErrorCode::Limit, &words);
    assert_refused(of(u64::MAX - 4095), ErrorCode::Limit, &["memoryBytes"]);
}

#[test]
fn slots_are_whole_pages_within_the_limits() {
    let of = |slots: &[MemorySlot]| MachineConfig {
        slots: slots.to_vec(),
        ..valid(CpuMode::Long)
    };
    let good = slot(4 << 30, 4096);
    of(&[good, slot(MAX_GPA - 4096, 4096)]).check().unwrap();
    let (invalid, limit) = (ErrorCode::InvalidOption, ErrorCode::Limit);
    assert_refused(
        of(&[slot(4 << 30, 0)]),
        invalid,
        &["slots[0].bytes", "got 0"],
    );
    assert_refused(
        of(&[good, slot(5 << 30, 100)]),
        invalid,
        &["slots[1].bytes", "100"],
    );
    assert_refused(
        of(&[slot(0x1_0000_0800, 4096)]),
        invalid,
        &["slots[0].gpa", "0x100000800"],
    );
    let words = ["slots[0]", "0x8000000000"];
    assert_refused(of(&[slot(MAX_GPA, 4096)]), limit, &words);
    assert_refused(of(&[slot(MAX_GPA - 4096, 8192)]), limit, &words);
    assert_refused(of(&[slot(u64::MAX - 4095, 8192)]), limit, &words);
    let many: Vec<_> = (0..=MAX_SLOTS as u64)
        .map(|i| slot((4 + i) << 30, 4096))
        .collect();
    of(&many[1..]).check().unwrap();
    assert_refused(of(&many), limit, &["slots", "16", "17"]);
}

#[test]
fn slots_overlap_neither_each_other_nor_what_is_reserved() {
    let of = |slots: &[MemorySlot]| MachineConfig {
        slots: slots.to_vec(),
        ..valid(CpuMode::Long)
    };
    let invalid = ErrorCode::InvalidOption;
    of(&[slot(2 << 20, 4096), slot((2 << 20) + 4096, 4096)])
        .check()
        .unwrap();
    let words = ["slots[0]", "memoryBytes"];
    assert_refused(of(&[slot((2 << 20) - 4096, 8192)]), invalid, &words);
    let low = slot(4 << 30, 8192);
    let words = ["slots[0]", "slots[1]"];
    assert_refused(of(&[low, slot((4 << 30) + 4096, 4096)]), invalid, &words);
    assert_refused(of(&[slot((4 << 30) + 4096, 4096), low]), invalid, &words);
    assert_refused(of(&[low, low]), invalid, &words);
    for gpa in [layout::RESERVED_START, layout::RESERVED_END - 4096] {
        let words = ["slots[0]", "reserved", &format!("{gpa:#x}")];
        assert_refused(of(&[slot(gpa, 4096)]), invalid, &words);
    }
    let around = slot(layout::RESERVED_START - 4096, 1 << 30);
    assert_refused(of(&[around]), invalid, &["slots[0]", "reserved"]);
    of(&[slot(layout::RESERVED_START - 4096, 4096)])
        .check()
        .unwrap();
}

#[test]
fn a_payload_lies_in_one_slot() {
    let of = |bytes: usize, load_gpa| {
        let mut config = MachineConfig::new(CpuMode::Long, vec![0xf4; bytes]);
        config.payload.load_gpa = load_gpa;
        config.payload.entry_gpa = Some(load_gpa);
        config
    };
    let payload = ErrorCode::Payload;
    of(2 << 20, 0).check().unwrap();
    of(1, (2 << 20) - 1).check().unwrap();
    assert_refused(of(0, 0), payload, &["payload.image", "0 bytes"]);
    assert_refused(
        of((2 << 20) + 1, 0),
        payload,
        &["payload", "2097153", "2097152"],
    );
    assert_refused(of(2, (2 << 20) - 1), payload, &["loadGpa", "0x1fffff"]);
    assert_refused(of(1, 2 << 20), payload, &["loadGpa", "0x200000"]);
    assert_refused(of(2, u64::MAX), payload, &["loadGpa", "0xffffffffffffffff"]);
    // Two adjacent slots are still two.
    let across = MachineConfig {
        slots: vec![slot(2 << 20, 4096)],
        ..of(2, (2 << 20) - 1)
    };
    assert_refused(across, payload, &["loadGpa", "0x1fffff"]);
}

#[test]
fn an_entry_lies_in_the_payloads_slot_and_in_reach_of_the_mode() {
    let of = |mode, memory_bytes, entry_gpa| {
        let mut config = MachineConfig {
            memory_bytes,
            ..valid(mode)
        };
        config.payload.entry_gpa = Some(entry_gpa);
        config
    };
    let payload = ErrorCode::Payload;
    of(CpuMode::Long, 2 << 20, (2 << 20) - 1).check().unwrap();
    let words = ["payload.entryGpa", "0x200000"];
    assert_refused(of(CpuMode::Long, 2 << 20, 2 << 20), payload, &words);
    of(CpuMode::Real, 2 << 20, (1 << 20) - 1).check().unwrap();
    let words = ["payload.entryGpa", "0x100000", "'real'"];
    assert_refused(of(CpuMode::Real, 2 << 20, 1 << 20), payload, &words);
    for mode in [CpuMode::Protected, CpuMode::Paged32, CpuMode::Long] {
        let mut high = MachineConfig {
            slots: vec![slot(4 << 30, 4096)],
            ..valid(mode)
        };
        high.payload.load_gpa = 4 << 30;
        high.payload.entry_gpa = Some(4 << 30);
        if mode == CpuMode::Long {
            high.check().unwrap();
        } else {
            let words = ["payload.entryGpa", "0x100000000", mode.name()];
            assert_refused(high, payload, &words);
        }
    }
}

#[test]
fn routes_are_checked_before_anything_is_made() {
    let of = |routes: &[RouteConfig]| MachineConfig {
        routes: routes.to_vec(),
        ..valid(CpuMode::Long)
    };
    let (invalid, limit) = (ErrorCode::InvalidOption, ErrorCode::Limit);
    let (port, gpa) = (Base::Port(0x60), Base::Gpa(0xd000_0000));
    let words = ["routes[0].length", "got 0", "0x60"];
    assert_refused(of(&[route(port, 0)]), invalid, &words);
    let words = ["routes[1].length", "got 2", "0xffff"];
    let last = route(Base::Port(0xffff), 2);
    assert_refused(of(&[route(port, 1), last]), invalid, &words);
    let long = route(Base::Gpa(8 << 30), MAX_ROUTE_LENGTH + 1);
    assert_refused(of(&[long]), invalid, &["routes[0].length", "4294967297"]);
    let words = ["routes[0].length", "0x8000000000"];
    assert_refused(of(&[route(Base::Gpa(MAX_GPA), 1)]), invalid, &words);
    let words = ["routes[0]", "routes[1]", "0x60", "0x61"];
    assert_refused(
        of(&[route(port, 2), route(Base::Port(0x61), 1)]),
        invalid,
        &words,
    );
    let words = ["routes[0]", "routes[1]", "0xd0000000"];
    assert_refused(of(&[route(gpa, 8), route(gpa, 1)]), invalid, &words);
    let words = ["routes[0]", "0x1fffff", "memory"];
    assert_refused(of(&[route(Base::Gpa(0x1f_ffff), 1)]), invalid, &words);
    let words = ["routes[0]", "0xfe000000", "memory"];
    assert_refused(
        of(&[route(Base::Gpa(layout::SYSTEM_START), 1)]),
        invalid,
        &words,
    );
    let many: Vec<_> = (0..=MAX_ROUTES as u16)
        .map(|i| route(Base::Port(i), 1))
        .collect();
    assert_refused(of(&many), limit, &["routes", "256", "257"]);
}
