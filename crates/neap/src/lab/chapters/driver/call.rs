//! Calls that open what a driver maps.
//!
//! Owns the way from a raw answer to a descriptor or an errno, and the reason why an experiment cannot run.
#![allow(unsafe_code, reason = "system calls that no library wraps")]

use std::ffi::c_long;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use neap_map::Device;
use neap_os::errno::Errno;
use neap_os::unit::Span;

use crate::lab::hand::{Stop, cannot, failed};

/// The errno of the call of the C library that has just failed.
pub(super) fn last() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// A system call that answers with a new descriptor, which nobody else knows.
///
/// # Safety
/// 1. Pointers among the arguments are to live structures of the call's.
pub(super) unsafe fn open(call: c_long, arguments: [usize; 5]) -> Result<OwnedFd, Errno> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: by (1).
    let fd = unsafe { libc::syscall(call, a, b, c, d, e) };
    match i32::try_from(fd) {
        // SAFETY: the call has just opened it, and nobody else knows its number.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last()),
    }
}

/// An ioctl with an argument that the kernel may read and write.
///
/// # Safety
/// 1. `argument` is what the request wants: a number, or the address of a live structure of its own.
pub(super) unsafe fn control(file: &OwnedFd, request: u64, argument: usize) -> Result<i32, Errno> {
    // SAFETY: by (1).
    match unsafe { libc::ioctl(file.as_raw_fd(), request as libc::Ioctl, argument) } {
        -1 => Err(last()),
        answer => Ok(answer),
    }
}

/// A driver that this process may not use: what it said, and what would let it.
pub(super) fn denied(what: &str, errno: Errno, mend: &str) -> Stop {
    cannot(format!("{what}: {errno}"), mend)
}

/// The addresses of a driver's memory.
pub(super) fn span<A>(device: &Device<A>) -> Result<Span, Stop> {
    Span::new(device.as_ptr().addr(), device.len()).ok_or_else(|| failed("a span")(Errno::EINVAL))
}
