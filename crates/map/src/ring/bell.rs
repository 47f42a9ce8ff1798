//! [`Bell`]: one thread waits for a condition, another rings when it has made it true.
//!
//! Ringing costs a fence while nobody waits. A wait may end early, and who waits looks again. Whatever value
//! another process stores makes a wait shorter, or as long as its limit, and nothing else.

use neap_os::errno::Errno;
use neap_os::futex::{self, Deadline};
use std::sync::atomic::{AtomicU32, Ordering, fence};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// See the module. Any value that another process stores is one.
#[repr(transparent)]
pub(super) struct Bell(AtomicU32);

impl Bell {
    pub(super) const fn new() -> Bell {
        Bell(AtomicU32::new(AWAKE))
    }

    /// Waits for a ring, if `is_true` is not. For one thread at a time.
    pub(super) fn wait(&self, is_true: impl Fn() -> bool) {
        self.sleep(is_true, |word| futex::wait(word, ASLEEP, None));
    }

    /// The same for one that another process rings, until `limit` at most.
    pub(super) fn wait_shared(&self, limit: Deadline, is_true: impl Fn() -> bool) {
        self.sleep(is_true, |word| {
            futex::wait_shared_until(word, ASLEEP, Some(limit))
        });
    }

    fn sleep(&self, is_true: impl Fn() -> bool, wait: impl Fn(&AtomicU32) -> Result<(), Errno>) {
        // About as long as a wake takes.
        const LOOKS: u32 = 200;
        for _ in 0..LOOKS {
            if is_true() {
                return;
            }
            std::hint::spin_loop();
        }
        self.0.store(ASLEEP, Ordering::Relaxed);
        // With the fence in `must_wake`: either this sees the condition, or the other sees the sleeper.
        fence(Ordering::SeqCst);
        if !is_true() {
            // Woken, interrupted, too late, or no more asleep: the caller looks.
            let _ = wait(&self.0);
        }
        self.0.store(AWAKE, Ordering::Relaxed);
    }

    /// Says that the condition may be true now: after the store that made it so.
    pub(super) fn ring(&self) {
        if self.must_wake() {
            futex::wake(&self.0, 1);
        }
    }

    /// The same for one that another process waits for.
    pub(super) fn ring_shared(&self) {
        if self.must_wake() {
            futex::wake_shared(&self.0, 1);
        }
    }

    fn must_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != AWAKE && self.0.swap(AWAKE, Ordering::Relaxed) != AWAKE
    }
}
