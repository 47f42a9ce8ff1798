//! Waiting on a word until another thread or process changes it: futex(2).
//!
//! [`wait`] and [`wake`] are private to the process, which is cheaper. [`wait_shared`],
//! [`wait_shared_until`], [`wait_any_until`], [`wake_shared`] and [`change_and_wake`] find each other
//! across processes by the memory behind the word, not by its address; the kernel's own wakes, at a
//! thread's end and for robust futexes, are of this kind.
//!
//! Never spins and never retries: every return, a good one included, may be spurious, and the caller
//! looks at the word again. Safe in a signal handler. FUTEX_WAIT_BITSET is Linux 2.6.25,
//! futex_waitv(2) 5.16; all else is older.
#![allow(unsafe_code)]

use crate::clock::monotonic_ns;
use crate::errno::Errno;
use crate::syscall::{Call, syscall3, syscall4, syscall5, syscall6};
use core::marker::PhantomData;
use core::ptr::from_ref;
use core::sync::atomic::AtomicU32;
use core::time::Duration;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

const FUTEX_WAIT: usize = 0;
const FUTEX_WAKE: usize = 1;
const FUTEX_WAKE_OP: usize = 5;
const FUTEX_WAIT_BITSET: usize = 9;
const FUTEX_PRIVATE: usize = 128;
/// Every bit of a FUTEX_WAIT_BITSET: any wake will do.
const MATCH_ANY: usize = 0xffff_ffff;

/// A moment of CLOCK_MONOTONIC ([`crate::clock::monotonic_ns`]), in nanoseconds since boot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Deadline(pub u64);

impl Deadline {
    /// The moment `after` from now; the end of time (584 years of uptime) if that is later.
    #[must_use]
    pub fn after(after: Duration) -> Deadline {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Deadline(monotonic_ns().saturating_add(after))
    }

    fn timespec(self) -> Timespec {
        // Both quotients fit: 2^64 / 10^9 < 2^35.
        Timespec {
            seconds: (self.0 / 1_000_000_000).cast_signed(),
            nanoseconds: (self.0 % 1_000_000_000).cast_signed(),
        }
    }
}

fn wait_with(
    word: &AtomicU32,
    expected: u32,
    timeout: Option<Duration>,
    operation: usize,
) -> Result<(), Errno> {
    let limit = timeout.map(|t| Timespec {
        // The kernel refuses negative seconds; 292 billion years are as good as any longer time.
        seconds: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: i64::from(t.subsec_nanos()),
    });
    let limit = limit.as_ref().map_or(0, |l| from_ref(l).expose_provenance());
    // SAFETY: (1) the kernel reads the word atomically, which a shared reference allows, and reads
    // `limit`, which outlives the call or is null.
    unsafe {
        syscall4(
            Call::FUTEX,
            word.as_ptr().expose_provenance(),
            operation,
            expected as usize,
            limit,
        )?;
    }
    Ok(())
}

/// Sleeps while `word` holds `expected`, until a [`wake`], at most for `timeout` (relative, monotonic).
///
/// # Errors
/// - `EAGAIN`: the word did not hold `expected`.
/// - `ETIMEDOUT`: the time passed.
/// - `EINTR`: a signal was handled.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    wait_with(word, expected, timeout, FUTEX_WAIT | FUTEX_PRIVATE)
}

/// Like [`wait`], for words that another process or the kernel itself wakes (a thread's end,
/// CLONE_CHILD_CLEARTID).
///
/// # Errors
/// As [`wait`].
pub fn wait_shared(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Result<(), Errno> {
    wait_with(word, expected, timeout, FUTEX_WAIT)
}

/// Like [`wait_shared`], until a moment instead of for a time, so that a caller that looks and waits
/// again need not reckon what is left. `None` waits for ever.
///
/// # Errors
/// As [`wait`].
pub fn wait_shared_until(word: &AtomicU32, expected: u32, until: Option<Deadline>) -> Result<(), Errno> {
    let limit = until.map(Deadline::timespec);
    let limit = limit.as_ref().map_or(0, |l| from_ref(l).expose_provenance());
    // SAFETY: (1) as in `wait_with`; FUTEX_WAIT_BITSET differs in that its limit is absolute.
    unsafe {
        syscall6(
            Call::FUTEX,
            word.as_ptr().expose_provenance(),
            FUTEX_WAIT_BITSET,
            expected as usize,
            limit,
            0,
            MATCH_ANY,
        )?;
    }
    Ok(())
}

/// One of the words that [`wait_any_until`] sleeps on, and what it must hold for that: the kernel's
/// `struct futex_waitv`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Watch<'a> {
    expected: u64,
    word: *const AtomicU32,
    flags: u32,
    reserved: u32,
    borrow: PhantomData<&'a AtomicU32>,
}

