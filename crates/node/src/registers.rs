//! Register files, each crossing in one call.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vmm::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

/// Declares a register file and its two directions: all fields out, those that are given in.
macro_rules! register_file {
    ($doc:literal, $name:ident, $raw:ty, $($field:ident),+) => {
        #[doc = $doc]
        #[napi(object)]
        #[derive(Default)]
        pub struct $name {
            $(
                #[allow(missing_docs)]
                pub $field: Option<BigInt>,
            )+
        }

        impl $name {
            pub fn from_raw(raw: &$raw) -> Self {
                Self { $($field: Some(BigInt::from(raw.$field))),+ }
            }

            pub fn apply(&self, raw: &mut $raw) {
                $(if let Some(value) = &self.$field { raw.$field = value.get_u64().1; })+
            }
        }
    };
}

register_file!(
    "General registers, RIP and RFLAGS (KVM API, `struct kvm_regs`). All are there when read; those that are absent when written keep their value.",
    NativeRegisters,
    kvm_regs,
    rax,
    rbx,
    rcx,
    rdx,
    rsi,
    rdi,
    rsp,
    rbp,
    r8,
    r9,
    r10,
    r11,
    r12,
    r13,
    r14,
    r15,
    rip,
    rflags
);

register_file!(
    "Control registers, EFER and the APIC base (KVM API, `struct kvm_sregs`).",
    NativeControlRegisters,
    kvm_sregs,
    cr0,
    cr2,
    cr3,
    cr4,
    cr8,
    efer,
    apic_base
);

/// A segment register with its hidden part (KVM API, `struct kvm_segment`). What is absent when written
/// keeps its value.
#[napi(object)]
#[derive(Default)]
pub struct NativeSegment {
    /// Linear address of the segment.
    pub base: Option<BigInt>,
    /// Offset of the last byte, 32 bits, already scaled by the granularity.
    pub limit: Option<u32>,
    /// The visible part, 16 bits.
    pub selector: Option<u32>,
    /// Descriptor type, 4 bits.
    #[napi(js_name = "type")]
    pub kind: Option<u32>,
    /// P.
    pub present: Option<u32>,
    /// Descriptor privilege level, 0 to 3.
    pub dpl: Option<u32>,
    /// D/B: 1 for 32-bit operands.
    pub db: Option<u32>,
    /// S: 1 for code and data.
    pub s: Option<u32>,
    /// L: 1 for 64-bit code.
    pub l: Option<u32>,
    /// G.
    pub g: Option<u32>,
    /// AVL.
    pub avl: Option<u32>,
    /// 1 for a null selector.
    pub unusable: Option<u32>,
}

impl NativeSegment {
    fn from_raw(raw: &kvm_segment) -> Self {
        let byte = |value: u8| Some(u32::from(value));
        Self {
            base: Some(BigInt::from(raw.base)),
            limit: Some(raw.limit),
            selector: Some(u32::from(raw.selector)),
            kind: byte(raw.type_),
            present: byte(raw.present),
            dpl: byte(raw.dpl),
            db: byte(raw.db),
            s: byte(raw.s),
            l: byte(raw.l),
            g: byte(raw.g),
            avl: byte(raw.avl),
            unusable: byte(raw.unusable),
        }
    }

    fn apply(&self, raw: &mut kvm_segment) {
        let set = |to: &mut u8, from: Option<u32>| {
            if let Some(value) = from {
                *to = value as u8;
            }
        };
        if let Some(base) = &self.base {
            raw.base = base.get_u64().1;
        }
        raw.limit = self.limit.unwrap_or(raw.limit);
        raw.selector = self
            .selector
            .map_or(raw.selector, |selector| selector as u16);
        set(&mut raw.type_, self.kind);
        set(&mut raw.present, self.present);
        set(&mut raw.dpl, self.dpl);
        set(&mut raw.db, self.db);
        set(&mut raw.s, self.s);
        set(&mut raw.l, self.l);
        set(&mut raw.g, self.g);
        set(&mut raw.avl, self.avl);
        set(&mut raw.unusable, self.unusable);
    }
}

/// GDTR or IDTR (KVM API, `struct kvm_dtable`).
#[napi(object)]
#[derive(Default)]
pub struct NativeDescriptorTable {
    /// Linear address of the table.
    pub base: Option<BigInt>,
    /// Offset of the last byte, 16 bits.
    pub limit: Option<u32>,
}

impl NativeDescriptorTable {
    fn from_raw(raw: &kvm_dtable) -> Self {
        Self {
            base: Some(BigInt::from(raw.base)),
            limit: Some(u32::from(raw.limit)),
        }
    }

    fn apply(&self, raw: &mut kvm_dtable) {
        if let Some(base) = &self.base {
            raw.base = base.get_u64().1;
        }
        raw.limit = self.limit.map_or(raw.limit, |limit| limit as u16);
    }
}

/// Declares the special registers: segments, descriptor tables, and the control registers beside them.
macro_rules! special_registers {
    ([$($segment:ident),+], [$($table:ident),+]) => {
        /// Segment, descriptor-table and control registers (KVM API, `struct kvm_sregs`). What is absent
        /// when written keeps its value.
        #[napi(object)]
        #[derive(Default)]
        pub struct NativeSpecialRegisters {
            $(
                #[allow(missing_docs)]
                pub $segment: Option<NativeSegment>,
            )+
            $(
                #[allow(missing_docs)]
                pub $table: Option<NativeDescriptorTable>,
            )+
            /// Control registers, EFER and the APIC base.
            pub control: Option<NativeControlRegisters>,
        }

        impl NativeSpecialRegisters {
            pub fn from_raw(raw: &kvm_sregs) -> Self {
                Self {
                    $($segment: Some(NativeSegment::from_raw(&raw.$segment)),)+
                    $($table: Some(NativeDescriptorTable::from_raw(&raw.$table)),)+
                    control: Some(NativeControlRegisters::from_raw(raw)),
                }
            }

            pub fn apply(&self, raw: &mut kvm_sregs) {
                $(if let Some(segment) = &self.$segment { segment.apply(&mut raw.$segment); })+
                $(if let Some(table) = &self.$table { table.apply(&mut raw.$table); })+
                if let Some(control) = &self.control { control.apply(raw); }
            }
        }
    };
}

special_registers!([cs, ds, es, fs, gs, ss, tr, ldt], [gdt, idt]);
