#![allow(clippy::unwrap_used)]

use super::*;
use crate::layout::TSS;

fn words(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.chunks_exact(8);
    words
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

#[test]
fn long_modes_gates_lead_to_their_stubs_on_the_first_stack_of_the_table() {
    let tables = tables(CpuMode::Long, 0x10);
    let [gates, stubs, stack] = tables.as_slice() else {
        panic!("{tables:?}");
    };
    assert_eq!((gates.gpa, gates.bytes.len()), (0xfe00_3200, 512));
    assert_eq!(register(CpuMode::Long).limit, 511);
    let gates = words(&gates.bytes);
    // #PF: offset 0xfe0034e0, selector 0x10, IST 1, a present interrupt gate of ring 0.
    assert_eq!(gates[28..30], [0xfe00_8e01_0010_34e0, 0]);
    // #BP, which `int3` of ring 3 may reach.
    assert_eq!(gates[6..8], [0xfe00_ee01_0010_3430, 0]);
    assert_eq!((stubs.gpa, stubs.bytes.len()), (0xfe00_3400, 512));
    assert_eq!(stubs.bytes[14 * 16..][..5], [0xe6, 0xfa, 0xf4, 0xeb, 0xfd]);
    assert_eq!(stack.gpa, TSS + 0x24);
    assert_eq!(words(&stack.bytes), [0xfe00_4000]);
}

#[test]
fn gates_of_32_bits_have_half_the_size_and_no_stack() {
    for mode in [CpuMode::Protected, CpuMode::Paged32] {
        let tables = tables(mode, 8);
        let [gates, stubs] = tables.as_slice() else {
            panic!("{tables:?}");
        };
        assert_eq!((gates.gpa, gates.bytes.len()), (0xfe00_3200, 256));
        assert_eq!(register(mode).limit, 255);
        assert_eq!(words(&gates.bytes)[14], 0xfe00_8e00_0008_34e0);
        assert_eq!(stubs.gpa, 0xfe00_3400);
    }
}

#[test]
fn a_vector_is_where_its_stub_writes() {
    let of = |at| vector_at(0xfe00_3400 + at);
    assert_eq!(of(0), Some(0));
    assert_eq!(of(2), Some(0));
    assert_eq!(of(14 * 16), Some(14));
    assert_eq!(of(31 * 16 + 2), Some(31));
    for nowhere in [1, 3, 15, 32 * 16, u64::MAX - 0xfe00_3400] {
        assert_eq!(of(nowhere), None, "{nowhere:#x}");
    }
    assert_eq!(vector_at(0), None);
    assert_eq!(vector_at(0xfe00_33fe), None);
}

#[test]
fn where_a_frame_begins_says_whether_it_has_an_error_code() {
    let pushed = |bytes| pushed_error_code(0xfe00_4000_u64.wrapping_sub(bytes));
    assert_eq!(pushed(40), Some(false));
    assert_eq!(pushed(48), Some(true));
    for no_frame in [0, 32, 41, 44, 47, 49, 56, 0xfe00_4000, u64::MAX] {
        assert_eq!(pushed(no_frame), None, "{no_frame}");
    }
}

#[test]
fn the_processor_pushes_an_error_code_for_ten_vectors() {
    let with: Vec<u8> = vectors().filter(|vector| has_error_code(*vector)).collect();
    assert_eq!(with, [8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
}
