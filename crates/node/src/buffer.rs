//! Guest memory as an `ArrayBuffer`: the mapping lives as long as anything in JavaScript can refer to it.
//!
//! Node.js calls the finalizer when the store is freed, or when the environment that made it ends. In the second case the store
//! may be elsewhere by then: `ArrayBuffer.prototype.transfer()` drops the mark that keeps external stores from being posted to
//! another thread. So a hook of ours looks at each buffer before Node's own does (hooks run in reverse order of their
//! registration), and what may have left keeps its mapping for good, emptied.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Weak};

use napi::bindgen_prelude::ToNapiValue;
use napi::sys;
use vmm::GuestMemory;

use crate::ffi::Scope;

/// What an `ArrayBuffer`'s store keeps.
struct Keeper(Arc<GuestMemory>);

/// A buffer of this environment.
struct Made {
    /// The `ArrayBuffer` as it was made, weak.
    object: sys::napi_ref,
    /// Gone once the store is.
    keeper: Weak<Keeper>,
}

thread_local! {
    // An environment has a thread of its own: the main one, or a worker's.
    static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
    static HOOKED: Cell<bool> = const { Cell::new(false) };
}

/// Guest memory as an `ArrayBuffer` without a copy; it keeps the mapping alive.
pub struct SharedMemory(Arc<GuestMemory>);

impl SharedMemory {
    pub const fn new(memory: Arc<GuestMemory>) -> Self {
        Self(memory)
    }
}

impl ToNapiValue for SharedMemory {
    unsafe fn to_napi_value(env: sys::napi_env, memory: Self) -> napi::Result<sys::napi_value> {
        let range = memory
            .0
            .host_range(0)
            .ok_or_else(|| napi::Error::from_reason("no memory at gpa 0"))?;
        let keeper = Arc::new(Keeper(memory.0));
        let weak = Arc::downgrade(&keeper);
        let hint = Arc::into_raw(keeper).cast_mut().cast::<c_void>();
        let mut value = ptr::null_mut();
        let start = range.start.cast::<c_void>();
        // SAFETY: the range stays mapped until `release` has run.
        let status = unsafe {
            sys::napi_create_external_arraybuffer(
                env,
                start,
                range.bytes,
                Some(release),
                hint,
                &raw mut value,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: Node-API did not take it over.
            drop(unsafe { Arc::from_raw(hint.cast::<Keeper>()) });
            return Err(napi::Error::from_reason(
                "this runtime forbids external array buffers",
            ));
        }
        watch(env, value, weak);
        Ok(value)
    }
}

/// The store is gone, or its environment ends. On whatever thread the runtime frees stores, so no call of Node-API is made here.
unsafe extern "C" fn release(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `into_raw` above, released once.
    drop(unsafe { Arc::from_raw(hint.cast::<Keeper>()) });
}

/// Remembers a buffer until its environment ends, and has the hook run before Node's own for it.
fn watch(env: sys::napi_env, value: sys::napi_value, keeper: Weak<Keeper>) {
    let mut object = ptr::null_mut();
    // SAFETY: a live value of this environment. What cannot be watched counts as gone elsewhere.
    let status = unsafe { sys::napi_create_reference(env, value, 0, &raw mut object) };
    if status != sys::Status::napi_ok {
        object = ptr::null_mut();
    }
    MADE.with_borrow_mut(|made| {
        made.retain(|Made { object, keeper }| {
            let lives = keeper.strong_count() > 0;
            if !lives {
                forget(env, *object);
            }
            lives
        });
        made.push(Made { object, keeper });
    });
    let data = env.cast::<c_void>();
    if HOOKED.replace(true) {
        // SAFETY: registered before, on this thread, which is the environment's.
        unsafe { sys::napi_remove_env_cleanup_hook(env, Some(environment_ends), data) };
    }
    // SAFETY: on the environment's thread; `env` is alive when its hooks run.
    unsafe { sys::napi_add_env_cleanup_hook(env, Some(environment_ends), data) };
}

/// Keeps the mapping of every buffer that may be in another environment.
unsafe extern "C" fn environment_ends(env: *mut c_void) {
    let env = env.cast();
    HOOKED.set(false);
    for Made { object, keeper } in MADE.take() {
        let Some(keeper) = keeper.upgrade() else {
            forget(env, object);
            continue;
        };
        if !is_here(env, object) {
            keeper.0.discard();
            std::mem::forget(Arc::clone(&keeper.0));
        }
        forget(env, object);
    }
}

/// Whether a buffer still has its store; one that is collected may have given it away before.
fn is_here(env: sys::napi_env, object: sys::napi_ref) -> bool {
    let Some(_scope) = Scope::open(env) else {
        return false;
    };
    let mut value = ptr::null_mut();
    if !object.is_null() {
        // SAFETY: a reference of this environment that is not deleted.
        unsafe { sys::napi_get_reference_value(env, object, &raw mut value) };
    }
    if value.is_null() {
        return false;
    }
    let mut detached = true;
    // SAFETY: a live value of this environment.
    let status = unsafe { sys::napi_is_detached_arraybuffer(env, value, &raw mut detached) };
    status == sys::Status::napi_ok && !detached
}

fn forget(env: sys::napi_env, object: sys::napi_ref) {
    if !object.is_null() {
        // SAFETY: a reference of this environment, deleted once.
        unsafe { sys::napi_delete_reference(env, object) };
    }
}
