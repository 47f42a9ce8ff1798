//! Copying by the kernel between this process's addresses: process_vm_readv and process_vm_writev on oneself
//! (3.2, CONFIG_CROSS_MEMORY_ATTACH).
//!
//! An address that cannot be read or written is a short count or an error here and never a signal: not
//! mapped, forbidden by its protection, past the end of a truncated file, a guard. It works without a signal
//! handler, and slower than a copy. Device memory and [`crate::memfd::create_secret`]'s cannot be reached so.
//! Protection keys are not looked at. The bytes are not copied at one instant: other threads' stores may show
//! in part.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall6};
use crate::thread::getpid;

/// The kernel's struct iovec.
#[repr(C)]
struct IoVec {
    base: usize,
    len: usize,
}

/// # Safety
/// 1. `call` is one of the two. For process_vm_readv, `local` may be written; for process_vm_writev,
///    `remote`.
unsafe fn transfer(call: Call, local: &IoVec, remote: &IoVec) -> Result<usize, Errno> {
    let (from, to) = (
        core::ptr::from_ref(local).expose_provenance(),
        core::ptr::from_ref(remote).expose_provenance(),
    );
    // SAFETY: (1) reads one iovec each, which live through the call; what it writes is the caller's 1.
    unsafe { syscall6(call, getpid() as usize, from, 1, to, 1, 0) }
}

/// Copies from the address `from` on to `to`, and says how many bytes: fewer than `to` holds if a page cannot
/// be read; the copy then ends where that page starts. Nothing to copy is 0.
///
/// Safe for any address: it is the kernel that reads, and whatever it finds are bytes.
///
/// # Errors
/// - `EFAULT`: `from` itself cannot be read.
/// - `ENOSYS`: not built in, or a sandbox. `EPERM`: a sandbox.
/// - `EINVAL`: the range wraps. `ENOMEM`: the kernel is short of memory.
pub fn read_self(from: usize, to: &mut [u8]) -> Result<usize, Errno> {
    let local = IoVec {
        base: to.as_mut_ptr().expose_provenance(),
        len: to.len(),
    };
    let remote = IoVec {
        base: from,
        len: to.len(),
    };
    // SAFETY: (1) process_vm_readv writes to `to`, which is borrowed mutably.
    unsafe { transfer(Call::PROCESS_VM_READV, &local, &remote) }
}

