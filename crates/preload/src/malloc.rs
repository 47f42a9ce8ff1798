//! The C functions of malloc(3), posix_memalign(3), and C23's sized frees.
//!
//! Owns what the manual pages say about arguments. Sources: malloc(3), posix_memalign(3),
//! malloc_usable_size(3), ISO C23 7.24.3.
#![allow(unsafe_code)]

use crate::errno;
use crate::fast::{fast_free, fast_malloc};
use core::ffi::{c_int, c_void};
use core::ptr::null_mut;
use neap_heap::{REQUEST_MAX, global};
use neap_os::errno::Errno;
use neap_os::unit::PAGE;

type Pointer = *mut c_void;

#[cold]
extern "C" fn malloc_slow(size: usize) -> Pointer {
    errno::or_no_memory(global::allocate_slow(size)).cast()
}

#[cold]
unsafe extern "C" fn free_slow(block: Pointer) {
    // SAFETY: free's caller gives null or a block of ours in use (1).
    unsafe { global::free_slow(block.cast()) };
}

fast_malloc! {
    /// malloc(3).
    malloc() else malloc_slow
}

fast_free! {
    /// free(3). Leaves errno alone.
    free() else free_slow()
    /// cfree(3): an old name of free.
    cfree() else free_slow()
}

/// calloc(3).
#[unsafe(no_mangle)]
pub extern "C" fn calloc(count: usize, size: usize) -> Pointer {
    match count.checked_mul(size) {
        Some(bytes) => match neap_heap::heap().pop(neap_heap::local(), bytes) {
            // SAFETY: a block of at least that many bytes, ours until returned.
            Some(address) => unsafe { memset(core::ptr::with_exposed_provenance_mut(address), 0, bytes) },
            None => calloc_slow(bytes),
        },
        None => errno::or_no_memory(null_mut()).cast(),
    }
}

#[cold]
extern "C" fn calloc_slow(bytes: usize) -> Pointer {
    errno::or_no_memory(global::allocate_zeroed(bytes)).cast()
}

unsafe extern "C" {
    /// Returns its first argument, so that calloc can end with a jump to it.
    fn memset(block: Pointer, value: c_int, bytes: usize) -> Pointer;
}

/// realloc(3). As in glibc, size 0 frees a block that is not null and returns null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: Pointer, size: usize) -> Pointer {
    if block.is_null() {
        return malloc(size);
    }
    if size == 0 {
        // SAFETY: realloc's caller gives a block of ours in use (1).
        unsafe { global::free(block.cast()) };
        return null_mut();
    }
    // SAFETY: as above (1); the size is not 0 (2).
    errno::or_no_memory(unsafe { global::resize(block.cast(), size) }).cast()
}

/// reallocarray(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn reallocarray(block: Pointer, count: usize, size: usize) -> Pointer {
    match count.checked_mul(size) {
        // SAFETY: the caller's, as realloc's.
        Some(bytes) => unsafe { realloc(block, bytes) },
        None => errno::or_no_memory(null_mut()).cast(),
    }
}

/// posix_memalign(3): returns the error, leaves errno and, on failure, `*out` alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(out: *mut Pointer, align: usize, size: usize) -> c_int {
    if !align.is_power_of_two() || !align.is_multiple_of(size_of::<Pointer>()) {
        return Errno::EINVAL.0;
    }
    let block = global::allocate_aligned(size, align);
    if block.is_null() {
        return Errno::ENOMEM.0;
    }
    // SAFETY: posix_memalign's caller gives a place for one pointer.
    unsafe { *out = block.cast() };
    0
}

/// aligned_alloc(3): an alignment that is not a power of two is EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn aligned_alloc(align: usize, size: usize) -> Pointer {
    if !align.is_power_of_two() {
        errno::set(Errno::EINVAL);
        return null_mut();
    }
    errno::or_no_memory(global::allocate_aligned(size, align)).cast()
}

