//! What one machine did to its VM, the next one on it does not find.
#![allow(clippy::unwrap_used)]

use boot::{CpuMode, Privilege};
use kvm_bindings::kvm_msr_entry;

use super::*;
use crate::bus::{Base, RouteConfig, RouteTarget};
use crate::config::MachineConfig;
use crate::error::ErrorCode;
use crate::kvm::kick::KickHandle;
use crate::kvm::vcpu_state::VcpuState;
use crate::machine::Machine;
use crate::run::{End, RunLimits};

/// Where KVM has no mode of its own for it: FPU, MSRs, debug registers, memory, a question that
/// nobody answers; XCR0 where there is one.
const KERNEL: &[u8] = &[
    0x0f, 0x10, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00, // movups xmm0, [0]
    0x0f, 0x10, 0x3c, 0x25, 0x08, 0x00, 0x00, 0x00, // movups xmm7, [8]
    0xb9, 0x82, 0x00, 0x00, 0xc0, // mov ecx, 0xc0000082 (LSTAR)
    0xb8, 0x45, 0x23, 0x01, 0x00, // mov eax, 0x12345
    0x31, 0xd2, // xor edx, edx
    0x0f, 0x30, // wrmsr
    0x0f, 0x23, 0xc0, // mov dr0, rax
    0x0f, 0x23, 0xd8, // mov dr3, rax
    0x88, 0x04, 0x25, 0x00, 0x30, 0x00, 0x00, // mov [0x3000], al
    0x31, 0xc9, // xor ecx, ecx
    0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1
    0x0f, 0x01, 0xd1, // xsetbv
    0xe4, 0x60, // in al, 0x60
];

const USER: &[u8] = &[
    0x0f, 0x10, 0x04, 0x25, 0x00, 0x00, 0x00, 0x00, // movups xmm0, [0]
    0xd9, 0xe8, // fld1
    0x88, 0x04, 0x25, 0x00, 0x30, 0x00, 0x00, // mov [0x3000], al
    0xc5, 0xfc, 0x10, 0x0c, 0x25, 0x00, 0x00, 0x00, 0x00, // vmovups ymm1, [0]
    0xe4, 0x60, // in al, 0x60
];

/// The pool is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A machine in long mode; none without KVM.
fn machine(
    test: &str,
    privilege: Privilege,
    image: &[u8],
    routes: Vec<RouteConfig>,
) -> Option<Machine> {
    let config = MachineConfig {
        privilege,
        routes,
        ..MachineConfig::new(CpuMode::Long, image)
    };
    match Machine::new(config) {
        Err(error) if error.code == ErrorCode::KvmUnavailable => {
            println!("skipped: {test}: {}", error.message);
            None
        }
        made => Some(made.unwrap()),
    }
}

fn state(machine: &mut Machine) -> VcpuState {
    let processor = machine.crew.boot_mut();
    processor.vcpu.save_state(false).unwrap()
}

fn fork(base: &Snapshot) -> Machine {
    Machine::from_snapshot(base, &[]).unwrap()
}

/// Whether the machine, which ends, leaves its VM.
fn is_kept(machine: Machine) -> bool {
    let before = spares().len();
    let given_back = Box::new(machine).retire();
    assert_eq!(
        spares().len(),
        before + usize::from(given_back.is_none()),
        "in the pool"
    );
    given_back.is_none()
}

/// All that KVM takes, and a page of every slot that can be written.
fn dirty_all(machine: &mut Machine, fresh: &VcpuState) {
    let vcpu = &mut machine.crew.boot_mut().vcpu;
    let mut debug = fresh.debug;
    debug.db = [0x1111, 0x2222, 0x3333, 0x4444];
    vcpu.set_debug_registers(&debug).unwrap();
    for &kvm_msr_entry { index, data, .. } in &fresh.msrs {
        // What the vCPU runs by; KVM refuses others.
        if index != 0xc000_0080 {
            let _ = vcpu.write_msr(index, data ^ 0x1001);
        }
    }
    for gpa in (0..0x20_0000).step_by(0x1000) {
        machine.memory().write(gpa, &[0xa5; 64]).unwrap();
    }
}

