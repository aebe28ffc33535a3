//! What can fail on the host's side, grouped by what the caller can do about it.
//!
//! What a *guest* does is never an error: it is an [`Outcome`](crate::Outcome).

use std::fmt;

/// The code of an [`Error`]; the one list of them, also for the layers above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// `/dev/kvm` cannot be opened, or does not speak API version 12.
    KvmUnavailable,
    /// This KVM lacks a capability that the machine needs.
    KvmCapability,
    /// An ioctl or another system call failed; `call` and `errno` say which and why.
    KvmIoctl,
    /// An option has a wrong type, a value out of range, or contradicts another.
    InvalidOption,
    /// An access to guest memory outside every slot.
    GuestMemory,
    /// The payload is empty, too large, or does not fit where it shall lie.
    Payload,
    /// The machine is running, and the call needs it idle.
    VmBusy,
    /// The machine is closed.
    VmClosed,
    /// A handler threw, rejected, or returned what cannot be an answer.
    Handler,
    /// A handler returned a promise where nothing can wait for it.
    AsyncHandler,
    /// The guest waits for the value of a read that nobody has given.
    UnansweredRead,
    /// One of the constants in [`limits`](crate::limits) is exceeded.
    Limit,
    /// No native binding exists for this platform.
    BindingUnavailable,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::KvmUnavailable,
        Self::KvmCapability,
        Self::KvmIoctl,
        Self::InvalidOption,
        Self::GuestMemory,
        Self::Payload,
        Self::VmBusy,
        Self::VmClosed,
        Self::Handler,
        Self::AsyncHandler,
        Self::UnansweredRead,
        Self::Limit,
        Self::BindingUnavailable,
    ];

    /// The name as users see it, `ERR_…`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KvmUnavailable => "ERR_KVM_UNAVAILABLE",
            Self::KvmCapability => "ERR_KVM_CAPABILITY",
            Self::KvmIoctl => "ERR_KVM_IOCTL",
            Self::InvalidOption => "ERR_INVALID_OPTION",
            Self::GuestMemory => "ERR_GUEST_MEMORY",
            Self::Payload => "ERR_PAYLOAD",
            Self::VmBusy => "ERR_VM_BUSY",
            Self::VmClosed => "ERR_VM_CLOSED",
            Self::Handler => "ERR_HANDLER",
            Self::AsyncHandler => "ERR_ASYNC_HANDLER",
            Self::UnansweredRead => "ERR_UNANSWERED_READ",
            Self::Limit => "ERR_LIMIT",
            Self::BindingUnavailable => "ERR_BINDING_UNAVAILABLE",
        }
    }
}

/// A failing host or a wrong call: what failed, with which value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The group it belongs to.
    pub code: ErrorCode,
    /// One sentence for a person.
    pub message: String,
    /// The system call or ioctl that failed, in the kernel's spelling.
    pub call: Option<&'static str>,
    /// The `errno` it failed with.
    pub errno: Option<i32>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a code and a message, without a system call behind it.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            call: None,
            errno: None,
        }
    }

    /// A failed system call or ioctl.
    pub fn call(call: &'static str, errno: i32) -> Self {
        let reason = std::io::Error::from_raw_os_error(errno);
        Self {
            code: ErrorCode::KvmIoctl,
            message: format!("{call} failed: {reason}"),
            call: Some(call),
            errno: Some(errno),
        }
    }

    /// The same for what kvm-ioctls reports.
    pub(crate) fn ioctl(call: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::call(call, error.errno())
    }

    /// Adds what the caller can do about it.
    pub(crate) fn hint(mut self, remedy: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(remedy);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}
