//! Keeping pages in memory: mlock, mlock2, munlock, mlockall, munlockall.
//!
//! Locks do not nest (one [`unlock`] undoes any number), are not inherited by a child and end with
//! the mapping. Locking changes no byte. The kernel rounds the span outwards to whole pages.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall0, syscall1, syscall2, syscall3};
use crate::unit::Span;

/// When a locked page is brought in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// At once, all of them.
    Now,
    /// When it is first touched (MLOCK_ONFAULT, MCL_ONFAULT, since 4.4).
    OnFault,
}

/// Which mappings [`lock_all`] is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mappings {
    /// Those there are (MCL_CURRENT).
    Current,
    /// Those to come (MCL_FUTURE).
    Future,
    /// Both.
    All,
}

/// Locks `span` in memory.
///
/// # Errors
/// - `ENOMEM`: part of it is not mapped (the rest is then locked), or RLIMIT_MEMLOCK, or the map count.
/// - `EPERM`: RLIMIT_MEMLOCK is 0 and CAP_IPC_LOCK is missing.
/// - `EAGAIN`: some pages could not be brought in.
/// - `ENOSYS`: [`When::OnFault`] before 4.4.
pub fn lock(span: Span, when: When) -> Result<(), Errno> {
    const MLOCK_ONFAULT: usize = 1;
    // SAFETY: (1) locking changes no byte and no access right.
    unsafe {
        match when {
            When::Now => syscall2(Call::MLOCK, span.base(), span.len())?,
            When::OnFault => syscall3(Call::MLOCK2, span.base(), span.len(), MLOCK_ONFAULT)?,
        };
    }
    Ok(())
}

/// Unlocks `span`.
///
/// # Errors
/// `ENOMEM`: part of it is not mapped, or the map count.
pub fn unlock(span: Span) -> Result<(), Errno> {
    // SAFETY: (1) as in `lock`.
    unsafe { syscall2(Call::MUNLOCK, span.base(), span.len())? };
    Ok(())
}

/// Locks the whole address space.
///
/// # Errors
/// - `ENOMEM`: RLIMIT_MEMLOCK.
/// - `EPERM`: it is 0 and CAP_IPC_LOCK is missing.
/// - `EINVAL`: [`When::OnFault`] before 4.4.
pub fn lock_all(mappings: Mappings, when: When) -> Result<(), Errno> {
    let which = match mappings {
        Mappings::Current => 1,
        Mappings::Future => 2,
        Mappings::All => 1 | 2,
    };
    let how = match when {
        When::Now => 0,
        When::OnFault => 4,
    };
    // SAFETY: (1) as in `lock`.
    unsafe { syscall1(Call::MLOCKALL, which | how)? };
    Ok(())
}

/// Unlocks the whole address space, mappings to come included.
///
/// # Errors
/// None that the kernel documents for this call today.
pub fn unlock_all() -> Result<(), Errno> {
    // SAFETY: (1) as in `lock`.
    unsafe { syscall0(Call::MUNLOCKALL)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::in_child;
    use crate::linux::Linux;
    use crate::residency::residency;
    use crate::unit::Bytes;
    use crate::vm::Vm;

    const LEN: usize = 4 * 4096;

    fn locked_kib() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmLck:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    #[test]
    fn locking_now_brings_pages_in_and_on_fault_does_not() {
        in_child(|| {
            let span = Linux.map(Bytes(LEN)).unwrap();
            let mut pages = [0; 4];
            lock(span, When::OnFault).unwrap();
            assert_eq!(locked_kib(), LEN / 1024);
            assert_eq!(residency(span, &mut pages), Ok(0));
            lock(span, When::Now).unwrap();
            assert_eq!(residency(span, &mut pages), Ok(4));
            unlock(span).unwrap();
            assert_eq!(locked_kib(), 0);
        });
    }

    #[test]
    fn a_hole_is_out_of_memory() {
        in_child(|| {
            let span = Linux.map(Bytes(LEN)).unwrap();
            // SAFETY: (1, 2) mapped above, never used.
            unsafe { Linux.unmap(Span::new(span.base() + 4096, 4096).unwrap()) }.unwrap();
            assert_eq!(lock(span, When::Now), Err(Errno::ENOMEM));
            assert_eq!(unlock(span), Err(Errno::ENOMEM));
        });
    }

    #[test]
    fn mappings_to_come_are_locked_until_all_is_unlocked() {
        in_child(|| {
            lock_all(Mappings::Future, When::OnFault).unwrap();
            let span = Linux.map(Bytes(LEN)).unwrap();
            assert!(locked_kib() >= LEN / 1024);
            // SAFETY: (1) mapped above; (2) zeros.
            assert_eq!(unsafe { Linux.discard(span) }, Err(Errno::EINVAL));
            unlock_all().unwrap();
            assert_eq!(locked_kib(), 0);
            lock_all(Mappings::Current, When::OnFault).unwrap();
            assert!(locked_kib() >= LEN / 1024);
            lock_all(Mappings::All, When::OnFault).unwrap();
        });
    }
}