/// memalign(3): the alignment is rounded up to a power of two.
#[unsafe(no_mangle)]
pub extern "C" fn memalign(align: usize, size: usize) -> Pointer {
    match align.checked_next_power_of_two() {
        Some(align) if align <= REQUEST_MAX => {
            errno::or_no_memory(global::allocate_aligned(size, align)).cast()
        }
        _ => {
            errno::set(Errno::EINVAL);
            null_mut()
        }
    }
}

/// valloc(3): aligned to a page.
#[unsafe(no_mangle)]
pub extern "C" fn valloc(size: usize) -> Pointer {
    errno::or_no_memory(global::allocate_aligned(size, PAGE)).cast()
}

/// pvalloc(3): aligned to a page, and whole pages.
#[unsafe(no_mangle)]
pub extern "C" fn pvalloc(size: usize) -> Pointer {
    let whole = size.checked_next_multiple_of(PAGE);
    errno::or_no_memory(whole.map_or(null_mut(), |size| global::allocate_aligned(size, PAGE))).cast()
}

/// malloc_usable_size(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: Pointer) -> usize {
    // SAFETY: the caller gives null or a block of ours in use (1).
    unsafe { global::usable(block.cast()) }
}

#[cold]
unsafe extern "C" fn free_aligned_sized_slow(block: Pointer, align: usize, size: usize) {
    // SAFETY: the caller gives null or a block of ours in use (1).
    unsafe { free_as_slow(block, size, align) };
}

fast_free! {
    /// free_sized (C23). The size is checked in checking mode only.
    free_sized(size: usize) else free_sized_slow(size)
    /// free_aligned_sized (C23). Size and alignment are checked in checking mode only.
    free_aligned_sized(align: usize, size: usize) else free_aligned_sized_slow(align, size)
}

/// free of a block whose size the program claims to know. In checking mode every free comes here.
#[cold]
pub(crate) unsafe extern "C" fn free_sized_slow(block: Pointer, size: usize) {
    // SAFETY: the caller gives null or a block of ours in use (1).
    unsafe { free_as_slow(block, size, 0) };
}

/// As [`free_sized_slow`], and the alignment (0: unknown).
#[cold]
pub(crate) unsafe extern "C" fn free_as_slow(block: Pointer, size: usize, align: usize) {
    if global::is_checking() {
        // SAFETY: the caller gives null or a block of ours in use (1).
        unsafe { global::check_size(block.cast(), size, align) };
    }
    // SAFETY: as above (1).
    unsafe { global::free_slow(block.cast()) };
}

/// Second names of the same functions, as glibc has them for its own use and that of old programs.
mod glibc {
    use super::{Pointer, c_int};

    /// malloc.
    #[unsafe(no_mangle)]
    pub extern "C" fn __libc_malloc(size: usize) -> Pointer {
        super::malloc(size)
    }
    /// calloc.
    #[unsafe(no_mangle)]
    pub extern "C" fn __libc_calloc(count: usize, size: usize) -> Pointer {
        super::calloc(count, size)
    }
    /// realloc.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn __libc_realloc(block: Pointer, size: usize) -> Pointer {
        // SAFETY: the caller's, as realloc's.
        unsafe { super::realloc(block, size) }
    }
    /// free.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn __libc_free(block: Pointer) {
        // SAFETY: the caller's, as free's.
        unsafe { super::free(block) };
    }
    /// cfree.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn __libc_cfree(block: Pointer) {
        // SAFETY: the caller's, as free's.
        unsafe { super::free(block) };
    }
    /// memalign.
    #[unsafe(no_mangle)]
    pub extern "C" fn __libc_memalign(align: usize, size: usize) -> Pointer {
        super::memalign(align, size)
    }
    /// valloc.
    #[unsafe(no_mangle)]
    pub extern "C" fn __libc_valloc(size: usize) -> Pointer {
        super::valloc(size)
    }
    /// pvalloc.
    #[unsafe(no_mangle)]
    pub extern "C" fn __libc_pvalloc(size: usize) -> Pointer {
        super::pvalloc(size)
    }
    /// posix_memalign.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn __posix_memalign(out: *mut Pointer, align: usize, size: usize) -> c_int {
        // SAFETY: the caller's, as posix_memalign's.
        unsafe { super::posix_memalign(out, align, size) }
    }
}
