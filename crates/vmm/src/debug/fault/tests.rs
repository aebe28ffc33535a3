#![allow(clippy::unwrap_used)]

use boot::Privilege;
use boot::state::{self, BootConfig, Protocol};

use super::*;

const END: u64 = layout::FAULT_STACK_END;
const PAGE_FAULTS_STUB: u64 = layout::STUBS + 14 * layout::STUB_BYTES;

/// A vCPU at the stub of #PF, and the memory of its tables and stacks.
struct Scene {
    registers: kvm_regs,
    special: kvm_sregs,
    memory: Vec<(u64, Vec<u8>)>,
}

impl Scene {
    fn new(mode: CpuMode) -> Self {
        let config = BootConfig {
            mode,
            privilege: Privilege::Kernel,
            protocol: Protocol::Plain,
            faults: true,
            entry_gpa: 0,
            stack_top: 0x1000,
            top: 0,
        };
        let mut special = state::special_registers(&config, None, kvm_sregs::default());
        special.cr2 = 0xdead_0000;
        let tables = state::tables(&config).into_iter();
        Self {
            registers: kvm_regs {
                rip: PAGE_FAULTS_STUB,
                rbx: 7,
                ..Default::default()
            },
            special,
            memory: tables.map(|table| (table.gpa, table.bytes)).collect(),
        }
    }

    /// From the end of long mode's stack downwards.
    fn long(frame: &[u64]) -> Self {
        let mut scene = Self::new(CpuMode::Long);
        scene.registers.rsp = END - 8 * frame.len() as u64;
        let bytes = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
        scene.memory.insert(0, (scene.registers.rsp, bytes));
        scene
    }

    fn protected(frame: &[u32]) -> Self {
        let mut scene = Self::new(CpuMode::Protected);
        scene.registers.rsp = 0x800;
        let bytes = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
        scene.memory.insert(0, (0x800, bytes));
        scene
    }

    fn recognise(&self) -> Option<Caught> {
        recognise(&self.registers, &self.special, |linear, bytes| {
            let holds = |(from, all): &&(u64, Vec<u8>)| {
                linear >= *from && linear + bytes.len() as u64 <= from + all.len() as u64
            };
            let Some((from, all)) = self.memory.iter().find(holds) else {
                return false;
            };
            let at = (linear - from) as usize;
            bytes.copy_from_slice(&all[at..at + bytes.len()]);
            true
        })
    }
}

/// Error code, RIP, CS, RFLAGS, RSP, SS.
const USER: [u64; 6] = [6, 0x1234, 0x23, 0x1_3202, 0x7f8, 0x1b];

#[test]
fn a_fault_of_ring_3_goes_back_there() {
    let caught = Scene::long(&USER).recognise().unwrap();
    let expected = Fault {
        vector: 14,
        error_code: Some(6),
        address: Some(0xdead_0000),
        rip: 0x1234,
    };
    assert_eq!(caught.fault, expected);
    let registers = caught.registers;
    assert_eq!(
        (registers.rip, registers.rsp, registers.rbx),
        (0x1234, 0x7f8, 7)
    );
    // RF is the processor's own.
    assert_eq!(registers.rflags, 0x3202);
    let (cs, ss) = (caught.special.cs, caught.special.ss);
    assert_eq!(
        (cs.selector, cs.dpl, cs.l, cs.limit),
        (0x23, 3, 1, 0xffff_ffff)
    );
    assert_eq!((ss.selector, ss.dpl, ss.type_), (0x1b, 3, 3));
}

#[test]
fn ring_0_of_64_bits_may_have_no_stack_segment() {
    let caught = Scene::long(&[0, 8, 2, 0x7f8, 0]).recognise().unwrap();
    assert_eq!((caught.fault.rip, caught.fault.error_code), (0, None));
    assert_eq!(
        (caught.special.ss.selector, caught.special.ss.unusable),
        (0, 1)
    );
}

#[test]
fn what_is_no_stub_of_ours_is_no_fault() {
    let changes: [fn(&mut Scene); 9] = [
        |it| it.registers.rip += 1,
        |it| it.registers.rip = 0x1000,
        |it| it.special.idt.base += 16,
        |it| it.special.idt.limit -= 16,
        // Ring 3.
        |it| it.special.cs.selector = 0x23,
        |it| it.special.cs.dpl = 3,
        // No place for a frame.
        |it| it.registers.rsp -= 8,
        |it| it.registers.rsp += 16,
        |it| it.memory.clear(),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut scene = Scene::long(&USER);
        change(&mut scene);
        assert!(scene.recognise().is_none(), "{index}");
    }
    let mut after = Scene::long(&USER);
    after.registers.rip += 2;
    assert!(after.recognise().is_some());
}

#[test]
fn a_frame_that_iret_does_not_take_is_none() {
    let frames = [
        // CS: null, data, beyond the table, a local table that there is not, another ring.
        [0, 1, 0, 2, 0x7f8, 0x1b],
        [0, 1, 0x1b, 2, 0x7f8, 0x1b],
        [0, 1, 0x2b, 2, 0x7f8, 0x1b],
        [0, 1, 0x27, 2, 0x7f8, 0x1b],
        [0, 1, 0x20, 2, 0x7f8, 0x1b],
        // SS: null in ring 3, code, another ring.
        [0, 1, 0x23, 2, 0x7f8, 3],
        [0, 1, 0x23, 2, 0x7f8, 0x23],
        [0, 1, 0x23, 2, 0x7f8, 0x10],
        [0, 1, 8, 2, 0x7f8, 0x1b],
    ];
    for frame in frames {
        assert!(Scene::long(&frame).recognise().is_none(), "{frame:x?}");
    }
}

#[test]
fn in_32_bits_a_frame_is_on_the_guests_stack() {
    let caught = Scene::protected(&[2, 0x1234, 8, 0x1_0202])
        .recognise()
        .unwrap();
    assert_eq!(
        (caught.fault.error_code, caught.fault.rip),
        (Some(2), 0x1234)
    );
    assert_eq!(
        (caught.registers.rsp, caught.registers.rflags),
        (0x810, 0x202)
    );
    assert_eq!(
        (caught.special.cs.selector, caught.special.ss.selector),
        (8, 0x10)
    );
    // From ring 3 its stack is there, too.
    let caught = Scene::protected(&[2, 0x1234, 0x23, 0x202, 0x600, 0x1b])
        .recognise()
        .unwrap();
    assert_eq!(
        (caught.registers.rsp, caught.special.ss.selector),
        (0x600, 0x1b)
    );
    // Virtual-8086 mode, and no memory where it should be.
    assert!(
        Scene::protected(&[2, 0x1234, 8, 0x2_0202])
            .recognise()
            .is_none()
    );
    assert!(Scene::protected(&[2, 0x1234, 8]).recognise().is_none());
}

#[test]
fn only_a_byte_to_the_port_tells() {
    let out = |port, size, count| {
        is_told(&Exit::PioOut(PortAccess {
            port,
            size,
            count,
            data_offset: 0,
        }))
    };
    assert!(out(0xfa, 1, 1));
    for (port, size, count) in [(0xfb, 1, 1), (0x1fa, 1, 1), (0xfa, 2, 1), (0xfa, 1, 2)] {
        assert!(!out(port, size, count));
    }
    assert!(!is_told(&Exit::Hlt));
}
