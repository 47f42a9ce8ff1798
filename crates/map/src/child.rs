//! Processes for tests: what would disturb the other tests' process, or takes two.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A forked child. Killed and reaped when it is dropped.
pub(crate) struct Child {
    pid: libc::pid_t,
    is_reaped: bool,
}

impl Child {
    /// Runs `body` in a child.
    pub(crate) fn start(body: impl FnOnce()) -> Child {
        // SAFETY: glibc's fork leaves malloc usable in the child of a threaded process; the child runs
        // `body` alone and never returns into the test harness.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            // A panic may wait for ever for a lock of a thread that was not forked along.
            // SAFETY: ends this child after a minute.
            unsafe { libc::alarm(60) };
            let outcome = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: no conditions.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { 101 }) };
        }
        Child {
            pid,
            is_reaped: false,
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        assert!(!self.is_reaped);
        // SAFETY: no conditions: the process is a child that was not reaped, so the number is still its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// How it ended: `Ok(exit status)` or `Err(signal)`.
    pub(crate) fn end(mut self) -> Result<i32, i32> {
        let status = self.reap();
        if libc::WIFEXITED(status) {
            Ok(libc::WEXITSTATUS(status))
        } else {
            Err(libc::WTERMSIG(status))
        }
    }

    fn reap(&mut self) -> i32 {
        let mut status = 0;
        self.is_reaped = true;
        // SAFETY: `status` is a live c_int.
        assert_eq!(unsafe { libc::waitpid(self.pid, &raw mut status, 0) }, self.pid);
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
            self.reap();
        }
    }
}

/// Runs `body` in a child and fails the test if it panics or is killed by a signal.
pub(crate) fn in_child(body: impl FnOnce()) {
    assert_eq!(Child::start(body).end(), Ok(0));
}

/// Sets a soft limit of this child.
pub(crate) fn limit(resource: libc::__rlimit_resource_t, soft: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is live.
    unsafe {
        assert_eq!(libc::getrlimit(resource, &raw mut limit), 0);
        limit.rlim_cur = soft;
        assert_eq!(libc::setrlimit(resource, &raw const limit), 0);
    }
}

/// The address space that this process has now, in bytes.
pub(crate) fn address_space() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    pages * neap_os::env::page_size() as u64
}

/// Uses up the map count of this child, but for `left` of them. The maps stay. What is allocated afterwards
/// comes from memory that the C library keeps, so that failures can be read and told.
pub(crate) fn exhaust_maps(left: usize) {
    let page = neap_os::env::page_size();
    let most = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    let len = 2 * page * (most.trim().parse::<usize>().unwrap() + 2);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: settings of the C library's allocator, which take effect at once.
    unsafe {
        assert_eq!(libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20), 1);
        assert_eq!(libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30), 1);
    }
    drop(std::hint::black_box(vec![1_u8; 24 << 20]));
    // SAFETY: an anonymous mapping at an address of the kernel's choice, whose protections change; nobody
    // uses it.
    unsafe {
        let base = libc::mmap(std::ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(base, libc::MAP_FAILED);
        let mut at = base.cast::<u8>();
        while libc::mprotect(at.cast(), page, libc::PROT_READ) == 0 {
            at = at.add(2 * page);
        }
        // mmap may pass the limit by one, which a split may not. Neighbours with other rights do not merge.
        let one = |prot| libc::mmap(std::ptr::null_mut(), page, prot, flags, -1, 0);
        for prot in [libc::PROT_NONE, libc::PROT_READ].repeat(8) {
            one(prot);
        }
        assert_eq!(one(libc::PROT_EXEC), libc::MAP_FAILED);
        for _ in 0..left.div_ceil(2) {
            at = at.sub(2 * page);
            assert_eq!(libc::mprotect(at.cast(), page, libc::PROT_NONE), 0);
        }
        if !left.is_multiple_of(2) {
            assert_ne!(one(libc::PROT_EXEC), libc::MAP_FAILED);
        }
    }
}

/// Makes this child the user and group `id` for good, without capabilities. False if it may not.
pub(crate) fn become_user(id: u32) -> bool {
    // SAFETY: changes the credentials of the child that calls it.
    unsafe { libc::setresgid(id, id, id) == 0 && libc::setresuid(id, id, id) == 0 }
}
