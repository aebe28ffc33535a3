//! Our own mapping of a vCPU's `kvm_run`.
//!
//! kvm-ioctls hands out `&mut kvm_run`, which cannot soundly be shared with a kick from another
//! thread (rust-vmm/kvm#373), so this module maps the page itself and reaches it through pointers.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8};

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::exit::{self, BODY_BYTES, Exit};
use crate::kvm::memory::stays_here;
use crate::kvm::vm::Vm;

/// A mapping of a vCPU's `kvm_run`; a kick keeps it alive on its own.
#[derive(Debug)]
pub(crate) struct RunPage {
    /// The mapping and the vCPU's descriptor keep KVM's VM alive, and that needs its memory.
    _vm: Arc<Vm>,
    start: NonNull<u8>,
    bytes: usize,
    /// Set while its thread is at R3 or about to be (`docs/stop.md`).
    in_guest: AtomicBool,
}

// SAFETY: the one byte that other threads touch is `immediate_exit`, which is only reached as an
// atomic; everything else is reached through `Vcpu`, by one thread at a time.
unsafe impl Send for RunPage {}
// SAFETY: as above.
unsafe impl Sync for RunPage {}

impl RunPage {
    pub fn map(fd: &VcpuFd, bytes: usize, vm: Arc<Vm>) -> Result<Self> {
        if bytes < size_of::<kvm_run>() {
            return Err(Error::new(
                ErrorCode::KvmIoctl,
                format!("KVM_GET_VCPU_MMAP_SIZE gave {bytes}, less than struct kvm_run"),
            ));
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh shared mapping of a vCPU fd, with the size that KVM names for it.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(Error::io("mmap")(std::io::Error::last_os_error()));
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::call("mmap", libc::ENOMEM))?;
        let page = Self {
            _vm: vm,
            start,
            bytes,
            in_guest: AtomicBool::new(false),
        };
        stays_here(start.as_ptr(), bytes)?;
        Ok(page)
    }

    /// Whether a signal would find its thread in `KVM_RUN`.
    pub const fn in_guest(&self) -> &AtomicBool {
        &self.in_guest
    }

    /// The flag that makes `KVM_RUN` return at once.
    pub fn immediate_exit(&self) -> &AtomicU8 {
        // SAFETY: the offset lies inside the mapping, which `map` has checked to hold a kvm_run.
        let byte = unsafe { self.start.add(offset_of!(kvm_run, immediate_exit)) };
        // SAFETY: valid as long as `self`, aligned, and only ever reached as an atomic.
        unsafe { AtomicU8::from_ptr(byte.as_ptr()) }
    }

    /// One of the bytes that KVM writes during `KVM_RUN`.
    pub fn byte(&self, offset: usize) -> u8 {
        if offset >= size_of::<kvm_run>() {
            return 0;
        }
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let byte = unsafe { self.start.add(offset) };
        // SAFETY: valid and initialised; the kernel writes it only during KVM_RUN.
        unsafe { byte.as_ptr().read_volatile() }
    }

    /// Sets one of the flags that the vCPU's own thread sets for KVM.
    pub fn set_byte(&self, offset: usize, value: u8) {
        if offset >= size_of::<kvm_run>() {
            return;
        }
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let byte = unsafe { self.start.add(offset) };
        // SAFETY: valid; only the thread that owns the vCPU writes it.
        unsafe { byte.as_ptr().write_volatile(value) };
    }

    pub fn decode(&self) -> Exit {
        let run: *const kvm_run = self.start.as_ptr().cast();
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let reason = unsafe { &raw const (*run).exit_reason };
        // SAFETY: aligned; the kernel writes it only during KVM_RUN.
        let reason = unsafe { reason.read_volatile() };
        // SAFETY: inside the mapping.
        let union = unsafe { &raw const (*run).__bindgen_anon_1 };
        // SAFETY: the union is BODY_BYTES of plain bytes; no reference outlives this function.
        let body = unsafe { &*union.cast::<[u8; BODY_BYTES]>() };
        exit::decode(reason, body)
    }

    /// An entry that failed: the exit that the errno stands for, if it stands for one.
    pub fn decode_failed(&self, errno: i32) -> Result<Exit> {
        match self.decode() {
            exit if exit.comes_with(errno) => Ok(exit),
            _ => Err(Error::call("KVM_RUN", errno)),
        }
    }

    #[allow(clippy::mut_from_ref)] // reached only through `&mut Vcpu`
    pub fn data(&self, start: usize, bytes: usize) -> Result<&mut [u8]> {
        if start < offset_of!(kvm_run, __bindgen_anon_1)
            || start.checked_add(bytes).is_none_or(|end| end > self.bytes)
        {
            return Err(Error::new(
                ErrorCode::KvmIoctl,
                format!(
                    "KVM_RUN names {bytes} bytes at offset {start} of a mapping of {}",
                    self.bytes
                ),
            ));
        }
        // SAFETY: checked to lie inside the mapping and after the flags that a kick touches.
        let first = unsafe { self.start.add(start) };
        // SAFETY: the caller holds `&mut Vcpu`, so no other code touches these bytes.
        Ok(unsafe { std::slice::from_raw_parts_mut(first.as_ptr(), bytes) })
    }
}

impl Drop for RunPage {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this size; the last owner unmaps it.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
