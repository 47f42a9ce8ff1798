//! C++'s operator new and operator delete.
//!
//! Owns the mangled names. When memory has run out the C++ library's own operator of the same name is
//! found (dlsym, RTLD_NEXT) and *jumped* to, with the caller's arguments: it calls malloc again, runs
//! the new_handler, and throws std::bad_alloc, and no frame of ours is on the stack that it unwinds.
//! Without a C++ library a nothrow operator returns null, and any other stops the program.
#![allow(unsafe_code)]
#![allow(non_snake_case)]

use crate::fast::{fast_free, fast_malloc};
use crate::malloc::{free_as_slow, free_sized_slow};
use core::arch::naked_asm;
use core::ffi::{CStr, c_char, c_void};
use neap_heap::global;
use neap_os::unit::Bytes;

type Pointer = *mut c_void;
/// `std::nothrow_t const&`: never looked at.
type Nothrow = *const c_void;

unsafe extern "C" {
    fn dlsym(handle: Pointer, symbol: *const c_char) -> Pointer;
}

/// The next definition of `name` after libneap.so's, or null.
pub(crate) fn next(name: &CStr) -> Pointer {
    const RTLD_NEXT: isize = -1;
    // SAFETY: dlsym reads the C string and knows the caller by its return address, which is ours.
    unsafe {
        dlsym(
            core::ptr::without_provenance_mut(RTLD_NEXT.cast_unsigned()),
            name.as_ptr(),
        )
    }
}

extern "C" fn take(size: usize) -> Pointer {
    global::allocate(size).cast()
}

extern "C" fn take_aligned(size: usize, align: usize) -> Pointer {
    if align.is_power_of_two() {
        global::allocate_aligned(size, align).cast()
    } else {
        core::ptr::null_mut()
    }
}

/// Sizes above this are handed to the library's plain operator, which can only fail: its aligned ones
/// round the size up first, and round the largest ones up to almost nothing.
const ROUNDABLE: usize = isize::MAX as usize;

/// Ends a program that has no C++ library to throw for it.
extern "C" fn no_library(size: usize) -> ! {
    let mut line = neap_os::out::Line::new();
    line.text("neap: operator new: no memory for ")
        .bytes(Bytes(size).0)
        .text(", and no C++ library to throw\n");
    line.emit(2);
    neap_os::out::abort()
}

extern "C" fn return_null(_: usize) -> Pointer {
    core::ptr::null_mut()
}

/// Defines the slow half of an operator: tries once more, then goes to the library's.
macro_rules! slow {
    ($slow:ident, $take:ident, $find:ident, $symbol:literal, $plain:literal, $missing:ident) => {
        extern "C" fn $find(size: usize) -> Pointer {
            let found = next(if size > ROUNDABLE { $plain } else { $symbol });
            if found.is_null() { $missing as *mut c_void } else { found }
        }

        #[cfg(target_arch = "x86_64")]
        #[unsafe(naked)]
        unsafe extern "C" fn $slow(size: usize, second: usize) -> Pointer {
            naked_asm!(
                ".cfi_startproc",
                "push rdi",
                ".cfi_adjust_cfa_offset 8",
                "push rsi",
                ".cfi_adjust_cfa_offset 8",
                "push rdx",
                ".cfi_adjust_cfa_offset 8",
                "call {take}",
                "test rax, rax",
                "je 2f",
                "add rsp, 24",
                ".cfi_adjust_cfa_offset -24",
                "ret",
                ".cfi_adjust_cfa_offset 24",
                "2:",
                "mov rdi, [rsp + 16]",
                "call {find}",
                "pop rdx",
                ".cfi_adjust_cfa_offset -8",
                "pop rsi",
                ".cfi_adjust_cfa_offset -8",
                "pop rdi",
                ".cfi_adjust_cfa_offset -8",
                "jmp rax",
                ".cfi_endproc",
                take = sym $take,
                find = sym $find,
            )
        }

        #[cfg(target_arch = "aarch64")]
        #[unsafe(naked)]
        unsafe extern "C" fn $slow(size: usize, second: usize) -> Pointer {
            naked_asm!(
                ".cfi_startproc",
                "stp x29, x30, [sp, #-48]!",
                ".cfi_def_cfa_offset 48",
                ".cfi_offset 29, -48",
                ".cfi_offset 30, -40",
                "stp x0, x1, [sp, #16]",
                "str x2, [sp, #32]",
                "bl {take}",
                "cbnz x0, 2f",
                "ldr x0, [sp, #16]",
                "bl {find}",
                "mov x16, x0",
                "ldp x0, x1, [sp, #16]",
                "ldr x2, [sp, #32]",
                "ldp x29, x30, [sp], #48",
                "br x16",
                "2:",
                "ldp x29, x30, [sp], #48",
                "ret",
                ".cfi_endproc",
                take = sym $take,
                find = sym $find,
            )
        }
    };
}

