//! Why a system call fails.

use linux_raw_sys::errno;

/// A number of `errno.h`, which is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident: $meaning:literal,)*) => {
        impl Errno {
            $(
                #[doc = $meaning]
                pub const $name: Self = Self(errno::$name as i32);
            )*
        }
    };
}

errnos! {
    EAGAIN: "It would have to wait.",
    EBADF: "No descriptor, or not for that.",
    EEXIST: "Something is mapped there.",
    EFAULT: "A pointer to what is not mapped, or not so.",
    EFBIG: "Larger than a file may be.",
    EINTR: "A signal came while it waited.",
    EINVAL: "An argument that means nothing.",
    EMFILE: "Too many descriptors.",
    ENAMETOOLONG: "A name is too long.",
    ENOENT: "There is nothing of that name.",
    ENODEV: "Such a file cannot be mapped so.",
    ENOMEM: "Out of memory, or of page tables.",
    ENOSPC: "Out of memory for files.",
    ENOSYS: "There is no such call.",
    ENOTTY: "Such a file has no such control.",
    ENXIO: "Beyond the file's end.",
    EOVERFLOW: "The result is too large.",
    EPERM: "It is not allowed.",
    EPIPE: "A pipe that has no reader.",
    ESPIPE: "A pipe has no position.",
    ESRCH: "There is no such process.",
    ETIMEDOUT: "The time is over.",
}
