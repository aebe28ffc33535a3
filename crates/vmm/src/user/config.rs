//! A native program as an option.

use linux::Setup;

/// A program, beside its image.
#[derive(Clone, Debug, Default)]
pub struct UserConfig {
    /// Its arguments, the first of them its name.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, as `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Its clock stands at this time, in milliseconds since 1970, but for what it sleeps; else it
    /// has the host's.
    pub clock: Option<i64>,
    /// What its chance begins with; else it has the host's.
    pub seed: Option<u64>,
    /// What it finds by path. With it the program is a process of its own, and without an image it
    /// is the one at the path that the set-up names.
    pub files: Option<Setup>,
}
