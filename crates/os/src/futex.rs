//! Waiting on a word until another thread changes it: FUTEX_WAIT and FUTEX_WAKE.
//!
//! [`wait`] and [`wake`] are private to the process, which is cheaper; the kernel's own wake at a
//! thread's end is not private, so [`wait_shared`] exists for it. Never spins and never retries:
//! every return, a good one included, may be spurious, and the caller looks at the word again. Safe
//! in a signal handler.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall3, syscall4};
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
const FUTEX_PRIVATE: usize = 128;

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

/// Wakes at most `count` threads that [`wait`] on `word`, and says how many. Change the word first.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    // The kernel takes the count for a signed number.
    let count = count.min(i32::MAX.cast_unsigned());
    // SAFETY: (1) a wake only looks at the word's address.
    let woken = unsafe {
        syscall3(
            Call::FUTEX,
            word.as_ptr().expose_provenance(),
            FUTEX_WAKE | FUTEX_PRIVATE,
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
}
