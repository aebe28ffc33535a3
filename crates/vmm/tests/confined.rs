//! What a restore may leave out for a guest of ring 3 is what such a guest cannot change, whatever
//! it tries and whatever the host has done.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::{LONG, USER, code, machine, port, read_vec, run};
use vmm::{Machine, ProcessorState, RouteConfig, RouteTarget, kvm_debugregs};

const SYSENTER_CS: u32 = 0x174;
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
const MSRS: [u32; 8] = [
    SYSENTER_CS,
    0x175,
    0x176,
    STAR,
    LSTAR,
    0xc000_0084,
    KERNEL_GS_BASE,
    0x1d9,
];

/// Where GDT and page tables are.
const SYSTEM: u64 = 0xfe00_0000;
const SYSTEM_BYTES: usize = 0x9000;
const GDT_BYTES: usize = 0x28;
const STOP: RouteConfig = RouteConfig {
    base: vmm::Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// What ring 0 does to MSRs, debug registers and XCR0, and what would lead to it.
const ATTEMPTS: [(&str, &str); 17] = [
    ("nothing", "90 ; nop"),
    ("wrmsr", "0f 30 ; wrmsr"),
    ("mov to dr0", "0f 23 c0 ; mov %rax,%db0"),
    ("xsetbv", "0f 01 d1 ; xsetbv"),
    ("swapgs", "0f 01 f8 ; swapgs"),
    ("wrgsbase", "f3 48 0f ae d8 ; wrgsbase %rax"),
    ("syscall", "0f 05 ; syscall"),
    ("sysenter", "0f 34 ; sysenter"),
    ("sysretq", "48 0f 07 ; sysretq"),
    ("int $0x80", "cd 80 ; int $0x80"),
    ("int3", "cc ; int3"),
    ("ud2", "0f 0b ; ud2"),
    ("hlt", "f4 ; hlt"),
    ("vmcall", "0f 01 c1 ; vmcall"),
    (
        "a step",
        "9c                   ; pushf
         81 0c 24 00 01 00 00 ; orl $0x100,(%rsp)
         9d                   ; popf
         90                   ; nop",
    ),
    (
        "a store to the GDT",
        "c7 04 25 08 00 00 fe 00 00 00 00 ; movl $0,0xfffffffffe000008",
    ),
    ("a far call", "ff 1c 25 00 40 00 00 ; lcall *0x4000"),
];

struct World {
    machine: Machine,
    saved: ProcessorState,
    memory: Vec<u8>,
    values: (Vec<u64>, kvm_debugregs, u64),
}

fn values(machine: &mut Machine) -> (Vec<u64>, kvm_debugregs, u64) {
    let processor = machine.vcpu(0).unwrap();
    let msrs = MSRS.map(|index| processor.read_msr(index).unwrap());
    let debug = processor.debug_registers().unwrap();
    (msrs.to_vec(), debug, processor.xcr0().unwrap())
}

impl World {
    fn new(guest: &str) -> Self {
        let listing = format!("{guest}\ne6 f4 ; out %al,$0xf4");
        let mut machine = machine(USER, &listing, &[STOP, port(0xf5, 1, RouteTarget::Discard)]);
        // Where `syscall` leads to if it is on in spite of all.
        machine
            .memory()
            .write(0x3000, &code("e6 f4 ; out %al,$0xf4"))
            .unwrap();
        common::set(&mut machine, |it| {
            (it.rax, it.rcx, it.rdx, it.rsp) = (7, LSTAR.into(), 0, 0x8000);
        });
        let processor = machine.vcpu(0).unwrap();
        processor.write_msr(LSTAR, 0x3000).unwrap();
        processor.write_msr(KERNEL_GS_BASE, 0x1234).unwrap();
        let mut debug = processor.debug_registers().unwrap();
        debug.db[1] = 0x77;
        processor.set_debug_registers(&debug).unwrap();
        let saved = processor.save().unwrap();
        assert!(processor.is_confined(&saved));
        let memory = read_vec(&machine, SYSTEM, SYSTEM_BYTES);
        let values = values(&mut machine);
        Self {
            machine,
            saved,
            memory,
            values,
        }
    }

    fn assert_restores(&mut self, what: &str) {
        let processor = self.machine.vcpu(0).unwrap();
        processor.abandon().unwrap();
        // Only then, since a write of the host's has all set anew.
        if read_vec(&self.machine, SYSTEM, GDT_BYTES) != self.memory[..GDT_BYTES] {
            self.machine.memory().write(SYSTEM, &self.memory).unwrap();
        }
        self.machine.vcpu(0).unwrap().restore(&self.saved).unwrap();
        assert_eq!(values(&mut self.machine), self.values, "{what}");
    }
}

#[test]
fn whatever_ring_3_tries_all_comes_back() {
    require!(USER);
    for (name, guest) in ATTEMPTS {
        let mut world = World::new(guest);
        for round in 0..3 {
            run(&mut world.machine);
            world.assert_restores(&format!("{name}, {round}"));
        }
    }
}

#[test]
fn whatever_the_host_sets_all_comes_back() {
    require!(LONG, USER);
    let changes: [fn(&mut Machine); 4] = [
        |machine| machine.vcpu(0).unwrap().write_msr(STAR, 5).unwrap(),
        |machine| {
            let processor = machine.vcpu(0).unwrap();
            let mut debug = processor.debug_registers().unwrap();
            debug.db[0] = 5;
            processor.set_debug_registers(&debug).unwrap();
        },
        // Ring 0, which writes an MSR.
        |machine| {
            let mut special = machine.special_registers().unwrap();
            (special.cs.dpl, special.cs.selector) = (0, 8);
            (special.ss.dpl, special.ss.selector) = (0, 16);
            machine.set_special_registers(&special).unwrap();
        },
        // A gate to ring 0, and an MSR written there.
        |machine| {
            let gate = 0x3000_u64 & 0xffff | 8 << 16 | 0xec << 40;
            let gate = [gate.to_le_bytes(), [0; 8]].concat();
            machine.memory().write(SYSTEM + 8 * 3, &gate).unwrap();
            // The stack of ring 0.
            let stack = 0x9000_u64.to_le_bytes();
            machine.memory().write(SYSTEM + 0x1004, &stack).unwrap();
            machine
                .memory()
                .write(0x3000, &code("0f 30 e6 f4 ; wrmsr, out"))
                .unwrap();
            machine
                .memory()
                .write(0x4000, &[0, 0, 0, 0, 0x1b, 0])
                .unwrap();
            let far_call = code("ff 1c 25 00 40 00 00 ; lcall *0x4000");
            machine.memory().write(0, &far_call).unwrap();
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut world = World::new("0f 30 ; wrmsr");
        for _ in 0..2 {
            change(&mut world.machine);
            run(&mut world.machine);
            world.assert_restores(&format!("change {index}"));
            world.assert_restores(&format!("change {index}, again"));
        }
    }
}