macro_rules! operator_new {
    ($name:ident, $slow:ident, $find:ident, $symbol:literal) => {
        slow!($slow, take, $find, $symbol, $symbol, no_library);
        fast_malloc! {
            /// operator new.
            $name(second: usize) else $slow
        }
    };
    ($name:ident, $slow:ident, $find:ident, $symbol:literal, nothrow) => {
        slow!($slow, take, $find, $symbol, $symbol, return_null);
        fast_malloc! {
            /// operator new, nothrow.
            $name(nothrow: usize) else $slow
        }
    };
    ($name:ident, $slow:ident, $find:ident, $symbol:literal, aligned $plain:literal $missing:ident) => {
        slow!($slow, take_aligned, $find, $symbol, $plain, $missing);
        /// operator new with an alignment.
        #[cfg(target_arch = "x86_64")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(size: usize, align: usize, nothrow: Nothrow) -> Pointer {
            naked_asm!("jmp {slow}", slow = sym $slow)
        }
        /// operator new with an alignment.
        #[cfg(target_arch = "aarch64")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(size: usize, align: usize, nothrow: Nothrow) -> Pointer {
            naked_asm!("b {slow}", slow = sym $slow)
        }
    };
}

operator_new!(_Znwm, new_slow, find_new, c"_Znwm");
operator_new!(_Znam, new_array_slow, find_new_array, c"_Znam");
operator_new!(
    _ZnwmRKSt9nothrow_t,
    new_nothrow_slow,
    find_new_nothrow,
    c"_ZnwmRKSt9nothrow_t",
    nothrow
);
operator_new!(
    _ZnamRKSt9nothrow_t,
    new_array_nothrow_slow,
    find_new_array_nothrow,
    c"_ZnamRKSt9nothrow_t",
    nothrow
);
operator_new!(_ZnwmSt11align_val_t, new_align_slow, find_new_align, c"_ZnwmSt11align_val_t", aligned c"_Znwm" no_library);
operator_new!(_ZnamSt11align_val_t, new_array_align_slow, find_new_array_align, c"_ZnamSt11align_val_t", aligned c"_Znwm" no_library);
operator_new!(
    _ZnwmSt11align_val_tRKSt9nothrow_t,
    new_align_nothrow_slow,
    find_new_align_nothrow,
    c"_ZnwmSt11align_val_tRKSt9nothrow_t",
    aligned c"_ZnwmRKSt9nothrow_t" return_null
);
operator_new!(
    _ZnamSt11align_val_tRKSt9nothrow_t,
    new_array_align_nothrow_slow,
    find_new_array_align_nothrow,
    c"_ZnamSt11align_val_tRKSt9nothrow_t",
    aligned c"_ZnwmRKSt9nothrow_t" return_null
);

#[cold]
unsafe extern "C" fn delete_slow(block: Pointer) {
    // SAFETY: delete's caller gives null or a block of ours in use (1).
    unsafe { global::free_slow(block.cast()) };
}

fast_free! {
    /// operator delete.
    _ZdlPv() else delete_slow()
    /// operator delete.
    _ZdaPv() else delete_slow()
    /// operator delete.
    _ZdlPvm(size: usize) else free_sized_slow(size)
    /// operator delete.
    _ZdaPvm(size: usize) else free_sized_slow(size)
    /// operator delete.
    _ZdlPvRKSt9nothrow_t(_nothrow: Nothrow) else delete_slow()
    /// operator delete.
    _ZdaPvRKSt9nothrow_t(_nothrow: Nothrow) else delete_slow()
    /// operator delete.
    _ZdlPvSt11align_val_t(_align: usize) else delete_slow()
    /// operator delete.
    _ZdaPvSt11align_val_t(_align: usize) else delete_slow()
    /// operator delete.
    _ZdlPvmSt11align_val_t(size: usize, align: usize) else free_as_slow(size, align)
    /// operator delete.
    _ZdaPvmSt11align_val_t(size: usize, align: usize) else free_as_slow(size, align)
    /// operator delete.
    _ZdlPvSt11align_val_tRKSt9nothrow_t(_align: usize, _nothrow: Nothrow) else delete_slow()
    /// operator delete.
    _ZdaPvSt11align_val_tRKSt9nothrow_t(_align: usize, _nothrow: Nothrow) else delete_slow()
}
