//! What is found on the way to a path.

use super::own::Own;
use crate::host::HostPlace;
use crate::status::Kind;

/// Something that has been found.
#[derive(Clone, Debug)]
pub enum Place {
    Node(u32),
    Host(HostPlace),
    Own(Own),
}

/// A place, and the mount that it belongs to.
#[derive(Clone, Debug)]
pub struct Step {
    pub place: Place,
    pub mount: u32,
    pub read_only: bool,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Without a slash.
    pub name: Vec<u8>,
    /// Its number (`d_ino`).
    pub inode: u64,
    /// Its type.
    pub kind: Kind,
}

impl Entry {
    /// Bytes that it takes in a listing.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.name.len()
    }
}

/// What the program's descriptors lead to, for `/proc/self/fd`.
pub trait Descriptors {
    /// The text of a descriptor's link.
    fn link(&self, descriptor: i32) -> Option<Vec<u8>>;
    /// All descriptors.
    fn numbers(&self) -> Vec<i32>;
}

/// Where there are none.
pub struct NoDescriptors;

impl Descriptors for NoDescriptors {
    fn link(&self, _descriptor: i32) -> Option<Vec<u8>> {
        None
    }

    fn numbers(&self) -> Vec<i32> {
        Vec::new()
    }
}

/// The path of what has a name in a directory.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = directory.to_vec();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
