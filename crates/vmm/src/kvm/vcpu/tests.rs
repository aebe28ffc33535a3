mod translation;

use super::*;
use crate::{CpuMode, ErrorCode, KickHandle, Machine, MachineConfig, Processor, RunLimits};

/// `add $1,%eax; hlt; out %al,$0x60; hlt`.
const GUEST: [u8; 7] = [0x83, 0xc0, 0x01, 0xf4, 0xe6, 0x60, 0xf4];

/// One with registers in `kvm_run`, one that does all by ioctls; none without a KVM.
fn machines() -> Vec<Machine> {
    let make = |syncs: bool| {
        let config = MachineConfig::new(CpuMode::Protected, GUEST.to_vec());
        let mut machine = match Machine::new(config) {
            Ok(machine) => machine,
            Err(error) if error.code == ErrorCode::KvmUnavailable => return None,
            Err(error) => panic!("{error}"),
        };
        if !syncs {
            let vcpu = vcpu(&mut machine);
            vcpu.registers.do_without_sync();
            vcpu.flush().unwrap();
        }
        Some(machine)
    };
    [true, false].into_iter().filter_map(make).collect()
}

fn processor(machine: &mut Machine) -> &mut Processor {
    machine.vcpu(0).unwrap()
}

fn vcpu(machine: &mut Machine) -> &mut Vcpu {
    &mut processor(machine).vcpu
}

fn run(machine: &mut Machine) {
    let (kick, limits) = (KickHandle::new(), RunLimits::default());
    machine.run(&kick, limits, &mut ()).unwrap();
}

/// What KVM itself has.
fn of_kvm(vcpu: &Vcpu) -> kvm_regs {
    vcpu.fd.get_regs().unwrap()
}

#[test]
fn what_is_read_is_what_kvm_has_whether_it_shows_registers_or_not() {
    for mut machine in machines() {
        for eax in [1, 2] {
            run(&mut machine);
            let registers = machine.registers().unwrap();
            assert_eq!(registers.rax, eax);
            assert_eq!(registers, of_kvm(vcpu(&mut machine)));
            machine
                .set_registers(&kvm_regs {
                    rip: 0,
                    ..registers
                })
                .unwrap();
        }
        // And after a write that KVM completes.
        machine
            .set_registers(&kvm_regs {
                rip: 4,
                rax: 9,
                rflags: 2,
                ..Default::default()
            })
            .unwrap();
        run(&mut machine);
        let registers = machine.registers().unwrap();
        assert_eq!((registers.rip, registers.rax), (6, 9));
        assert_eq!(registers, of_kvm(vcpu(&mut machine)));
    }
}

#[test]
fn what_is_set_is_read_with_bit_1_of_the_flags_and_kvm_gets_it_with_the_next_entry() {
    for (index, mut machine) in machines().into_iter().enumerate() {
        let wanted = kvm_regs {
            rax: 41,
            rbx: 7,
            rflags: 0,
            ..Default::default()
        };
        machine.set_registers(&wanted).unwrap();
        assert_eq!(
            machine.registers().unwrap(),
            kvm_regs {
                rflags: 2,
                ..wanted
            }
        );
        let is_early = of_kvm(vcpu(&mut machine)).rbx == 7;
        assert_eq!(is_early, index == 1, "staged, if KVM takes it over");
        run(&mut machine);
        let registers = machine.registers().unwrap();
        assert_eq!((registers.rax, registers.rbx, registers.rip), (42, 7, 4));
    }
}

#[test]
fn registers_are_known_without_an_ioctl_only_after_an_exit_that_shows_them() {
    for (index, mut machine) in machines().into_iter().enumerate() {
        let wanted = kvm_regs {
            rflags: 2,
            ..Default::default()
        };
        machine.set_registers(&wanted).unwrap();
        assert_eq!(processor(&mut machine).registers_at_hand(), Some(wanted));
        run(&mut machine);
        let known = processor(&mut machine).registers_at_hand();
        assert_eq!(
            known.map(|registers| registers.rax),
            (index == 0).then_some(1)
        );
        // A write is still to be completed.
        run(&mut machine);
        assert_eq!(processor(&mut machine).registers_at_hand(), None);
        let registers = machine.registers().unwrap();
        assert_eq!(processor(&mut machine).registers_at_hand(), Some(registers));
    }
}

