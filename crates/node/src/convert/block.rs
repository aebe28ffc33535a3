//! What crosses as words of the block that Rust and TypeScript share, so that no object is made of
//! it here: registers, and the end of a run.

use napi_derive::napi;
use vmm::{End, Exit, Outcome, kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

use crate::convert::words::{NativeEnding, NativeExitReason};
use crate::ffi::{ALL, Words};

/// Where things are in the shared block, in words of 64 bits. Before them are the eight words of 32
/// bits of a question, see `NativeQuestion`.
#[napi]
pub enum NativePlace {
    /// General registers: 18 words, in the order of `struct kvm_regs`.
    Registers = 4,
    /// The end of a run: 32 bits each of ending (0, or its place in `NativeEnding` from 1 on), exit
    /// (0, or its place in `NativeExitReason` from 1 on), vCPU (0 if none ended it, else its index
    /// from 1 on), exit code; size and count of the access; the length of its data; whether
    /// the registers are those at the end.
    Ending = 22,
    /// As doubles: the port or the address of the access, the exits of the run, its milliseconds.
    Numbers = 26,
    /// What the guest wrote, up to 8 bytes.
    Data = 29,
    /// Segments, 24 bytes each as `struct kvm_segment` has them: CS, DS, ES, FS, GS, SS, TR, LDTR;
    /// GDTR and IDTR, a base and a limit each; CR0, CR2, CR3, CR4, CR8, EFER, IA32_APIC_BASE.
    Special = 30,
    /// How many there are.
    Count = 65,
}

const _: () = assert!(NativePlace::Count as usize == ALL);

const REGISTERS: usize = NativePlace::Registers as usize;
const ENDING: usize = NativePlace::Ending as usize;
const NUMBERS: usize = NativePlace::Numbers as usize;
const DATA: usize = NativePlace::Data as usize;
const SPECIAL: usize = NativePlace::Special as usize;

/// General registers in their order.
macro_rules! each_register {
    ($use:ident!($($argument:tt)*)) => {
        $use!(
            ($($argument)*)
            rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags
        )
    };
}

macro_rules! as_array {
    (($registers:expr) $($name:ident)+) => {
        [$($registers.$name),+]
    };
}

macro_rules! each_place {
    (($registers:expr) $($name:ident)+) => {
        [$(&mut $registers.$name),+]
    };
}

/// How many general registers there are.
pub const REGISTER_COUNT: usize = 18;

/// In their order.
pub const fn in_order(registers: &kvm_regs) -> [u64; REGISTER_COUNT] {
    each_register!(as_array!(registers))
}

/// All of them.
pub fn put_registers(words: Words, registers: &kvm_regs) {
    words.put64(REGISTERS, &in_order(registers));
}

/// Takes those whose bit is set, in their order.
pub fn take_registers(words: Words, given: u32, registers: &mut kvm_regs) {
    for (index, register) in each_register!(each_place!(registers))
        .into_iter()
        .enumerate()
    {
        if given & (1 << index) != 0 {
            *register = words.get64(REGISTERS + index);
        }
    }
}

/// Segment, descriptor-table and control registers.
pub fn put_special_registers(words: Words, special: &kvm_sregs) {
    let segments = [
        &special.cs,
        &special.ds,
        &special.es,
        &special.fs,
        &special.gs,
        &special.ss,
        &special.tr,
        &special.ldt,
    ];
    let tables =
        [&special.gdt, &special.idt].map(|table: &kvm_dtable| [table.base, table.limit.into()]);
    let control = [
        special.cr0,
        special.cr2,
        special.cr3,
        special.cr4,
        special.cr8,
        special.efer,
        special.apic_base,
    ];
    let segments = segments.map(segment);
    words.put64(SPECIAL, segments.as_flattened());
    words.put64(SPECIAL + 3 * segments.len(), tables.as_flattened());
    words.put64(SPECIAL + 3 * segments.len() + 2 * tables.len(), &control);
}

fn segment(segment: &kvm_segment) -> [u64; 3] {
    let [low, high] = segment.selector.to_le_bytes();
    let [a, b, c, d] = segment.limit.to_le_bytes();
    let (kind, present, dpl) = (segment.type_, segment.present, segment.dpl);
    let first = [a, b, c, d, low, high, kind, present];
    let second = [
        dpl,
        segment.db,
        segment.s,
        segment.l,
        segment.g,
        segment.avl,
        segment.unusable,
        0,
    ];
    [
        segment.base,
        u64::from_le_bytes(first),
        u64::from_le_bytes(second),
    ]
}

/// The end of a run, but for what is seldom there. Returns whether the exit is whole.
pub fn put_outcome(words: Words, outcome: &Outcome, registers: Option<&kvm_regs>) -> bool {
    let ending = NativeEnding::of(&outcome.end).map_or(0, |ending| ending as u32 + 1);
    let vcpu = outcome.vcpu.map_or(0, |vcpu| vcpu + 1);
    let (record, code) = match &outcome.end {
        End::Exit(record) | End::Power { record, .. } => (Some(record), 0),
        End::ExitPort { code, record } => (Some(record), *code),
        End::Kicked(_) | End::Fault(_) | End::Stop(_) => (None, 0),
    };
    let reason = record.map_or(0, |record| NativeExitReason::from(&record.exit) as u32 + 1);
    let (address, size, count, is_plain) = match record.map(|record| &record.exit) {
        Some(Exit::PioOut(access) | Exit::PioIn(access)) => (
            f64::from(access.port),
            u32::from(access.size),
            access.count,
            true,
        ),
        Some(Exit::MmioWrite(access) | Exit::MmioRead(access)) => {
            (access.gpa as f64, u32::from(access.size), 1, true)
        }
        None | Some(Exit::Hlt | Exit::Shutdown) => (0.0, 0, 0, true),
        Some(_) => (0.0, 0, 0, false),
    };
    let data = record.map_or(&[][..], |record| &record.data);
    let mut bytes = [0; 8];
    let fits = bytes
        .get_mut(..data.len())
        .map(|place| place.copy_from_slice(data));
    let length = data.len() as u32;
    if let Some(registers) = registers {
        put_registers(words, registers);
    }
    let known = u32::from(registers.is_some());
    let pairs = [
        (ending, reason),
        (vcpu, code),
        (size, count),
        (length, known),
    ];
    words.put64(
        ENDING,
        &pairs.map(|(low, high)| u64::from(low) | u64::from(high) << 32),
    );
    let (exits, ms) = (outcome.exits as f64, outcome.duration.as_secs_f64() * 1e3);
    words.put64(NUMBERS, &[address, exits, ms].map(f64::to_bits));
    words.put64(DATA, &[u64::from_le_bytes(bytes)]);
    is_plain && fits.is_some()
}
