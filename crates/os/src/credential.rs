//! Whether the process has privileges it may drop.
//!
//! Owns two system calls that cannot fail. Never changes a credential.
#![allow(unsafe_code)]

use crate::syscall::{Call, syscall0};

const GETUID: Call = Call(if cfg!(target_arch = "x86_64") { 102 } else { 174 });
const GETEUID: Call = Call(if cfg!(target_arch = "x86_64") { 107 } else { 175 });

/// Whether the calling thread is root, or effectively somebody else than it really is: a thread
/// started now would keep those credentials when libc changes everybody else's (setuid(2), nptl(7)).
#[must_use]
pub fn privileged() -> bool {
    // SAFETY: (1) getuid and geteuid take nothing and change nothing.
    let (real, effective) = unsafe { (syscall0(GETUID), syscall0(GETEUID)) };
    effective == Ok(0) || real != effective
}
