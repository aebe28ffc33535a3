#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use boot::MemorySlot;
use boot::state::cpuid::Place;
use kvm_bindings::{KVM_MP_STATE_HALTED, kvm_pit_config};

use super::*;
use crate::kvm::chips::ChipState;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vm::Vm;

const TIME_STAMP_COUNTER: u32 = 0x10;
/// Registers of the local APIC (Intel SDM vol. 3A, table 12-1).
const TASK_PRIORITY: usize = 0x80;
const SPURIOUS: usize = 0xf0;
const LVT_TIMER: usize = 0x320;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
/// x87, SSE and AVX in XCR0.
const XCR0_AVX: u64 = 7;

fn scratch(irqchip: bool) -> Option<(Arc<Vm>, Vcpu)> {
    let host = Host::get().ok()?;
    let fd = host.create_vm().unwrap();
    if irqchip {
        fd.create_irq_chip().unwrap();
        fd.create_pit2(kvm_pit_config::default()).unwrap();
    }
    let slots = [MemorySlot {
        gpa: 0,
        bytes: 4096,
        read_only: false,
    }];
    let vm = Arc::new(Vm::new(fd, GuestMemory::new(&slots).unwrap()).unwrap());
    let place = Place {
        index: 0,
        count: 1,
        irqchip,
    };
    let cpuid = host.cpuid_of(None, place).unwrap();
    let vcpu = Vcpu::new(host, &vm, 0, &cpuid).unwrap();
    Some((vm, vcpu))
}

/// Changes a state in all that can be set, `seed` deciding to what.
fn dirty(vcpu: &mut Vcpu, irqchip: bool, seed: u8) {
    let word = |at: u64| u64::from(seed) << 32 | at;
    let mut state = vcpu.save_state(irqchip).unwrap();
    let regs = &mut state.regs;
    (regs.rax, regs.rbx, regs.rcx, regs.rdx) = (word(1), word(2), word(3), word(4));
    (regs.rsi, regs.rdi, regs.rsp, regs.rbp) = (word(5), word(6), word(7), word(8));
    (regs.r8, regs.r9, regs.r10, regs.r11) = (word(9), word(10), word(11), word(12));
    (regs.r12, regs.r13, regs.r14, regs.r15) = (word(13), word(14), word(15), word(16));
    (regs.rip, regs.rflags) = (word(17), 2 | u64::from(seed) << 6 & 0x40);
    let sregs = &mut state.sregs;
    sregs.cr2 = word(18);
    sregs.cr3 = u64::from(seed) << 12;
    sregs.cr4 |= 1 << 9;
    sregs.cr8 = u64::from(seed & 7);
    for segment in [&mut sregs.ds, &mut sregs.es, &mut sregs.fs, &mut sregs.gs] {
        segment.base = u64::from(seed) << 8;
        segment.selector = u16::from(seed) << 4;
    }
    (sregs.gdt.base, sregs.gdt.limit) = (word(19), 0x17 + u16::from(seed));
    (sregs.idt.base, sregs.idt.limit) = (word(20), 0xff + u16::from(seed));
    dirty_extended(&mut state, seed);
    let debug = &mut state.debug;
    debug.db = [word(24), word(25), word(26), word(27)];
    (debug.dr6, debug.dr7) = (
        0xffff_0ff0 | u64::from(seed & 3),
        0x400 | u64::from(seed & 3),
    );
    state.events.exception.injected = 1;
    (
        state.events.exception.nr,
        state.events.exception.has_error_code,
    ) = (13, 1);
    state.events.exception.error_code = u32::from(seed);
    (state.events.nmi.pending, state.events.nmi.masked) = (1, 1);
    state.events.interrupt.shadow = seed & 1;
    if let Some(lapic) = &mut state.lapic {
        lapic.regs[TASK_PRIORITY] = (seed & 7) as i8 * 16;
        lapic.regs[SPURIOUS] = seed as i8 & 0x7f;
        lapic.regs[LVT_TIMER] = 0x40 + (seed & 7) as i8;
        // It counts down for some seconds.
        lapic.regs[INITIAL_COUNT + 3] = 0x70 + (seed & 7) as i8;
        state.mp_state.as_mut().unwrap().mp_state = KVM_MP_STATE_HALTED * u32::from(seed & 1);
    }
    state.msrs.clear();
    vcpu.restore_state(&state, false).unwrap();
    for entry in vcpu.msrs(irqchip).unwrap() {
        dirty_msr(vcpu, &entry, seed);
    }
}

