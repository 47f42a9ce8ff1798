//! [`Errno`]: a kernel error number as a value. A newtype, not an enum: an unknown number is legal.

use core::fmt;

/// A kernel error number (1 to 4095).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

/// Declares the known numbers once: constant, name and meaning cannot drift apart.
macro_rules! errnos {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        impl Errno {
            $(#[doc = $meaning] pub const $name: Errno = Errno($number);)*

            /// The number's C name, or `None` for one this crate does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The number's meaning in a few words, or `None` for one this crate does not know.
            #[must_use]
            pub const fn meaning(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($meaning),)*
                    _ => None,
                }
            }
        }
    };
}

// The numbers are those of asm-generic/errno-base.h and errno.h, shared by x86_64 and aarch64.
errnos! {
    EPERM = 1, "operation not permitted";
    ENOENT = 2, "no such file or directory";
    ESRCH = 3, "no such process";
    EINTR = 4, "interrupted by a signal";
    EIO = 5, "input/output error";
    ENXIO = 6, "no such device or address";
    E2BIG = 7, "argument list too long";
    EBADF = 9, "bad file descriptor";
    ECHILD = 10, "no child process";
    EAGAIN = 11, "try again";
    ENOMEM = 12, "out of memory, limit or map count";
    EACCES = 13, "permission denied";
    EFAULT = 14, "bad address";
    EBUSY = 16, "resource busy";
    EEXIST = 17, "already there";
    ENODEV = 19, "no such device, or it cannot do that";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid argument";
    ENFILE = 23, "too many open files in the system";
    EMFILE = 24, "too many open files in the process";
    ENOTTY = 25, "not a terminal, or no such ioctl";
    ETXTBSY = 26, "file busy as program or swap";
    EFBIG = 27, "file too large";
    ENOSPC = 28, "no space left";
    ESPIPE = 29, "illegal seek";
    EROFS = 30, "read-only file system";
    EPIPE = 32, "broken pipe";
    ERANGE = 34, "result out of range";
    EDEADLK = 35, "would deadlock";
    ENAMETOOLONG = 36, "name too long";
    ENOSYS = 38, "no such system call";
    ELOOP = 40, "too many symbolic links";
    EIDRM = 43, "removed";
    ENODATA = 61, "no data";
    EOVERFLOW = 75, "value too large";
    EOPNOTSUPP = 95, "operation not supported";
    ETIMEDOUT = 110, "timed out";
    ENOTRECOVERABLE = 131, "state not recoverable";
    EHWPOISON = 133, "memory page has a hardware error";
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.meaning()) {
            (Some(name), Some(meaning)) => write!(f, "{name} ({meaning})"),
            _ => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn known_numbers_show_name_and_meaning_and_unknown_ones_the_number() {
        assert_eq!(
            Errno::ENOMEM.to_string(),
            "ENOMEM (out of memory, limit or map count)"
        );
        assert_eq!(std::format!("{:?}", Errno::EEXIST), "EEXIST (already there)");
        assert_eq!(Errno(4000).to_string(), "errno 4000");
        assert_eq!(Errno(4000).name(), None);
    }

    #[test]
    fn the_numbers_are_the_c_librarys() {
        // std decodes the raw numbers of the C library; a slip in the table shows as another kind.
        use std::io::{Error, ErrorKind};
        for (errno, kind) in [
            (Errno::EPERM, ErrorKind::PermissionDenied),
            (Errno::ENOENT, ErrorKind::NotFound),
            (Errno::EEXIST, ErrorKind::AlreadyExists),
            (Errno::EINTR, ErrorKind::Interrupted),
            (Errno::EAGAIN, ErrorKind::WouldBlock),
            (Errno::ENOMEM, ErrorKind::OutOfMemory),
            (Errno::EINVAL, ErrorKind::InvalidInput),
            (Errno::ENOSYS, ErrorKind::Unsupported),
            (Errno::ETIMEDOUT, ErrorKind::TimedOut),
            (Errno::EBUSY, ErrorKind::ResourceBusy),
            (Errno::ETXTBSY, ErrorKind::ExecutableFileBusy),
            (Errno::EOPNOTSUPP, ErrorKind::Unsupported),
            (Errno::ENOSPC, ErrorKind::StorageFull),
            (Errno::EPIPE, ErrorKind::BrokenPipe),
            (Errno::EROFS, ErrorKind::ReadOnlyFilesystem),
            (Errno::EDEADLK, ErrorKind::Deadlock),
        ] {
            assert_eq!(Error::from_raw_os_error(errno.0).kind(), kind, "{errno}");
        }
    }
}
