//! SSE, and AVX where the processor has it, from the first instruction of 64-bit mode on, in both
//! rings.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use common::Answer;
use common::{Asked, LONG, PAGED32, PROTECTED, REAL, USER, config, gpa, machine, run, run_with};
use vmm::{Base, End, Exit, Machine, MmioAccess, Outcome, RouteTarget};

const CR0_MP: u64 = 1 << 1;
const CR0_EM: u64 = 1 << 2;
const CR0_TS: u64 = 1 << 3;
const CR4_OSFXSR: u64 = 1 << 9;
const CR4_OSXMMEXCPT: u64 = 1 << 10;
const CR4_OSXSAVE: u64 = 1 << 18;

/// Ends through port 0xf4; nothing if this KVM emulates the ring and lacks the instruction.
fn end_of(machine: &mut Machine) -> Option<Outcome> {
    let outcome = run(machine);
    let End::Exit(record) = &outcome.end else {
        return Some(outcome);
    };
    assert!(
        matches!(record.exit, Exit::InternalError { .. }),
        "{:?}",
        record.exit
    );
    None
}

const STOP: [vmm::RouteConfig; 1] = [vmm::RouteConfig {
    base: Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
}];

#[test]
fn integers_are_added_in_both_rings() {
    require!(LONG, USER);
    const GUEST: &str = "
        b8 15 00 00 00 ; mov $21,%eax
        66 48 0f 6e c0 ; movq %rax,%xmm0
        66 0f d4 c0    ; paddq %xmm0,%xmm0
        66 48 0f 7e c0 ; movq %xmm0,%rax
        e7 f4          ; out %eax,$0xf4
    ";
    for cpu in [USER, LONG] {
        let Some(outcome) = end_of(&mut machine(cpu, GUEST, &STOP)) else {
            assert_eq!(cpu, LONG, "ring 3 runs by itself everywhere");
            skip!("this KVM emulates ring 0, and no paddq");
        };
        assert_eq!(common::exit_code(&outcome), 42, "{cpu:?}");
    }
}

#[test]
fn floating_point_works_and_its_exceptions_are_masked() {
    require!(USER);
    const GUEST: &str = "
        b8 07 00 00 00 ; mov $7,%eax
        f2 48 0f 2a c0 ; cvtsi2sd %rax,%xmm0
        66 0f ef c9    ; pxor %xmm1,%xmm1
        f2 0f 58 c0    ; addsd %xmm0,%xmm0
        f2 0f 5e c8    ; divsd %xmm0,%xmm1
        f2 48 0f 2d c0 ; cvtsd2si %xmm0,%rax
        e7 f4          ; out %eax,$0xf4
    ";
    let outcome = run(&mut machine(USER, GUEST, &STOP));
    assert_eq!(common::exit_code(&outcome), 14);
}

#[test]
fn sixteen_bytes_to_a_device_are_two_pieces_of_eight() {
    require!(LONG, USER);
    const GUEST: &str = "
        0f 10 04 25 00 05 00 00 ; movups 0x500,%xmm0
        bb 00 00 00 d0          ; mov $0xd0000000,%ebx
        0f 11 03                ; movups %xmm0,(%rbx)
        0f 10 4b 10             ; movups 0x10(%rbx),%xmm1
        0f 11 0c 25 20 05 00 00 ; movups %xmm1,0x520
        e6 f4                   ; out %al,$0xf4
    ";
    let halves = [0x0102_0304_0506_0708u64, 0x1112_1314_1516_1718];
    for cpu in [USER, LONG] {
        let routes = [gpa(0xd000_0000, 0x20, RouteTarget::Device), STOP[0]];
        let mut machine = machine(cpu, GUEST, &routes);
        let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        machine.memory().write(0x500, &bytes).unwrap();
        let mut asked = Vec::new();
        let outcome = run_with(&mut machine, |question| {
            asked.push(Asked::from(&question));
            match question {
                common::Question::Read { offset, .. } => Answer::Value(u64::from(offset) << 32 | 7),
                _ => Answer::Done,
            }
        });
        assert_eq!(common::exit_code(&outcome), 0, "{cpu:?}");
        let expected = [
            Asked::Write(0, 0, 8, halves[0]),
            Asked::Write(0, 8, 8, halves[1]),
            Asked::Read(0, 0x10, 8),
            Asked::Read(0, 0x18, 8),
        ];
        assert_eq!(asked, expected, "{cpu:?}");
        let read = [0x10u64 << 32 | 7, 0x18 << 32 | 7];
        for (at, value) in [0x520, 0x528].into_iter().zip(read) {
            assert_eq!(common::read(&machine, at), value.to_le_bytes(), "{cpu:?}");
        }
    }
}