#[test]
fn a_machine_of_the_pool_is_as_one_that_was_made_for_it() {
    let _turn = alone();
    for (privilege, image) in [(Privilege::Kernel, KERNEL), (Privilege::User, USER)] {
        let test = "a_machine_of_the_pool_is_as_one_that_was_made_for_it";
        let Some(mut parent) = machine(test, privilege, image, Vec::new()) else {
            return;
        };
        let base = parent.snapshot().unwrap();
        let (mut one, mut other) = (fork(&base), fork(&base));
        let (fresh, second) = (state(&mut one), state(&mut other));
        // Time goes on.
        let moves: Vec<_> = (fresh.msrs.iter().zip(&second.msrs))
            .filter(|(one, other)| one.data != other.data)
            .map(|(one, _)| one.index)
            .collect();
        let settled = |state: &VcpuState| -> Vec<_> {
            let mut all = state.msrs.clone();
            all.retain(|entry| !moves.contains(&entry.index));
            all
        };
        for by_host in [false, true] {
            let mut dirty = fork(&base);
            let end = dirty.run(&KickHandle::new(), RunLimits::default(), &mut ());
            // A processor without XSAVE or AVX knows no such instruction.
            assert!(matches!(end.unwrap().end, End::Exit(_) | End::Fault(_)));
            if by_host {
                dirty_all(&mut dirty, &fresh);
            }
            let kept = spares().len();
            assert!(is_kept(dirty));
            let mut next = fork(&base);
            assert_eq!(spares().len(), kept, "it came from there");
            let found = state(&mut next);
            assert_eq!(settled(&found), settled(&fresh), "MSRs");
            let mut found = found;
            found.msrs.clone_from(&fresh.msrs);
            assert_eq!(found, fresh, "{privilege:?}");
            let memory = next.snapshot().unwrap();
            assert!(memory.shares_memory_with(&base));
            assert_eq!(memory.diff(&base).unwrap().count(), 0);
            assert!(is_kept(next));
        }
        drop((parent, one, other, base));
        trim();
        assert_eq!(spares().len(), 0);
    }
}

#[test]
fn what_others_have_a_part_in_is_not_kept() {
    let _turn = alone();
    let event = RouteConfig {
        base: Base::Port(0x10),
        length: 1,
        target: RouteTarget::Event { datamatch: None },
    };
    for routes in [vec![], vec![event]] {
        let is_plain = routes.is_empty();
        let test = "what_others_have_a_part_in_is_not_kept";
        let Some(mut parent) = machine(test, Privilege::Kernel, &[0xf4], routes) else {
            return;
        };
        let base = parent.snapshot().unwrap();
        assert_eq!(is_kept(fork(&base)), is_plain);
        let lent = fork(&base);
        lent.memory().lend();
        assert!(!is_kept(lent));
        let held = fork(&base);
        let memory = Arc::clone(held.memory());
        assert!(!is_kept(held));
        drop(memory);
        // Nobody else has the snapshot's memory.
        drop((parent, base));
        trim();
        assert_eq!(spares().len(), 0);
    }
}

#[test]
fn only_so_many_are_kept() {
    let _turn = alone();
    let test = "only_so_many_are_kept";
    let Some(mut parent) = machine(test, Privilege::Kernel, &[0xf4], Vec::new()) else {
        return;
    };
    let base = parent.snapshot().unwrap();
    let all: Vec<_> = (0..=MOST_KEPT).map(|_| fork(&base)).collect();
    let kept = all.into_iter().map(is_kept).filter(|kept| *kept).count();
    assert_eq!(kept, MOST_KEPT);
    drop((parent, base));
    trim();
    assert_eq!(spares().len(), 0);
}