fn dirty_extended(state: &mut VcpuState, seed: u8) {
    let features = state.xcrs.map_or(0, |_| XCR0_AVX);
    for (at, word) in state.xsave.iter_mut().enumerate() {
        let fill = u32::from(seed) << 16 | at as u32;
        match at {
            // FCW, FSW; abridged FTW, FOP; the instruction's and the operand's address.
            0 => *word = 0x37f | (fill & 0x4700_0000),
            1 => *word = u32::from(seed),
            2..6 => *word = fill,
            // MXCSR, without exceptions that are not masked.
            6 => *word = 0x1f80 | u32::from(seed & 0x3f),
            // ST(i), of 10 bytes each; then XMM(i).
            8..40 => {
                *word = match at % 4 {
                    0 | 1 => fill,
                    2 => fill & 0xffff,
                    _ => 0,
                }
            }
            40..104 => *word = fill,
            // XSTATE_BV; the upper halves of YMM(i).
            128 => *word = features as u32,
            144..208 if features & 4 != 0 => *word = fill,
            _ => {}
        }
    }
    if let Some(xcrs) = &mut state.xcrs {
        xcrs.xcrs[0].value = if seed & 1 == 0 { 3 } else { XCR0_AVX };
    }
}

/// Sets one to the first other value that KVM takes and keeps.
fn dirty_msr(vcpu: &mut Vcpu, entry: &kvm_msr_entry, seed: u8) {
    let values = (0..64).map(|bit| entry.data ^ 1 << ((bit + u32::from(seed)) % 64));
    for value in values.chain([!entry.data]) {
        if vcpu.write_msr(entry.index, value).is_ok()
            && vcpu.read_msr(entry.index).unwrap() != entry.data
        {
            return;
        }
        vcpu.write_msr(entry.index, entry.data).unwrap();
    }
}

/// A state without what counts on by itself.
fn at_rest(mut state: VcpuState) -> VcpuState {
    state.msrs.retain(|entry| entry.index != TIME_STAMP_COUNTER);
    if let Some(lapic) = &mut state.lapic {
        lapic.regs[CURRENT_COUNT..CURRENT_COUNT + 4].fill(0);
    }
    state
}

/// The names of the fields in which two states differ.
fn differences(one: &VcpuState, other: &VcpuState) -> Vec<String> {
    let VcpuState {
        regs,
        sregs,
        events,
        xsave,
        xcrs,
        debug,
        msrs,
        mp_state,
        lapic,
    } = one;
    let fields = [
        ("regs", *regs != other.regs),
        ("sregs", *sregs != other.sregs),
        ("events", *events != other.events),
        ("xsave", *xsave != other.xsave),
        ("xcrs", *xcrs != other.xcrs),
        ("debug", *debug != other.debug),
        ("mp_state", *mp_state != other.mp_state),
        ("lapic", *lapic != other.lapic),
    ];
    let differ = fields.iter().filter(|(_, differs)| *differs);
    let mut names: Vec<_> = differ.map(|(name, _)| (*name).to_string()).collect();
    for (one, other) in msrs.iter().zip(&other.msrs) {
        if one != other {
            names.push(format!("msr {:x}", one.index));
        }
    }
    names
}

#[test]
fn a_state_comes_back_whole_into_the_same_and_into_another_vcpu() {
    for irqchip in [false, true] {
        let (Some((_vm, mut vcpu)), Some((_other_vm, mut other))) =
            (scratch(irqchip), scratch(irqchip))
        else {
            return;
        };
        let fresh = at_rest(vcpu.save_state(irqchip).unwrap());
        dirty(&mut vcpu, irqchip, 1);
        let state = vcpu.save_state(irqchip).unwrap();
        let first = at_rest(state.clone());
        dirty(&mut vcpu, irqchip, 2);
        let second = at_rest(vcpu.save_state(irqchip).unwrap());
        // What is not dirtied would prove nothing.
        let kinds = ["regs", "sregs", "events", "xsave", "debug"];
        for (one, two) in [(&fresh, &first), (&first, &second)] {
            let differ = differences(one, two);
            for kind in kinds {
                assert!(differ.iter().any(|name| name == kind), "{kind}: {differ:?}");
            }
            assert!(one.xcrs.is_none() || differ.iter().any(|name| name == "xcrs"));
            if irqchip {
                assert!(differ.iter().any(|name| name == "mp_state"), "{differ:?}");
                assert!(differ.iter().any(|name| name == "lapic"), "{differ:?}");
            }
            // Each kind: system calls, PAT, MTRRs, machine check, of the debug store's.
            for index in [0xc000_0081_u32, 0x277, 0x200, 0x401] {
                let name = format!("msr {index:x}");
                assert!(differ.contains(&name), "{name}: {differ:?}");
            }
        }
        for vcpu in [&mut vcpu, &mut other] {
            vcpu.restore_state(&state, false).unwrap();
            vcpu.flush().unwrap();
            let now = at_rest(vcpu.save_state(irqchip).unwrap());
            assert_eq!(differences(&first, &now), [""; 0]);
            assert_eq!(first, now);
        }
        // And back to a vCPU that nothing has run on.
        vcpu.restore_state(
            &VcpuState {
                msrs: fresh.msrs.clone(),
                ..fresh.clone()
            },
            false,
        )
        .unwrap();
        let now = at_rest(vcpu.save_state(irqchip).unwrap());
        assert_eq!(differences(&fresh, &now), [""; 0]);
    }
}

