//! The global functions, and [`Neap`], by which a Rust program uses the heap of its process.
//!
//! Owns nothing but the order of things: fast path first, then opening the heap if this is the first
//! call, then the slow path. `neap-preload` gives these functions their C names.

#![allow(unsafe_code)]

use crate::census::Census;
use crate::options::Setting;
use crate::process::{heap, local, ready};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{null_mut, with_exposed_provenance_mut};

fn pointer(address: Option<usize>) -> *mut u8 {
    match address {
        Some(address) => with_exposed_provenance_mut(address),
        None => null_mut(),
    }
}

/// At least `size` bytes, 16-byte aligned; null when memory has run out.
#[inline(always)]
#[must_use]
pub fn allocate(size: usize) -> *mut u8 {
    match heap().pop(local(), size) {
        Some(address) => with_exposed_provenance_mut(address),
        None => allocate_slow(size),
    }
}

/// [`allocate`] when no block is ready.
#[cold]
#[inline(never)]
#[must_use]
pub fn allocate_slow(size: usize) -> *mut u8 {
    let local = local();
    ready(local);
    pointer(heap().allocate_slow(local, size))
}

/// As [`allocate`], all zeros.
#[inline(never)]
#[must_use]
pub fn allocate_zeroed(size: usize) -> *mut u8 {
    let local = local();
    ready(local);
    pointer(heap().allocate_zeroed(local, size))
}

/// As [`allocate`], aligned to `align`, a power of two.
#[inline(never)]
#[must_use]
pub fn allocate_aligned(size: usize, align: usize) -> *mut u8 {
    let local = local();
    ready(local);
    pointer(heap().allocate_aligned(local, size, align))
}

/// Takes back a block.
///
/// # Safety
/// 1. `block` is null or came from these functions and was not freed since.
#[inline(always)]
pub unsafe fn free(block: *mut u8) {
    // SAFETY: the caller's (1).
    if !unsafe { heap().push(local(), block.expose_provenance()) } {
        // SAFETY: the caller's (1).
        unsafe { free_slow(block) };
    }
}

/// [`free`] after the fast path has changed nothing.
///
/// # Safety
/// 1. As [`free`].
#[cold]
#[inline(never)]
pub unsafe fn free_slow(block: *mut u8) {
    // SAFETY: the caller's (1).
    unsafe { heap().free_slow(local(), block.expose_provenance()) };
}

/// What is left of [`free`] after the fast path has put `block` back into its slab, which this thread
/// owns, and the slab's countdown has run out.
///
/// # Safety
/// 1. That is what has happened.
#[cold]
#[inline(never)]
pub unsafe fn free_due(block: *mut u8) {
    heap().fall_due_at(local(), block.addr());
}

/// Makes the block at least `size` bytes long, moving it if need be; null leaves it as it was.
///
/// # Safety
/// 1. `block` came from these functions and was not freed since; it is not null.
/// 2. `size` is not 0.
#[inline(never)]
#[must_use]
pub unsafe fn resize(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: the caller's (1).
    pointer(unsafe { heap().resize(local(), block.expose_provenance(), size) })
}

/// The bytes of the block that may be used.
///
/// # Safety
/// 1. `block` is null or came from these functions and was not freed since.
#[must_use]
pub unsafe fn usable(block: *mut u8) -> usize {
    // SAFETY: the caller's (1).
    unsafe { heap().usable(block.expose_provenance()) }
}

/// [`crate::Heap::trim`].
#[inline(never)]
#[must_use]
pub fn trim() -> bool {
    let local = local();
    ready(local);
    heap().trim(local)
}

/// [`crate::Heap::set`].
#[inline(never)]
pub fn set(setting: Setting, amount: usize) {
    let local = local();
    ready(local);
    heap().set(local, setting, amount);
}

/// [`crate::Heap::census_without_hand`] for the calling thread.
#[inline(never)]
#[must_use]
pub fn census() -> Census {
    heap().census_without_hand(local())
}

/// Whether this is checking mode.
#[inline]
#[must_use]
pub fn is_checking() -> bool {
    heap().is_checking()
}

/// [`crate::Heap::check_size`].
///
/// # Safety
/// 1. `block` is null or came from these functions and was not freed since.
#[inline(never)]
pub unsafe fn check_size(block: *mut u8, size: usize, align: usize) {
    // SAFETY: the caller's (1).
    unsafe { heap().check_size(block.expose_provenance(), size, align) };
}

/// Runs `change` while no helper lives.
#[inline]
pub fn without_helper<T>(change: impl FnOnce() -> T) -> T {
    hold_helper();
    let result = change();
    release_helper();
    result
}

/// Ends the helper if there is one, before a fork of which no handler will hear. Not when the caller is a
/// signal handler that interrupted a slow path: the helper may wait for what that holds.
pub fn end_helper() {
    if !crate::process::local().is_busy() {
        without_helper(|| ());
    }
}

/// Ends the helper for good; slow paths do its work from here on.
#[inline(never)]
pub fn forgo_helper() {
    heap().forgo_helper();
}

#[inline(never)]
fn hold_helper() {
    heap().hold_helper();
}

#[inline(never)]
fn release_helper() {
    heap().release_helper();
}

/// The allocator of a Rust program:
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: neap_heap::Neap = neap_heap::Neap;
///
/// let numbers: Vec<u64> = (0..1000).collect();
/// assert_eq!(numbers.iter().sum::<u64>(), 499_500);
/// ```
///
/// Programs that run as root get no helper thread from it (it could outlive a change of credentials
/// that this type cannot see), and give memory back in their own slow paths instead.
#[derive(Clone, Copy, Debug, Default)]
pub struct Neap;

// SAFETY: blocks are at least as large and as aligned as asked, distinct, and stay until freed;
// nothing unwinds.
unsafe impl GlobalAlloc for Neap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            allocate(layout.size())
        } else {
            allocate_aligned(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: GlobalAlloc's caller gives a block of this allocator, in use (1).
        unsafe { free(block) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 {
            return allocate_zeroed(layout.size());
        }
        let block = allocate_aligned(layout.size(), layout.align());
        if !block.is_null() {
            // SAFETY: the block has that many bytes and is ours until returned.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= 16 {
            // SAFETY: GlobalAlloc's caller gives a block in use (1) and a size that is not 0 (2).
            return unsafe { resize(block, size) };
        }
        let new = allocate_aligned(size, layout.align());
        if !new.is_null() {
            // SAFETY: both blocks have that many bytes and are distinct.
            unsafe { new.copy_from_nonoverlapping(block, layout.size().min(size)) };
            // SAFETY: the caller gave the old block up (1).
            unsafe { free(block) };
        }
        new
    }
}
