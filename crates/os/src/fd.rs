//! [`Fd`]: an open file, or a process, by number.
#![allow(unsafe_code)]

use crate::syscall::{Call, syscall1};

/// An open descriptor. A number and no owner: it stays open until [`close`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fd(pub i32);

impl Fd {
    /// This process, where a call takes a process (PIDFD_SELF, since 6.14).
    pub const SELF: Fd = Fd(-10_001);

    /// As the kernel takes it: 32 bits, a negative one stays negative.
    pub(crate) const fn argument(self) -> usize {
        self.0.cast_unsigned() as usize
    }
}

/// Closes `fd`; mappings of it stay. Linux has closed it whatever close(2) says, so there is no error.
pub fn close(fd: Fd) {
    // SAFETY: (1) a descriptor carries no memory that Rust code relies on: mappings outlive it.
    let _ = unsafe { syscall1(Call::CLOSE, fd.argument()) };
}
