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

use kvm_bindings::{
    KVM_SYNC_X86_EVENTS, KVM_SYNC_X86_REGS, KVM_SYNC_X86_SREGS, kvm_regs, kvm_run, kvm_sregs,
    kvm_sync_regs,
};
use kvm_ioctls::VcpuFd;

use crate::error::{Error, ErrorCode, Result};
use crate::kvm::exit::{self, BODY_BYTES, Exit};
use crate::kvm::image::mapping::stays_here;
use crate::kvm::memory::GuestMemory;
use crate::kvm::vm::Vm;

/// General registers, RIP and RFLAGS.
pub(crate) const REGS: u64 = KVM_SYNC_X86_REGS as u64;
/// Segment, descriptor-table and control registers.
pub(crate) const SREGS: u64 = KVM_SYNC_X86_SREGS as u64;
/// Exceptions, interrupts and NMIs on their way.
pub(crate) const EVENTS: u64 = KVM_SYNC_X86_EVENTS as u64;

/// A mapping of a vCPU's `kvm_run`; a kick keeps it alive on its own.
#[derive(Debug)]
pub(crate) struct RunPage {
    /// The mapping and the vCPU's descriptor keep KVM's VM alive, and that needs its memory.
    vm: Arc<Vm>,
    start: NonNull<u8>,
    bytes: usize,
    /// Set while its thread is at R3 or about to be (`docs/stop.md`).
    in_guest: AtomicBool,
}

// SAFETY: the one byte that other threads write is `immediate_exit`, which is only reached as an
// atomic. What they read is `registers`, of a vCPU that waits for them. Everything else is reached
// through `Vcpu`, by one thread at a time.
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
            vm,
            start,
            bytes,
            in_guest: AtomicBool::new(false),
        };
        stays_here(start.as_ptr(), bytes)?;
        Ok(page)
    }

    /// The memory of its machine.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        self.vm.memory()
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

    /// Which registers KVM writes here after each `KVM_RUN`, `KVM_SYNC_X86_…` (KVM API §5,
    /// `kvm_valid_regs`).
    pub fn show(&self, which: u64) {
        let run: *mut kvm_run = self.start.as_ptr().cast();
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let word = unsafe { &raw mut (*run).kvm_valid_regs };
        // SAFETY: aligned; only the thread that owns the vCPU writes it.
        unsafe { word.write_volatile(which) };
    }

    /// The general registers that this page shows: those of the last exit, if KVM was asked to show
    /// them. Any thread may call it. What it gives is right only while the vCPU waits for an
    /// answer: then nothing writes here.
    pub fn registers(&self) -> kvm_regs {
        // SAFETY: inside the mapping.
        let from = unsafe { &raw const (*self.synced()).regs };
        // SAFETY: plain words, which any bits are valid for; one that is read while it is written
        // may be old or new.
        unsafe { from.read_volatile() }
    }

    /// The special registers that it shows, if KVM was asked to show them.
    pub fn special_registers(&self) -> kvm_sregs {
        // SAFETY: inside the mapping.
        let from = unsafe { &raw const (*self.synced()).sregs };
        // SAFETY: plain words, which any bits are valid for; the kernel writes them only during
        // KVM_RUN.
        unsafe { from.read_volatile() }
    }

    /// The exception that it shows, likewise: one that is on its way, or the last that was.
    pub fn exception(&self) -> u8 {
        // SAFETY: inside the mapping.
        let from = unsafe { &raw const (*self.synced()).events.exception.nr };
        // SAFETY: as in `special_registers`.
        unsafe { from.read_volatile() }
    }

    /// Shows other general registers.
    pub fn set_registers(&self, registers: &kvm_regs) {
        // SAFETY: inside the mapping.
        let to = unsafe { &raw mut (*self.synced()).regs };
        // SAFETY: plain words; only the thread that owns the vCPU writes them.
        unsafe { to.write_volatile(*registers) };
    }

    /// Has the next `KVM_RUN` take over some of these registers (KVM API §5, `kvm_dirty_regs`).
    pub fn hand_over(&self, registers: &kvm_sync_regs, which: u64) {
        if which & REGS != 0 {
            self.set_registers(&registers.regs);
        }
        if which & SREGS != 0 {
            // SAFETY: inside the mapping.
            let to = unsafe { &raw mut (*self.synced()).sregs };
            // SAFETY: as in `set_registers`.
            unsafe { to.write_volatile(registers.sregs) };
        }
        if which & EVENTS != 0 {
            // SAFETY: inside the mapping.
            let to = unsafe { &raw mut (*self.synced()).events };
            // SAFETY: as in `set_registers`.
            unsafe { to.write_volatile(registers.events) };
        }
        self.set_dirty(which);
    }

    /// Which of the registers that were handed over KVM has not taken, and drops them.
    pub fn take_back(&self) -> u64 {
        let run: *const kvm_run = self.start.as_ptr().cast();
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let word = unsafe { &raw const (*run).kvm_dirty_regs };
        // SAFETY: aligned; the kernel writes it only during KVM_RUN.
        let left = unsafe { word.read_volatile() };
        self.set_dirty(0);
        left
    }

    /// Without an irqchip the next `KVM_RUN` gives this to the guest, whatever KVM_SET_SREGS has
    /// set before (KVM API §5, `cr8`).
    pub fn set_cr8(&self, value: u64) {
        let run: *mut kvm_run = self.start.as_ptr().cast();
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let word = unsafe { &raw mut (*run).cr8 };
        // SAFETY: aligned; only the thread that owns the vCPU writes it.
        unsafe { word.write_volatile(value) };
    }

    fn set_dirty(&self, which: u64) {
        let run: *mut kvm_run = self.start.as_ptr().cast();
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        let word = unsafe { &raw mut (*run).kvm_dirty_regs };
        // SAFETY: aligned; only the thread that owns the vCPU writes it.
        unsafe { word.write_volatile(which) };
    }

    fn synced(&self) -> *mut kvm_sync_regs {
        let run: *mut kvm_run = self.start.as_ptr().cast();
        // SAFETY: inside the mapping, which `map` has checked to hold a kvm_run.
        unsafe { (&raw mut (*run).s).cast() }
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