#[test]
fn of_a_confined_guest_only_what_it_or_the_host_has_changed_is_put_back() {
    let Some((_vm, mut vcpu)) = scratch(false) else {
        return;
    };
    let state = vcpu.save_state(false).unwrap();
    let mut debug = state.debug;
    debug.db[0] = 5;
    // Behind the vCPU's back, as no guest of ring 3 can.
    vcpu.fd.set_debug_regs(&debug).unwrap();
    vcpu.restore_state(&state, true).unwrap();
    assert_eq!(vcpu.debug_registers().unwrap(), debug);
    vcpu.restore_state(&state, false).unwrap();
    assert_eq!(vcpu.debug_registers().unwrap(), state.debug);
    let changes: [fn(&mut Vcpu); 3] = [
        |vcpu| {
            let special = vcpu.special_registers().unwrap();
            vcpu.set_special_registers(&special).unwrap();
        },
        |vcpu| vcpu.write_msr(0xc000_0082, 0).unwrap(),
        |vcpu| {
            let debug = vcpu.debug_registers().unwrap();
            vcpu.set_debug_registers(&debug).unwrap();
        },
    ];
    for change in changes {
        vcpu.fd.set_debug_regs(&debug).unwrap();
        change(&mut vcpu);
        vcpu.restore_state(&state, true).unwrap();
        assert_eq!(vcpu.debug_registers().unwrap(), state.debug);
    }
}

#[test]
fn the_chips_come_back_into_the_same_and_into_another_vm() {
    let (Some((vm, _vcpu)), Some((other, _other_vcpu))) = (scratch(true), scratch(true)) else {
        return;
    };
    let dirty = |seed: u8| {
        let mut state = ChipState::save(&vm, true).unwrap();
        let chips = state.irqchip.as_mut().unwrap();
        // PIC: interrupt mask and base vector. IOAPIC: the first redirection entry.
        for pic in &mut chips.controllers[..2] {
            (pic[2], pic[5]) = (seed, seed << 3);
        }
        chips.controllers[2][24] = seed | 0x20;
        for channel in &mut chips.pit.channels {
            (channel.count, channel.mode) = (0x1000 + u32::from(seed), 3);
        }
        state.clock = u64::from(seed) << 40;
        state.restore(&vm).unwrap();
        ChipState::save(&vm, true).unwrap()
    };
    let at_rest = |mut state: ChipState| {
        let clock = std::mem::take(&mut state.clock) >> 40;
        for channel in &mut state.irqchip.as_mut().unwrap().pit.channels {
            channel.count_load_time = 0;
        }
        (clock, state)
    };
    let fresh = ChipState::save(&vm, true).unwrap();
    let (first, second) = (dirty(1), dirty(2));
    let parts = |state: &ChipState| state.irqchip.clone().unwrap();
    for (one, two) in [(&fresh, &first), (&first, &second)] {
        let (one, two) = (parts(one), parts(two));
        for (one, two) in one.controllers.iter().zip(&two.controllers) {
            assert_ne!(one, two);
        }
        assert_ne!(one.pit, two.pit);
    }
    for vm in [&vm, &other] {
        first.restore(vm).unwrap();
        let now = ChipState::save(vm, true).unwrap();
        assert_eq!(at_rest(now), at_rest(first.clone()));
    }
}

#[test]
fn an_extended_state_of_another_size_is_refused() {
    let Some((_vm, mut vcpu)) = scratch(false) else {
        return;
    };
    let words = vcpu.xsave().unwrap();
    assert!(vcpu.set_xsave(&words[1..]).is_err());
    assert!(vcpu.set_xsave(&words).is_ok());
}
