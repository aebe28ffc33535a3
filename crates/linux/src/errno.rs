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
    EACCES: "The permission is missing.",
    EAGAIN: "It would have to wait.",
    EBADF: "No descriptor, or not for that.",
    EBUSY: "It is in use, as what is mounted there.",
    EEXIST: "Something is there.",
    EFAULT: "A pointer to what is not mapped, or not so.",
    EFBIG: "Larger than a file may be.",
    EINTR: "A signal came while it waited.",
    EINVAL: "An argument that means nothing.",
    EIO: "The device failed.",
    EISDIR: "It is a directory.",
    ELOOP: "Too many links on the way.",
    EMFILE: "Too many descriptors.",
    EMLINK: "Too many names for one file.",
    ENAMETOOLONG: "A name is too long.",
    ENFILE: "The host has no descriptor left.",
    ENODEV: "Such a file cannot be mapped so.",
    ENOENT: "There is nothing of that name.",
    ENOMEM: "Out of memory, or of page tables.",
    ENOSPC: "Out of memory for files.",
    ENOSYS: "There is no such call.",
    ENOTDIR: "It is no directory.",
    ENOTEMPTY: "The directory has something in it.",
    ENOTTY: "Such a file has no such control.",
    ENXIO: "Beyond the file's end.",
    EOPNOTSUPP: "Such a file does not have that.",
    EOVERFLOW: "The result is too large.",
    EPERM: "It is not allowed.",
    EPIPE: "A pipe that has no reader.",
    ERANGE: "It does not fit into the buffer.",
    EROFS: "It can only be read.",
    ESPIPE: "A pipe has no position.",
    ESRCH: "There is no such process.",
    ETIMEDOUT: "The time is over.",
    EXDEV: "Not within one file system.",
}
