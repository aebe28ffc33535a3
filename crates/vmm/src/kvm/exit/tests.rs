use std::mem::offset_of;

use kvm::kvm_run__bindgen_ty_1 as Union;

use super::*;

fn body(fields: &[(usize, &[u8])]) -> [u8; BODY_BYTES] {
    let mut body = [0; BODY_BYTES];
    for (at, bytes) in fields {
        body[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    body
}

#[test]
fn the_union_is_as_large_as_the_kernels() {
    assert_eq!(size_of::<Union>(), BODY_BYTES);
}

#[test]
fn offsets_are_those_of_the_bindings() {
    type Io = kvm::kvm_run__bindgen_ty_1__bindgen_ty_4;
    type Mmio = kvm::kvm_run__bindgen_ty_1__bindgen_ty_6;
    assert_eq!(
        [0, 1, 2, 4, 8],
        [
            offset_of!(Io, direction),
            offset_of!(Io, size),
            offset_of!(Io, port),
            offset_of!(Io, count),
            offset_of!(Io, data_offset)
        ]
    );
    assert_eq!(
        [0, 8, 16, 20],
        [
            offset_of!(Mmio, phys_addr),
            offset_of!(Mmio, data),
            offset_of!(Mmio, len),
            offset_of!(Mmio, is_write)
        ]
    );
}

#[test]
fn port_exits_keep_size_count_and_data_offset() {
    let raw = body(&[
        (0, &[1, 2]),
        (2, &0xe9u16.to_le_bytes()),
        (4, &300u32.to_le_bytes()),
        (8, &4096u64.to_le_bytes()),
    ]);
    let access = PortAccess {
        port: 0xe9,
        size: 2,
        count: 300,
        data_offset: 4096,
    };
    assert_eq!(decode(kvm::KVM_EXIT_IO, &raw), Exit::PioOut(access));
    assert_eq!(access.bytes(), 600);
    let mut raw = raw;
    raw[0] = 0;
    assert_eq!(decode(kvm::KVM_EXIT_IO, &raw), Exit::PioIn(access));
}

#[test]
fn mmio_exits_of_eight_bytes_and_of_odd_fragments() {
    for size in [1u8, 2, 3, 4, 5, 7, 8] {
        let raw = body(&[
            (0, &0xd000_0ffdu64.to_le_bytes()),
            (16, &u32::from(size).to_le_bytes()),
            (20, &[1]),
        ]);
        assert_eq!(
            decode(kvm::KVM_EXIT_MMIO, &raw),
            Exit::MmioWrite(MmioAccess {
                gpa: 0xd000_0ffd,
                size
            })
        );
    }
    let raw = body(&[(0, &7u64.to_le_bytes()), (16, &8u32.to_le_bytes())]);
    assert_eq!(
        decode(kvm::KVM_EXIT_MMIO, &raw),
        Exit::MmioRead(MmioAccess { gpa: 7, size: 8 })
    );
}

#[test]
fn a_length_that_kvm_never_gives_stays_in_range() {
    let raw = body(&[(16, &u32::MAX.to_le_bytes())]);
    assert_eq!(
        decode(kvm::KVM_EXIT_MMIO, &raw),
        Exit::MmioRead(MmioAccess { gpa: 0, size: 8 })
    );
}

#[test]
fn internal_error_tells_suberror_and_instruction() {
    let raw = body(&[
        (0, &1u32.to_le_bytes()),
        (4, &4u32.to_le_bytes()),
        (8, &1u64.to_le_bytes()),
        (16, &[3, 0x0f, 0x0b, 0xf4]),
    ]);
    let Exit::InternalError {
        suberror,
        data,
        instruction_bytes,
    } = decode(kvm::KVM_EXIT_INTERNAL_ERROR, &raw)
    else {
        panic!("not an internal error")
    };
    assert_eq!(
        (suberror, data.len(), instruction_bytes),
        (1, 4, vec![0x0f, 0x0b, 0xf4])
    );
}

#[test]
fn internal_error_of_another_kind_has_words_and_no_bytes() {
    let raw = body(&[
        (0, &3u32.to_le_bytes()),
        (4, &99u32.to_le_bytes()),
        (8, &1u64.to_le_bytes()),
        (16, &[9]),
    ]);
    let Exit::InternalError {
        suberror,
        data,
        instruction_bytes,
    } = decode(kvm::KVM_EXIT_INTERNAL_ERROR, &raw)
    else {
        panic!("not an internal error")
    };
    assert_eq!(
        (
            suberror,
            data.len(),
            data[0],
            data[1],
            instruction_bytes.len()
        ),
        (3, 16, 1, 9, 0)
    );
}

#[test]
fn the_other_reasons() {
    let raw = body(&[(0, &0x8000_0021u64.to_le_bytes()), (8, &1u32.to_le_bytes())]);
    assert_eq!(
        decode(kvm::KVM_EXIT_FAIL_ENTRY, &raw),
        Exit::FailEntry {
            hardware_entry_failure_reason: 0x8000_0021,
            cpu: 1
        }
    );
    assert_eq!(decode(kvm::KVM_EXIT_HLT, &raw), Exit::Hlt);
    assert_eq!(decode(kvm::KVM_EXIT_SHUTDOWN, &raw), Exit::Shutdown);
    assert_eq!(
        decode(kvm::KVM_EXIT_UNKNOWN, &raw),
        Exit::Unknown {
            exit_reason: 0,
            hardware_exit_reason: 0x8000_0021
        }
    );
    let raw = body(&[
        (0, &1u32.to_le_bytes()),
        (8, &2u64.to_le_bytes()),
        (16, &3u64.to_le_bytes()),
        (24, &4u64.to_le_bytes()),
    ]);
    assert_eq!(
        decode(kvm::KVM_EXIT_DEBUG, &raw),
        Exit::Debug {
            exception: 1,
            pc: 2,
            dr6: 3,
            dr7: 4
        }
    );
    let raw = body(&[
        (0, &2u32.to_le_bytes()),
        (4, &1u32.to_le_bytes()),
        (8, &5u64.to_le_bytes()),
    ]);
    assert_eq!(
        decode(kvm::KVM_EXIT_SYSTEM_EVENT, &raw),
        Exit::SystemEvent {
            event: 2,
            data: vec![5]
        }
    );
}

#[test]
fn every_kind_has_its_own_name() {
    let names: std::collections::HashSet<_> = Exit::KINDS.into_iter().collect();
    assert_eq!(names.len(), Exit::KINDS.len());
    assert_eq!(
        Exit::Unknown {
            exit_reason: 0,
            hardware_exit_reason: 0
        }
        .name(),
        "unknown"
    );
    assert_eq!(Exit::Hlt.name(), "hlt");
}

#[test]
fn a_memory_fault_is_an_exit_although_the_call_fails() {
    let fault = decode(kvm::KVM_EXIT_MEMORY_FAULT, &[0; BODY_BYTES]);
    assert!(fault.comes_with(libc::EFAULT) && fault.comes_with(libc::EHWPOISON));
    assert!(!fault.comes_with(libc::EINVAL));
    // What the last exit has left in the page says nothing about another failure.
    for reason in [kvm::KVM_EXIT_HLT, kvm::KVM_EXIT_IO, kvm::KVM_EXIT_MMIO, 0] {
        assert!(!decode(reason, &[0; BODY_BYTES]).comes_with(libc::EFAULT));
    }
}
