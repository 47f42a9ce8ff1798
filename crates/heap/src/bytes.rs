//! Filling and copying bytes of blocks.
//!
//! Owns the two unsafe operations by which the heap touches what a program keeps in its blocks.

#![allow(unsafe_code)]

/// Fills `bytes` bytes at `address`.
///
/// # Safety
/// 1. They are mapped, writable and the caller's.
#[inline]
pub(crate) unsafe fn fill(address: usize, bytes: usize, value: u8) {
    // SAFETY: the caller's (1).
    unsafe { core::ptr::with_exposed_provenance_mut::<u8>(address).write_bytes(value, bytes) };
}

/// Copies `bytes` bytes.
///
/// # Safety
/// 1. Both ranges are mapped and the caller's, and do not overlap.
#[inline]
pub(crate) unsafe fn copy(from: usize, to: usize, bytes: usize) {
    let source = core::ptr::with_exposed_provenance::<u8>(from);
    let target = core::ptr::with_exposed_provenance_mut::<u8>(to);
    // SAFETY: the caller's (1).
    unsafe { target.copy_from_nonoverlapping(source, bytes) };
}
