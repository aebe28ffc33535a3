//! Node-API calls for which the napi crate has no safe function, each wrapped in one.
//!
//! Everything here but [`Doorbell::ring`] belongs to the JavaScript thread of its environment.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use napi::bindgen_prelude::{
    BigUint64Array, FromNapiValue, Function, JsValue, ToNapiValue, Uint8Array, Uint8ArraySlice,
};
use napi::{Env, sys};

/// Words of a question, at the beginning of the block that Rust and TypeScript share.
pub const WORDS: usize = 8;

/// All words of 64 bits in it; `NativePlace` says what they hold.
pub const ALL: usize = 65;

/// A `Uint32Array` through which questions and their answers travel without an object per exit;
/// behind them registers, and the end of a run.
///
/// One for each environment is enough: TypeScript reads what is there whole before it calls
/// anything else, and writes last before it returns.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    start: NonNull<u32>,
    /// Never deleted, so the array outlives every machine.
    array: sys::napi_ref,
}

impl Words {
    /// Shares a typed array for the life of the environment; `None` unless it has all words.
    pub fn share(env: &Env, mut array: napi::bindgen_prelude::Uint32Array) -> Option<Self> {
        // SAFETY: only the address and the length are taken, on the thread that owns the array.
        let slice = unsafe { array.as_mut() };
        let start = NonNull::new(slice.as_mut_ptr());
        let start =
            start.filter(|start| slice.len() == 2 * ALL && start.cast::<u64>().is_aligned())?;
        // SAFETY: a live value of this environment.
        let value = unsafe { ToNapiValue::to_napi_value(env.raw(), array) }.ok()?;
        let mut array = ptr::null_mut();
        // SAFETY: a live value of this environment.
        let status = unsafe { sys::napi_create_reference(env.raw(), value, 1, &raw mut array) };
        (status == sys::Status::napi_ok).then_some(Self { start, array })
    }

    /// Reads word `index`, 0 outside the block.
    pub fn get(self, index: usize) -> u32 {
        if index >= WORDS {
            return 0;
        }
        // SAFETY: inside the block, see `share`.
        let word = unsafe { self.start.add(index) };
        // SAFETY: aligned and alive; JavaScript of this thread is the only other writer, and it is
        // not running.
        unsafe { word.read_volatile() }
    }

    /// Writes a question.
    pub fn put(self, words: [u32; WORDS]) {
        for (index, value) in words.into_iter().enumerate() {
            // SAFETY: inside the block, see `share`.
            let word = unsafe { self.start.add(index) };
            // SAFETY: as in `get`.
            unsafe { word.write_volatile(value) };
        }
    }
}

impl Words {
    /// Reads word `index` of 64 bits, 0 outside the block.
    pub fn get64(self, index: usize) -> u64 {
        if index >= ALL {
            return 0;
        }
        // SAFETY: inside the block, see `share`.
        let word = unsafe { self.start.cast::<u64>().add(index) };
        // SAFETY: aligned, see `share`; alive, and not written meanwhile, as in `get`.
        unsafe { word.read() }
    }

    /// Writes words of 64 bits from `index` on, as far as the block goes.
    pub fn put64(self, index: usize, words: &[u64]) {
        let count = words.len().min(ALL.saturating_sub(index));
        // SAFETY: inside the block, or `count` is 0.
        let to = unsafe { self.start.cast::<u64>().add(index.min(ALL)) };
        // SAFETY: `count` aligned words of the block, which is none of Rust's memory.
        unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), to.as_ptr(), count) };
    }
}

/// The array itself.
impl ToNapiValue for Words {
    unsafe fn to_napi_value(env: sys::napi_env, words: Self) -> napi::Result<sys::napi_value> {
        let mut value = ptr::null_mut();
        // SAFETY: the reference is never deleted.
        unsafe { sys::napi_get_reference_value(env, words.array, &raw mut value) };
        NonNull::new(value)
            .map(NonNull::as_ptr)
            .ok_or_else(|| napi::Error::from_reason("the environment is going down"))
    }
}

