//! [`FileMap::immutable`]: files of which the kernel itself says that nobody can change them.
//!
//! Two proofs count, each for ever. A memfd with the seals `SHRINK` and `WRITE` (tier T1): the kernel gives
//! the second only when no writable mapping is left, and refuses writing, truncation and holes from then on.
//! A file with fs-verity (tier T2): the kernel gives it only when nobody has the file open for writing. Both
//! are asked for before the mapping is made, so what is mapped has the proof already; that it does not reach
//! behind the file's end is checked after, when the end cannot come nearer any more.

use crate::diagnosis;
use crate::error::{Error, Kind};
use crate::file::FileMap;
use crate::map::Map;
use crate::operation::Operation;
use crate::verity;
use crate::view::Frozen;
use neap_os::mapping::Sharing;
use rustix::fs::SealFlags;
use std::os::fd::BorrowedFd;

/// The seals that together keep every byte as it is. `FUTURE_WRITE` does not: it leaves the writable mappings
/// that there are.
const PROOF: SealFlags = SealFlags::SHRINK.union(SealFlags::WRITE);

/// Whether `file` is a memfd whose bytes cannot change. Only memfds have such seals: a file of a tmpfs
/// answers with `F_SEAL_SEAL` alone, every other file with `EINVAL`.
pub(crate) fn is_sealed(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(PROOF))
}

impl FileMap<'_> {
    /// Maps a file that the kernel says nobody can change: a sealed memfd or a file with fs-verity. Lends
    /// `&[u8]`.
    ///
    /// An fs-verity file's page that the disk fails to deliver is SIGBUS, as for every reference into a file.
    ///
    /// ```
    /// use neap_map::{FileMap, Kind, Sealed};
    /// let sealed = Sealed::build("answer", 2, |bytes| bytes.copy_from_slice(b"42"))?;
    /// let map = FileMap::of(&sealed).immutable()?;
    /// assert_eq!(&map[..], b"42");
    /// let plain = std::fs::File::open("/proc/self/exe")?;
    /// assert_eq!(FileMap::of(&plain).immutable().unwrap_err().kind(), Kind::NotImmutable);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Kind::NotImmutable`] without proof; [`Kind::FileTooShort`]: the range ends behind the file; as
    /// [`FileMap::map`].
    pub fn immutable(self) -> Result<Map<Frozen>, Error> {
        let file = self.file();
        if !is_sealed(file) && verity::measure(&file)?.is_none() {
            return Err(Error::found(Operation::Map, Kind::NotImmutable).at(self.start(), 0));
        }
        self.within_file()
    }

    /// Maps privately a file that, as the caller has proved, nobody can change from now on, and checks that
    /// the range ends within it. Private, because before Linux 6.7 a memfd sealed against writing cannot be
    /// mapped shared.
    pub(crate) fn within_file(self) -> Result<Map<Frozen>, Error> {
        let (file, start) = (self.file(), self.start());
        let area = self.area(Sharing::Private)?;
        let stat = rustix::fs::fstat(file).map_err(|errno| diagnosis::of_rustix(Operation::Map, errno))?;
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let end = start.saturating_add(area.len() as u64);
        if area.len() > 0 && end > size {
            let first = size.max(start);
            return Err(Error::found(Operation::Map, Kind::FileTooShort).at(first, end - first));
        }
        Ok(Map::of(area))
    }
}

#[cfg(test)]
mod tests;
