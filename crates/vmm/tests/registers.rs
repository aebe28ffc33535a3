//! `KVM_GET_REGS`, `KVM_SET_REGS`, `KVM_GET_SREGS`, `KVM_SET_SREGS`.

#[macro_use]
mod common;

use boot::layout;
use common::{LONG, PROTECTED, REAL, USER, exit, machine, run};
use vmm::{Exit, KickHandle, Machine, kvm_dtable, kvm_regs, kvm_segment};

const HLT: &str = "
    f4 ; hlt
";

/// All sixteen different, in the order of `kvm_regs`.
fn distinct(rip: u64, rflags: u64) -> kvm_regs {
    let value = |index: u64| 0x0101_0101_0101_0101 * index;
    kvm_regs {
        rax: value(1),
        rbx: value(2),
        rcx: value(3),
        rdx: value(4),
        rsi: value(5),
        rdi: value(6),
        rsp: value(7),
        rbp: value(8),
        r8: value(9),
        r9: value(10),
        r10: value(11),
        r11: value(12),
        r12: value(13),
        r13: value(14),
        r14: value(15),
        r15: value(16),
        rip,
        rflags,
    }
}

#[test]
fn general_registers_are_what_was_set() {
    require!(LONG, USER);
    for cpu in [LONG, USER] {
        let mut machine = machine(cpu, HLT, &[]);
        // Fixed bit, CF, ZF, IF, DF, IOPL 3.
        let wanted = distinct(0x1234, 0x3643);
        machine.set_registers(&wanted).unwrap();
        assert_eq!(machine.registers().unwrap(), wanted, "{cpu:?}");
    }
}

#[test]
fn the_guest_sees_what_was_set_and_leaves_the_rest_alone() {
    require!(LONG);
    const GUEST: &str = "
        49 97    ; xchg %rax,%r15
        48 87 f7 ; xchg %rsi,%rdi
        9f       ; lahf
        f4       ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    let set = distinct(0, 2 | 1);
    machine.set_registers(&set).unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    let expected = kvm_regs {
        // LAHF puts the low byte of RFLAGS into AH.
        rax: set.r15 & !0xff00 | 0x0300,
        r15: set.rax,
        rsi: set.rdi,
        rdi: set.rsi,
        rip: 7,
        ..set
    };
    assert_eq!(machine.registers().unwrap(), expected);
}

#[test]
fn at_the_first_instruction_general_registers_are_zero() {
    require!(REAL, PROTECTED, LONG, USER);
    for (cpu, rsp, rflags) in [
        (REAL, 0, 2),
        (PROTECTED, 2 << 20, 2),
        (LONG, 2 << 20, 2),
        (USER, 2 << 20, 0x3002),
    ] {
        let expected = kvm_regs {
            rsp,
            rflags,
            ..kvm_regs::default()
        };
        let mut machine = machine(cpu, HLT, &[]);
        assert_eq!(machine.registers().unwrap(), expected, "{cpu:?}");
    }
}

#[test]
fn the_task_register_names_a_tss_of_ours_but_in_real_mode() {
    require!(REAL, PROTECTED, LONG, USER);
    for cpu in [PROTECTED, LONG, USER] {
        let tr = machine(cpu, HLT, &[]).special_registers().unwrap().tr;
        // The state's 0x68 bytes, a bit for each port, a byte of ones.
        let limit = 0x68 + 0x2000;
        assert_eq!(
            (tr.base, tr.limit, tr.type_, tr.present, tr.unusable),
            (layout::TSS, limit, 11, 1, 0),
            "{cpu:?}"
        );
    }
    let real = machine(REAL, HLT, &[]).special_registers().unwrap();
    assert_eq!((real.tr.base, real.tr.limit), (0, 0xffff));
}

#[test]
fn special_registers_are_what_was_set() {
    require!(PROTECTED);
    let mut machine = machine(PROTECTED, HLT, &[]);
    let mut wanted = machine.special_registers().unwrap();
    let data = |selector, base, limit| kvm_segment {
        selector,
        base,
        limit,
        g: 0,
        ..wanted.ds
    };
    let (ds, es, fs, gs) = (
        data(0x18, 0x1000, 0xffff),
        data(0x20, 0x2000, 0xfff),
        data(0x28, 0x3000, 0x7fff),
        data(0x30, 0x4000, 0x1fff),
    );
    (wanted.ds, wanted.es, wanted.fs, wanted.gs) = (ds, es, fs, gs);
    wanted.gdt = kvm_dtable {
        base: 0x5000,
        limit: 0x37,
        ..wanted.gdt
    };
    wanted.idt = kvm_dtable {
        base: 0x6000,
        limit: 0x7ff,
        ..wanted.idt
    };
    (wanted.cr2, wanted.cr3, wanted.cr8) = (0x1234_5678, 0x7000, 5);
    machine.set_special_registers(&wanted).unwrap();
    let got = machine.special_registers().unwrap();
    assert_eq!((got.cs, got.ss), (wanted.cs, wanted.ss));
    assert_eq!((got.ds, got.es, got.fs, got.gs), (ds, es, fs, gs));
    assert_eq!((got.gdt, got.idt), (wanted.gdt, wanted.idt));
    assert_eq!((got.tr, got.ldt), (wanted.tr, wanted.ldt));
    assert_eq!(
        (got.cr0, got.cr2, got.cr3, got.cr4),
        (wanted.cr0, wanted.cr2, 0x7000, wanted.cr4)
    );
    assert_eq!(
        (got.cr8, got.efer, got.apic_base),
        (5, wanted.efer, wanted.apic_base)
    );
}

