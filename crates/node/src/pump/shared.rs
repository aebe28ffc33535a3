//! What Rust and TypeScript share in one JavaScript environment: the block of words, and the
//! function that answers the doorbell.

use std::cell::RefCell;
use std::rc::Rc;

use napi::Env;
use napi::bindgen_prelude::{Function, Uint32Array};
use napi_derive::napi;
use vmm::{Error, ErrorCode};

use crate::ffi::{StrongFunction, Words};

thread_local! {
    // An environment has a thread of its own: the main one, or a worker's.
    static SHARED: RefCell<Option<(Words, Rc<StrongFunction>)>> = const { RefCell::new(None) };
}

/// Offers the block of words through which this environment's machines ask and tell, see
/// `NativePlace`, and the function that answers the doorbell by calling `attend`. Called at import;
/// returns the words to use. Where the package's JavaScript is loaded more than once, as test
/// runners do, those are the first copy's, whose function serves the machines of all.
#[napi(ts_return_type = "Uint32Array | null")]
pub fn share(
    env: Env,
    words: Uint32Array,
    #[napi(ts_arg_type = "() => void")] pump: Function<'_, (), ()>,
) -> Option<Words> {
    SHARED.with_borrow_mut(|shared| {
        if shared.is_none() {
            let pump = StrongFunction::new(&env, &pump);
            *shared = Words::share(&env, words).zip(pump.map(Rc::new));
        }
        shared.as_ref().map(|(words, _)| *words)
    })
}

/// The function that answers the doorbell.
pub fn pump() -> Option<Rc<StrongFunction>> {
    SHARED.with_borrow(|shared| shared.as_ref().map(|(_, pump)| Rc::clone(pump)))
}

/// The words of this environment.
pub fn words() -> Option<Words> {
    SHARED.with_borrow(|shared| shared.as_ref().map(|(words, _)| *words))
}

/// The same, or what a call that needs them fails with.
pub fn required_words() -> vmm::Result<Words> {
    words().ok_or_else(no_words)
}

/// There are none.
pub fn no_words() -> Error {
    Error::new(
        ErrorCode::BindingUnavailable,
        "the native binding is not set up: import vmexit through its own entry",
    )
}
