//! Shared mappings of a file: open, map, close. No more than a board in /dev/shm needs.
//!
//! Owns neither descriptor nor mapping. Never creates, truncates or unlinks. A
//! store to a page wholly past the end of the file is SIGBUS: size the file first.
#![allow(unsafe_code)]

use crate::env::page_size;
use crate::errno::Errno;
use crate::linux::{MAP_FIXED, MAP_SHARED, PROT_READ, PROT_WRITE};
use crate::syscall::{Call, syscall4, syscall6};
use crate::unit::{Bytes, Span};
use core::ffi::CStr;

pub use crate::fd::{Fd, close};

/// Opens an existing file for reading and writing, closed on exec.
///
/// # Errors
/// openat(2)'s: `ENOENT`, `EACCES`, `EMFILE`, `ENFILE`, `EISDIR`, `ELOOP`, `EROFS`, `ETXTBSY`.
pub fn open_shared(path: &CStr) -> Result<Fd, Errno> {
    const AT_FDCWD: usize = (-100i32).cast_unsigned() as usize;
    const O_RDWR: usize = 2;
    const O_CLOEXEC: usize = 0o2_000_000;
    loop {
        let address = path.as_ptr().expose_provenance();
        // SAFETY: (1) openat reads the C string, which `path` keeps alive, and opens a descriptor.
        match unsafe { syscall4(Call::OPENAT, AT_FDCWD, address, O_RDWR | O_CLOEXEC, 0) } {
            Err(Errno::EINTR) => {}
            outcome => return outcome.map(|fd| Fd(i32::try_from(fd).unwrap_or(-1))),
        }
    }
}

/// Maps `len` bytes (rounded up to the page) of `fd` from `offset`, shared, readable and writable, at a
/// place the kernel chooses.
///
/// # Errors
/// `EBADF`, `EACCES` (not open for both), `EINVAL` (length 0, offset not on a page), `ENODEV` (not
/// mappable), `ENOMEM`, `EOVERFLOW`, `EPERM` (sealed against writing), `ETXTBSY` (active swap file).
pub fn map_shared(fd: Fd, offset: u64, len: Bytes) -> Result<Span, Errno> {
    let len = len.round_up(page_size()).ok_or(Errno::ENOMEM)?.0;
    let offset = usize::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    let prot = PROT_READ | PROT_WRITE;
    // SAFETY: (1) without MAP_FIXED mmap only adds a mapping where none is.
    let base = unsafe { syscall6(Call::MMAP, 0, len, prot, MAP_SHARED, fd.argument(), offset)? };
    Span::new(base, len).ok_or(Errno::ENOMEM)
}

/// Like [`map_shared`], in place of what is mapped at `span`.
///
/// # Errors
/// As [`map_shared`]. What was at `span` is then still there or, on a kernel out of memory, gone.
///
/// # Safety
/// 1. `span` is the caller's, page-aligned, and nothing needs its contents.
pub unsafe fn map_shared_over(fd: Fd, offset: u64, span: Span) -> Result<(), Errno> {
    let offset = usize::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    let (prot, flags) = (PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED);
    // SAFETY: (1) MAP_FIXED replaces `span`, which the caller gives up (its 1).
    unsafe {
        syscall6(
            Call::MMAP,
            span.base(),
            span.len(),
            prot,
            flags,
            fd.argument(),
            offset,
        )?
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::Linux;
    use crate::vm::Vm;
    use core::ptr::with_exposed_provenance_mut;
    use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::ffi::CString;
    use std::{format, fs, path::PathBuf};

    fn file(name: &str, len: u64) -> (PathBuf, CString) {
        let path = std::env::temp_dir().join(format!("neap-os-{}-{name}", std::process::id()));
        fs::File::create(&path).unwrap().set_len(len).unwrap();
        let c = CString::new(path.to_str().unwrap()).unwrap();
        (path, c)
    }

    fn word(span: Span) -> &'static AtomicU64 {
        // SAFETY: tests call it on mapped, file-backed spans and drop the reference before unmapping.
        unsafe { &*with_exposed_provenance_mut(span.base()) }
    }

    #[test]
    fn a_store_reaches_the_file_and_the_other_mapping() {
        let (path, name) = file("store", 8192);
        let fd = open_shared(&name).unwrap();
        let one = map_shared(fd, 4096, Bytes(10)).unwrap();
        assert_eq!(one.len(), 4096);
        let two = Linux.map(Bytes(4096)).unwrap();
        // SAFETY: (1) mapped just now.
        unsafe { map_shared_over(fd, 4096, two) }.unwrap();
        close(fd);
        word(one).store(u64::from_le_bytes(*b"neaptide"), SeqCst);
        assert_eq!(word(two).load(SeqCst), word(one).load(SeqCst));
        assert_eq!(fs::read(&path).unwrap()[4096..4104], *b"neaptide");
        // SAFETY: (1, 2) mapped above, used no more.
        unsafe {
            Linux.unmap(one).unwrap();
            Linux.unmap(two).unwrap();
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn errors_are_the_kernels() {
        assert_eq!(open_shared(c"/neap/is/not/here"), Err(Errno::ENOENT));
        assert_eq!(open_shared(c"/tmp"), Err(Errno::EISDIR));
        assert_eq!(map_shared(Fd(-1), 0, Bytes(1)), Err(Errno::EBADF));
        let (path, name) = file("errors", 4096);
        let fd = open_shared(&name).unwrap();
        assert_eq!(map_shared(fd, 0, Bytes(0)), Err(Errno::EINVAL));
        assert_eq!(map_shared(fd, 1, Bytes(4096)), Err(Errno::EINVAL));
        assert_eq!(
            map_shared(fd, 0u64.wrapping_sub(4096), Bytes(8192)),
            Err(Errno::EOVERFLOW)
        );
        close(fd);
        assert_eq!(map_shared(fd, 0, Bytes(4096)), Err(Errno::EBADF));
        fs::remove_file(path).unwrap();
        let null = open_shared(c"/dev/null").unwrap();
        assert_eq!(map_shared(null, 0, Bytes(4096)), Err(Errno::ENODEV));
        close(null);
    }
}
