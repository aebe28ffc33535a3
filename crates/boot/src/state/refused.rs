//! Why KVM refuses special registers: all that it says is `EINVAL`.

use kvm_bindings::kvm_sregs;

use super::{CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME};

/// CR0.NW, not write-through, which goes with CD alone.
const CR0_NW: u64 = 1 << 29;
/// CR0.CD, cache disable.
const CR0_CD: u64 = 1 << 30;

/// What is wrong with registers that `KVM_SET_SREGS` has refused (Linux, arch/x86/kvm/x86.c,
/// `kvm_is_valid_sregs`), by the names that callers give them.
pub fn refusal(registers: &kvm_sregs) -> String {
    let &kvm_sregs { cr0, cr4, efer, .. } = registers;
    let has = |value: u64, bit: u64| value & bit != 0;
    let is_long = has(efer, EFER_LME) && has(cr0, CR0_PG);
    let reasons = [
        (cr0 >> 32 != 0, "cr0 has bits above 31"),
        (
            has(cr0, CR0_PG) && !has(cr0, CR0_PE),
            "PG (bit 31) of cr0 needs PE (bit 0)",
        ),
        (
            has(cr0, CR0_NW) && !has(cr0, CR0_CD),
            "NW (bit 29) of cr0 needs CD (bit 30)",
        ),
        (
            is_long && !has(cr4, CR4_PAE),
            "LME (bit 8) of efer with PG (bit 31) of cr0 needs PAE (bit 5) of cr4",
        ),
        (
            is_long && !has(efer, EFER_LMA),
            "LME (bit 8) of efer with PG (bit 31) of cr0 needs LMA (bit 10) of efer",
        ),
        (
            !is_long && has(efer, EFER_LMA),
            "LMA (bit 10) of efer needs LME (bit 8) of it, and PG (bit 31) of cr0",
        ),
        (
            !is_long && registers.cs.l != 0,
            "cs.l needs LME (bit 8) of efer, and PG (bit 31) of cr0",
        ),
    ];
    let found: Vec<&str> = reasons
        .iter()
        .filter_map(|&(is_wrong, reason)| is_wrong.then_some(reason))
        .collect();
    if !found.is_empty() {
        return found.join("; ");
    }
    format!(
        "a bit that this vCPU reserves is set in cr3 ({:#x}), cr4 ({cr4:#x}) or apicBase ({:#x})",
        registers.cr3, registers.apic_base
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long() -> kvm_sregs {
        kvm_sregs {
            cr0: CR0_PE | CR0_PG,
            cr3: 0x1000,
            cr4: CR4_PAE,
            efer: EFER_LME | EFER_LMA,
            ..Default::default()
        }
    }

    #[test]
    fn what_contradicts_is_named() {
        let refused = |change: fn(&mut kvm_sregs)| {
            let mut registers = long();
            change(&mut registers);
            refusal(&registers)
        };
        assert_eq!(refused(|to| to.cr0 |= 1 << 40), "cr0 has bits above 31");
        assert!(refused(|to| to.cr0 = CR0_PG).starts_with("PG (bit 31) of cr0 needs PE"));
        assert!(refused(|to| to.cr0 |= CR0_NW).contains("needs CD (bit 30)"));
        assert!(refused(|to| to.cr4 = 0).contains("needs PAE (bit 5) of cr4"));
        assert!(refused(|to| to.efer = EFER_LME).contains("needs LMA (bit 10) of efer"));
        assert!(refused(|to| to.cr0 = CR0_PE).contains("LMA (bit 10) of efer needs"));
        let both = refused(|to| (to.efer, to.cs.l) = (EFER_LMA, 1));
        assert!(both.contains("; cs.l needs LME"), "{both}");
    }

    #[test]
    fn bits_that_a_processor_may_reserve_are_shown() {
        let registers = kvm_sregs {
            cr4: CR4_PAE | 1 << 63,
            apic_base: 0x1234,
            ..long()
        };
        let text = refusal(&registers);
        assert!(
            text.contains("cr3 (0x1000), cr4 (0x8000000000000020)"),
            "{text}"
        );
        assert!(text.ends_with("apicBase (0x1234)"), "{text}");
    }
}
