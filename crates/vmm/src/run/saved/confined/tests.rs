#![allow(clippy::unwrap_used)]

use boot::state::{self, BootConfig, Protocol};
use boot::{CpuMode, Privilege, layout};
use kvm_bindings::{kvm_segment, kvm_sregs};

use super::*;

const MEMORY_BYTES: u64 = 2 << 20;
const PAGE_2_MIB: u64 = 2 << 20;
/// Of the directory that maps the system slot, its entry.
const SYSTEM_ENTRY: u64 = layout::DIRECTORIES + SYSTEM_START / PAGE_2_MIB * 8;

/// A state, and the bytes of memory from `SYSTEM_START` on.
struct Guest {
    state: VcpuState,
    system: Vec<u8>,
}

impl Guest {
    /// As a machine starts it.
    fn new(mode: CpuMode, privilege: Privilege) -> Self {
        Self::with(mode, privilege, false)
    }

    fn with(mode: CpuMode, privilege: Privilege, faults: bool) -> Self {
        let config = BootConfig {
            mode,
            privilege,
            protocol: Protocol::Plain,
            faults,
            entry_gpa: 0,
            stack_top: MEMORY_BYTES,
            top: MEMORY_BYTES,
        };
        let mut system = vec![0; layout::system_bytes(MEMORY_BYTES) as usize];
        for table in state::tables(&config) {
            let at = (table.gpa - SYSTEM_START) as usize;
            system[at..at + table.bytes.len()].copy_from_slice(&table.bytes);
        }
        let msr = |index| kvm_msr_entry {
            index,
            ..Default::default()
        };
        let state = VcpuState {
            regs: Default::default(),
            sregs: state::special_registers(&config, None, kvm_sregs::default()),
            events: Default::default(),
            xsave: Box::new([]),
            xcrs: None,
            debug: Default::default(),
            msrs: [SYSENTER_CS, DEBUGCTL, 0x186].map(msr).to_vec(),
            mp_state: None,
            lapic: None,
        };
        Self { state, system }
    }

    fn write(&mut self, gpa: u64, value: u64) {
        let at = (gpa - SYSTEM_START) as usize;
        self.system[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn is_confined(&self) -> bool {
        is_confined(&self.state, |gpa, bytes| {
            let at = gpa.wrapping_sub(SYSTEM_START) as usize;
            let Some(found) = self.system.get(at..at.saturating_add(bytes.len())) else {
                return false;
            };
            bytes.copy_from_slice(found);
            true
        })
    }
}

fn user() -> Guest {
    Guest::new(CpuMode::Long, Privilege::User)
}

#[test]
fn a_guest_that_starts_in_ring_3_is_confined_to_it_and_no_other_is() {
    assert!(user().is_confined());
    assert!(!Guest::new(CpuMode::Long, Privilege::Kernel).is_confined());
    for mode in [CpuMode::Real, CpuMode::Protected, CpuMode::Paged32] {
        assert!(!Guest::new(mode, Privilege::Kernel).is_confined());
    }
}

#[test]
fn each_register_that_opens_a_way_counts() {
    let opened: [fn(&mut VcpuState); 15] = [
        |it| it.sregs.cs.dpl = 0,
        |it| it.sregs.ss.dpl = 0,
        |it| it.sregs.cs.selector = 8,
        |it| it.sregs.idt.limit = ONE_GATE,
        |it| it.sregs.efer |= EFER_SCE,
        |it| it.sregs.efer &= !EFER_LMA,
        |it| it.sregs.cr4 |= 1 << 23,
        |it| it.sregs.cr4 |= 1 << 12,
        |it| {
            it.sregs.ldt = kvm_segment {
                limit: 0xffff,
                present: 1,
                ..Default::default()
            };
        },
        |it| it.sregs.gdt.base = 0x1000,
        |it| it.sregs.gdt.limit = 0xffff,
        |it| it.sregs.cr3 = 0x1000,
        |it| it.msrs[0].data = 8,
        |it| it.msrs[1].data = 1,
        |it| it.msrs[2].data = 1 << 22,
    ];
    for (index, open) in opened.iter().enumerate() {
        let mut guest = user();
        open(&mut guest.state);
        assert!(!guest.is_confined(), "{index}");
    }
    let mut guest = user();
    guest.state.msrs.remove(0);
    assert!(!guest.is_confined());
}

#[test]
fn a_gate_in_the_gdt_counts_and_other_descriptors_do_not() {
    let descriptor = |kind: u64, system: bool, present: u64| {
        present << 47 | 3 << 45 | u64::from(!system) << 44 | kind << 40
    };
    for kind in 0..16 {
        let mut guest = user();
        guest.write(layout::GDT + 8, descriptor(kind, true, 1));
        assert_eq!(guest.is_confined(), matches!(kind, 9 | 11), "{kind}");
        guest.write(layout::GDT + 8, descriptor(kind, true, 0));
        assert!(guest.is_confined(), "{kind}");
        guest.write(layout::GDT + 8, descriptor(kind, false, 1));
        assert!(guest.is_confined(), "{kind}");
    }
}

#[test]
fn tables_that_ring_3_can_write_do_not_confine_it() {
    let large = PRESENT | WRITABLE | LARGE;
    let mut guest = user();
    guest.write(SYSTEM_ENTRY, SYSTEM_START | large | USER);
    assert!(!guest.is_confined());
    // Read, it may.
    guest.write(SYSTEM_ENTRY, SYSTEM_START | PRESENT | LARGE | USER);
    assert!(guest.is_confined());
    // By another address.
    guest.write(layout::DIRECTORIES, SYSTEM_START | large | USER);
    assert!(!guest.is_confined());
    guest.write(layout::DIRECTORIES, SYSTEM_START | large);
    assert!(guest.is_confined());
    // By smaller pages, and without an end.
    guest.write(
        layout::DIRECTORIES,
        layout::TOP_TABLE | PRESENT | WRITABLE | USER,
    );
    assert!(!guest.is_confined());
}

#[test]
fn the_trap_table_confines_as_long_as_it_is_what_it_was() {
    let trapped = || Guest::with(CpuMode::Long, Privilege::User, true);
    assert!(trapped().is_confined());
    assert!(!Guest::with(CpuMode::Long, Privilege::Kernel, true).is_confined());
    let registers: [fn(&mut VcpuState); 4] = [
        |it| it.sregs.idt.base = layout::IDT - 16,
        |it| it.sregs.idt.limit += 1,
        |it| it.sregs.idt.limit = ONE_GATE,
        |it| it.sregs.tr.base = layout::GDT,
    ];
    for (index, change) in registers.iter().enumerate() {
        let mut guest = trapped();
        change(&mut guest.state);
        assert!(!guest.is_confined(), "{index}");
    }
    // A gate, a stub, the stack of the gates.
    let last_stub = layout::STUBS + 31 * layout::STUB_BYTES;
    for gpa in [
        layout::IDT,
        layout::IDT + 504,
        last_stub,
        layout::TSS + 0x24,
    ] {
        let mut guest = trapped();
        guest.write(gpa, 0x1234);
        assert!(!guest.is_confined(), "{gpa:#x}");
    }
    let mut guest = trapped();
    guest.write(
        SYSTEM_ENTRY,
        SYSTEM_START | PRESENT | WRITABLE | LARGE | USER,
    );
    assert!(!guest.is_confined());
}