#[test]
fn registers_special_registers_and_events_are_staged_together_and_flushed_in_time() {
    for mut machine in machines() {
        run(&mut machine);
        let (registers, special) = (
            machine.registers().unwrap(),
            machine.special_registers().unwrap(),
        );
        let events = vcpu(&mut machine).events().unwrap();
        let wanted = (
            kvm_regs {
                rip: 0,
                rax: 5,
                ..registers
            },
            kvm_sregs {
                cr2: 0x1234_5678,
                cr8: 3,
                ..special
            },
            kvm_vcpu_events {
                nmi: kvm_bindings::kvm_vcpu_events__bindgen_ty_3 {
                    masked: 1,
                    ..events.nmi
                },
                ..events
            },
        );
        for flushes in [false, true] {
            vcpu(&mut machine)
                .stage(&wanted.0, &wanted.1, &wanted.2)
                .unwrap();
            assert_eq!(machine.registers().unwrap(), wanted.0);
            assert_eq!(machine.special_registers().unwrap(), wanted.1);
            assert_eq!(vcpu(&mut machine).events().unwrap().nmi, wanted.2.nmi);
            if flushes {
                let vcpu = vcpu(&mut machine);
                vcpu.flush().unwrap();
                assert_eq!(of_kvm(vcpu), wanted.0);
                assert_eq!(vcpu.fd.get_sregs().unwrap(), wanted.1);
                assert_eq!(vcpu.fd.get_vcpu_events().unwrap().nmi.masked, 1);
            }
            run(&mut machine);
            let (registers, special) = (
                machine.registers().unwrap(),
                machine.special_registers().unwrap(),
            );
            assert_eq!(
                (registers.rax, special.cr2, special.cr8),
                (6, 0x1234_5678, 3)
            );
            assert_eq!(
                vcpu(&mut machine).fd.get_vcpu_events().unwrap().nmi.masked,
                1
            );
        }
    }
}

#[test]
fn an_entry_that_fails_at_once_loses_nothing_that_is_staged() {
    for (index, mut machine) in machines().into_iter().enumerate() {
        run(&mut machine);
        machine
            .set_registers(&kvm_regs {
                rax: 7,
                rflags: 2,
                ..Default::default()
            })
            .unwrap();
        let shown = u64::from(index == 0);
        // KVM knows no such register file, and looks at nothing else.
        let vcpu = vcpu(&mut machine);
        vcpu.page.show(1 << 40);
        assert!(vcpu.enter().is_err());
        vcpu.page.show(shown);
        assert_eq!(machine.registers().unwrap().rax, 7);
        run(&mut machine);
        assert_eq!(machine.registers().unwrap().rax, 8);
    }
}

#[test]
fn special_registers_that_kvm_refuses_are_an_error_there_and_then_and_change_nothing() {
    for mut machine in machines() {
        run(&mut machine);
        let registers = kvm_regs {
            rax: 7,
            rflags: 2,
            ..Default::default()
        };
        machine.set_registers(&registers).unwrap();
        let special = machine.special_registers().unwrap();
        // PG without PE.
        let refused = kvm_sregs {
            cr0: 1 << 31,
            ..special
        };
        let error = machine.set_special_registers(&refused).unwrap_err();
        assert_eq!(error.call, Some("KVM_SET_SREGS"));
        assert!(error.message.contains("of cr0 needs PE (bit 0)"), "{error}");
        let error = machine
            .set_special_registers(&kvm_sregs { cr8: 16, ..special })
            .unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidOption);
        assert!(
            error.message.contains("cr8 must be from 0 to 15, got 16"),
            "{error}"
        );
        assert_eq!(machine.special_registers().unwrap(), special);
        assert_eq!(machine.registers().unwrap(), registers);
        run(&mut machine);
        assert_eq!(machine.registers().unwrap().rax, 8);
    }
}
