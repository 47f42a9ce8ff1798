//! [`Fd`]: an open file, or a process, by number; [`FileRange`]: bytes of a file.
#![allow(unsafe_code)]

use crate::errno::Errno;
use crate::syscall::{Call, syscall1};

/// An open descriptor. A number and no owner: it stays open until [`close`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fd(pub i32);

impl Fd {
    /// This process, where a call takes a process (PIDFD_SELF, since 6.14).
    pub const SELF: Fd = Fd(-10_001);

    /// The descriptor that a system call has answered with.
    pub(crate) fn answered(number: usize) -> Result<Fd, Errno> {
        i32::try_from(number).map(Fd).map_err(|_| Errno::EOVERFLOW)
    }

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

/// Bytes of a file: from an offset on, so many or all to the end, wherever that will be. What
/// the kernel's calls take as an offset and a length where 0 means "to the end".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRange {
    offset: u64,
    len: u64,
}

impl FileRange {
    /// The whole file.
    pub const ALL: FileRange = FileRange { offset: 0, len: 0 };

    /// `len` bytes from `offset` on; `None` if that is none, or ends past the longest file (2^63 - 1).
    #[must_use]
    pub const fn new(offset: u64, len: u64) -> Option<FileRange> {
        match offset.checked_add(len) {
            Some(end) if len > 0 && end <= i64::MAX as u64 => Some(FileRange { offset, len }),
            _ => None,
        }
    }
    /// All from `offset` on; `None` past the longest file.
    #[must_use]
    pub const fn from(offset: u64) -> Option<FileRange> {
        if offset > i64::MAX as u64 {
            return None;
        }
        Some(FileRange { offset, len: 0 })
    }
    /// The first byte's offset.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.offset
    }
    /// How many bytes; `None`: to the end.
    #[must_use]
    pub const fn bytes(self) -> Option<u64> {
        if self.len == 0 { None } else { Some(self.len) }
    }
    /// As the kernel takes it: offset, and length or 0. Both fit, as usize has 64 bits here.
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) const fn arguments(self) -> (usize, usize) {
        (self.offset as usize, self.len as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_range_is_never_empty_by_accident() {
        assert_eq!(FileRange::new(0, 0), None);
        assert_eq!(FileRange::new(u64::MAX, 1), None);
        assert_eq!(FileRange::new(1, i64::MAX as u64), None);
        assert_eq!(FileRange::from(1 << 63), None);
        let some = FileRange::new(4096, 10).unwrap();
        assert_eq!((some.offset(), some.bytes()), (4096, Some(10)));
        assert_eq!(FileRange::from(0), Some(FileRange::ALL));
        assert_eq!(FileRange::ALL.bytes(), None);
    }
}
