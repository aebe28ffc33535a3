//! Segment descriptors: as bytes in the GDT, and as the `kvm_segment` values that KVM loads
//! (Intel SDM vol. 3A §3.4.5, figure 3-8).

use kvm_bindings::kvm_segment;

use super::config::{BootConfig, Protocol};
use crate::layout;
use crate::mode::{CpuMode, Privilege};

/// Indices of the GDT's entries, in order: kernel code, kernel data, user data, user code. User
/// data comes first because SYSRET wants it so (vol. 2B, SYSRET).
#[derive(Clone, Copy, Debug)]
struct Indices {
    kernel_code: u16,
    kernel_data: u16,
    user_data: u16,
    user_code: u16,
}

impl Indices {
    const fn of(protocol: Protocol) -> Self {
        let first = match protocol {
            Protocol::Plain | Protocol::Pvh | Protocol::LinuxReal => 1,
            Protocol::Linux => 2,
        };
        Self {
            kernel_code: first,
            kernel_data: first + 1,
            user_data: first + 2,
            user_code: first + 3,
        }
    }

    /// Entries of the whole table; those in front of the first index are null.
    const fn entries(self) -> usize {
        self.user_code as usize + 1
    }
}

/// Execute/read, accessed (table 3-1).
const TYPE_CODE: u8 = 0xb;
/// A system segment: a local descriptor table.
const TYPE_LDT: u8 = 2;
/// Read/write, accessed.
const TYPE_DATA: u8 = 0x3;
/// The code and the data segment that a vCPU starts with.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    /// CS.
    pub code: kvm_segment,
    /// DS, ES, FS, GS and SS.
    pub data: kvm_segment,
}

impl Segments {
    /// The segments of a mode and ring.
    pub fn of(config: &BootConfig) -> Self {
        if config.protocol == Protocol::LinuxReal {
            return Self {
                code: real(TYPE_CODE, config.entry_gpa),
                data: real(TYPE_DATA, layout::LINUX_SETUP),
            };
        }
        if config.mode == CpuMode::Real {
            // CS is the 64 KiB frame of the entry, so that an entry below 64 KiB keeps base 0 and
            // IP = gpa.
            let frame = config.entry_gpa & !0xffff;
            return Self {
                code: real(TYPE_CODE, frame),
                data: real(TYPE_DATA, 0),
            };
        }
        Self::flat(config.mode, config.privilege, config.protocol)
    }

    /// Those of all memory.
    pub fn flat(mode: CpuMode, privilege: Privilege, protocol: Protocol) -> Self {
        let indices = Indices::of(protocol);
        let (code, data, dpl) = match privilege {
            Privilege::Kernel => (indices.kernel_code, indices.kernel_data, 0),
            Privilege::User => (indices.user_code, indices.user_data, 3),
        };
        Self {
            code: flat_code(mode, code, dpl),
            data: flat_data(data, dpl),
        }
    }
}

/// LDTR without a table (vol. 3A §3.5.1).
pub fn no_ldt() -> kvm_segment {
    kvm_segment {
        type_: TYPE_LDT,
        unusable: 1,
        ..Default::default()
    }
}

/// The limit for GDTR: the offset of the last byte (vol. 3A §2.4.1).
pub const fn gdt_limit(protocol: Protocol) -> u16 {
    (Indices::of(protocol).entries() * size_of::<u64>() - 1) as u16
}

/// The selector of the code segment of ring 0.
pub const fn kernel_code(protocol: Protocol) -> u16 {
    Indices::of(protocol).kernel_code << 3
}

/// The selector of the data segment of ring 3, without its privilege level.
pub const fn user_data(protocol: Protocol) -> u16 {
    Indices::of(protocol).user_data << 3
}

/// The table as it lies at [`layout::GDT`], little-endian.
pub fn gdt_bytes(mode: CpuMode, protocol: Protocol) -> Vec<u8> {
    let indices = Indices::of(protocol);
    let mut entries = vec![0u64; indices.entries()];
    for (index, segment) in [
        (indices.kernel_code, flat_code(mode, indices.kernel_code, 0)),
        (indices.kernel_data, flat_data(indices.kernel_data, 0)),
        (indices.user_data, flat_data(indices.user_data, 3)),
        (indices.user_code, flat_code(mode, indices.user_code, 3)),
    ] {
        if let Some(entry) = entries.get_mut(usize::from(index)) {
            *entry = descriptor(&segment);
        }
    }
    entries
        .iter()
        .flat_map(|entry| entry.to_le_bytes())
        .collect()
}

/// The eight bytes of a code or data segment descriptor.
pub fn descriptor(segment: &kvm_segment) -> u64 {
    let limit = u64::from(if segment.g == 1 {
        segment.limit >> 12
    } else {
        segment.limit
    });
    let access = u64::from(segment.type_)
        | u64::from(segment.s) << 4
        | u64::from(segment.dpl) << 5
        | u64::from(segment.present) << 7;
    let flags = u64::from(segment.avl)
        | u64::from(segment.l) << 1
        | u64::from(segment.db) << 2
        | u64::from(segment.g) << 3;
    (limit & 0xffff)
        | (segment.base & 0xff_ffff) << 16
        | access << 40
        | (limit >> 16 & 0xf) << 48
        | flags << 52
        | (segment.base >> 24 & 0xff) << 56
}

/// What the processor loads of a code or data segment descriptor.
pub fn segment(selector: u16, descriptor: u64) -> kvm_segment {
    let nibble = |shift: u32| (descriptor >> shift & 0xf) as u8;
    let bit = |shift: u32| (descriptor >> shift & 1) as u8;
    let limit = (descriptor & 0xffff | descriptor >> 32 & 0xf_0000) as u32;
    kvm_segment {
        base: descriptor >> 16 & 0xff_ffff | descriptor >> 32 & 0xff00_0000,
        limit: if bit(55) == 1 {
            limit << 12 | 0xfff
        } else {
            limit
        },
        selector,
        type_: nibble(40),
        s: bit(44),
        dpl: nibble(45) & 3,
        present: bit(47),
        avl: bit(52),
        l: bit(53),
        db: bit(54),
        g: bit(55),
        ..Default::default()
    }
}

fn flat_code(mode: CpuMode, index: u16, dpl: u8) -> kvm_segment {
    let long = mode == CpuMode::Long;
    kvm_segment {
        type_: TYPE_CODE,
        l: u8::from(long),
        db: u8::from(!long),
        ..flat(index, dpl)
    }
}

fn flat_data(index: u16, dpl: u8) -> kvm_segment {
    kvm_segment {
        type_: TYPE_DATA,
        db: 1,
        ..flat(index, dpl)
    }
}

fn flat(index: u16, dpl: u8) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector: index << 3 | u16::from(dpl),
        present: 1,
        dpl,
        s: 1,
        g: 1,
        ..Default::default()
    }
}

fn real(type_: u8, base: u64) -> kvm_segment {
    kvm_segment {
        base,
        limit: 0xffff,
        selector: (base >> 4) as u16,
        type_,
        present: 1,
        s: 1,
        ..Default::default()
    }
}

const _: () = assert!((gdt_limit(Protocol::Linux) as u64) < layout::TSS - layout::GDT);
