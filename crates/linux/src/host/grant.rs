//! What the user allowed with a root.

use std::sync::Arc;

use crate::errno::Errno;

/// One root's permission, which all places and files found from it share.
#[derive(Clone, Debug)]
pub struct Grant(Arc<Terms>);

#[derive(Debug)]
struct Terms {
    read_only: bool,
}

impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Grant {}

impl Grant {
    pub fn new(read_only: bool) -> Self {
        Self(Arc::new(Terms { read_only }))
    }

    pub fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    /// # Errors
    /// `EROFS`.
    pub fn change(&self) -> Result<(), Errno> {
        if self.is_read_only() {
            Err(Errno::EROFS)
        } else {
            Ok(())
        }
    }

    /// # Errors
    /// `EROFS`, and `EXDEV` if the other end of a change is in another root.
    pub fn change_with(&self, other: &Self) -> Result<(), Errno> {
        if self != other {
            return Err(Errno::EXDEV);
        }
        self.change()
    }
}