#[test]
fn a_segment_base_moves_the_guests_addresses() {
    require!(PROTECTED);
    const GUEST: &str = "
        64 c7 05 10 00 00 00 2a 00 00 00 ; movl $42,%fs:0x10
        0f 01 0d 00 05 00 00             ; sidt 0x500
        0f 20 d0                         ; mov %cr2,%eax
        f4                               ; hlt
    ";
    let mut machine = machine(PROTECTED, GUEST, &[]);
    let mut special = machine.special_registers().unwrap();
    special.fs.base = 0x8000;
    special.idt.base = 0x1234_5678;
    special.idt.limit = 0x7ff;
    special.cr2 = 0x9abc_def0;
    machine.set_special_registers(&special).unwrap();
    assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
    assert_eq!(common::read(&machine, 0x8010), [42, 0, 0, 0]);
    assert_eq!(
        common::read(&machine, 0x500),
        [0xff, 0x07, 0x78, 0x56, 0x34, 0x12]
    );
    assert_eq!(machine.registers().unwrap().rax, 0x9abc_def0);
}

#[test]
fn the_guest_finds_the_task_priority_that_was_set() {
    require!(LONG);
    const GUEST: &str = "
        44 0f 20 c0 ; mov %cr8,%rax
        f4          ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    for priority in [5, 9] {
        let mut special = machine.special_registers().unwrap();
        special.cr8 = priority;
        machine.set_special_registers(&special).unwrap();
        common::set(&mut machine, |registers| registers.rip = 0);
        assert_eq!(exit(&run(&mut machine)), &Exit::Hlt);
        assert_eq!(machine.registers().unwrap().rax, priority);
        assert_eq!(machine.special_registers().unwrap().cr8, priority);
    }
}

#[test]
fn what_is_set_of_a_processor_that_is_not_started_goes_when_it_is() {
    require!(PROTECTED);
    // The APIC is enabled, and SIPI sent until it is heard.
    const START: &str = "
        c7 05 f0 00 e0 fe ff 01 00 00 ; movl $0x1ff,0xfee000f0
        c7 05 10 03 e0 fe 00 00 00 01 ; movl $0x01000000,0xfee00310
        c7 05 00 03 e0 fe 00 45 00 00 ; movl $0x4500,0xfee00300
        b9 00 10 00 00                ; 1: mov $4096,%ecx
        e2 fe                         ; 2: loop 2b
        c7 05 00 03 e0 fe 01 46 00 00 ; movl $0x4601,0xfee00300
        eb ed                         ; jmp 1b
    ";
    let mut config = common::config(PROTECTED, START, &[]);
    (config.vcpus, config.irqchip) = (2, true);
    let mut machine = Machine::new(config).unwrap();
    // Where it starts: out %al,$0x60; jmp .
    machine
        .memory()
        .write(0x1000, &[0xe6, 0x60, 0xeb, 0xfe])
        .unwrap();
    let set = distinct(0x3000, 2);
    let second = machine.vcpu(1).unwrap();
    second.set_registers(&set).unwrap();
    assert_eq!(second.registers().unwrap(), set);
    let handler = |_: common::Question<'_>| common::Answer::End;
    let mut handlers = common::handlers(vec![handler; 2]);
    let outcome = machine.run_together(&KickHandle::new(), common::LIMITS, &mut handlers);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.end.name(), outcome.vcpu), ("pio-out", Some(1)));
    let registers = machine.vcpu(1).unwrap().registers().unwrap();
    assert_eq!((registers.rax, registers.rbx, registers.rip), (0, 0, 2));
    // From then on it is as any other.
    let second = machine.vcpu(1).unwrap();
    second.set_registers(&set).unwrap();
    assert_eq!(second.registers().unwrap(), set);
}
