//! Register files: their shapes for TypeScript, and what is set of the special registers. What is
//! read crosses as words, see `NativePlace`.

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vmm::{kvm_dtable, kvm_segment, kvm_sregs};

/// Declares a register file.
macro_rules! register_file {
    ($doc:literal, $name:ident, $($field:ident: $field_doc:literal),+) => {
        #[doc = $doc]
        #[napi(object)]
        #[derive(Default)]
        #[allow(dead_code)] // TypeScript's types are made of it
        pub struct $name {
            $(
                #[doc = $field_doc]
                pub $field: Option<BigInt>,
            )+
        }
    };
}

/// One that is set field by field.
macro_rules! settable_file {
    ($doc:literal, $name:ident, $raw:ty, $($field:ident: $field_doc:literal),+) => {
        register_file!($doc, $name, $($field: $field_doc),+);

        impl $name {
            pub fn apply(&self, raw: &mut $raw) {
                $(if let Some(value) = &self.$field { raw.$field = value.get_u64().1; })+
            }
        }
    };
}

register_file!(
    "General registers, RIP and RFLAGS, 64 bits each (KVM API, `struct kvm_regs`). All are there when read; those that are absent when written keep their value.",
    NativeRegisters,
    rax: "RAX, the accumulator: operand of `in` and `out`, result of the guests here.",
    rbx: "RBX.",
    rcx: "RCX, the count of `rep` and `loop`.",
    rdx: "RDX, the port of `in dx` and `out dx`.",
    rsi: "RSI, the source of string instructions.",
    rdi: "RDI, the destination of string instructions.",
    rsp: "RSP, the stack pointer.",
    rbp: "RBP.",
    r8: "R8; 64-bit mode only.",
    r9: "R9; 64-bit mode only.",
    r10: "R10; 64-bit mode only.",
    r11: "R11; 64-bit mode only.",
    r12: "R12; 64-bit mode only.",
    r13: "R13; 64-bit mode only.",
    r14: "R14; 64-bit mode only.",
    r15: "R15; 64-bit mode only.",
    rip: "RIP, the next instruction, relative to the base of CS.",
    rflags: "RFLAGS (Intel SDM vol. 1 §3.4.3); bit 1 is always 1."
);

settable_file!(
    "Control registers, EFER and the APIC base, 64 bits each (KVM API, `struct kvm_sregs`).",
    NativeControlRegisters,
    kvm_sregs,
    cr0: "CR0: PE is bit 0, PG bit 31 (Intel SDM vol. 3A §2.5).",
    cr2: "CR2: linear address of the last page fault.",
    cr3: "CR3: physical address of the top page table.",
    cr4: "CR4: PSE is bit 4, PAE bit 5.",
    cr8: "CR8: task priority, 0 to 15.",
    efer: "EFER: LME is bit 8, LMA bit 10 (Intel SDM vol. 3A §2.2.1).",
    apic_base: "IA32_APIC_BASE (Intel SDM vol. 3A §11.4.4)."
);

/// A segment register with its hidden part (KVM API, `struct kvm_segment`; Intel SDM vol. 3A
/// §3.4.3). Flags are 0 or 1. What is absent when written keeps its value.
#[napi(object)]
#[derive(Default)]
pub struct NativeSegment {
    /// Linear address of the first byte, 64 bits.
    pub base: Option<BigInt>,
    /// Offset of the last byte, 32 bits, already scaled by the granularity.
    pub limit: Option<u32>,
    /// The visible part, 16 bits: index, table and requested privilege level.
    pub selector: Option<u32>,
    /// Descriptor type, 4 bits (Intel SDM vol. 3A §3.4.5.1); 11 is code, 3 is data, both accessed.
    #[napi(js_name = "type")]
    pub kind: Option<u32>,
    /// P: 1 if the segment is in memory.
    pub present: Option<u32>,
    /// Descriptor privilege level, 0 to 3.
    pub dpl: Option<u32>,
    /// D/B: 1 for 32-bit operands, 0 for 16-bit ones and for 64-bit code.
    pub db: Option<u32>,
    /// S: 1 for code and data, 0 for a system segment.
    pub s: Option<u32>,
    /// L: 1 for 64-bit code.
    pub l: Option<u32>,
    /// G: 1 if the descriptor counts its limit in pages.
    pub g: Option<u32>,
    /// AVL: a bit for system software.
    pub avl: Option<u32>,
    /// 1 for a null selector.
    pub unusable: Option<u32>,
}

impl NativeSegment {
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
    /// Linear address of the table, 64 bits.
    pub base: Option<BigInt>,
    /// Offset of the last byte, 16 bits: eight times the entries, less one.
    pub limit: Option<u32>,
}

impl NativeDescriptorTable {
    fn apply(&self, raw: &mut kvm_dtable) {
        if let Some(base) = &self.base {
            raw.base = base.get_u64().1;
        }
        raw.limit = self.limit.map_or(raw.limit, |limit| limit as u16);
    }
}

/// Declares the special registers: segments, descriptor tables, and the control registers beside
/// them.
macro_rules! special_registers {
    ([$($segment:ident: $segment_doc:literal),+], [$($table:ident: $table_doc:literal),+]) => {
        /// Segment, descriptor-table and control registers (KVM API, `struct kvm_sregs`). What is
        /// absent when written keeps its value.
        #[napi(object)]
        #[derive(Default)]
        pub struct NativeSpecialRegisters {
            $(
                #[doc = $segment_doc]
                pub $segment: Option<NativeSegment>,
            )+
            $(
                #[doc = $table_doc]
                pub $table: Option<NativeDescriptorTable>,
            )+
            /// Control registers, EFER and the APIC base.
            pub control: Option<NativeControlRegisters>,
        }

        impl NativeSpecialRegisters {
            pub fn apply(&self, raw: &mut kvm_sregs) {
                $(if let Some(segment) = &self.$segment { segment.apply(&mut raw.$segment); })+
                $(if let Some(table) = &self.$table { table.apply(&mut raw.$table); })+
                if let Some(control) = &self.control { control.apply(raw); }
            }
        }
    };
}

special_registers!(
    [
        cs: "CS, the code segment; its DPL and that of SS are the current privilege level.",
        ds: "DS, the data segment.",
        es: "ES, the destination of string instructions.",
        fs: "FS; its base counts in 64-bit mode too.",
        gs: "GS; its base counts in 64-bit mode too.",
        ss: "SS, the stack segment.",
        tr: "TR, the task register.",
        ldt: "LDTR, the local descriptor table."
    ],
    [
        gdt: "GDTR, the global descriptor table.",
        idt: "IDTR, the interrupt descriptor table."
    ]
);
