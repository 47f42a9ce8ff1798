//! [`Secret`]: memory that the kernel itself has taken out of its own map: memfd_secret.
//!
//! No other process reads it by ptrace, `/proc/PID/mem` or process_vm_readv, and no call of the kernel's own
//! code by mistake. It is never swapped and counts as locked (RLIMIT_MEMLOCK). Who has the descriptor, and
//! children of a fork, can map or see it; while one is open hibernation is off. Owns the descriptor; maps
//! outlive it. Its length is set once.
//!
//! Linux 5.14 with CONFIG_SECRETMEM; before 6.5 also `secretmem.enable=1` on the kernel's command line.
//! Source: memfd_secret(2).
#![allow(unsafe_code)]

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::file::FileMap;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::VolatileMut;
use neap_os::errno::Errno;
use neap_os::memfd;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

/// See the module.
///
/// ```
/// use neap_map::{Kind, Secret};
/// match Secret::create(32) {
///     Ok(secret) => secret.map()?.write_at(0, b"a key that nobody else shall see")?,
///     Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => {}
///     Err(error) => return Err(error),
/// }
/// # Ok::<(), neap_map::Error>(())
/// ```
#[derive(Debug)]
pub struct Secret {
    file: OwnedFd,
}

impl Secret {
    /// Makes `len` bytes of it, which are zero.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: the kernel has none, or it is turned off. [`Kind::TooManyFiles`].
    /// [`Kind::TooLarge`].
    pub fn create(len: u64) -> Result<Secret, Error> {
        let fd = memfd::create_secret().map_err(|errno| {
            let kind = match errno {
                Errno::ENOSYS => Kind::Unsupported(Feature::SecretMemory),
                _ => diagnosis::of(Operation::Create, errno).kind(),
            };
            Error::answered(Operation::Create, errno, kind).at(0, len)
        })?;
        // SAFETY: the kernel has just opened it for the call above, and nobody else knows of it.
        let file = unsafe { OwnedFd::from_raw_fd(fd.0) };
        memfd::set_len(fd, len).map_err(|errno| {
            let kind = match errno {
                Errno::EINVAL | Errno::EFBIG => Kind::TooLarge,
                _ => diagnosis::of(Operation::Truncate, errno).kind(),
            };
            Error::answered(Operation::Truncate, errno, kind).at(0, len)
        })?;
        Ok(Secret { file })
    }

    /// Maps all of it. Pages are made when they are touched: where there is no memory, an access is
    /// [`Kind::PageUnavailable`].
    ///
    /// # Errors
    /// [`Kind::MemlockLimit`], and those of memory.
    pub fn map(&self) -> Result<Map<VolatileMut>, Error> {
        FileMap::of(&self.file).writable().map()
    }
}

impl AsFd for Secret {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// What another process sent: see [`crate::parcel`].
impl From<Secret> for OwnedFd {
    fn from(secret: Secret) -> OwnedFd {
        secret.file
    }
}
