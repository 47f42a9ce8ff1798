//! setuid(2) and its relatives, unshare(2) and setns(2): ending the helper thread first.
//!
//! Owns wrappers that change nothing else. The kernel's credentials are per thread; glibc changes
//! them in every thread it knows, and the helper is not one of those, so it must not live through the
//! change. unshare(CLONE_NEWUSER) and setns(2) refuse a process of more than one thread.
#![allow(unsafe_code)]

use crate::operator::next;
use core::ffi::{c_char, c_int, c_uint, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};
use neap_os::errno::Errno;

macro_rules! without_helper {
    ($($name:ident($($argument:ident: $type:ty),*) = $symbol:literal;)*) => {$(
        /// As the C library's, with the helper ended meanwhile.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
            let mut real = REAL.load(Ordering::Relaxed);
            if real.is_null() {
                real = next($symbol);
                REAL.store(real, Ordering::Relaxed);
            }
            if real.is_null() {
                crate::errno::set(Errno::ENOSYS);
                return -1;
            }
            neap_heap::global::without_helper(|| {
                // SAFETY: the symbol is the C library's function of this name and signature.
                unsafe {
                    core::mem::transmute::<*mut c_void, unsafe extern "C" fn($($type),*) -> c_int>(real)($($argument),*)
                }
            })
        }
    )*};
}

without_helper! {
    setuid(id: c_uint) = c"setuid";
    setgid(id: c_uint) = c"setgid";
    seteuid(id: c_uint) = c"seteuid";
    setegid(id: c_uint) = c"setegid";
    setreuid(real: c_uint, effective: c_uint) = c"setreuid";
    setregid(real: c_uint, effective: c_uint) = c"setregid";
    setresuid(real: c_uint, effective: c_uint, saved: c_uint) = c"setresuid";
    setresgid(real: c_uint, effective: c_uint, saved: c_uint) = c"setresgid";
    setgroups(count: usize, groups: *const c_uint) = c"setgroups";
    initgroups(user: *const c_char, group: c_uint) = c"initgroups";
    capset(header: *mut c_void, data: *const c_void) = c"capset";
    unshare(flags: c_int) = c"unshare";
    setns(fd: c_int, kind: c_int) = c"setns";
}
