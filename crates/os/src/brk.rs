//! The program break: query, grow and shrink, noticing when somebody else moves it.
//!
//! The break belongs to the process, not to neap: the C library's own malloc (before the preload, or
//! through `dlmopen`) and programs with a pool of their own move it with `sbrk`. So every move goes through
//! libc's `sbrk`: libc caches the break (`__curbrk`), and a raw `brk` would leave that cache behind,
//! so that the next foreign `sbrk` would give out memory that is neap's. The kernel is asked too
//! before a move, which catches those who moved it by a raw call.
//!
//! A move that races with a foreign one between the check and the call is noticed afterwards by the
//! old break that `sbrk` returns. musl's `sbrk` only queries: every move is `ENOMEM` there.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall1};
use core::ffi::{c_int, c_void};

#[link(name = "c")]
unsafe extern "C" {
    fn sbrk(increment: isize) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

/// libc's `sbrk` without its `errno`: `None` where it says (void *) -1, or what no address can be: the
/// kernel's brk(2) never fails, so libc takes an error that a seccomp filter answers with for a break.
///
/// # Safety
/// 1. Nothing uses the memory that a negative `increment` gives up.
unsafe fn libc_sbrk(increment: isize) -> Option<usize> {
    // SAFETY: libc's errno of this thread is a valid, aligned c_int for the thread's life; (1) is
    // sbrk's only condition.
    let old = unsafe {
        let errno = __errno_location();
        let saved = *errno;
        let old = sbrk(increment);
        *errno = saved;
        old.expose_provenance()
    };
    isize::try_from(old).is_ok().then_some(old)
}

/// The program break as libc knows it, or 0 if there is none.
pub(crate) fn current() -> usize {
    // SAFETY: (1) an increment of 0 gives nothing up.
    unsafe { libc_sbrk(0) }.unwrap_or(0)
}

/// Whether the kernel's break is at `expected`.
fn kernel_is_at(expected: usize) -> bool {
    // SAFETY: (1) brk(0) asks for a break below the heap's start, which the kernel always refuses;
    // it answers with the break as it is.
    let now = unsafe { syscall1(Call::BRK, 0) };
    now == Ok(expected)
}

/// Moves the break from `from` to `to`. The bytes of a page gained read as zero.
///
/// # Errors
/// - `EBUSY`: the break is not at `from`; nothing moved. If the foreign move came in between the
///   check and the move, the move is undone where nothing more has happened since; otherwise the
///   memory gained by it is lost until exit.
/// - `ENOMEM`: RLIMIT_DATA, RLIMIT_AS, overcommit, something is mapped above, or musl.
/// - `EINVAL`: the distance does not fit `isize`.
/// - `ENOSYS`: there is no break.
///
/// # Safety
/// 1. When `to < from`: `[to, from)` was gained by an earlier call and nothing uses it any more.
pub(crate) unsafe fn move_from_to(from: usize, to: usize) -> Result<(), Errno> {
    let here = current();
    if here == 0 {
        return Err(Errno::ENOSYS);
    }
    if here != from || !kernel_is_at(from) {
        return Err(Errno::EBUSY);
    }
    let distance = to.wrapping_sub(from).cast_signed();
    if (distance < 0) != (to < from) {
        return Err(Errno::EINVAL);
    }
    if distance == 0 {
        return Ok(());
    }
    // SAFETY: (1) what is given up is [to, from), the caller's (1), as long as the break is still at
    // `from`. It was an instant ago; a foreign move since then is the race that no caller of sbrk
    // can close, and it is reported below.
    let old = unsafe { libc_sbrk(distance) }.ok_or(Errno::ENOMEM)?;
    if old == from {
        return Ok(());
    }
    let Some(undo) = distance.checked_neg() else {
        return Err(Errno::EBUSY);
    };
    let moved_to = old.wrapping_add_signed(distance);
    if current() == moved_to && kernel_is_at(moved_to) {
        // SAFETY: (1) when `undo` is negative it gives up [old, moved_to), which the move above
        // gained and nobody has been told of.
        let _ = unsafe { libc_sbrk(undo) };
    }
    Err(Errno::EBUSY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::in_child;

    // In a child of one thread, because the tests' own malloc moves the break as well.

    #[test]
    fn the_break_grows_zeroed_and_shrinks() {
        in_child(|| {
            let from = current();
            let to = (from + 0x1fff) & !0xfff;
            // SAFETY: (1) grows.
            assert_eq!(unsafe { move_from_to(from, to) }, Ok(()));
            let byte = core::ptr::with_exposed_provenance_mut::<u8>(to - 1);
            // SAFETY: the byte lies in the page just gained.
            unsafe {
                assert_eq!(byte.read_volatile(), 0);
                byte.write_volatile(1);
            }
            assert_eq!(current(), to);
            // SAFETY: (1) [from, to) was gained above and `byte` is not used again.
            assert_eq!(unsafe { move_from_to(to, from) }, Ok(()));
            assert_eq!(current(), from);
            // SAFETY: (1) grows.
            assert_eq!(unsafe { move_from_to(from, to) }, Ok(()));
            // SAFETY: as above. What was given up has come back zeroed.
            assert_eq!(unsafe { byte.read_volatile() }, 0);
        });
    }

    #[test]
    fn a_foreign_move_is_busy_by_sbrk_or_by_a_raw_call() {
        in_child(|| {
            let from = current();
            // SAFETY: (1) grows.
            unsafe { libc_sbrk(4096) }.unwrap();
            // SAFETY: (1) grows.
            assert_eq!(unsafe { move_from_to(from, from + 4096) }, Err(Errno::EBUSY));
            assert_eq!(current(), from + 4096);

            let from = current();
            // SAFETY: (1) grows.
            unsafe { syscall1(Call::BRK, from + 8192) }.unwrap();
            // SAFETY: (1) grows.
            assert_eq!(unsafe { move_from_to(from, from + 4096) }, Err(Errno::EBUSY));
            assert!(kernel_is_at(from + 8192));
        });
    }

    #[test]
    fn impossible_growth_is_out_of_memory_and_leaves_errno_alone() {
        in_child(|| {
            let from = current();
            // SAFETY: errno of this thread.
            unsafe { *__errno_location() = 77 };
            // SAFETY: (1) grows.
            let grown = unsafe { move_from_to(from, from + (1 << 46)) };
            assert_eq!(grown, Err(Errno::ENOMEM));
            // SAFETY: errno of this thread.
            assert_eq!(unsafe { *__errno_location() }, 77);
            // SAFETY: (1) grows.
            let grown = unsafe { move_from_to(from, from.wrapping_add(1 << 63)) };
            assert_eq!(grown, Err(Errno::EINVAL));
            assert_eq!(current(), from);
        });
    }
}
