//! A native program as an option.

use linux::Setup;

/// A program, beside its image.
#[derive(Clone, Debug, Default)]
pub struct UserConfig {
    /// Its arguments, the first of them its name.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, as `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// What it finds by path. With it the program is a process of its own, and without an image it
    /// is the one at the path that the set-up names.
    pub files: Option<Setup>,
}
