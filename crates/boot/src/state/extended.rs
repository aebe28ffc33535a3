//! SSE, AVX and what else lies in extended registers (Intel SDM vol. 1 §13.3, vol. 3A §2.5 and
//! §2.6).
//!
//! Compilers use SSE in 64 bits unasked, so that 64-bit mode starts with it, and with all that
//! XSAVE keeps here.

use kvm_bindings::CpuId;

/// CR4.OSFXSR, SSE.
pub const CR4_OSFXSR: u64 = 1 << 9;
/// CR4.OSXMMEXCPT, exceptions of SSE's floating point, all masked in a new vCPU's MXCSR.
pub const CR4_OSXMMEXCPT: u64 = 1 << 10;
/// CR4.OSXSAVE, XCR0 and what it turns on.
pub const CR4_OSXSAVE: u64 = 1 << 18;

/// Leaf 1, ECX: XSAVE, XSETBV and XCR0 exist.
const XSAVE: u32 = 1 << 26;
/// The leaf whose EDX:EAX has the bits that XCR0 may have.
const LEAF_STATE: u32 = 0xd;
/// XCR0: x87, which is always set, and SSE.
const XCR0_X87_SSE: u64 = 3;

/// XCR0: the upper halves of YMM registers.
pub const XCR0_AVX: u64 = 4;

/// XCR0 with all that a processor of this CPUID has; nothing where it has no XCR0.
pub fn xcr0(cpuid: &CpuId) -> Option<u64> {
    let leaf = |function| {
        let entries = cpuid.as_slice().iter();
        entries
            .copied()
            .find(|entry| entry.function == function && entry.index == 0)
    };
    if leaf(1)?.ecx & XSAVE == 0 {
        return None;
    }
    let listed = leaf(LEAF_STATE).map_or(0, |it| u64::from(it.edx) << 32 | u64::from(it.eax));
    Some(listed | XCR0_X87_SSE)
}

/// The bits of CR4 that turn them on.
pub const fn cr4(xcr0: Option<u64>) -> u64 {
    let sse = CR4_OSFXSR | CR4_OSXMMEXCPT;
    if xcr0.is_some() {
        sse | CR4_OSXSAVE
    } else {
        sse
    }
}
