//! Native programs in ring 3, on the real KVM.

use std::time::Duration;

use vmm::{
    CpuMode, End, KickHandle, Machine, MachineConfig, Outcome, RunLimits, UserConfig, UserStop,
};

const BASE: u64 = 0x40_0000;

/// An ELF image of one part that is all of it.
fn image(code: &[u8], room: u64) -> Vec<u8> {
    let mut image = Vec::new();
    image.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    image.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [BASE + 0x78, 64, 0] {
        image.extend(word.to_le_bytes());
    }
    image.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    image.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    let bytes = 0x78 + code.len() as u64;
    for word in [0, BASE, BASE, bytes, room.max(bytes), 0x1000] {
        image.extend(word.to_le_bytes());
    }
    image.extend(code);
    image
}

fn machine(code: &[u8]) -> Machine {
    let mut config = MachineConfig::new(CpuMode::Long, image(code, 0x1_0000));
    config.memory_bytes = 16 << 20;
    config.user = Some(UserConfig::default());
    Machine::new(config).unwrap()
}

fn run(machine: &mut Machine) -> Outcome {
    let limits = RunLimits {
        timeout: Some(Duration::from_secs(20)),
        ..RunLimits::default()
    };
    machine.run(&KickHandle::new(), limits, &mut ()).unwrap()
}

fn call(machine: &mut Machine) -> (u64, [u64; 6]) {
    let outcome = run(machine);
    match machine.user_stop() {
        Some(UserStop::Call {
            number, arguments, ..
        }) => (*number, *arguments),
        other => panic!("{other:?} {outcome:?}"),
    }
}

/// mov eax, number; mov edi, argument; syscall
fn syscall(number: u32, argument: u32) -> Vec<u8> {
    let mut code = vec![0xb8];
    code.extend(number.to_le_bytes());
    code.push(0xbf);
    code.extend(argument.to_le_bytes());
    code.extend([0x0f, 0x05]);
    code
}

#[test]
fn a_system_call_is_asked_and_answered() {
    // Twice, the second with what came of the first: mov rdi, rax; mov eax, 1001; syscall
    let mut code = syscall(1000, 7);
    code.extend([0x48, 0x89, 0xc7, 0xb8]);
    code.extend(1001_u32.to_le_bytes());
    code.extend([0x0f, 0x05, 0x0f, 0x0b]);
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
        (6, BASE + 0x78 + code.len() as u64 - 2)
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
        mailbox(0, BASE + 0x78, &machine);
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
