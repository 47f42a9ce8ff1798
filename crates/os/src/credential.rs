//! Whether the process has privileges it may drop.
//!
//! Owns two system calls that cannot fail. Never changes a credential.
#![allow(unsafe_code)]

use crate::syscall::{Call, syscall0};

/// Whether the calling thread is root, or effectively somebody else than it really is: a thread
/// started now would keep those credentials when libc changes everybody else's (setuid(2), nptl(7)).
/// Capabilities without either (file capabilities) are not looked at: [`crate::env::secure`] tells.
#[must_use]
pub fn privileged() -> bool {
    // SAFETY: (1) getuid and geteuid take nothing and change nothing.
    let (real, effective) = unsafe { (syscall0(Call::GETUID), syscall0(Call::GETEUID)) };
    effective == Ok(0) || real != effective
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::in_child;
    use core::ffi::{c_int, c_uint};

    unsafe extern "C" {
        fn setresuid(real: c_uint, effective: c_uint, saved: c_uint) -> c_int;
    }

    fn become_user(real: c_uint, effective: c_uint) -> bool {
        // SAFETY: changes the credentials of the child that calls it.
        unsafe { setresuid(real, effective, 0) == 0 }
    }

    #[test]
    fn root_and_the_half_dropped_are_privileged() {
        in_child(|| {
            if !become_user(0, 0) {
                return std::eprintln!("not run as root");
            }
            assert!(privileged());
            assert!(become_user(12_345, 12_346));
            assert!(privileged());
        });
        in_child(|| {
            if become_user(12_345, 12_345) {
                assert!(!privileged());
            }
        });
    }
}
