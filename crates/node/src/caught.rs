//! Turns panics into errors: a bug in Rust shall end a machine, not the process.

use std::panic::{AssertUnwindSafe, catch_unwind};

use vmm::{Error, Result};

/// Makes a call in which nothing may unwind further; a panic is `ERR_INTERNAL`. Where it happened
/// is on stderr.
pub fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("vmexit panicked: {}", text.unwrap_or("without a word"));
        Err(Error::internal(&what))
    })
}
