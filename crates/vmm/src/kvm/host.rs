//! The host's KVM: opened once per process, checked for what every machine needs.

pub(crate) mod clock;

use std::ffi::CString;
use std::path::Path;
use std::sync::OnceLock;

use boot::state::cpuid::{self, Place};
use boot::state::extended;
use kvm_bindings::{CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, KVM_SYNC_X86_VALID_FIELDS};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};

use crate::error::{Error, ErrorCode, Result, remedy};

/// Where Linux puts it.
pub const KVM_PATH: &str = "/dev/kvm";

/// The capabilities that every machine needs.
const REQUIRED: [(Cap, &str); 3] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
];

/// An open `/dev/kvm` with what is asked of it once.
#[derive(Debug)]
pub struct Host {
    pub(crate) kvm: Kvm,
    pub(crate) run_bytes: usize,
    /// Whether registers of every kind travel in `kvm_run`.
    pub(crate) syncs_registers: bool,
    /// Whether a task register is to be given as one that is not busy; see
    /// [`Registers`](crate::kvm::registers::Registers).
    pub(crate) wants_free_task: bool,
    cpuid: CpuId,
    /// Of the first vCPU that was asked, which stands for all.
    tsc_khz: OnceLock<u32>,
}

/// The name of the loaded KVM module, `unknown` when none shows.
pub fn backend() -> &'static str {
    ["kvm_pvm", "kvm_intel", "kvm_amd"]
        .into_iter()
        .find(|name| Path::new("/sys/module").join(name).exists())
        .unwrap_or("unknown")
}

impl Host {
    /// The process's own, opened at the first call that succeeds and kept.
    ///
    /// # Errors
    /// See [`open`](Self::open).
    pub fn get() -> Result<&'static Self> {
        static HOST: OnceLock<Host> = OnceLock::new();
        if let Some(host) = HOST.get() {
            return Ok(host);
        }
        let host = Self::open(Path::new(KVM_PATH))?;
        Ok(HOST.get_or_init(|| host))
    }

    /// Opens a KVM device.
    ///
    /// # Errors
    /// `KvmUnavailable` when it is absent, not permitted or of another API version, `KvmCapability`
    /// when something is missing, `KvmIoctl` otherwise.
    pub fn open(path: &Path) -> Result<Self> {
        let kvm = open_device(path)?;
        check_api_version(kvm.get_api_version())?;
        for (capability, name) in REQUIRED {
            check_capability(kvm.check_extension_int(capability), name)?;
        }
        let run_bytes = kvm
            .get_vcpu_mmap_size()
            .map_err(Error::ioctl("KVM_GET_VCPU_MMAP_SIZE"))?;
        let cpuid = kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(Error::ioctl("KVM_GET_SUPPORTED_CPUID"))?;
        let synced = kvm.check_extension_int(Cap::SyncRegs);
        let all = KVM_SYNC_X86_VALID_FIELDS as i32;
        Ok(Self {
            kvm,
            run_bytes,
            syncs_registers: synced & all == all,
            wants_free_task: backend() == "kvm_amd",
            cpuid,
            tsc_khz: OnceLock::new(),
        })
    }

    /// `KVM_CREATE_VM`.
    pub(crate) fn create_vm(&self) -> Result<VmFd> {
        uninterrupted(|| self.kvm.create_vm()).map_err(Error::ioctl("KVM_CREATE_VM"))
    }

    /// What a vCPU finds by CPUID: of this host, or of the one that it began on.
    pub(crate) fn cpuid_of(&self, first: Option<&CpuId>, place: Place) -> Result<CpuId> {
        let list = first.unwrap_or(&self.cpuid);
        cpuid::of_vcpu(list, place).ok_or_else(|| {
            let listed = list.as_slice().len();
            Error::new(
                ErrorCode::KvmCapability,
                format!(
                    "this KVM lists {listed} CPUID leaves, which leaves no room for the topology's"
                ),
            )
        })
    }

    /// How many thousand times a second the time-stamp counter of vCPUs counts, once one was asked
    /// (`KVM_GET_TSC_KHZ`). 0 as long as none was, or where KVM does not know.
    pub fn tsc_khz(&self) -> u32 {
        self.tsc_khz.get().copied().unwrap_or(0)
    }

    /// The same, which asks a vCPU if none was asked yet.
    pub(crate) fn tsc_khz_of(&self, vcpu: &VcpuFd) -> u32 {
        let ask = || vcpu.get_tsc_khz().unwrap_or(0);
        *self.tsc_khz.get_or_init(ask)
    }

    /// Whether vCPUs have YMM registers.
    pub(crate) fn has_avx(&self) -> bool {
        extended::xcr0(&self.cpuid).is_some_and(|xcr0| xcr0 & extended::XCR0_AVX != 0)
    }

    /// Whether this KVM takes so many vCPUs.
    pub(crate) fn check_vcpus(&self, wanted: u32) -> Result<()> {
        // One vCPU needs no question.
        if wanted == 1 {
            return Ok(());
        }
        let most = self.kvm.check_extension_int(Cap::MaxVcpus);
        if i64::from(wanted) <= i64::from(most) {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::Limit,
            format!("vcpus: this KVM takes at most {most} (KVM_CAP_MAX_VCPUS), got {wanted}"),
        ))
    }

    /// Whether this KVM has a capability that not every machine needs.
    pub(crate) fn require(&self, capability: Cap, name: &'static str) -> Result<()> {
        check_capability(self.kvm.check_extension_int(capability), name)
    }
}

