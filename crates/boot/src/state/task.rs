//! The task state segment (Intel SDM vol. 3A §8.2.1 for 32 bits, §8.7 for 64).
//!
//! Ring 3 may do port I/O for two reasons: its IOPL, and the I/O bitmap. Some KVMs know only the
//! second.

use kvm_bindings::kvm_segment;

use super::config::{Protocol, Table};
use crate::layout::{self, IO_BITMAP_BYTES, TSS_BYTES, TSS_STATE_BYTES};

/// A system descriptor: 32-bit or 64-bit TSS, busy (tables 3-2 and 8-1).
const TYPE_TSS_BUSY: u8 = 0xb;

/// Where a 64-bit state has the first stack of its interrupt stack table (vol. 3A §8.7).
const IST_1: u64 = 0x24;

/// Where the state says at which offset the I/O bitmap begins.
const IO_MAP_BASE: u64 = 0x66;

/// The task register: our TSS, or the one at 0 that PVH promises (Xen docs/misc/pvh.pandoc).
pub fn register(protocol: Protocol) -> kvm_segment {
    let (base, bytes) = match protocol {
        Protocol::Plain | Protocol::Linux | Protocol::LinuxReal => (layout::TSS, TSS_BYTES),
        Protocol::Pvh => (0, TSS_STATE_BYTES),
    };
    kvm_segment {
        base,
        limit: bytes as u32 - 1,
        type_: TYPE_TSS_BUSY,
        present: 1,
        ..Default::default()
    }
}

/// The bytes of the TSS that are not zero (memory is zero anyway): the bitmap's place and its end.
/// No bit of the bitmap is set, so every port is open.
pub fn tables() -> [Table; 2] {
    let io_map_base = TSS_STATE_BYTES as u16;
    [
        Table {
            gpa: layout::TSS + IO_MAP_BASE,
            bytes: io_map_base.to_le_bytes().to_vec(),
        },
        Table {
            gpa: layout::TSS + TSS_STATE_BYTES + IO_BITMAP_BYTES,
            bytes: vec![0xff],
        },
    ]
}

/// The same with a bitmap that opens these ports alone.
pub fn tables_with_ports(ports: &[u8]) -> [Table; 2] {
    let mut bitmap = vec![0xff; IO_BITMAP_BYTES as usize + 1];
    for port in ports {
        if let Some(byte) = bitmap.get_mut(usize::from(port / 8)) {
            *byte &= !(1 << (port % 8));
        }
    }
    let [base, _] = tables();
    let gpa = layout::TSS + TSS_STATE_BYTES;
    [base, Table { gpa, bytes: bitmap }]
}

/// The stack that long mode's gates of the trap table switch to.
pub fn fault_stack() -> Table {
    Table {
        gpa: layout::TSS + IST_1,
        bytes: layout::FAULT_STACK_END.to_le_bytes().to_vec(),
    }
}

const _: () = assert!(IO_MAP_BASE + size_of::<u16>() as u64 == TSS_STATE_BYTES);
