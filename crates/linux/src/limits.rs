//! Bounds on what an image and a program may ask for, and where things lie in their addresses.

use std::ops::Range;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Parts to load (`PT_LOAD`) of one image.
pub const PARTS: usize = 128;
/// Bytes of the path in `PT_INTERP`, and of any other name that a program hands over.
pub const PATH_BYTES: usize = 4096;
/// Bytes of arguments and environment, with their pointers.
pub const ARGUMENT_BYTES: usize = 1 << 20;

/// Where the parts of an image may lie; `OURS` cuts a hole into it.
pub const PROGRAM: Range<u64> = 0x1_0000..0x7e00_0000_0000;
/// Tables and stubs of the engine.
pub const OURS: Range<u64> = 0xfe00_0000..0xff00_0000;
/// Where an image that may lie anywhere lies.
pub const MOVABLE_BASE: u64 = 0x5500_0000_0000;
/// Where the interpreter lies that an image asks for.
pub const INTERPRETER: Range<u64> = 0x7e80_0000_0000..0x7ec0_0000_0000;
/// The end of the stack, which grows down from here.
pub const STACK_END: u64 = 0x7fff_0000_0000;
/// Bytes of the stack; the page below is never mapped.
pub const STACK_BYTES: u64 = 8 << 20;
/// The first address that no program has.
pub const ADDRESS_END: u64 = 0x7fff_ffff_f000;

/// The user and group that a program runs as.
pub const USER: u32 = 1000;
/// See [`USER`].
pub const GROUP: u32 = 1000;
/// Ticks of a second in what counts them.
pub const CLOCK_TICKS: u64 = 100;

/// Descriptors of one program.
pub const DESCRIPTORS: usize = 1024;
/// Pages that all memory files have together: 64 MiB.
pub const FILE_PAGES: usize = 16_384;
/// The highest size of a memory file, which may have holes.
pub const FILE_BYTES: u64 = 1 << 40;
/// Bytes that wait in a pipe.
pub const PIPE_BYTES: usize = 64 << 10;
/// Buffers of one `readv` or `writev`.
pub const BUFFERS: usize = 1024;
/// Bytes that one call moves; it then returns a short count, as Linux may.
pub const TRANSFER_BYTES: u64 = 4 << 20;
/// Bytes that one `getrandom` returns.
pub const RANDOM_BYTES: u64 = 1 << 20;
/// Signals that wait; those that come once always do.
pub const PENDING_SIGNALS: usize = 128;
/// System calls that are counted one by one; the rest are counted together.
pub const COUNTED_CALLS: usize = 512;
/// Bytes below RSP that Linux has mapped of a new program's stack.
pub const STACK_GROWN: u64 = 132 << 10;
/// The number of the program, and of its only thread.
pub const PROCESS: u32 = 2;
/// The number of its parent.
pub const PARENT: u32 = 1;
/// Files of the host that one program has open.
pub const HOST_FILES: usize = 256;
/// Bytes of one component of a path.
pub const NAME_BYTES: usize = 255;
/// Entries of a directory that is listed.
pub const ENTRIES: usize = 65_536;
/// Files, directories and links in memory.
pub const NODES: usize = 65_536;
/// Bytes of all names and links in memory, with what finds them.
pub const NAME_ROOM: usize = 16 << 20;
/// Bytes that are held of open directories and of the engine's own files.
pub const HELD_ROOM: usize = 32 << 20;
/// Symbolic links on the way to one file, as Linux has it.
pub const LINKS: usize = 40;
/// Directories within each other on the way to one file.
pub const DEPTH: usize = 256;
/// Bytes of a file that is read as a whole, as a program's image is.
pub const WHOLE_BYTES: usize = 1 << 30;
