//! [`Call`]: the system calls by number, and `syscall0` to `syscall6`, which make them.
//!
//! Owns the only assembly that enters the kernel on a caller's behalf (a helper thread's first
//! instructions, in [`crate::thread`], are the exception). Never touches the C library's `errno`,
//! never retries, never is a cancellation point.
//!
//! # Safety
//! A raw call can do anything: each function here passes its caller the duty of knowing what the
//! call does with the arguments. Pointers must be passed with their provenance exposed
//! (`expose_provenance`), because the kernel reads and writes through the number.
#![allow(unsafe_code)]

use crate::errno::Errno;
use core::arch::asm;

/// A system call's number on this architecture. A type of its own so that it cannot be swapped with
/// an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call(pub usize);

macro_rules! calls {
    ($($name:ident = $x86_64:literal, $aarch64:literal;)*) => {
        impl Call {
            $(
                #[doc = concat!("Number ", stringify!($x86_64), " on x86_64, ", stringify!($aarch64), " on aarch64.")]
                pub const $name: Call = Call(if cfg!(target_arch = "x86_64") { $x86_64 } else { $aarch64 });
            )*
        }
    };
}

// arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (aarch64).
calls! {
    READ = 0, 63;
    WRITE = 1, 64;
    CLOSE = 3, 57;
    MMAP = 9, 222;
    MPROTECT = 10, 226;
    MUNMAP = 11, 215;
    BRK = 12, 214;
    RT_SIGPROCMASK = 14, 135;
    IOCTL = 16, 29;
    PREAD64 = 17, 67;
    MREMAP = 25, 216;
    MSYNC = 26, 227;
    MINCORE = 27, 232;
    MADVISE = 28, 233;
    SHMGET = 29, 194;
    SHMAT = 30, 196;
    SHMCTL = 31, 195;
    GETPID = 39, 172;
    CLONE = 56, 220;
    EXIT = 60, 93;
    SHMDT = 67, 197;
    FCNTL = 72, 25;
    FTRUNCATE = 77, 46;
    PTRACE = 101, 117;
    GETUID = 102, 174;
    GETEUID = 107, 175;
    MLOCK = 149, 228;
    MUNLOCK = 150, 229;
    MLOCKALL = 151, 230;
    MUNLOCKALL = 152, 231;
    PRCTL = 157, 167;
    GETTID = 186, 178;
    READAHEAD = 187, 213;
    FUTEX = 202, 98;
    FADVISE64 = 221, 223;
    TGKILL = 234, 131;
    OPENAT = 257, 56;
    SYNC_FILE_RANGE = 277, 84;
    FALLOCATE = 285, 47;
    GET_ROBUST_LIST = 274, 100;
    PRLIMIT64 = 302, 261;
    PROCESS_VM_READV = 310, 270;
    PROCESS_VM_WRITEV = 311, 271;
    MEMFD_CREATE = 319, 279;
    USERFAULTFD = 323, 282;
    MLOCK2 = 325, 284;
    PKEY_MPROTECT = 329, 288;
    PKEY_ALLOC = 330, 289;
    PKEY_FREE = 331, 290;
    PIDFD_OPEN = 434, 434;
    PROCESS_MADVISE = 440, 440;
    MEMFD_SECRET = 447, 447;
    CACHESTAT = 451, 451;
    MSEAL = 462, 462;
    FUTEX_WAITV = 449, 449;
}

/// Splits the kernel's answer: -4095 to -1 are error numbers, everything else is a value.
#[inline]
const fn answer(raw: isize) -> Result<usize, Errno> {
    if raw < 0 && raw >= -4095 {
        // The range just checked fits an i32.
        #[allow(clippy::cast_possible_truncation)]
        return Err(Errno(-raw as i32));
    }
    Ok(raw.cast_unsigned())
}

/// Makes a system call without arguments.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. The call with these arguments breaks no memory that Rust code relies on.
#[inline]
pub unsafe fn syscall0(call: Call) -> Result<usize, Errno> {
    // SAFETY: (1) is the caller's; the kernel ignores the argument registers a call does not have.
    unsafe { syscall6(call, 0, 0, 0, 0, 0, 0) }
}

/// Makes a system call with one argument.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. As [`syscall0`].
#[inline]
pub unsafe fn syscall1(call: Call, a: usize) -> Result<usize, Errno> {
    let raw: isize;
    // SAFETY: (1) is the caller's. The kernel preserves every register but the answer's and, on
    // x86_64, rcx and r11, and runs on its own stack.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") call.0 => raw, in("rdi") a,
             out("rcx") _, out("r11") _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") call.0, inlateout("x0") a => raw, options(nostack, preserves_flags));
    }
    answer(raw)
}

