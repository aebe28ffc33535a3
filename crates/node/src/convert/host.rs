//! What `vmexit doctor` reports, and the limits that TypeScript checks first.

use napi::Either;
use napi_derive::napi;
use vmm::{DebugMeans, Means, Place, limits};

use crate::convert::failure::Failure;
use crate::convert::words::{NativeInt3, NativeMode, NativePrivilege};

/// What this machine's KVM can do.
#[napi(object)]
pub struct NativeReport {
    /// `KVM_GET_API_VERSION`: 12.
    pub api_version: i32,
    /// Capabilities by kernel name.
    pub capabilities: Vec<NativeCapability>,
    /// Every mode.
    pub modes: Vec<NativeModeReport>,
    /// Whether several vCPUs may fill the kernel's ring of coalesced writes and none is lost;
    /// absent where there is no such ring.
    pub shares_coalesced_ring: Option<bool>,
    /// Cost of a port exit from long mode and back, in nanoseconds.
    pub exit_cost_ns: f64,
}

/// One capability.
#[napi(object)]
pub struct NativeCapability {
    /// As in `linux/kvm.h`, `KVM_CAP_…`.
    pub name: String,
    /// What `KVM_CHECK_EXTENSION` gives; 0 is "no".
    pub value: i32,
}

/// Whether a mode runs here.
#[napi(object)]
pub struct NativeModeReport {
    /// The mode of its first instruction.
    pub mode: NativeMode,
    /// The privilege of its first instruction.
    pub privilege: NativePrivilege,
    /// How its first instructions end, when it does not run.
    pub reason: Option<String>,
}

/// Tries every mode and measures an exit, which takes some milliseconds. `ERR_KVM_UNAVAILABLE`
/// without `/dev/kvm`.
#[napi]
pub fn probe_host() -> Either<NativeReport, Failure> {
    let report = match vmm::probe() {
        Ok(report) => report,
        Err(error) => return Either::B(error.into()),
    };
    let capabilities = report.capabilities.into_iter();
    let modes = report.modes.into_iter();
    Either::A(NativeReport {
        api_version: report.api_version,
        capabilities: capabilities
            .map(|capability| NativeCapability {
                name: capability.name.to_owned(),
                value: capability.value,
            })
            .collect(),
        modes: modes
            .map(|report| NativeModeReport {
                mode: report.mode.into(),
                privilege: report.privilege.into(),
                reason: report.reason,
            })
            .collect(),
        shares_coalesced_ring: report.shares_coalesced_ring,
        exit_cost_ns: report.exit_cost_ns,
    })
}

/// What looks at a vCPU on this KVM, by where the vCPU is.
#[napi(object)]
pub struct NativeDebugMeans {
    /// Real mode.
    pub real: NativeMeans,
    /// 32 bits at ring 0, with and without paging.
    pub protected: NativeMeans,
    /// Long mode at ring 0.
    pub long: NativeMeans,
    /// Ring 3 of long mode.
    pub user: NativeMeans,
}

/// What works at one place. What could not be found out does not work.
#[napi(object)]
pub struct NativeMeans {
    /// KVM stops after each instruction (`KVM_GUESTDBG_SINGLESTEP`).
    pub step: bool,
    /// No interrupt comes into a step (`KVM_GUESTDBG_BLOCKIRQ`).
    pub blocks_interrupts: bool,
    /// How KVM stops at an `int3`; absent where it does not.
    pub int3: Option<NativeInt3>,
    /// KVM stops at a `hlt`, in a machine without `irqchip`.
    pub hlt: bool,
    /// KVM stops before an instruction whose address a debug register holds
    /// (`KVM_GUESTDBG_USE_HW_BP`).
    pub hardware: bool,
    /// KVM stops after an access to bytes whose address a debug register holds.
    pub watch: bool,
    /// The processor's own single step (RFLAGS.TF) reaches the trap table.
    pub trap_step: bool,
    /// An `int3` reaches the trap table.
    pub trap_int3: bool,
}

impl From<&Means> for NativeMeans {
    fn from(means: &Means) -> Self {
        Self {
            step: means.step,
            blocks_interrupts: means.blocks_interrupts,
            int3: means.int3.map(NativeInt3::from),
            hlt: means.hlt,
            hardware: means.hardware,
            watch: means.watch,
            trap_step: means.trap_step,
            trap_int3: means.trap_int3,
        }
    }
}

/// Tries out what looks at a vCPU, once in a process, which takes some milliseconds.
/// `ERR_KVM_UNAVAILABLE` without `/dev/kvm`.
#[napi]
pub fn debug_means() -> Either<NativeDebugMeans, Failure> {
    let means = match DebugMeans::get() {
        Ok(means) => means,
        Err(error) => return Either::B(error.into()),
    };
    Either::A(NativeDebugMeans {
        real: means.at(Place::Real).into(),
        protected: means.at(Place::Protected).into(),
        long: means.at(Place::Long).into(),
        user: means.at(Place::User).into(),
    })
}

/// The loaded KVM module: `kvm_intel`, `kvm_amd`, `kvm_pvm` or `unknown`.
#[napi]
pub fn host_backend() -> String {
    vmm::backend().to_owned()
}

/// Limits that are checked before a value can cross.
#[napi(object)]
pub struct NativeLimits {
    /// Bytes that one read of guest memory copies at most.
    pub max_read_bytes: f64,
    /// The longest time-out, in milliseconds.
    pub max_timeout_ms: f64,
    /// Bytes of a guest's text that are kept for a later reader.
    pub max_output_bytes: u32,
    /// Codes of a keyboard that wait for the guest.
    pub max_keyboard_codes: u32,
    /// Slots beside slot 0.
    pub max_slots: u32,
    /// Routes of one machine.
    pub max_routes: u32,
    /// Multiboot modules.
    pub max_modules: u32,
    /// Files for firmware.
    pub max_files: u32,
    /// Disks of one machine.
    pub max_disks: u32,
    /// Network cards.
    pub max_cards: u32,
    /// Console ports beside the console.
    pub max_ports: u32,
}

/// The limits of this build.
#[napi]
pub fn limits() -> NativeLimits {
    NativeLimits {
        max_read_bytes: limits::MAX_READ_BYTES as f64,
        max_timeout_ms: limits::MAX_TIMEOUT_MS,
        max_output_bytes: limits::MAX_OUTPUT_BYTES as u32,
        max_keyboard_codes: limits::KEYBOARD_QUEUE_CODES as u32,
        max_slots: limits::MAX_SLOTS as u32,
        max_routes: limits::MAX_ROUTES as u32,
        max_modules: limits::MAX_MODULES as u32,
        max_files: limits::MAX_FILES as u32,
        max_disks: limits::MAX_DISKS as u32,
        max_cards: limits::MAX_CARDS as u32,
        max_ports: limits::MAX_PORTS as u32,
    }
}
