//! A program, before and after it is loaded.

use std::ops::Range;

/// What shall be loaded.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The ELF file.
    pub image: &'a [u8],
    /// The program's arguments, its name first.
    pub arguments: &'a [&'a [u8]],
    /// Its environment, each `NAME=value`.
    pub environment: &'a [&'a [u8]],
    /// The ELF file of the interpreter that the image asks for; see
    /// [`interpreter`](crate::interpreter).
    pub interpreter: Option<&'a [u8]>,
    /// What the program's C library seeds its canaries and hashes with.
    pub random: [u8; 16],
}

/// A program that lies in its address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What is added to the addresses in the image.
    pub base: u64,
    /// The first instruction, the interpreter's if there is one; `None` if the image names none.
    pub entry: Option<u64>,
    /// RSP at the first instruction.
    pub stack: u64,
    /// Where `brk` starts.
    pub brk: u64,
    /// The addresses of the image, from the first page to the end of the last.
    pub span: Range<u64>,
    /// Where the interpreter lies.
    pub interpreter_base: Option<u64>,
    /// The path of the interpreter that the image names.
    pub interpreter: Option<Vec<u8>>,
}
