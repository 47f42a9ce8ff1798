//! syscall(2), clone(2) and _Fork(3): ending the helper thread before what goes round the C library.
//!
//! Owns wrappers that pass everything on. No fork handler runs in the child of a bare fork, so whatever
//! the helper holds at that moment would stay locked in it, and whoever waited for the helper there would
//! wait for ever; so it is ended first. (A program of several threads must not allocate in such a child,
//! whatever its allocator.) Credentials and namespaces that are changed by number are changed without a
//! helper, as in `crate::credentials`; and a filter that is installed by number is noticed, as in
//! `crate::sandbox`. A call made by the program's own assembly is noticed by nobody.
#![allow(unsafe_code)]

use crate::operator::next;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use neap_os::errno::Errno;

/// As the C library's (2.34); the helper is ended first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _Fork() -> c_int {
    neap_heap::global::end_helper();
    let real = next(c"_Fork");
    if real.is_null() {
        crate::errno::set(Errno::ENOSYS);
        return -1;
    }
    // SAFETY: the symbol is the C library's function of this name and signature.
    unsafe { core::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(real)() }
}

extern "C" fn fail() -> i64 {
    crate::errno::set(Errno::ENOSYS);
    -1
}

/// The C library's function `name`, kept in `place`.
fn real(place: &AtomicPtr<c_void>, name: &core::ffi::CStr) -> *mut c_void {
    let mut real = place.load(Relaxed);
    if real.is_null() {
        real = next(name);
        if real.is_null() {
            return fail as *mut c_void;
        }
        place.store(real, Relaxed);
    }
    real
}

/// Wrappers that jump to the real function and leave no frame: the call may be one that returns twice,
/// and it may take arguments on the stack.
mod raw {
    use super::{AtomicPtr, c_void, real};
    use core::arch::naked_asm;

    /// As the C library's; what is to be done first is up to `$consider`, which is given the first three
    /// arguments and returns the real function.
    macro_rules! forward {
        ($(#[$doc:meta])* $name:ident, $consider:ident) => {
            $(#[$doc])*
            #[cfg(target_arch = "aarch64")]
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() -> i64 {
                naked_asm!(
                    ".cfi_startproc",
                    "stp x29, x30, [sp, #-80]!",
                    ".cfi_def_cfa_offset 80",
                    ".cfi_offset 29, -80",
                    ".cfi_offset 30, -72",
                    "stp x0, x1, [sp, #16]",
                    "stp x2, x3, [sp, #32]",
                    "stp x4, x5, [sp, #48]",
                    "stp x6, x7, [sp, #64]",
                    "bl {consider}",
                    "mov x16, x0",
                    "ldp x0, x1, [sp, #16]",
                    "ldp x2, x3, [sp, #32]",
                    "ldp x4, x5, [sp, #48]",
                    "ldp x6, x7, [sp, #64]",
                    "ldp x29, x30, [sp], #80",
                    ".cfi_def_cfa_offset 0",
                    ".cfi_restore 29",
                    ".cfi_restore 30",
                    "br x16",
                    ".cfi_endproc",
                    consider = sym $consider,
                )
            }

            $(#[$doc])*
            #[cfg(target_arch = "x86_64")]
            #[unsafe(no_mangle)]
            #[unsafe(naked)]
            pub unsafe extern "C" fn $name() -> i64 {
                naked_asm!(
                    ".cfi_startproc",
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
                    consider = sym $consider,
                )
            }
        };
    }

    /// The numbers that are looked at: those of x86_64 and of aarch64 (asm-generic).
    const fn number(x86_64: usize, aarch64: usize) -> usize {
        if cfg!(target_arch = "x86_64") {
            x86_64
        } else {
            aarch64
        }
    }

    const SYS_CLONE: usize = number(56, 220);
    /// Not there on aarch64: no call has this number.
    const SYS_FORK: usize = number(57, usize::MAX);
    const SYS_SETUID: usize = number(105, 146);
    const SYS_SETGID: usize = number(106, 144);
    const SYS_SETREUID: usize = number(113, 145);
    const SYS_SETREGID: usize = number(114, 143);
    const SYS_SETGROUPS: usize = number(116, 159);
    const SYS_SETRESUID: usize = number(117, 147);
    const SYS_SETRESGID: usize = number(119, 149);
    const SYS_CAPSET: usize = number(126, 91);
    const SYS_UNSHARE: usize = number(272, 97);
    const SYS_SETNS: usize = number(308, 268);
    const SYS_SECCOMP: usize = number(317, 277);
    const SYS_CLONE3: usize = number(435, 435);

    const CLONE_VM: usize = 0x100;

    extern "C" fn consider_syscall(number: usize, first: usize) -> *mut c_void {
        static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
        match number {
            SYS_SECCOMP => neap_heap::global::forgo_helper(),
            SYS_CLONE if first & CLONE_VM != 0 => {}
            SYS_CLONE | SYS_CLONE3 | SYS_FORK | SYS_SETUID | SYS_SETGID | SYS_SETREUID | SYS_SETREGID
            | SYS_SETGROUPS | SYS_SETRESUID | SYS_SETRESGID | SYS_CAPSET | SYS_UNSHARE | SYS_SETNS => {
                neap_heap::global::end_helper();
            }
            _ => {}
        }
        real(&REAL, c"syscall")
    }

    extern "C" fn consider_clone(_entry: usize, _stack: usize, flags: usize) -> *mut c_void {
        static REAL: AtomicPtr<c_void> = AtomicPtr::new(core::ptr::null_mut());
        if flags & CLONE_VM == 0 {
            neap_heap::global::end_helper();
        }
        real(&REAL, c"clone")
    }

    forward!(
        /// As the C library's; notices forks, changes of credentials and namespaces, and seccomp(2).
        syscall,
        consider_syscall
    );
    forward!(
        /// As the C library's; notices what is a fork and not a thread.
        clone,
        consider_clone
    );
}