/// A function that is passed to the call in progress.
#[derive(Clone, Copy, Debug)]
pub struct Callback<'a> {
    env: sys::napi_env,
    function: sys::napi_value,
    call: PhantomData<&'a ()>,
}

/// What a callback returned.
#[derive(Debug)]
pub enum Returned {
    Number(u32),
    Bytes(Vec<u8>),
}

impl<'a> Callback<'a> {
    /// A function argument, for the duration of the native call that got it.
    pub fn new(env: &Env, function: &'a Function<'_, (), ()>) -> Self {
        Self {
            env: env.raw(),
            function: function.raw(),
            call: PhantomData,
        }
    }

    /// Calls it with one argument or none; `None` when it throws, or when the environment is going
    /// down.
    pub fn call<T: ToNapiValue>(self, argument: Option<T>) -> Option<Returned> {
        let scope = Scope::open(self.env)?;
        let mut arguments = [ptr::null_mut()];
        let count = usize::from(argument.is_some());
        if let Some(argument) = argument {
            // SAFETY: the environment is alive: this is its thread, inside one of its calls.
            arguments = [unsafe { T::to_napi_value(self.env, argument) }.ok()?];
        }
        let mut this = ptr::null_mut();
        // SAFETY: as above.
        unsafe { sys::napi_get_undefined(self.env, &raw mut this) };
        let mut result = ptr::null_mut();
        let (function, first) = (self.function, arguments.as_ptr());
        // SAFETY: live values of this environment, and `count` of them.
        let status = unsafe {
            sys::napi_call_function(self.env, this, function, count, first, &raw mut result)
        };
        let returned = (status == sys::Status::napi_ok)
            .then(|| returned(self.env, result))
            .flatten();
        drop(scope);
        returned
    }
}

fn returned(env: sys::napi_env, value: sys::napi_value) -> Option<Returned> {
    let mut number = 0;
    // SAFETY: a live value of this environment.
    let status = unsafe { sys::napi_get_value_uint32(env, value, &raw mut number) };
    if status == sys::Status::napi_ok {
        return Some(Returned::Number(number));
    }
    // SAFETY: as above.
    let bytes = unsafe { Uint8Array::from_napi_value(env, value) }.ok()?;
    Some(Returned::Bytes(bytes.to_vec()))
}

/// Frees the handles of one callback, or a long loop of them would pile up.
pub struct Scope {
    env: sys::napi_env,
    scope: sys::napi_handle_scope,
}

impl Scope {
    pub fn open(env: sys::napi_env) -> Option<Self> {
        let mut scope = ptr::null_mut();
        // SAFETY: the environment is alive, this is its thread.
        let status = unsafe { sys::napi_open_handle_scope(env, &raw mut scope) };
        (status == sys::Status::napi_ok).then_some(Self { env, scope })
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // SAFETY: opened by `open`, closed in reverse order by Rust's scopes.
        unsafe { sys::napi_close_handle_scope(self.env, self.scope) };
    }
}

/// A function that is kept for the life of the environment.
#[derive(Debug)]
pub struct StrongFunction(sys::napi_ref);

impl StrongFunction {
    pub fn new(env: &Env, function: &Function<'_, (), ()>) -> Option<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: a live function of this environment; the reference is never deleted.
        let status =
            unsafe { sys::napi_create_reference(env.raw(), function.raw(), 1, &raw mut reference) };
        (status == sys::Status::napi_ok).then_some(Self(reference))
    }
}

/// A function that the garbage collector may take as soon as JavaScript has let go of it.
#[derive(Debug)]
pub struct WeakFunction {
    env: sys::napi_env,
    reference: sys::napi_ref,
}

impl WeakFunction {
    pub fn new(env: &Env, function: &Function<'_, (), ()>) -> Option<Self> {
        let mut reference = ptr::null_mut();
        // SAFETY: a live function of this environment.
        let status =
            unsafe { sys::napi_create_reference(env.raw(), function.raw(), 0, &raw mut reference) };
        (status == sys::Status::napi_ok).then_some(Self {
            env: env.raw(),
            reference,
        })
    }