/// Copies `from` to the address `to`, and says how many bytes: fewer than `from` holds if a page cannot be
/// written; the copy then ends where that page starts. It honours protections: a read-only page cannot be
/// written.
///
/// # Errors
/// As [`read_self`]; `EFAULT`: `to` itself cannot be written.
///
/// # Safety
/// 1. What is writable of the bytes from `to` on, as many as `from` holds, is the caller's, and no reference
///    to it or other access is live during the call.
/// 2. `from` gives these bytes a value that whatever is kept there may have.
pub unsafe fn write_self(to: usize, from: &[u8]) -> Result<usize, Errno> {
    let local = IoVec {
        base: from.as_ptr().expose_provenance(),
        len: from.len(),
    };
    let remote = IoVec {
        base: to,
        len: from.len(),
    };
    // SAFETY: (1) process_vm_writev reads `from` and writes bytes that are the caller's (its 1 and 2).
    unsafe { transfer(Call::PROCESS_VM_WRITEV, &local, &remote) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{Guard, guard};
    use crate::child::in_child;
    use crate::fd::close;
    use crate::linux::Linux;
    use crate::mapping::Prot;
    use crate::share::map_shared;
    use crate::unit::{Bytes, Span};
    use crate::vm::{Protection, Vm};
    use crate::{memfd, pkey};
    use core::ptr::with_exposed_provenance_mut;

    const PAGE: usize = 4096;

    fn part(span: Span, first: usize) -> Span {
        Span::new(span.base() + first * PAGE, PAGE).unwrap()
    }

    /// Runs `body` in a child with four pages of ones, or says that the kernel has no such calls.
    fn with_pages(body: impl FnOnce(Span)) {
        if matches!(read_self(1, &mut [0]), Err(Errno::ENOSYS | Errno::EPERM)) {
            return crate::child::skip(format_args!("no process_vm_readv"));
        }
        in_child(|| {
            let span = Linux.map(Bytes(4 * PAGE)).unwrap();
            // SAFETY: mapped above, for this test alone.
            unsafe { with_exposed_provenance_mut::<u8>(span.base()).write_bytes(1, span.len()) };
            body(span);
        });
    }

    fn write(to: usize, from: &[u8]) -> Result<usize, Errno> {
        // SAFETY: (1, 2) tests give pages that they mapped for themselves, or none that can be written.
        unsafe { write_self(to, from) }
    }

    #[test]
    fn bytes_are_copied_both_ways_across_pages() {
        with_pages(|span| {
            let at = span.base() + PAGE - 3;
            assert_eq!(write(at, b"neaptide"), Ok(8));
            let mut read = [0; 10];
            assert_eq!(read_self(at - 1, &mut read), Ok(10));
            assert_eq!(&read, b"\x01neaptide\x01");
            assert_eq!(read_self(0, &mut []), Ok(0));
            assert_eq!(write(0, &[]), Ok(0));
        });
    }

    #[test]
    fn a_copy_ends_where_a_hole_a_guard_or_a_protection_starts() {
        with_pages(|span| {
            let last = span.base() + 3 * PAGE;
            let mut buffer = [0; 2 * PAGE];
            let ends = |buffer: &mut [u8]| {
                assert_eq!(read_self(last - 100, buffer), Ok(100));
                assert_eq!(&buffer[..100], &[1; 100]);
                assert_eq!(read_self(last, buffer), Err(Errno::EFAULT));
                assert_eq!(write(last - 100, &[1; 101]), Ok(100));
                assert_eq!(write(last, &[1]), Err(Errno::EFAULT));
            };
            // SAFETY: (1, 2) the test's page, which nothing uses meanwhile.
            unsafe { Linux.protect(part(span, 3), Protection::None) }.unwrap();
            ends(&mut buffer);
            // SAFETY: as above.
            unsafe { Linux.protect(part(span, 3), Protection::ReadWrite) }.unwrap();
            // SAFETY: as above.
            match unsafe { guard(part(span, 3), Guard::Install) } {
                Err(errno) => crate::child::skip(format_args!("no guards (6.13): {errno}")),
                Ok(()) => ends(&mut buffer),
            }
            // SAFETY: as above.
            unsafe { Linux.unmap(part(span, 3)) }.unwrap();
            ends(&mut buffer);
        });
    }

    #[test]
    fn a_read_only_page_is_read_and_not_written() {
        with_pages(|span| {
            // SAFETY: (1, 2) the test's page, which is only read.
            unsafe { Linux.protect(part(span, 0), Protection::Read) }.unwrap();
            assert_eq!(read_self(span.base(), &mut [0; 8]), Ok(8));
            assert_eq!(write(span.base(), &[2; 8]), Err(Errno::EFAULT));
            let mut byte = [0];
            assert_eq!(read_self(span.base(), &mut byte), Ok(1));
            assert_eq!(byte, [1]);
        });
    }

    #[test]
    fn a_page_past_the_end_of_its_file_is_no_signal() {
        with_pages(|_| {
            let file = memfd::create(c"neap-end", memfd::Features::default()).unwrap();
            memfd::set_len(file, 2 * PAGE as u64).unwrap();
            let span = map_shared(file, 0, Bytes(2 * PAGE)).unwrap();
            let mut buffer = [9; 2 * PAGE];
            assert_eq!(read_self(span.base(), &mut buffer), Ok(2 * PAGE));
            assert_eq!(write(span.base(), &buffer), Ok(2 * PAGE));
            memfd::set_len(file, PAGE as u64).unwrap();
            assert_eq!(read_self(span.base(), &mut buffer), Ok(PAGE));
            assert_eq!(write(span.base(), &buffer), Ok(PAGE));
            memfd::set_len(file, 0).unwrap();
            assert_eq!(read_self(span.base(), &mut buffer), Err(Errno::EFAULT));
            assert_eq!(write(span.base(), &buffer), Err(Errno::EFAULT));
            close(file);
        });
    }

    #[test]
    fn secret_memory_is_out_of_reach() {
        with_pages(|_| {
            let Ok(secret) = memfd::create_secret() else {
                return crate::child::skip(format_args!("no memfd_secret (5.14)"));
            };
            memfd::set_len(secret, PAGE as u64).unwrap();
            let span = match map_shared(secret, 0, Bytes(PAGE)) {
                Err(Errno::EAGAIN) => return crate::child::skip(format_args!("RLIMIT_MEMLOCK is too low")),
                mapped => mapped.unwrap(),
            };
            let byte = with_exposed_provenance_mut::<u8>(span.base());
            // SAFETY: mapped above, for this test alone.
            unsafe { byte.write_volatile(1) };
            assert_eq!(read_self(span.base(), &mut [0]), Err(Errno::EFAULT));
            assert_eq!(write(span.base(), &[2]), Err(Errno::EFAULT));
            // SAFETY: as above.
            assert_eq!(unsafe { byte.read_volatile() }, 1);
        });
    }

    #[test]
    fn protection_keys_are_not_looked_at() {
        with_pages(|span| {
            let Ok(key) = pkey::alloc(pkey::Rights::None) else {
                return crate::child::skip(format_args!("no protection keys"));
            };
            // SAFETY: (1) the test's page and key; (2) only the kernel reads it from now on.
            unsafe { pkey::protect(part(span, 0), Prot::READ | Prot::WRITE, key) }.unwrap();
            let mut byte = [0];
            assert_eq!(read_self(span.base(), &mut byte), Ok(1));
            assert_eq!(byte, [1]);
        });
    }

    #[test]
    fn addresses_that_are_nobodys_are_errors() {
        with_pages(|_| {
            for nowhere in [0, 1, 1 << 47, 1 << 63, usize::MAX - 4] {
                let read = read_self(nowhere, &mut [0; 8]);
                assert!(
                    matches!(read, Err(Errno::EFAULT | Errno::EINVAL)),
                    "{nowhere:x} {read:?}"
                );
                let written = write(nowhere, &[0; 8]);
                assert!(
                    matches!(written, Err(Errno::EFAULT | Errno::EINVAL)),
                    "{nowhere:x} {written:?}"
                );
            }
        });
    }
}
