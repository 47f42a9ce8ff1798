//! What waits to be written, by cachestat: 1024 pages of a file, half of them, all of them.

use super::*;
use crate::anon::Anon;
use crate::file::FileMap;
use crate::lock::When;
use neap_os::page_cache::count;
use std::fs::File;

const LEN: usize = 4 << 20;
const PAGES: u64 = 1024;

/// Dirty pages of the file, and those on their way to the disk; `None` where cachestat is missing.
fn dirty(file: &File) -> Option<(u64, u64)> {
    match count(Fd(file.as_raw_fd()), FileRange::ALL) {
        Ok(counts) => Some((counts.dirty, counts.writeback)),
        Err(errno) => {
            crate::skip::skip(format_args!("cachestat (Linux 6.5) says {errno}"));
            None
        }
    }
}

/// A file on a disk, of 4 MiB that are all stored to and not written; `None` where the kernel writes at once.
fn stored() -> Option<(File, Map<crate::view::VolatileMut>)> {
    let file = tempfile::tempfile_in(env!("CARGO_MANIFEST_DIR"))
        .or_else(|_| tempfile::tempfile())
        .unwrap();
    file.set_len(LEN as u64).unwrap();
    let map = FileMap::of(&file).writable().map().unwrap();
    map.write_at(0, &vec![0; LEN]).unwrap();
    file.sync_all().unwrap();
    map.write_at(0, &vec![1; LEN]).unwrap();
    match dirty(&file)? {
        (PAGES, _) => Some((file, map)),
        (some, _) => {
            crate::skip::skip(format_args!(
                "{some} of 1024 pages wait to be written on this file system"
            ));
            None
        }
    }
}

#[test]
fn a_flush_writes_its_range_and_no_more() {
    let Some((file, map)) = stored() else { return };
    map.invalidate(..).unwrap();
    assert_eq!(dirty(&file), Some((PAGES, 0)));
    map.flush(..0).unwrap();
    assert_eq!(dirty(&file), Some((PAGES, 0)));
    map.flush(..LEN / 2).unwrap();
    assert_eq!(dirty(&file), Some((PAGES / 2, 0)));
    map.flush(LEN - 1..).unwrap();
    assert_eq!(dirty(&file), Some((PAGES / 2 - 1, 0)));
    drop(map);
    assert_eq!(dirty(&file), Some((PAGES / 2 - 1, 0)));
    FileMap::of(&file).map().unwrap().flush(..).unwrap();
    assert_eq!(dirty(&file), Some((0, 0)));
}

#[test]
fn a_writeback_that_is_started_gets_done() {
    let Some((file, map)) = stored() else { return };
    map.start_writeback(&file, LEN / 2..).unwrap();
    // What is no longer dirty is on its way or has arrived.
    assert_eq!(dirty(&file).unwrap().0, PAGES / 2);
    let tail = { map }.split_off(LEN / 4).unwrap();
    tail.start_writeback(&file, ..LEN / 4).unwrap();
    assert_eq!(dirty(&file).unwrap().0, PAGES / 4);
    let error = tail.start_writeback(&file, ..LEN).unwrap_err();
    assert_eq!(error.kind(), Kind::OutOfRange);
    let (pipe, _end) = std::io::pipe().unwrap();
    assert_eq!(
        tail.start_writeback(&pipe, ..).unwrap_err().kind(),
        Kind::NotMappable
    );
}

#[test]
fn what_has_no_disk_is_flushed_at_once_and_not_written_back() {
    let map = Anon::shared(8192).map().unwrap();
    map.flush(..).unwrap();
    map.invalidate(4096..).unwrap();
    let file = tempfile::tempfile().unwrap();
    assert_eq!(map.start_writeback(&file, ..).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(map.flush(..8193).unwrap_err().kind(), Kind::OutOfRange);
}

#[test]
fn a_locked_part_is_told() {
    let map = Anon::shared(4 * 4096).map().unwrap();
    let locked = map.lock(4096..4097, When::Now).unwrap();
    let error = map.invalidate(..).unwrap_err();
    assert_eq!((error.kind(), error.errno()), (Kind::Locked, Some(Errno::EBUSY)));
    map.invalidate(2 * 4096..).unwrap();
    map.flush(..).unwrap();
    locked.unlock().unwrap();
    map.invalidate(..).unwrap();
}
