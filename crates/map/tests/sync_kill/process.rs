//! Children of a test: fork, kill, wait.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body` in a child, which ends with 0, or with 101 if it panics. It dies with its parent.
pub(crate) fn fork(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: alarm takes a number. The default action of SIGALRM ends this process: the test hangs no
    // longer.
    unsafe { libc::alarm(60) };
    // SAFETY: glibc's fork leaves malloc usable in the child, which runs `body` alone and never returns.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: sets what this process gets when its parent ends.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let outcome = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: no conditions.
        unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) };
    }
    pid
}

pub(crate) fn kill(pid: libc::pid_t) {
    // SAFETY: a signal to a child that was not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// Waits for a child: its exit status, or the signal that ended it.
pub(crate) fn end_of(pid: libc::pid_t) -> Result<i32, i32> {
    let mut status = 0;
    // SAFETY: `status` is a live int.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFSIGNALED(status) {
        return Err(libc::WTERMSIG(status));
    }
    Ok(libc::WEXITSTATUS(status))
}