impl<'a> Watch<'a> {
    /// The most words that one [`wait_any_until`] takes (FUTEX_WAITV_MAX).
    pub const MAX: usize = 128;

    /// Sleeps while `word`, which may be in memory shared with other processes, holds `expected`.
    #[must_use]
    pub fn new(word: &'a AtomicU32, expected: u32) -> Watch<'a> {
        // FUTEX2_SIZE_U32, and not FUTEX2_PRIVATE.
        const SIZE_U32: u32 = 2;
        from_ref(word).expose_provenance();
        Watch {
            expected: u64::from(expected),
            word,
            flags: SIZE_U32,
            reserved: 0,
            borrow: PhantomData,
        }
    }
}

/// Like [`wait_shared_until`], on up to [`Watch::MAX`] words at once. Says which of them was woken;
/// there may be others. Linux 5.16.
///
/// # Errors
/// - `ENOSYS`: the kernel is older.
/// - `EINVAL`: no word, or more than [`Watch::MAX`].
/// - As [`wait`]: `EAGAIN` if one of the words did not hold what was expected.
pub fn wait_any_until(watches: &[Watch], until: Option<Deadline>) -> Result<usize, Errno> {
    const CLOCK_MONOTONIC: usize = 1;
    let limit = until.map(Deadline::timespec);
    let limit = limit.as_ref().map_or(0, |l| from_ref(l).expose_provenance());
    // SAFETY: (1) futex_waitv reads the descriptions, the words and the limit, all alive during the
    // call, the words atomically.
    unsafe {
        syscall5(
            Call::FUTEX_WAITV,
            watches.as_ptr().expose_provenance(),
            watches.len(),
            0,
            limit,
            CLOCK_MONOTONIC,
        )
    }
}

/// Wakes at most `count` threads that [`wait`] on `word`, and says how many. Change the word first.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    wake_with(word, count, FUTEX_WAKE | FUTEX_PRIVATE)
}

/// Like [`wake`], for those that wait with [`wait_shared`] and its kin, in any process.
pub fn wake_shared(word: &AtomicU32, count: u32) -> u32 {
    wake_with(word, count, FUTEX_WAKE)
}

/// What [`change_and_wake`] does to the word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Adds 1, wrapping.
    AddOne,
    /// Clears the highest bit.
    ClearTop,
}

/// Changes `word` and wakes at most `count` of those that wait on it in any process, in one step
/// (FUTEX_WAKE_OP): whoever began to wait before the change is there to be woken, whoever comes later
/// sees the new value, and a kill of the caller comes before both or after both. Says how many.
///
/// # Errors
/// What futex(2) says: `ENOSYS` or `EPERM` in a sandbox. Nothing was changed then.
pub fn change_and_wake(word: &AtomicU32, change: Change, count: u32) -> Result<u32, Errno> {
    const ADD: u32 = 1;
    const AND_NOT: u32 = 3;
    /// The argument is a bit's number.
    const SHIFT: u32 = 8;
    // The operation, then what the old value must equal for a second wake. The second wake would be
    // of the same word, so it may happen; 2047 is as rare a value as any.
    let operation = match change {
        Change::AddOne => ADD << 28 | 1 << 12 | 2047,
        Change::ClearTop => (AND_NOT | SHIFT) << 28 | 31 << 12 | 2047,
    };
    let address = word.as_ptr().expose_provenance();
    let count = count.min(i32::MAX.cast_unsigned());
    // SAFETY: (1) the kernel changes the word atomically, which a shared reference to an atomic
    // allows. The fourth argument is the count of the second wake.
    let woken = unsafe {
        syscall6(
            Call::FUTEX,
            address,
            FUTEX_WAKE_OP,
            count as usize,
            0,
            address,
            operation as usize,
        )?
    };
    Ok(u32::try_from(woken).unwrap_or(0))
}

