//! The C library's errno of the calling thread.
//!
//! Owns the one place that writes it. malloc sets it on failure and leaves it alone otherwise; free
//! never touches it.
#![allow(unsafe_code)]

use core::ffi::c_int;
use neap_os::errno::Errno;

unsafe extern "C" {
    fn __errno_location() -> *mut c_int;
}

/// Sets errno.
pub(crate) fn set(errno: Errno) {
    // SAFETY: the C library gives the address of this thread's errno, always valid.
    unsafe { *__errno_location() = errno.0 };
}

/// The block, or null and ENOMEM.
#[inline(always)]
pub(crate) fn or_no_memory(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        core::hint::cold_path();
        set(Errno::ENOMEM);
    }
    block
}
