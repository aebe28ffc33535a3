//! A native program as an option.

/// A program, beside its image.
#[derive(Clone, Debug, Default)]
pub struct UserConfig {
    /// Its arguments, the first of them its name.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, as `NAME=value`.
    pub environment: Vec<Vec<u8>>,
}
