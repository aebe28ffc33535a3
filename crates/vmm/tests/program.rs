//! Native programs in ring 3, on the real KVM.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use native::{BASE, Code, ENTRY, call, faulted, machine, run, told};
use vmm::{End, Machine, UserStop};

#[test]
fn a_system_call_is_asked_and_answered() {
    // Twice, the second with what came of the first: mov rdi, rax; and then ud2.
    let code = Code::new().call(1000, &[7]).bytes(&[0x48, 0x89, 0xc7]);
    let code = code.call(1001, &[]).bytes(&[0x0f, 0x0b]).0;
    let mut machine = machine(&code);
    let (number, arguments) = call(&mut machine);
    assert_eq!((number, arguments[0]), (1000, 7));
    machine.user_answer(0x1234_5678_9abc).unwrap();
    let (number, arguments) = call(&mut machine);
    assert_eq!((number, arguments[0]), (1001, 0x1234_5678_9abc));
    machine.user_answer(0).unwrap();
    let outcome = run(&mut machine);
    let End::Fault(fault) = outcome.end else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        (fault.vector, fault.rip),
        (6, ENTRY + code.len() as u64 - 2)
    );
}

#[test]
fn a_function_is_called_through_the_gate() {
    // lea rax, [rdi + rsi]; addsd xmm0, xmm1; ret
    let code = [0x48, 0x8d, 0x04, 0x37, 0xf2, 0x0f, 0x58, 0xc1, 0xc3];
    let mut machine = machine(&code);
    let mailbox = |offset: u64, value: u64, machine: &Machine| {
        machine
            .memory()
            .write(offset, &value.to_le_bytes())
            .unwrap();
    };
    for (a, b) in [(40_u64, 2_u64), (u64::MAX, 5)] {
        mailbox(0, ENTRY, &machine);
        mailbox(0x08, a, &machine);
        mailbox(0x10, b, &machine);
        mailbox(0x38, 1.5_f64.to_bits(), &machine);
        mailbox(0x40, 2.25_f64.to_bits(), &machine);
        machine.user_call(0x7fff_0000_0000 - 0x1000).unwrap();
        let outcome = run(&mut machine);
        assert_eq!(
            machine.user_stop(),
            Some(&UserStop::Returned),
            "{outcome:?}"
        );
        let mut words = [0; 16];
        machine.memory().read(0x78, &mut words).unwrap();
        assert_eq!(words[..8], a.wrapping_add(b).to_le_bytes());
        assert_eq!(words[8..], 3.75_f64.to_bits().to_le_bytes());
    }
}

const MMAP: u32 = 9;
const MPROTECT: u32 = 10;
const MUNMAP: u32 = 11;
const AT: u64 = 0x2000_0000;
const READ_WRITE: u64 = 3;
const FIXED: u64 = 0x32;

fn mmap(code: Code, at: u64, bytes: u64) -> Code {
    code.call(MMAP, &[at, bytes, READ_WRITE, FIXED, u64::MAX, 0])
}

#[test]
fn what_a_program_unmaps_is_gone_for_the_processor_too() {
    for bytes in [0x3000, 0x40_0000] {
        let code = mmap(Code::new(), AT, bytes)
            .store(AT + 0x1000, 7)
            .tell(AT + 0x1000);
        let code = code
            .call(MUNMAP, &[AT + 0x1000, 0x1000])
            .tell(AT)
            .tell(AT + 0x1000);
        let mut machine = machine(&code.0);
        assert_eq!(told(&mut machine), 7);
        assert_eq!(told(&mut machine), 0);
        assert_eq!(faulted(&mut machine), AT + 0x1000, "{bytes:#x}");
    }
}

#[test]
fn what_a_program_protects_is_protected_and_can_be_opened_again() {
    let code = mmap(Code::new(), AT, 0x3000).store(AT, 7).tell(AT);
    let code = code.call(MPROTECT, &[AT, 0x1000, 1]).tell(AT);
    let code = code
        .call(MPROTECT, &[AT, 0x1000, READ_WRITE])
        .store(AT, 9)
        .tell(AT);
    let code = code.call(MPROTECT, &[AT, 0x1000, 1]).tell(AT).store(AT, 1);
    let mut machine = machine(&code.0);
    for value in [7, 7, 9, 9] {
        assert_eq!(told(&mut machine), value);
    }
    assert_eq!(faulted(&mut machine), AT);
}

#[test]
fn memory_that_was_unmapped_comes_back_as_zeros() {
    let mut code = Code::new();
    for _ in 0..40 {
        code = mmap(code, AT, 0x10_0000)
            .tell(AT + 0x5000)
            .store(AT + 0x5000, 7);
        code = code.call(MUNMAP, &[AT, 0x10_0000]);
    }
    let mut machine = machine(&code.0);
    for _ in 0..40 {
        assert_eq!(told(&mut machine), 0);
    }
}

#[test]
fn a_restore_takes_mappings_back_and_a_fork_starts_with_them() {
    let code = mmap(Code::new(), AT, 0x2000).store(AT, 5).tell(AT);
    let code = mmap(code, AT + 0x10_0000, 0x2000).store(AT + 0x10_0000, 6);
    let code = code.tell(AT + 0x10_0000).call(MUNMAP, &[AT, 0x1000]);
    let code = code.tell(AT + 0x10_0000).tell(AT);
    let mut machine = machine(&code.0);
    assert_eq!(told(&mut machine), 5);
    let snapshot = machine.snapshot().unwrap();
    let mut forked = Machine::from_snapshot(&snapshot, &[]).unwrap();
    for _ in 0..3 {
        for machine in [&mut machine, &mut forked] {
            assert_eq!(told(machine), 6);
            assert_eq!(told(machine), 6);
            assert_eq!(faulted(machine), AT);
            machine.restore(&snapshot).unwrap();
            machine.user_write(AT, &[5]).unwrap();
            assert!(machine.user_write(AT + 0x10_0000, &[5]).is_err());
        }
    }
    // What the program reads is what its tables say, not what the processor remembers.
    let read = Code::new().tell(AT).tell(AT + 0x10_0000).0;
    machine.user_write(BASE + 0x8000, &read).unwrap();
    let mut registers = machine.registers().unwrap();
    registers.rip = BASE + 0x8000;
    machine.set_registers(&registers).unwrap();
    let outcome = run(&mut machine);
    assert!(
        matches!(machine.user_stop(), Some(UserStop::Call { .. })),
        "{outcome:?}"
    );
    machine.user_answer(0).unwrap();
    assert_eq!(faulted(&mut machine), AT + 0x10_0000);
}

#[test]
fn memory_is_there_when_it_is_touched() {
    let code = mmap(Code::new(), AT, 12 << 20).tell(AT + (8 << 20));
    let code = code
        .store(AT + (8 << 20), 3)
        .tell(AT + (8 << 20))
        .tell(AT + (11 << 20));
    let mut machine = machine(&code.0);
    for value in [0, 3, 0] {
        assert_eq!(told(&mut machine), value);
    }
}
