//! Whether a vCPU of one host can go on on another one: what its CPUID promises must be there.

use std::fmt;

use kvm_bindings::kvm_cpuid_entry2;

/// A register of a CPUID leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

use Register::{Eax, Ebx, Ecx, Edx};

/// Leaves whose bits are features, each a promise to the guest (Intel SDM vol. 2A, CPUID; AMD APM
/// vol. 3, appendix E; Linux, `Documentation/virt/kvm/x86/cpuid.rst`), and the bits that are none:
/// OSXSAVE and OSPKE, which follow CR4.
const FEATURES: [(u32, u32, Register, u32); 17] = [
    (0x1, 0, Ecx, 1 << 27),
    (0x1, 0, Edx, 0),
    (0x7, 0, Ebx, 0),
    (0x7, 0, Ecx, 1 << 4),
    (0x7, 0, Edx, 0),
    (0x7, 1, Eax, 0),
    (0x7, 1, Edx, 0),
    // XCR0: the parts of the extended state.
    (0xd, 0, Eax, 0),
    (0xd, 0, Edx, 0),
    (0xd, 1, Eax, 0),
    // XSS.
    (0xd, 1, Ecx, 0),
    // KVM's own.
    (0x4000_0001, 0, Eax, 0),
    (0x8000_0001, 0, Ecx, 0),
    (0x8000_0001, 0, Edx, 0),
    (0x8000_0007, 0, Edx, 0),
    (0x8000_0008, 0, Ebx, 0),
    (0x8000_0021, 0, Eax, 0),
];

/// The maker of the processor, in leaf 0.
const MAKER: [Register; 3] = [Ebx, Edx, Ecx];

/// Why a vCPU cannot go on here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The processor is another maker's: as CPUID names the saved one, and this one.
    Maker(String, String),
    /// Features that this host lacks.
    Features {
        /// EAX, which chooses the leaf.
        leaf: u32,
        /// ECX, which chooses the part of it.
        subleaf: u32,
        /// Where the features are.
        register: &'static str,
        /// Those that are missing.
        bits: u32,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maker(saved, here) => {
                write!(f, "its processor is {saved}, and this one is {here}")
            }
            Self::Features {
                leaf,
                subleaf,
                register,
                bits,
            } => write!(
                f,
                "its processor has features that this one lacks (CPUID {leaf:#x}.{subleaf:#x}, {register} bits {bits:#x})"
            ),
        }
    }
}

/// The first thing that a vCPU with this CPUID misses on a host that supports that.
pub fn misfit(saved: &[kvm_cpuid_entry2], host: &[kvm_cpuid_entry2]) -> Option<Misfit> {
    let (ours, theirs) = (maker(host), maker(saved));
    if ours != theirs {
        return Some(Misfit::Maker(theirs, ours));
    }
    FEATURES
        .iter()
        .find_map(|&(leaf, subleaf, register, none)| {
            let wanted = value(saved, leaf, subleaf, register) & !none;
            let bits = wanted & !value(host, leaf, subleaf, register);
            (bits != 0).then(|| Misfit::Features {
                leaf,
                subleaf,
                register: register.name(),
                bits,
            })
        })
}

impl Register {
    const fn name(self) -> &'static str {
        match self {
            Self::Eax => "EAX",
            Self::Ebx => "EBX",
            Self::Ecx => "ECX",
            Self::Edx => "EDX",
        }
    }

    const fn of(self, entry: &kvm_cpuid_entry2) -> u32 {
        match self {
            Self::Eax => entry.eax,
            Self::Ebx => entry.ebx,
            Self::Ecx => entry.ecx,
            Self::Edx => entry.edx,
        }
    }
}

/// What is not listed has no feature.
fn value(entries: &[kvm_cpuid_entry2], leaf: u32, subleaf: u32, register: Register) -> u32 {
    let mut entries = entries.iter();
    let found = entries.find(|entry| entry.function == leaf && entry.index == subleaf);
    found.map_or(0, |entry| register.of(entry))
}

fn maker(entries: &[kvm_cpuid_entry2]) -> String {
    let words = MAKER.map(|register| value(entries, 0, 0, register).to_le_bytes());
    String::from_utf8_lossy(words.as_flattened()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaf, part of it, and its registers.
    type Leaf = (u32, u32, [u32; 4]);

    const SAVED: [Leaf; 3] = [
        (0, 0, [13, 0x756e_6547, 0x6c65_746e, 0x4965_6e69]),
        (1, 0, [0, 0x0100_0800, 0x0800_0001, 0x3]),
        (7, 0, [0, 0x20, 0x10, 0]),
    ];

    fn entries(leaves: &[Leaf]) -> Vec<kvm_cpuid_entry2> {
        let entry = |leaf: &Leaf| {
            let &(function, index, [eax, ebx, ecx, edx]) = leaf;
            kvm_cpuid_entry2 {
                function,
                index,
                eax,
                ebx,
                ecx,
                edx,
                ..Default::default()
            }
        };
        leaves.iter().map(entry).collect()
    }

    #[test]
    fn a_host_with_more_fits_and_one_with_less_is_told_what_is_missing() {
        let saved = entries(&SAVED);
        let host = |change: fn(&mut [Leaf; 3])| {
            let mut leaves = SAVED;
            change(&mut leaves);
            misfit(&saved, &entries(&leaves))
        };
        assert_eq!(host(|_| {}), None);
        assert_eq!(host(|leaves| leaves[1].2[3] = 0xffff), None);
        // What is no feature: the APIC's number, OSXSAVE, OSPKE.
        assert_eq!(host(|leaves| leaves[1].2[1] = 0), None);
        assert_eq!(host(|leaves| leaves[1].2[2] = 1), None);
        assert_eq!(host(|leaves| leaves[2].2[2] = 0), None);
        let missing = host(|leaves| leaves[2].2[1] = 0);
        let message = missing.map(|misfit| misfit.to_string());
        let expected =
            "its processor has features that this one lacks (CPUID 0x7.0x0, EBX bits 0x20)";
        assert_eq!(message.as_deref(), Some(expected));
    }

    #[test]
    fn another_maker_is_named() {
        let amd = entries(&[(0, 0, [16, 0x6874_7541, 0x444d_4163, 0x6974_6e65])]);
        let expected = Misfit::Maker("GenuineIntel".into(), "AuthenticAMD".into());
        assert_eq!(misfit(&entries(&SAVED), &amd), Some(expected));
    }
}
