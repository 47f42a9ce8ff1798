//! Runs a test's body in a forked child, for what would disturb the process of the other tests.
#![allow(unsafe_code, dead_code)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A user without any right.
pub(crate) const NOBODY: libc::uid_t = 65_534;

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// With this status: 101 for a panic.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// Starts `body` in a child, which ends when it returns.
pub(crate) fn start(body: impl FnOnce()) -> libc::pid_t {
    // SAFETY: glibc's fork leaves malloc usable in the child of a threaded process; the child runs `body`
    // alone and never returns into the test harness.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // Whatever a child waits for, the test ends. A lock that another thread held at the fork stays
        // locked. SAFETY: no conditions.
        unsafe { libc::alarm(60) };
        let outcome = catch_unwind(AssertUnwindSafe(body));
        if let Err(panic) = &outcome {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            // The harness keeps what is printed in memory that goes with the child.
            let _ = writeln!(std::io::stderr(), "in a child: {}", text.unwrap_or("panicked"));
        }
        // SAFETY: no conditions.
        unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) };
    }
    pid
}

/// Waits for a child.
pub(crate) fn end(pid: libc::pid_t) -> End {
    let mut status = 0;
    // SAFETY: `status` is a live int.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    if libc::WIFEXITED(status) {
        End::Exited(libc::WEXITSTATUS(status))
    } else {
        End::Killed(libc::WTERMSIG(status))
    }
}

/// Runs `body` in a child, and fails the test if it panics or is killed.
pub(crate) fn in_child(body: impl FnOnce()) {
    assert_eq!(end(start(body)), End::Exited(0));
}

/// Runs `body` in a child without any right: as [`NOBODY`] if the tests run as root.
pub(crate) fn as_nobody(body: impl FnOnce()) {
    in_child(|| {
        become_nobody();
        body();
    });
}

/// Gives up root's rights, for good.
pub(crate) fn become_nobody() {
    // SAFETY: these change the credentials of the child that calls them.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setresgid(NOBODY, NOBODY, NOBODY), 0);
            assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0);
            // A change of user makes /proc/self root's.
            assert_eq!(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
        }
    }
}

/// Lowers a limit of this child.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: reads `limit`.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: no conditions.
    unsafe { libc::geteuid() == 0 }
}

/// Ends this child with a core, as far as the limit allows.
pub(crate) fn core_and_abort() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: writes and reads `limit`.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_CORE, &raw const limit), 0);
        libc::abort();
    }
}
