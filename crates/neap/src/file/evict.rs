//! Asks the kernel to drop files from the page cache, and finds out what stayed and why.
//!
//! posix_fadvise(POSIX_FADV_DONTNEED) always says that it worked. Pages that are dirty, under write-back,
//! mapped, locked or part of a larger piece that is partly in use stay, as does everything of a file system
//! that has no disk behind it. So the pages are counted again, and each reason is looked for. A file that
//! stays for no reason that is seen is asked again: pages may be in a list that some CPU had not handed
//! over.

use std::fs::File;
use std::num::NonZeroU64;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use rustix::fs::{Advice, fadvise, fstatfs};

use super::cache::{self, Told};

/// How often files are asked again, and after how long.
pub(crate) const AGAIN: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// What holds all pages of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// Pages can be read again.
    Disk,
    /// Memory is the only copy.
    Memory(&'static str),
}

/// Whether dirty pages are written first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dirty {
    Stays,
    /// fdatasync(2): all of the file, also what is outside the pages.
    Written,
}

/// Drops what can be dropped of `pages`. Returns what is in memory afterwards.
pub(crate) fn drop_pages(file: &File, pages: &Range<u64>, page_bytes: u64, dirty: Dirty) -> Told {
    if dirty == Dirty::Written {
        // What cannot be written stays dirty, and is reported as such.
        let _ = file.sync_data();
    }
    if let Some(len) = NonZeroU64::new(pages.end - pages.start) {
        let _ = fadvise(file, pages.start, Some(len), Advice::DontNeed);
    }
    cache::count(file, pages, page_bytes)
}

/// Waits a moment, then asks again for each file that `files` opens, and tells `found` what is left of it.
pub(crate) fn drop_again<T>(
    files: &[(T, Range<u64>)],
    page_bytes: u64,
    open: impl Fn(&T) -> Option<File>,
    mut found: impl FnMut(&T, Told),
) {
    thread::sleep(PAUSE);
    for (file, pages) in files {
        if let Some(opened) = open(file) {
            found(file, drop_pages(&opened, pages, page_bytes, Dirty::Stays));
        }
    }
}

/// Where the file's bytes are when they are not in memory.
pub(crate) fn store(file: &File) -> Store {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    const HUGETLBFS: u64 = 0x9584_58f6;
    let kind = fstatfs(file).map(|about| u64::try_from(about.f_type).unwrap_or(0) & 0xffff_ffff);
    match kind {
        Ok(TMPFS) => Store::Memory("tmpfs"),
        Ok(RAMFS) => Store::Memory("ramfs"),
        Ok(HUGETLBFS) => Store::Memory("hugetlbfs"),
        _ => Store::Disk,
    }
}
