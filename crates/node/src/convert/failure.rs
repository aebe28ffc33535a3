//! Errors as data.

use napi::Either;
use napi_derive::napi;
use vmm::{Error, ErrorCode, Result};

/// Declares the codes once for JavaScript; a code that is missing here does not compile.
macro_rules! codes {
    ($($variant:ident = $name:literal),+) => {
        /// What kind of failure it is, grouped by what the caller can do; `src/native/errors.ts`
        /// says what each means.
        #[napi(string_enum)]
        #[derive(Debug)]
        pub enum NativeErrorCode {
            $(
                #[napi(value = $name)]
                $variant,
            )+
        }

        impl From<ErrorCode> for NativeErrorCode {
            fn from(code: ErrorCode) -> Self {
                match code {
                    $(ErrorCode::$variant => Self::$variant,)+
                }
            }
        }
    };
}
codes!(
    KvmUnavailable = "ERR_KVM_UNAVAILABLE",
    KvmCapability = "ERR_KVM_CAPABILITY",
    KvmIoctl = "ERR_KVM_IOCTL",
    InvalidOption = "ERR_INVALID_OPTION",
    GuestMemory = "ERR_GUEST_MEMORY",
    Payload = "ERR_PAYLOAD",
    VmBusy = "ERR_VM_BUSY",
    VmClosed = "ERR_VM_CLOSED",
    Handler = "ERR_HANDLER",
    AsyncHandler = "ERR_ASYNC_HANDLER",
    UnansweredRead = "ERR_UNANSWERED_READ",
    Limit = "ERR_LIMIT",
    BindingUnavailable = "ERR_BINDING_UNAVAILABLE",
    Snapshot = "ERR_SNAPSHOT",
    Timeout = "ERR_TIMEOUT",
    Internal = "ERR_INTERNAL"
);

/// What a native call returns instead of its result when it fails.
#[napi(object)]
#[derive(Debug)]
pub struct Failure {
    /// Which group it belongs to.
    pub code: NativeErrorCode,
    /// What failed, with which value, and what to do.
    pub message: String,
    /// The system call or ioctl that failed, in the kernel's spelling.
    pub call: Option<String>,
    /// The `errno` it failed with.
    pub errno: Option<i32>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            code: error.code.into(),
            message: error.message,
            call: error.call.map(str::to_owned),
            errno: error.errno,
        }
    }
}

impl Failure {
    pub fn new(code: ErrorCode, message: &str) -> Self {
        Error::new(code, message).into()
    }
}

/// `Either` with the failure on the right, as all methods return it.
pub fn either<T>(result: Result<T>) -> Either<T, Failure> {
    match result {
        Ok(value) => Either::A(value),
        Err(error) => Either::B(error.into()),
    }
}

/// `null` is success.
pub fn nothing(result: Result<()>) -> Option<Failure> {
    result.err().map(Failure::from)
}
