//! [`Snapshot`]: a file's contents as they were, in a file that has no name (tier T4).
//!
//! The new inode is made with `O_TMPFILE|O_EXCL`, so that it never gets a name; its only descriptor is closed
//! before the map is handed out. On a local file system nobody else can reach it then. It shares the blocks
//! of the source where the file system can (`FICLONE`: btrfs, xfs), at one moment of the source; elsewhere it
//! is a copy, of no one moment. What was copied is on the disk before it is mapped, so that a failed
//! write-back cannot take bytes away later; a page that the disk fails to deliver back is SIGBUS, as for
//! every reference into a file. Source: open(2), ioctl_ficlone(2), copy_file_range(2).

use crate::diagnosis;
use crate::error::{Error, Feature, Kind};
use crate::file::FileMap;
use crate::file_copy;
use crate::file_system;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::Frozen;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// How a snapshot came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// By sharing the file's blocks, at one moment.
    Reflinked,
    /// By copying: what others wrote meanwhile is in it or is not.
    Copied,
}

/// A file's contents, which nobody can change any more.
///
/// ```
/// use neap_map::Snapshot;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("file");
/// std::fs::write(&path, "before")?;
/// let snapshot = Snapshot::take(&std::fs::File::open(&path)?, path.parent().unwrap())?;
/// std::fs::write(&path, "after")?;
/// assert_eq!(&snapshot[..], b"before");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Snapshot {
    map: Map<Frozen>,
    taken: Taken,
}

impl Snapshot {
    /// Of the whole `file`, in the file system of `folder`: with blocks shared if that is the file's own.
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: no unnamed files there, or not a file system of this machine;
    /// [`Kind::NotFound`], [`Kind::AccessDenied`], [`Kind::StorageFull`], [`Kind::Io`],
    /// [`Kind::FileTooShort`]: the file was truncated meanwhile; as [`FileMap::map`].
    pub fn take(file: &impl AsFd, folder: &Path) -> Result<Snapshot, Error> {
        let target = unnamed(folder)?;
        let taken = match rustix::fs::ioctl_ficlone(&target, file) {
            Ok(()) => Taken::Reflinked,
            Err(
                Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOTTY | Errno::ISDIR | Errno::TXTBSY,
            ) => {
                let failed = |errno| diagnosis::of_rustix(Operation::Stat, errno);
                let len = rustix::fs::fstat(file).map_err(failed)?.st_size;
                file_copy::copy(file.as_fd(), target.as_fd(), u64::try_from(len).unwrap_or(0))?;
                Taken::Copied
            }
            Err(errno) => return Err(diagnosis::of_rustix(Operation::Copy, errno)),
        };
        rustix::fs::fdatasync(&target).map_err(|errno| diagnosis::of_rustix(Operation::Copy, errno))?;
        // Nobody else can change it: without a name, on a local file system (checked in `unnamed`), and its
        // descriptor ends here.
        let map = FileMap::of(&target).within_file()?;
        Ok(Snapshot { map, taken })
    }

    /// How it was taken.
    #[must_use]
    pub const fn taken(&self) -> Taken {
        self.taken
    }

    /// The map.
    #[must_use]
    pub const fn map(&self) -> &Map<Frozen> {
        &self.map
    }

    /// The map alone.
    #[must_use]
    pub fn into_map(self) -> Map<Frozen> {
        self.map
    }
}

fn unnamed(folder: &Path) -> Result<OwnedFd, Error> {
    const UNSUPPORTED: Kind = Kind::Unsupported(Feature::UnnamedFile);
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let fd = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| match errno {
        Errno::OPNOTSUPP | Errno::ISDIR => Error::answered(
            Operation::Create,
            neap_os::errno::Errno(errno.raw_os_error()),
            UNSUPPORTED,
        ),
        errno => diagnosis::of_rustix(Operation::Create, errno),
    })?;
    if !file_system::is_local(Operation::Create, fd.as_fd())? {
        return Err(Error::found(Operation::Create, UNSUPPORTED));
    }
    Ok(fd)
}

impl Deref for Snapshot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for Snapshot {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests;