#[test]
fn sixteen_bytes_that_nobody_claims_are_two_exits() {
    require!(LONG, USER);
    const GUEST: &str = "
        bb 00 00 00 d0 ; mov $0xd0000000,%ebx
        0f 11 03       ; movups %xmm0,(%rbx)
        e6 f4          ; out %al,$0xf4
    ";
    for cpu in [USER, LONG] {
        let mut machine = machine(cpu, GUEST, &STOP);
        for gpa in [0xd000_0000, 0xd000_0008] {
            let outcome = run(&mut machine);
            let access = MmioAccess { gpa, size: 8 };
            assert_eq!(common::exit(&outcome), &Exit::MmioWrite(access), "{cpu:?}");
        }
        assert_eq!(common::exit_code(&run(&mut machine)), 0);
    }
}

/// What the guest's CPUID says in ring 0.
fn has_xsave() -> bool {
    const GUEST: &str = "
        b8 01 00 00 00 ; mov $1,%eax
        0f a2          ; cpuid
        f4             ; hlt
    ";
    let mut machine = machine(LONG, GUEST, &[]);
    assert_eq!(common::exit(&run(&mut machine)), &Exit::Hlt);
    machine.registers().unwrap().rcx & 1 << 26 != 0
}

#[test]
fn control_registers_say_so_in_64_bit_mode_alone() {
    require!(REAL, PROTECTED, LONG, USER);
    let sse = CR4_OSFXSR | CR4_OSXMMEXCPT;
    for cpu in [LONG, USER] {
        let special = machine(cpu, "f4 ; hlt", &[]).special_registers().unwrap();
        assert_eq!(special.cr0 & (CR0_MP | CR0_EM | CR0_TS), CR0_MP, "{cpu:?}");
        assert_eq!(special.cr4 & sse, sse, "{cpu:?}");
        // A KVM may show more than it lists, and takes in CR4 what it lists.
        assert!(has_xsave() || special.cr4 & CR4_OSXSAVE == 0, "{cpu:?}");
    }
    for cpu in [REAL, PROTECTED, PAGED32] {
        let special = machine(cpu, "f4 ; hlt", &[]).special_registers().unwrap();
        assert_eq!(special.cr4 & (sse | CR4_OSXSAVE), 0, "{cpu:?}");
    }
}

#[test]
fn avx_is_on_where_the_processor_has_it() {
    require!(USER);
    if !std::arch::is_x86_feature_detected!("avx") {
        skip!("this processor has no AVX");
    }
    const GUEST: &str = "
        31 c9          ; xor %ecx,%ecx
        0f 01 d0       ; xgetbv
        89 c3          ; mov %eax,%ebx
        b8 2a 00 00 00 ; mov $42,%eax
        c5 f9 6e c0    ; vmovd %eax,%xmm0
        c5 fc 57 c9    ; vxorps %ymm1,%ymm0,%ymm1
        c5 f9 7e c0    ; vmovd %xmm0,%eax
        e7 f4          ; out %eax,$0xf4
    ";
    let mut machine = machine(USER, GUEST, &STOP);
    assert_eq!(common::exit_code(&run(&mut machine)), 42);
    // x87, SSE, AVX.
    assert_eq!(machine.registers().unwrap().rbx & 7, 7);
}

#[test]
fn every_vcpu_starts_so() {
    require!(USER);
    let mut config = config(USER, "f4 ; hlt", &[]);
    config.vcpus = 4;
    let mut machine = Machine::new(config).unwrap();
    for index in 0..4 {
        let vcpu = machine.vcpu(index).unwrap();
        let cr4 = vcpu.special_registers().unwrap().cr4;
        assert_eq!(cr4 & CR4_OSFXSR, CR4_OSFXSR, "vCPU {index}");
    }
}
