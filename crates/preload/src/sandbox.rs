//! prctl(2) and syscall(2): noticing that the program locks itself into a seccomp sandbox.
//!
//! Owns wrappers that pass everything on. A filter may kill the process for a clone(2) that its author
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

/// The C library's syscall(2), which the wrapper below jumps to: it must leave no frame, since the
/// call may be one that returns twice.
#[cfg(target_arch = "x86_64")]
mod raw {
    use super::{AtomicPtr, Errno, Relaxed, c_void, next};
    use core::arch::naked_asm;

    const SECCOMP: i64 = 317;
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());

    extern "C" fn fail() -> i64 {
        crate::errno::set(Errno::ENOSYS);
        -1
    }

    /// Finds the C library's function, and forgoes the helper if a filter is about to be installed.
    extern "C" fn consider(number: i64) -> *mut c_void {
        if number == SECCOMP {
            neap_heap::global::forgo_helper();
        }
        let mut real = REAL.load(Relaxed);
        if real.is_null() {
            real = next(c"syscall");
            if real.is_null() {
                return fail as *mut c_void;
            }
            REAL.store(real, Relaxed);
        }
        real
    }

    /// As the C library's; notices seccomp(2).
    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    pub unsafe extern "C" fn syscall() -> i64 {
        naked_asm!(
            ".cfi_startproc",
            "mov rax, [rip + {real}]",
            "test rax, rax",
            "je 2f",
            "cmp rdi, {seccomp}",
            "je 2f",
            "jmp rax",
            "2:",
            "push rdi",
            ".cfi_adjust_cfa_offset 8",
            "push rsi",
            ".cfi_adjust_cfa_offset 8",
            "push rdx",
            ".cfi_adjust_cfa_offset 8",
            "push rcx",
            ".cfi_adjust_cfa_offset 8",
            "push r8",
            ".cfi_adjust_cfa_offset 8",
            "push r9",
            ".cfi_adjust_cfa_offset 8",
            "sub rsp, 8",
            ".cfi_adjust_cfa_offset 8",
            "call {consider}",
            "add rsp, 8",
            ".cfi_adjust_cfa_offset -8",
            "pop r9",
            ".cfi_adjust_cfa_offset -8",
            "pop r8",
            ".cfi_adjust_cfa_offset -8",
            "pop rcx",
            ".cfi_adjust_cfa_offset -8",
            "pop rdx",
            ".cfi_adjust_cfa_offset -8",
            "pop rsi",
            ".cfi_adjust_cfa_offset -8",
            "pop rdi",
            ".cfi_adjust_cfa_offset -8",
            "jmp rax",
            ".cfi_endproc",
            real = sym REAL,
            seccomp = const SECCOMP,
            consider = sym consider,
        )
    }
}
