//! What a program finds by path.
//!
//! ```text
//! Setup ─► Tree ─► ground: nodes in memory · directories of the host · own (/dev, /proc)
//!            │ walk: a path, component by component, in the program's name space
//!            └► opened: what `open` makes of what was found
//! ```

mod building;
mod changes;
mod ground;
mod memory_file;
mod nodes;
mod opened;
mod own;
mod place;
mod setup;
mod walk;
mod whole;

pub use changes::{
    change_mode, change_times, create, link, make_directory, make_link, may, remove, rename,
    truncate,
};
pub use memory_file::MemoryFile;
pub use nodes::Time;
pub use opened::{Content, Opened};
pub use own::{Device, Own, Text, What};
pub use place::{Descriptors, Entry, Place, Step};
pub use setup::{Mount, Setup, Source, TreeError};
pub use walk::{Found, Last};
pub use whole::Tree;
