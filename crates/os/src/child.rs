//! [`in_child`]: runs a test's body in a forked child, for what would disturb the other tests' process.
#![allow(unsafe_code)]

use crate::syscall::{Call, syscall4};
use core::ffi::{c_int, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};

unsafe extern "C" {
    fn fork() -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(status: c_int) -> !;
    fn setresgid(real: c_uint, effective: c_uint, saved: c_uint) -> c_int;
    fn setresuid(real: c_uint, effective: c_uint, saved: c_uint) -> c_int;
}

/// How a child ended: `Ok(exit status)` or `Err(signal)`.
pub(crate) fn end_of_child(body: impl FnOnce()) -> Result<c_int, c_int> {
    // SAFETY: glibc's fork leaves malloc usable in the child of a threaded process; the child runs
    // `body` alone and never returns into the test harness.
    let pid = unsafe { fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let outcome = catch_unwind(AssertUnwindSafe(body));
        // SAFETY: no conditions.
        unsafe { _exit(if outcome.is_ok() { 0 } else { 101 }) };
    }
    let mut status = 0;
    // SAFETY: `status` is a live c_int.
    assert_eq!(unsafe { waitpid(pid, &raw mut status, 0) }, pid);
    if status & 0x7f == 0 {
        Ok((status >> 8) & 0xff)
    } else {
        Err(status & 0x7f)
    }
}

/// Runs `body` in a child and fails the test if it panics or is killed by a signal.
pub(crate) fn in_child(body: impl FnOnce()) {
    assert_eq!(end_of_child(body), Ok(0));
}

/// Makes this child the user and group `id` for good, without capabilities. False if it may not.
pub(crate) fn become_user(id: c_uint) -> bool {
    // SAFETY: changes the credentials of the child that calls it.
    unsafe { setresgid(id, id, id) == 0 && setresuid(id, id, id) == 0 }
}

/// Lowers both values of the resource limit `resource` (RLIMIT_*) of this child.
pub(crate) fn limit(resource: usize, value: u64) {
    let both = [value; 2];
    let address = both.as_ptr().expose_provenance();
    // SAFETY: (1) prlimit64 reads two u64 and limits the child that calls it.
    unsafe { syscall4(Call::PRLIMIT64, 0, resource, address, 0) }.unwrap();
}

/// Says that this test cannot be made here, also in the list that `cargo xtask test` prints. Not by
/// `eprintln!` alone: the test runner keeps that to itself.
pub(crate) fn skip(why: impl std::fmt::Display) {
    let thread = std::thread::current();
    let line = std::format!("neap-os::{}: {why}\n", thread.name().unwrap_or("a test"));
    let _ = std::io::Write::write_all(&mut std::io::stderr(), std::format!("skipped: {line}").as_bytes());
    if let Some(list) = std::env::var_os("NEAP_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| std::io::Write::write_all(&mut list, line.as_bytes()));
    }
}
