//! Brings files into the page cache by reading them, window by window.
//!
//! What is in memory already is not read again where the kernel tells so; while one window is read the next
//! is on its way. Nothing is mapped: a file that is cut short meanwhile ends the reading, not neap. Reading
//! has no effect on a hole of tmpfs, which has no page until it is written.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise};

use super::cache::{self, Told};

/// What is asked for and read at once.
const WINDOW_BYTES: u64 = 8 << 20;
/// One call of pread(2).
const PIECE_BYTES: usize = 1 << 20;

/// Reads what is missing of `pages`; tells `done` of bytes as they are done with, read or not.
///
/// # Errors
/// Those of pread(2): EIO of the disk.
pub(crate) fn bring_in(
    file: &File,
    pages: &Range<u64>,
    page_bytes: u64,
    buffer: &mut Vec<u8>,
    mut done: impl FnMut(u64),
) -> io::Result<()> {
    buffer.resize(PIECE_BYTES, 0);
    let mut window = first(pages);
    let mut is_missing = announce(file, &window, page_bytes);
    while !window.is_empty() {
        let next = window.end..pages.end.min(window.end + WINDOW_BYTES);
        let is_next_missing = announce(file, &next, page_bytes);
        if is_missing {
            read(file, &window, buffer)?;
        }
        done(window.end - window.start);
        (window, is_missing) = (next, is_next_missing);
    }
    Ok(())
}

fn first(pages: &Range<u64>) -> Range<u64> {
    pages.start..pages.end.min(pages.start + WINDOW_BYTES)
}

/// Starts reading ahead what is missing, and says whether anything is. Asked first: a page that is on its way
/// counts as cached. A file system that cannot read ahead is no reason to fail: the read will wait instead.
fn announce(file: &File, window: &Range<u64>, page_bytes: u64) -> bool {
    let Some(len) = NonZeroU64::new(window.end - window.start) else {
        return false;
    };
    let is_there = matches!(
        cache::count(file, window, page_bytes),
        Told::Count(count) if count.resident == count.pages
    );
    if !is_there {
        let _ = fadvise(file, window.start, Some(len), Advice::WillNeed);
    }
    !is_there
}

/// Up to the end of the window or of the file.
fn read(file: &File, window: &Range<u64>, buffer: &mut [u8]) -> io::Result<()> {
    let mut at = window.start;
    while at < window.end {
        let wanted = usize::try_from(window.end - at)
            .unwrap_or(PIECE_BYTES)
            .min(buffer.len());
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        match file.read_at(piece, at) {
            Ok(0) => break,
            Ok(read) => at += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_short_ends_the_reading() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10_000).unwrap();
        let mut done = 0;
        let pages = 0..40_960;
        bring_in(&file, &pages, 4096, &mut Vec::new(), |bytes| done += bytes).unwrap();
        assert_eq!(done, 40_960);
    }
}
