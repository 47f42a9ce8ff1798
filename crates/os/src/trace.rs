//! A traced thread of another process goes on (ptrace(2)), with any signal.
//!
//! Owns the three requests that take a signal's number, for which libraries have a name for the first 31 signals
//! only: a tracer that cannot pass a real-time signal on swallows it. Never attaches, never reads registers.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall4};

/// How the thread goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// Until the next signal or event (PTRACE_CONT).
    Runs,
    /// Until the next system call begins or ends, too (PTRACE_SYSCALL).
    StopsAtCalls,
    /// Traced no longer (PTRACE_DETACH).
    IsFree,
}

/// Lets thread `tid`, which this thread traces and which is stopped, go on. `signal` is delivered if the stop was for
/// a signal; 0 for none.
///
/// # Errors
/// `ESRCH`: no such thread, not traced by this one, or not stopped. `EIO`: no such signal.
pub fn resume(tid: u32, then: Then, signal: u32) -> Result<(), Errno> {
    let request = match then {
        Then::Runs => 7,
        Then::StopsAtCalls => 24,
        Then::IsFree => 17,
    };
    // SAFETY: (1) the call concerns a thread of another process: the kernel lets no thread trace one of its own.
    unsafe { syscall4(Call::PTRACE, request, tid as usize, 0, signal as usize)? };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_traced_cannot_be_resumed() {
        let own = crate::thread::getpid();
        for then in [Then::Runs, Then::StopsAtCalls, Then::IsFree] {
            assert_eq!(resume(own, then, 0), Err(Errno::ESRCH));
            assert_eq!(resume(1, then, 0), Err(Errno::ESRCH));
        }
    }
}
