//! Guest memory as an `ArrayBuffer`: the mapping lives as long as anything in JavaScript can refer
//! to it.
//!
//! Node.js calls the finalizer when the store is freed, or when the environment that made it ends.
//! In the second case the store may be elsewhere by then: `ArrayBuffer.prototype.transfer()` drops
//! the mark that keeps external stores from being posted to another thread. So each buffer is
//! looked at before its finalizer is called, and what may have left keeps its mapping for good,
//! emptied. When an environment ends, finalizers of external buffers come before all clean-up
//! hooks, the youngest buffer first: a buffer of one byte, younger than all others, says when.
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

/// The buffer of one byte.
struct Sentinel {
    byte: u8,
    /// Counts up; all but the youngest may be collected.
    number: u64,
}

thread_local! {
    // An environment has a thread of its own: the main one, or a worker's.
    static MADE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
    /// The youngest sentinel's number, and what keeps it.
    static YOUNGEST: Cell<(u64, sys::napi_ref)> = const { Cell::new((0, ptr::null_mut())) };
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
            .lend()
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

/// The store is gone, or its environment ends. On whatever thread the runtime frees stores, so no
/// call of Node-API is made here.
unsafe extern "C" fn release(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `into_raw` above, released once.
    drop(unsafe { Arc::from_raw(hint.cast::<Keeper>()) });
}

/// Remembers a buffer until its environment ends.
fn watch(env: sys::napi_env, value: sys::napi_value, keeper: Weak<Keeper>) {
    // A buffer that cannot be told of the end keeps the mapping for good.
    if set_sentinel(env).is_none() {
        std::mem::forget(keeper.upgrade());
    }
    let object = refer(env, value, 0).unwrap_or(ptr::null_mut());
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
}

/// Makes a sentinel that is younger than every buffer so far.
fn set_sentinel(env: sys::napi_env) -> Option<()> {
    let (before, kept) = YOUNGEST.get();
    let number = before + 1;
    let sentinel = Box::into_raw(Box::new(Sentinel { byte: 0, number }));
    let hint = sentinel.cast::<c_void>();
    // SAFETY: just made, and alive.
    let byte = unsafe { &raw mut (*sentinel).byte }.cast::<c_void>();
    let mut value = ptr::null_mut();
    // SAFETY: the byte lives until `sentinel_goes` has run.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env,
            byte,
            1,
            Some(sentinel_goes),
            hint,
            &raw mut value,
        )
    };
    if status != sys::Status::napi_ok {
        // SAFETY: Node-API did not take it over.
        drop(unsafe { Box::from_raw(sentinel) });
        return None;
    }
    YOUNGEST.set((number, refer(env, value, 1)?));
    forget(env, kept);
    Some(())
}

/// A sentinel is collected, as all but the youngest are, or the environment ends, and with it all
/// buffers.
unsafe extern "C" fn sentinel_goes(env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: made by `into_raw` above, released once.
    let sentinel = unsafe { Box::from_raw(hint.cast::<Sentinel>()) };
    // A runtime that frees stores on another thread finds no sentinel there.
    let (youngest, kept) = YOUNGEST.get();
    if sentinel.number == youngest {
        YOUNGEST.set((youngest, ptr::null_mut()));
        forget(env, kept);
        keep_what_left(env);
    }
}

/// Keeps the mapping of every buffer that may be in another environment.
fn keep_what_left(env: sys::napi_env) {
    for Made { object, keeper } in MADE.take() {
        if let Some(keeper) = keeper.upgrade()
            && !is_here(env, object)
        {
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

/// A reference to a live value of this environment.
fn refer(env: sys::napi_env, value: sys::napi_value, count: u32) -> Option<sys::napi_ref> {
    let mut reference = ptr::null_mut();
    // SAFETY: a live value of this environment, on its thread.
    let status = unsafe { sys::napi_create_reference(env, value, count, &raw mut reference) };
    (status == sys::Status::napi_ok).then_some(reference)
}

fn forget(env: sys::napi_env, object: sys::napi_ref) {
    if !object.is_null() {
        // SAFETY: a reference of this environment, deleted once.
        unsafe { sys::napi_delete_reference(env, object) };
    }
}
