//! Files of an experiment that lie on a disk, so that there is a page cache to speak of.
//!
//! Owns their making in [`Hand::scratch`], and the refusal where that is memory itself: a file of tmpfs is
//! shared memory, never written back and never cold. The files go with the folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;

use neap_map::{Map, view::View};
use neap_os::errno::Errno;
use neap_os::fd::{Fd, FileRange};
use neap_os::page_cache::{self, Counts, Use};
use neap_os::unit::Span;

use super::hand::{Hand, Stop, cannot};

/// What a new file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Content {
    /// One hole: nothing is allocated.
    Hole,
    /// This byte everywhere, in the page cache and not yet on the disk.
    Byte(u8),
}

const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;

/// A call of the standard library that is not the subject failed.
pub(crate) fn io_failed(what: &str) -> impl FnOnce(io::Error) -> Stop + '_ {
    move |error| {
        cannot(
            format!("{what}: {error}"),
            "TMPDIR=DIR with a folder that can be written and has room",
        )
    }
}

/// A call of the mapping library that is not the subject failed.
pub(crate) fn map_failed(error: neap_map::Error) -> Stop {
    cannot(
        error,
        "see neap doctor for limits and for what this machine forbids",
    )
}

/// The addresses of a map.
pub(crate) fn span_of<V: View>(map: &Map<V>) -> Span {
    Span::new(map.as_ptr().addr(), map.len()).unwrap_or_else(|| unreachable!("a map does not wrap"))
}

/// The number of an error of the library or of the standard one; 0 where the kernel was not asked.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(0))
}

/// The descriptor's number.
pub(crate) fn fd_of(file: &File) -> Fd {
    Fd(file.as_raw_fd())
}

/// What of the whole file is in the page cache, and how.
pub(crate) fn cached(file: &File) -> Result<Counts, Stop> {
    page_cache::count(fd_of(file), FileRange::ALL).map_err(|errno| {
        cannot(
            format!("cachestat: {errno}"),
            "Linux 6.5 or newer, and a file system of its own in TMPDIR",
        )
    })
}

/// Writes the file to the disk and has the page cache forget it.
pub(crate) fn make_cold(file: &File) -> Result<(), Stop> {
    file.sync_data().map_err(io_failed("fdatasync"))?;
    page_cache::advise(fd_of(file), FileRange::ALL, Use::DontNeed)
        .map_err(super::hand::failed("posix_fadvise"))
}

impl Hand {
    /// A new file of this length, open for reading and writing.
    pub(crate) fn disk_file(&self, name: &str, len: u64, content: Content) -> Result<File, Stop> {
        const STEP: usize = 1 << 20;
        let path = self.scratch().join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let mut file = file.map_err(io_failed("open"))?;
        let kind = rustix::fs::fstatfs(&file).map(|answer| answer.f_type);
        if let Ok(TMPFS | RAMFS) = kind {
            let _ = fs::remove_file(&path);
            return Err(cannot(
                "the folder for temporary files is in memory (tmpfs): its files are shared memory, not files \
                 of a disk",
                "TMPDIR=/var/tmp, or another folder on a disk",
            ));
        }
        match content {
            Content::Hole => file.set_len(len).map_err(io_failed("ftruncate"))?,
            Content::Byte(byte) => {
                let bytes = vec![byte; STEP];
                let mut left = len;
                while left > 0 {
                    let part = usize::try_from(left).map_or(STEP, |left| left.min(STEP));
                    file.write_all(&bytes[..part]).map_err(io_failed("write"))?;
                    left -= part as u64;
                }
            }
        }
        Ok(file)
    }
}
