use super::*;

fn watch(index: usize, address: u64, kind: HardwareKind) -> kvm_guest_debug {
    let mut debug = GuestDebug::default();
    debug.hardware[index] = Some(HardwareStop { address, kind });
    debug.raw()
}

#[test]
fn nothing_is_asked_for_by_zeros() {
    let raw = GuestDebug::default().raw();
    assert_eq!((raw.control, raw.arch.debugreg), (0, [0; 8]));
}

#[test]
fn each_wish_is_a_bit_of_its_own() {
    let one = |debug: GuestDebug| debug.raw().control;
    let none = GuestDebug::default();
    assert_eq!(one(GuestDebug { step: true, ..none }), 3);
    assert_eq!(one(GuestDebug { int3: true, ..none }), 0x1_0001);
    let blocks = GuestDebug {
        block_interrupts: true,
        ..none
    };
    assert_eq!(one(blocks), 0x10_0001);
}

/// Intel SDM vol. 3B, figure 18-1.
#[test]
fn debug_registers_have_address_kind_and_length() {
    let raw = watch(0, 0x1234, HardwareKind::Execute);
    assert_eq!((raw.control, raw.arch.debugreg[0]), (0x2_0001, 0x1234));
    assert_eq!(raw.arch.debugreg[7], 0x702);
    let raw = watch(1, 0x2000, HardwareKind::Write(4));
    assert_eq!(raw.arch.debugreg[..2], [0, 0x2000]);
    assert_eq!(raw.arch.debugreg[7], 0x708 | 0b1101 << 20);
    let raw = watch(2, 0x3000, HardwareKind::Access(2));
    assert_eq!(raw.arch.debugreg[7], 0x720 | 0b0111 << 24);
    let raw = watch(3, 0x4000, HardwareKind::Write(8));
    assert_eq!(raw.arch.debugreg[3], 0x4000);
    assert_eq!(raw.arch.debugreg[7], 0x780 | 0b1001 << 28);
    let raw = watch(3, 0x4000, HardwareKind::Access(1));
    assert_eq!(raw.arch.debugreg[7], 0x780 | 0b0011 << 28);
}
