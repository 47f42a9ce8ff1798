//! prctl(2): noticing that the program locks itself into a seccomp sandbox. (seccomp(2) has no function of
//! its own in the C library; `crate::bare` notices it.)
//!
//! Owns a wrapper that passes everything on. A filter may kill the process for a clone(2) that its author
//! did not expect, and no process can ask what a filter would do. So from the moment a program installs
//! one, no helper is started any more, and slow paths do its work. A filter that was there before the
//! program began cannot be noticed in time; `NEAP_HELPER=off` is for that.
#![allow(unsafe_code)]

use crate::operator::next;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use neap_os::errno::Errno;

type Prctl = unsafe extern "C" fn(c_int, usize, usize, usize, usize) -> c_int;

const PR_SET_SECCOMP: c_int = 22;

/// As the C library's; notices PR_SET_SECCOMP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
    if option == PR_SET_SECCOMP {
        neap_heap::global::forgo_helper();
    }
    let mut real = REAL.load(Relaxed);
    if real.is_null() {
        real = next(c"prctl");
        REAL.store(real, Relaxed);
    }
    if real.is_null() {
        crate::errno::set(Errno::ENOSYS);
        return -1;
    }
    // SAFETY: the symbol is the C library's prctl; it is declared variadic, and integers are passed to
    // such a function as to this one. What the caller did not give is passed on unread.
    unsafe { core::mem::transmute::<*mut c_void, Prctl>(real)(option, a, b, c, d) }
}
