//! Failures of the host and wrong calls, grouped by what the caller can do about them.
//!
//! What a *guest* does is never an error: it is an [`Outcome`](crate::Outcome).

use std::fmt;

use boot::ErrorKind;

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
    /// The guest waits for the value of a read.
    UnansweredRead,
    /// One of the constants in [`limits`](crate::limits) is exceeded.
    Limit,
    /// No native binding exists for this platform.
    BindingUnavailable,
    /// A saved state that does not fit this machine or this host, or is none.
    Snapshot,
    /// What was waited for did not come in time.
    Timeout,
    /// A fault of this program's own; the machine can do nothing any more.
    Internal,
}

impl ErrorCode {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 16] = [
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
        Self::Snapshot,
        Self::Timeout,
        Self::Internal,
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
            Self::Snapshot => "ERR_SNAPSHOT",
            Self::Timeout => "ERR_TIMEOUT",
            Self::Internal => "ERR_INTERNAL",
        }
    }
}

/// A failing host or a wrong call. The message names what failed, with which value, and the remedy.
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
    /// An error with a code and a message that no system call caused.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            call: None,
            errno: None,
        }
    }

    /// A failed system call or ioctl, with what to do where the host has run out of something.
    pub fn call(call: &'static str, errno: i32) -> Self {
        let reason = std::io::Error::from_raw_os_error(errno);
        let failed = Self {
            code: ErrorCode::KvmIoctl,
            message: format!("{call} failed: {reason}"),
            call: Some(call),
            errno: Some(errno),
        };
        match remedy(call, errno) {
            Some(remedy) => failed.hint(remedy),
            None => failed,
        }
    }

    /// A thread that cannot start.
    pub fn thread(error: &std::io::Error) -> Self {
        Self {
            code: ErrorCode::Limit,
            ..Self::call("pthread_create", errno_of(error, libc::EAGAIN))
        }
    }

    /// Whether the host has refused for want of descriptors, memory or a disk, which others may
    /// give back.
    pub const fn is_want(&self) -> bool {
        matches!(
            self.errno,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EBUSY)
        )
    }

    /// A failed call of the standard library's or of vmm-sys-util's.
    pub(crate) fn io(call: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::call(call, errno_of(&error, libc::EIO))
    }

    /// A fault of our own.
    pub fn internal(what: &str) -> Self {
        Self::new(
            ErrorCode::Internal,
            format!("{what}; the machine is closed, please report it"),
        )
    }

    /// The same for what kvm-ioctls reports.
    pub(crate) fn ioctl(call: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |error| Self::call(call, error.errno())
    }

    /// Adds the remedy to the message.
    pub(crate) fn hint(mut self, remedy: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(remedy);
        self
    }
}

/// The remedy if the host has run out of something.
pub(crate) fn remedy(call: &str, errno: i32) -> Option<&'static str> {
    match (errno, call) {
        (libc::EMFILE, _) => Some("close() machines that are done, or raise `ulimit -n`"),
        (libc::ENFILE, _) => Some("close() machines that are done, or raise fs.file-max (sysctl)"),
        (libc::EAGAIN, "pthread_create") => Some(
            "close() machines that are done, or raise `ulimit -u`, `ulimit -v` or the cgroup's pids.max",
        ),
        (libc::EAGAIN, "mmap" | "madvise") => {
            Some("close() machines that are done, or raise `ulimit -l`")
        }
        (libc::ENOMEM, _) => Some(
            "close() machines that are done, give them less memory, or raise `ulimit -v` or vm.max_map_count (sysctl)",
        ),
        _ => None,
    }
}

fn errno_of(error: &std::io::Error, otherwise: i32) -> i32 {
    error.raw_os_error().unwrap_or(otherwise)
}

impl From<boot::Error> for Error {
    fn from(error: boot::Error) -> Self {
        let code = match error.kind {
            ErrorKind::Payload => ErrorCode::Payload,
            ErrorKind::InvalidOption => ErrorCode::InvalidOption,
            ErrorKind::Limit => ErrorCode::Limit,
        };
        Self::new(code, error.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_has_run_out_of_says_what_to_do() {
        for call in ["KVM_CREATE_VM", "KVM_CREATE_VCPU", "eventfd", "open"] {
            let error = Error::call(call, libc::EMFILE);
            assert!(error.message.ends_with("`ulimit -n`"), "{error}");
            assert_eq!((error.call, error.errno), (Some(call), Some(libc::EMFILE)));
        }
        let error = Error::call("mmap", libc::ENOMEM);
        assert!(error.message.contains("; close() machines"), "{error}");
        let error = Error::call("KVM_SET_REGS", libc::EINVAL);
        assert_eq!(
            error.message,
            "KVM_SET_REGS failed: Invalid argument (os error 22)"
        );
    }

    #[test]
    fn a_thread_that_cannot_start_is_a_limit() {
        let error = Error::thread(&std::io::Error::from_raw_os_error(libc::EAGAIN));
        assert_eq!(error.code, ErrorCode::Limit);
        assert_eq!(
            (error.call, error.errno),
            (Some("pthread_create"), Some(libc::EAGAIN))
        );
        assert!(error.message.contains("`ulimit -u`"), "{error}");
        let odd = Error::thread(&std::io::Error::other("odd"));
        assert_eq!(odd.errno, Some(libc::EAGAIN));
    }

    #[test]
    fn every_code_is_listed_once() {
        let names: std::collections::BTreeSet<_> =
            ErrorCode::ALL.into_iter().map(ErrorCode::name).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