/// Makes a system call with two arguments.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. As [`syscall0`].
#[inline]
pub unsafe fn syscall2(call: Call, a: usize, b: usize) -> Result<usize, Errno> {
    let raw: isize;
    // SAFETY: as in `syscall1`.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") call.0 => raw, in("rdi") a, in("rsi") b,
             out("rcx") _, out("r11") _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") call.0, inlateout("x0") a => raw, in("x1") b,
             options(nostack, preserves_flags));
    }
    answer(raw)
}

/// Makes a system call with three arguments.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. As [`syscall0`].
#[inline]
pub unsafe fn syscall3(call: Call, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    let raw: isize;
    // SAFETY: as in `syscall1`.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") call.0 => raw, in("rdi") a, in("rsi") b, in("rdx") c,
             out("rcx") _, out("r11") _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") call.0, inlateout("x0") a => raw, in("x1") b, in("x2") c,
             options(nostack, preserves_flags));
    }
    answer(raw)
}

/// Makes a system call with four arguments.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. As [`syscall0`].
#[inline]
pub unsafe fn syscall4(call: Call, a: usize, b: usize, c: usize, d: usize) -> Result<usize, Errno> {
    let raw: isize;
    // SAFETY: as in `syscall1`.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") call.0 => raw, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             out("rcx") _, out("r11") _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") call.0, inlateout("x0") a => raw, in("x1") b, in("x2") c, in("x3") d,
             options(nostack, preserves_flags));
    }
    answer(raw)
}

/// Makes a system call with five arguments.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. As [`syscall0`].
#[inline]
pub unsafe fn syscall5(call: Call, a: usize, b: usize, c: usize, d: usize, e: usize) -> Result<usize, Errno> {
    let raw: isize;
    // SAFETY: as in `syscall1`.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") call.0 => raw, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, out("rcx") _, out("r11") _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") call.0, inlateout("x0") a => raw, in("x1") b, in("x2") c, in("x3") d,
             in("x4") e, options(nostack, preserves_flags));
    }
    answer(raw)
}

/// Makes a system call with six arguments.
///
/// # Errors
/// What the call says.
///
/// # Safety
/// 1. As [`syscall0`].
#[inline]
#[allow(clippy::too_many_arguments)] // The kernel's own number.
pub unsafe fn syscall6(
    call: Call,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> Result<usize, Errno> {
    let raw: isize;
    // SAFETY: as in `syscall1`.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!("syscall", inlateout("rax") call.0 => raw, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             in("r8") e, in("r9") f, out("rcx") _, out("r11") _, options(nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        asm!("svc 0", in("x8") call.0, inlateout("x0") a => raw, in("x1") b, in("x2") c, in("x3") d,
             in("x4") e, in("x5") f, options(nostack, preserves_flags));
    }
    answer(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_error_only_in_the_kernels_range() {
        assert_eq!(answer(-1), Err(Errno::EPERM));
        assert_eq!(answer(-4095), Err(Errno(4095)));
        assert_eq!(answer(-4096), Ok(usize::MAX - 4095));
        assert_eq!(answer(0), Ok(0));
    }

    #[test]
    fn getpid_is_the_process_id() {
        // SAFETY: (1) getpid takes nothing and changes nothing.
        let pid = unsafe { syscall0(Call::GETPID) };
        assert_eq!(pid, Ok(std::process::id() as usize));
    }

    #[test]
    fn each_arity_reaches_the_kernel_with_its_arguments_in_place() {
        // SAFETY: (1) all of these fail on the argument under test before they change anything.
        unsafe {
            assert_eq!(syscall1(Call::CLOSE, usize::MAX), Err(Errno::EBADF));
            assert_eq!(syscall2(Call::MUNMAP, 4096, 0), Err(Errno::EINVAL));
            assert_eq!(syscall3(Call::MADVISE, 4096, 4096, 9999), Err(Errno::EINVAL));
            assert_eq!(syscall4(Call::RT_SIGPROCMASK, 0, 0, 0, 7), Err(Errno::EINVAL));
            assert_eq!(syscall5(Call::MREMAP, 0, 4096, 4096, 2, 1), Err(Errno::EINVAL));
            // Six: anonymous memory with a page offset that wraps.
            let r = syscall6(Call::MMAP, 0, 4096, 0, 0x02, usize::MAX, 0);
            assert_eq!(r, Err(Errno::EBADF));
            let r = syscall6(Call::MMAP, 0, 4096, 0, 0x22, usize::MAX, 1);
            assert_eq!(r, Err(Errno::EINVAL));
        }
    }
}