    /// Calls the function, if it is still there; `None` as for [`Callback::call`].
    pub fn call<T: ToNapiValue>(&self, argument: Option<T>) -> Option<Returned> {
        let scope = Scope::open(self.env)?;
        let mut function = ptr::null_mut();
        // SAFETY: the reference lives as long as `self`.
        unsafe { sys::napi_get_reference_value(self.env, self.reference, &raw mut function) };
        if function.is_null() {
            return None;
        }
        let returned = Callback {
            env: self.env,
            function,
            call: PhantomData,
        }
        .call(argument);
        drop(scope);
        returned
    }
}

impl Drop for WeakFunction {
    fn drop(&mut self) {
        // SAFETY: created by `new`, deleted once, on the environment's thread.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

/// Calls a function on the JavaScript thread from any other: a weak, unbounded threadsafe function.
#[derive(Debug)]
pub struct Doorbell {
    function: sys::napi_threadsafe_function,
}

// SAFETY: Node-API allows `napi_call_threadsafe_function` from any thread; all else here is called
// on the environment's own, and every thread that rings is joined before the environment goes (see
// `bell`).
unsafe impl Send for Doorbell {}
// SAFETY: as above.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    /// A bell that calls `answer` and does not keep the process alive.
    pub fn new(env: &Env, answer: &StrongFunction) -> Option<Self> {
        let name = env.create_string("vmexit").ok()?;
        let mut called = ptr::null_mut();
        // SAFETY: the reference is strong, so the function is there.
        unsafe { sys::napi_get_reference_value(env.raw(), answer.0, &raw mut called) };
        let mut function = ptr::null_mut();
        // SAFETY: all pointers are null or alive during the call.
        let status = unsafe {
            sys::napi_create_threadsafe_function(
                env.raw(),
                called,
                ptr::null_mut(),
                name.raw(),
                0,
                1,
                ptr::null_mut(),
                None,
                ptr::null_mut(),
                None,
                &raw mut function,
            )
        };
        if status != sys::Status::napi_ok {
            return None;
        }
        let bell = Self { function };
        bell.hold_loop(env, false);
        Some(bell)
    }

    /// Rings; the bell is answered once or more afterwards.
    pub fn ring(&self) {
        let mode = sys::ThreadsafeFunctionCallMode::nonblocking;
        // SAFETY: alive, see above.
        unsafe { sys::napi_call_threadsafe_function(self.function, ptr::null_mut(), mode) };
    }

    /// Whether the event loop waits for this bell.
    pub fn hold_loop(&self, env: &Env, hold: bool) {
        if hold {
            // SAFETY: alive, on the environment's thread.
            unsafe { sys::napi_ref_threadsafe_function(env.raw(), self.function) };
        } else {
            // SAFETY: as above.
            unsafe { sys::napi_unref_threadsafe_function(env.raw(), self.function) };
        }
    }
}

/// Copies guest memory into a typed array.
pub fn fill(
    mut into: Uint8Array,
    read: impl FnOnce(&mut [u8]) -> vmm::Result<()>,
) -> vmm::Result<()> {
    // SAFETY: JavaScript does not run meanwhile, and the array was made for this call.
    read(unsafe { into.as_mut() })
}

/// Writes the first bytes of an array, as many as it has.
pub fn put(array: &mut Uint8ArraySlice<'_>, bytes: &[u8]) {
    // SAFETY: JavaScript of this thread does not run meanwhile, and no other has the array.
    let to = unsafe { array.as_mut() };
    to.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Fills an array of words that JavaScript keeps.
pub fn fill_words(into: &mut BigUint64Array, words: &[u64]) {
    // SAFETY: JavaScript of this thread does not run meanwhile, and no other has the array.
    let to = unsafe { into.as_mut() };
    for (to, word) in to.iter_mut().zip(words) {
        *to = *word;
    }
}
