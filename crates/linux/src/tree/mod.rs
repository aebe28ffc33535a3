//! What a program finds by path.
//!
//! ```text
//! Setup ─► Tree ─► ground: nodes in memory · directories of the host · own (/dev, /proc)
//!            │ walk: a path, component by component, in the program's name space
//!            └► opened: what `open` makes of what was found
//! ```

mod attributes;
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

pub use attributes::{change_mode, change_times, truncate};
pub use changes::{create, link, make_directory, make_link, may, remove, rename};
pub use memory_file::MemoryFile;
pub use nodes::Time;
pub use opened::{Content, Opened};
pub use own::{Device, Own, Text, What};
pub use place::{Descriptors, Entry, Place, Step};
pub use setup::{Mount, Setup, Source, TreeError};
pub use walk::{End, Found, Last};
pub use whole::Tree;
