//! What the host's errors come to in the program.

use rustix::io::Errno as HostErrno;

use crate::errno::Errno;

/// The same number. Descriptors that the host lacks are not the program's doing: `ENFILE`.
pub fn host_error(error: HostErrno) -> Errno {
    match error {
        HostErrno::MFILE => Errno::ENFILE,
        other => Errno(other.raw_os_error()),
    }
}