fn wake_with(word: &AtomicU32, count: u32, operation: usize) -> u32 {
    // The kernel takes the count for a signed number.
    let count = count.min(i32::MAX.cast_unsigned());
    // SAFETY: (1) a wake only looks at the word's address.
    let woken = unsafe {
        syscall3(
            Call::FUTEX,
            word.as_ptr().expose_provenance(),
            operation,
            count as usize,
        )
    };
    // A live, aligned word is never refused.
    u32::try_from(woken.unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::Ordering::SeqCst;
    use std::time::Instant;

    #[test]
    fn another_value_is_try_again() {
        assert_eq!(wait(&AtomicU32::new(1), 2, None), Err(Errno::EAGAIN));
        assert_eq!(wait_shared(&AtomicU32::new(1), 2, None), Err(Errno::EAGAIN));
    }

    #[test]
    fn the_timeout_is_relative() {
        let start = Instant::now();
        let word = AtomicU32::new(0);
        assert_eq!(
            wait(&word, 0, Some(Duration::from_millis(20))),
            Err(Errno::ETIMEDOUT)
        );
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_wake_reaches_the_sleeper() {
        let word = AtomicU32::new(0);
        assert_eq!(wake(&word, 1), 0);
        std::thread::scope(|s| {
            s.spawn(|| {
                while word.load(SeqCst) == 0 {
                    let _ = wait(&word, 0, Some(Duration::MAX));
                }
            });
            std::thread::sleep(Duration::from_millis(5));
            word.store(1, SeqCst);
            wake(&word, u32::MAX);
        });
    }

    #[test]
    fn a_deadline_is_absolute_and_may_be_the_end_of_time() {
        let start = Instant::now();
        let word = AtomicU32::new(0);
        let until = Deadline::after(Duration::from_millis(20));
        while start.elapsed() < Duration::from_millis(20) {
            let _ = wait_shared_until(&word, 0, Some(until));
        }
        assert_eq!(wait_shared_until(&word, 0, Some(until)), Err(Errno::ETIMEDOUT));
        assert_eq!(
            wait_shared_until(&word, 1, Some(Deadline::after(Duration::MAX))),
            Err(Errno::EAGAIN)
        );
        assert_eq!(Deadline::after(Duration::MAX), Deadline(u64::MAX));
    }

    #[test]
    fn a_change_and_its_wake_are_one_step() {
        let word = AtomicU32::new(0x8000_0007);
        assert_eq!(change_and_wake(&word, Change::AddOne, u32::MAX), Ok(0));
        assert_eq!(word.load(SeqCst), 0x8000_0008);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    while word.load(SeqCst) == 0x8000_0008 {
                        let _ = wait_shared_until(&word, 0x8000_0008, None);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(5));
            assert!(change_and_wake(&word, Change::ClearTop, u32::MAX).is_ok_and(|n| n <= 2));
            assert_eq!(word.load(SeqCst), 8);
        });
    }

    #[test]
    fn one_of_several_words_ends_the_wait() {
        let words = [const { AtomicU32::new(0) }; 3];
        let watch = |expected: u32| words.each_ref().map(|w| Watch::new(w, expected));
        match wait_any_until(&watch(1), None) {
            Err(Errno::ENOSYS) => {
                return crate::child::skip(format_args!("no futex_waitv(2) before Linux 5.16"));
            }
            outcome => assert_eq!(outcome, Err(Errno::EAGAIN)),
        }
        assert_eq!(wait_any_until(&[], None), Err(Errno::EINVAL));
        let passed = Some(Deadline(1));
        assert_eq!(wait_any_until(&watch(0), passed), Err(Errno::ETIMEDOUT));
        std::thread::scope(|s| {
            s.spawn(|| {
                while words[1].load(SeqCst) == 0 {
                    let _ = wait_any_until(&watch(0), None);
                }
            });
            std::thread::sleep(Duration::from_millis(5));
            words[1].store(1, SeqCst);
            wake_shared(&words[1], 1);
        });
    }
}
