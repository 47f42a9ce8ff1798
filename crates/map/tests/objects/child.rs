//! Children for tests, as whom they run, and what skipping says.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A user who is nobody else.
pub(crate) const STRANGER: u32 = 65534;

/// A forked child. Killed and reaped when it is dropped.
pub(crate) struct Child(libc::pid_t);

impl Child {
    /// Runs `body` in a child.
    pub(crate) fn start(body: impl FnOnce()) -> Child {
        // SAFETY: glibc's fork leaves malloc usable in the child of a threaded process; the child runs
        // `body` alone and never returns into the test harness.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            let outcome = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: no conditions.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) };
        }
        Child(pid)
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.cast_unsigned()
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        // SAFETY: a child that was not reaped, so the number is still its own.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }

    /// How it ended: `Ok(exit status)` or `Err(signal)`.
    pub(crate) fn end(mut self) -> Result<i32, i32> {
        self.reap()
    }

    fn reap(&mut self) -> Result<i32, i32> {
        let mut status = 0;
        // SAFETY: `status` is a live c_int.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        self.0 = 0;
        if libc::WIFEXITED(status) {
            Ok(libc::WEXITSTATUS(status))
        } else {
            Err(libc::WTERMSIG(status))
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.0 != 0 {
            self.kill();
            let _ = self.reap();
        }
    }
}

/// Runs `body` in a child and fails the test if it panics or is killed.
pub(crate) fn in_child(body: impl FnOnce()) {
    assert_eq!(Child::start(body).end(), Ok(0));
}

/// Runs `body` in a child as the user 65534 without capabilities; as whoever runs the tests if that is not
/// root.
pub(crate) fn as_stranger(body: impl FnOnce()) {
    in_child(|| {
        become_stranger();
        body();
    });
}

/// Makes this child a stranger for good, if it is root.
pub(crate) fn become_stranger() {
    if is_root() {
        // SAFETY: changes the credentials of the child that calls it.
        unsafe {
            assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
            assert_eq!(libc::setresgid(STRANGER, STRANGER, STRANGER), 0);
            assert_eq!(libc::setresuid(STRANGER, STRANGER, STRANGER), 0);
        }
    }
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    // SAFETY: no conditions.
    unsafe { libc::geteuid() == 0 }
}

/// Sets a soft and hard limit of this child.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: `limit` is a live rlimit.
    assert_eq!(unsafe { libc::setrlimit(resource, &raw const limit) }, 0);
}

/// Gives this child a file system of so many bytes for /dev/shm. False if it may not.
pub(crate) fn own_shm(bytes: u64) -> bool {
    let options = std::ffi::CString::new(format!("size={bytes},mode=1777")).unwrap();
    // SAFETY: the strings are live; the child's mounts are its own after unshare and become private.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(
                c"small".as_ptr(),
                c"/dev/shm".as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                options.as_ptr().cast(),
            ) == 0
    }
}

/// Gives this child an IPC namespace. False if it may not.
pub(crate) fn own_ipc() -> bool {
    // SAFETY: no conditions.
    unsafe { libc::unshare(libc::CLONE_NEWIPC) == 0 }
}

/// From now on a signal interrupts this child's calls, every tenth of a millisecond.
pub(crate) fn interrupt_often() {
    extern "C" fn handle(_: libc::c_int) {}
    let often = libc::timeval {
        tv_sec: 0,
        tv_usec: 100,
    };
    let timer = libc::itimerval {
        it_interval: often,
        it_value: often,
    };
    let handler: extern "C" fn(libc::c_int) = handle;
    // SAFETY: the handler does nothing, without SA_RESTART; zeros are a valid sigaction otherwise.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as usize;
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
        let set = libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0);
        assert_eq!(set, 0);
    }
}

/// Says by name that a part of a test was not run, and why.
pub(crate) fn skip(what: &str, why: &dyn std::fmt::Display) {
    crate::skip::skip(format_args!("{what}: {why}"));
}
