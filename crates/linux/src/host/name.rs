//! One component of a path.

use crate::errno::Errno;
use crate::limits::NAME_BYTES;

/// A name that can only mean a child of its directory.
///
/// # Errors
/// `ENOENT` if it is empty, `ENAMETOOLONG`, `EINVAL` for `.`, `..` and what has a slash or a zero.
pub fn component(name: &[u8]) -> Result<&[u8], Errno> {
    if name.is_empty() {
        return Err(Errno::ENOENT);
    }
    if name.len() > NAME_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    let is_other =
        name == b"." || name == b".." || name.iter().any(|byte| matches!(byte, 0 | b'/'));
    if is_other {
        Err(Errno::EINVAL)
    } else {
        Ok(name)
    }
}
