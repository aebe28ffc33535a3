//! An exit that Rust answers, or that a handler answers on the same thread, allocates nothing.
#![allow(unsafe_code)] // a counting allocator cannot be made without

#[macro_use]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::Answer;
use common::{LONG, exit, machine, port, run_with, set};
use vmm::{Exit, RouteTarget};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of one run that makes `exits` port writes.
fn allocations(target: RouteTarget, exits: u64) -> u64 {
    let listing = "
        66 ba 00 02    ; mov $0x200,%dx
        ee             ; 1: out %al,(%dx)
        ff c9          ; dec %ecx
        75 fb          ; jne 1b
        f4             ; hlt
    ";
    let mut machine = machine(LONG, listing, &[port(0x200, 1, target)]);
    set(&mut machine, |registers| registers.rcx = exits);
    let before = COUNT.get();
    let outcome = run_with(&mut machine, |_| Answer::Done);
    let after = COUNT.get();
    assert_eq!((exit(&outcome), outcome.exits), (&Exit::Hlt, exits + 1));
    after - before
}

#[test]
fn the_number_of_allocations_does_not_depend_on_the_number_of_exits() {
    require!(LONG);
    let targets = [
        RouteTarget::Constant(0),
        RouteTarget::Discard,
        RouteTarget::Count,
        RouteTarget::Device,
        RouteTarget::Queue { read_value: None },
    ];
    for target in targets {
        allocations(target, 10);
        assert_eq!(
            allocations(target, 200),
            allocations(target, 2000),
            "{target:?}"
        );
    }
}

#[test]
fn console_text_grows_its_buffer_and_nothing_else() {
    require!(LONG);
    let target = RouteTarget::Console { deliver: false };
    // Doubling from 8 bytes to 2048 takes 8 steps more than from 8 to 16.
    assert!(allocations(target, 2000) <= allocations(target, 10) + 8);
}

#[test]
fn the_counter_counts() {
    let before = COUNT.get();
    drop(std::hint::black_box(Box::new(1)));
    assert_eq!(COUNT.get() - before, 1);
}