/// How often a call is made again that a signal has interrupted: each needs a further signal, and
/// nothing can stop the wait.
pub(crate) const MOST_INTERRUPTIONS: u32 = 1000;

/// Repeats a call that a signal has interrupted.
pub(crate) fn uninterrupted<T>(
    mut call: impl FnMut() -> Result<T, kvm_ioctls::Error>,
) -> Result<T, kvm_ioctls::Error> {
    for _ in 0..MOST_INTERRUPTIONS {
        match call() {
            Err(error) if error.errno() == libc::EINTR => {}
            result => return result,
        }
    }
    call()
}

fn open_device(path: &Path) -> Result<Kvm> {
    let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| {
        Error::new(
            ErrorCode::InvalidOption,
            "the path of a KVM device has no NUL byte",
        )
    })?;
    Kvm::new_with_path(name).map_err(|error| open_error(path, error.errno()))
}

fn open_error(path: &Path, errno: i32) -> Error {
    let path = path.display();
    let known = remedy("open", errno);
    let (what, otherwise) = match errno {
        libc::ENOENT => (
            "does not exist",
            "load the module kvm_intel or kvm_amd, or enable virtualisation in the firmware",
        ),
        libc::EACCES | libc::EPERM => ("permission denied", "add the user to group kvm"),
        libc::ENODEV | libc::ENXIO => ("no such device", "load the module kvm_intel or kvm_amd"),
        libc::EMFILE | libc::ENFILE => ("too many open files", "see errno"),
        _ => ("cannot be opened", "see errno"),
    };
    Error {
        code: ErrorCode::KvmUnavailable,
        message: format!("{path}: {what}; {}", known.unwrap_or(otherwise)),
        call: Some("open"),
        errno: Some(errno),
    }
}

fn check_api_version(version: i32) -> Result<()> {
    if version == KVM_API_VERSION as i32 {
        return Ok(());
    }
    Err(Error {
        call: Some("KVM_GET_API_VERSION"),
        ..Error::new(
            ErrorCode::KvmUnavailable,
            format!(
                "{KVM_PATH} speaks API version {version}, and {KVM_API_VERSION} is needed; use Linux 2.6.22 or newer"
            ),
        )
    })
}

fn check_capability(value: i32, name: &'static str) -> Result<()> {
    if value > 0 {
        return Ok(());
    }
    Err(Error {
        call: Some("KVM_CHECK_EXTENSION"),
        ..Error::new(
            ErrorCode::KvmCapability,
            format!("this KVM lacks {name}; a newer kernel is needed"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_being_unavailable_says_its_own() {
        let absent = Host::open(Path::new("/nonexistent/kvm")).unwrap_err();
        assert_eq!(
            (absent.code, absent.errno),
            (ErrorCode::KvmUnavailable, Some(libc::ENOENT))
        );
        assert!(
            absent
                .message
                .starts_with("/nonexistent/kvm: does not exist; "),
            "{absent}"
        );
        let denied = open_error(Path::new(KVM_PATH), libc::EACCES);
        assert_eq!(
            denied.message,
            "/dev/kvm: permission denied; add the user to group kvm"
        );
        let version = check_api_version(11).unwrap_err();
        assert_eq!(
            (version.code, version.call),
            (ErrorCode::KvmUnavailable, Some("KVM_GET_API_VERSION"))
        );
        assert!(
            version.message.contains("11") && version.message.contains("12"),
            "{version}"
        );
        assert!(check_api_version(12).is_ok());
    }

    #[test]
    fn a_missing_capability_is_named() {
        let error = check_capability(0, "KVM_CAP_IMMEDIATE_EXIT").unwrap_err();
        assert_eq!(error.code, ErrorCode::KvmCapability);
        assert!(error.message.contains("KVM_CAP_IMMEDIATE_EXIT"), "{error}");
        assert!(check_capability(1, "any").is_ok());
    }

    #[test]
    fn a_call_that_signals_interrupt_is_made_again_within_bounds() {
        let mut calls = 0;
        let mut interrupted = |times| {
            calls = 0;
            uninterrupted(|| {
                calls += 1;
                if calls > times {
                    Ok(calls)
                } else {
                    Err(kvm_ioctls::Error::new(libc::EINTR))
                }
            })
        };
        assert_eq!(interrupted(3).unwrap(), 4);
        assert_eq!(interrupted(u32::MAX).unwrap_err().errno(), libc::EINTR);
        assert_eq!(calls, MOST_INTERRUPTIONS + 1);
    }

    #[test]
    fn a_device_that_is_no_kvm_is_refused() {
        let error = Host::open(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.code, ErrorCode::KvmUnavailable);
    }
}
