//! Atomics and the one lock of the heap.
//!
//! Owns the names of the atomics that every other module imports from here (loom's in its models), and [`Lock`]: a futex
//! mutex that knows which thread holds it, so that fork(2) in a signal handler that interrupted
//! the heap can tell a lock of its own thread from another's. Never allocates, never spins for
//! long. Lock order: `registry`, `shelf[0..]`, `pages`; `tick` is taken before any of them.

#[cfg(all(test, loom))]
pub(crate) use crate::model::{
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, clock, fence, futex, spin_loop,
    thread,
};
pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
#[cfg(not(all(test, loom)))]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, fence},
};
#[cfg(not(all(test, loom)))]
pub(crate) use neap_os::{clock, futex, thread};

/// Names a thread to the locks: never 0. Two threads may share a token only if their thread-local
/// blocks are a multiple of 128 GiB apart; a lock then takes one for the other, which costs a
/// detour (the lock seems to be held by oneself) but nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token(u32);

impl Token {
    /// The token of the thread whose [`crate::local::Local`] lies at `address`.
    pub(crate) fn of_address(address: usize) -> Token {
        debug_assert!(address.is_multiple_of(64));
        // Local blocks are 64-byte aligned, so bit 6 up tell them apart; bit 0 is the waiters' mark.
        let bits = u32::try_from((address >> 6) & 0x7fff_ffff).unwrap_or(1);
        Token(if bits == 0 { 2 } else { bits << 1 })
    }
    /// The helper thread's token: it has no thread-local block.
    pub(crate) const HELPER: Token = Token(u32::MAX - 1);
}

const WAITERS: u32 = 1;
const SPINS: u32 = if cfg!(loom) { 1 } else { 60 };

/// A mutex on one word: 0 free, otherwise the holder's token, bit 0 set when somebody sleeps.
pub(crate) struct Lock {
    word: AtomicU32,
}

/// Proof that the lock is held; gives it back when dropped.
pub(crate) struct Held<'a> {
    lock: &'a Lock,
}

impl Lock {
    pub(crate) const fn new() -> Lock {
        Lock {
            word: AtomicU32::new(0),
        }
    }

    /// Takes the lock, sleeping while another thread has it.
    #[inline]
    pub(crate) fn lock(&self, token: Token) -> Held<'_> {
        if self.word.compare_exchange(0, token.0, Acquire, Relaxed).is_err() {
            self.lock_slow(token);
        }
        Held { lock: self }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub(crate) fn try_lock(&self, token: Token) -> Option<Held<'_>> {
        self.word.compare_exchange(0, token.0, Acquire, Relaxed).ok()?;
        Some(Held { lock: self })
    }

    /// Whether the thread of `token` holds the lock.
    pub(crate) fn is_held_by(&self, token: Token) -> bool {
        self.word.load(Relaxed) & !WAITERS == token.0
    }

    #[cold]
    fn lock_slow(&self, token: Token) {
        debug_assert!(!self.is_held_by(token), "a thread waits for itself");
        for _ in 0..SPINS {
            if self.word.load(Relaxed) == 0
                && self.word.compare_exchange(0, token.0, Acquire, Relaxed).is_ok()
            {
                return;
            }
            spin_loop();
        }
        loop {
            let seen = self.word.load(Relaxed);
            if seen == 0 {
                // Taken with the waiters' mark: somebody else may still be asleep.
                if self
                    .word
                    .compare_exchange(0, token.0 | WAITERS, Acquire, Relaxed)
                    .is_ok()
                {
                    return;
                }
                continue;
            }
            if seen & WAITERS == 0
                && self
                    .word
                    .compare_exchange(seen, seen | WAITERS, Relaxed, Relaxed)
                    .is_err()
            {
                continue;
            }
            self.sleep(seen | WAITERS);
        }
    }

    fn sleep(&self, seen: u32) {
        // An error means the word changed or a signal came: the caller looks again.
        let _ = futex::wait(&self.word, seen, None);
    }

    fn wake(&self) {
        let _ = futex::wake(&self.word, 1);
    }

    #[inline]
    fn unlock(&self) {
        if self.word.swap(0, Release) & WAITERS != 0 {
            self.wake();
        }
    }

    /// Gives back a lock whose [`Held`] was forgotten, or, in the child of fork(2), one whose holder
    /// did not come along.
    pub(crate) fn release(&self) {
        self.unlock();
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        self.lock.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::sync::Arc;

    #[test]
    fn eight_threads_never_share_the_lock() {
        struct Both {
            lock: Lock,
            inside: AtomicU32,
            total: AtomicU32,
        }
        let both = Arc::new(Both {
            lock: Lock::new(),
            inside: AtomicU32::new(0),
            total: AtomicU32::new(0),
        });
        let threads: std::vec::Vec<_> = (1..=8)
            .map(|n| {
                let both = both.clone();
                std::thread::spawn(move || {
                    let token = Token::of_address(n * 64);
                    for _ in 0..5000 {
                        let _held = both.lock.lock(token);
                        assert_eq!(both.inside.fetch_add(1, Relaxed), 0);
                        assert!(both.lock.is_held_by(token));
                        both.inside.fetch_sub(1, Relaxed);
                        both.total.fetch_add(1, Relaxed);
                    }
                })
            })
            .collect();
        for t in threads {
            t.join().unwrap();
        }
        assert_eq!(both.total.load(Relaxed), 40_000);
        assert!(both.lock.try_lock(Token::HELPER).is_some());
    }
}
