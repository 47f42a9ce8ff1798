//! What is in memory is told, and what the kernel keeps to itself is said to be denied.
#![allow(unsafe_code)]

mod child;
mod kernel;
#[path = "../src/skip.rs"]
mod skip;

use child::{as_nobody, in_child, is_root};
use kernel::skip;
use neap_map::{
    Anon, Answer, CacheStat, Categories, Feature, FileMap, Guards, Hint, Kind, Operation, PageRun, Where,
    try_read_resident,
};
use std::fs::File;
use std::io::Write;
use std::iter::once;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;

const PAGE: usize = 4096;

fn file_of(len: usize) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'a'; len]).unwrap();
    file.sync_all().unwrap();
    file
}

/// False where the file system keeps its pages.
fn drop_cache(file: &File) -> bool {
    file.sync_all().unwrap();
    // SAFETY: no memory is involved.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    try_read_resident(file, 0, &mut [0]).is_ok_and(|read| read.is_none())
}

#[test]
fn touched_pages_are_resident_and_ranges_are_the_maps() {
    let mut map = Anon::private(8 * PAGE - 100).guards(Guards::Both).map().unwrap();
    for page in [1, 2, 5] {
        map[page * PAGE + 9] = 1;
    }
    let all = map.residency(..).unwrap();
    assert_eq!(
        (all.pages(), all.resident(), all.answer()),
        (8, Some(3), Answer::Told)
    );
    let stretches: Vec<_> = all.stretches().collect();
    assert_eq!(stretches, [PAGE..3 * PAGE, 5 * PAGE..6 * PAGE]);
    assert_eq!(all.is_resident(PAGE), Some(true));
    assert_eq!(all.is_resident(PAGE - 1), Some(false));
    assert_eq!(all.is_resident(8 * PAGE - 100), None);

    let part = map.residency(PAGE + 5..2 * PAGE + 7).unwrap();
    assert_eq!((part.pages(), part.resident()), (2, Some(2)));
    assert!(part.stretches().eq(once(PAGE + 5..2 * PAGE + 7)));
    assert_eq!(part.is_resident(PAGE + 4), None);
    let none = map.residency(7..7).unwrap();
    assert_eq!((none.pages(), none.resident()), (0, Some(0)));
    let error = map.residency(..8 * PAGE).unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (Kind::OutOfRange, Operation::Residency)
    );
}

#[test]
fn an_unaligned_map_of_a_file_counts_from_its_own_first_byte() {
    let file = file_of(4 * PAGE);
    let map = FileMap::of(&file).range(100..3 * PAGE as u64 + 1).map().unwrap();
    map.hint(.., Hint::WillNeed).unwrap();
    let mut bytes = vec![0; map.len()];
    map.read_at(0, &mut bytes).unwrap();
    let residency = map.residency(..).unwrap();
    assert_eq!((residency.pages(), residency.resident()), (4, Some(4)));
    assert!(residency.stretches().eq(once(0..map.len())));
    let part = map.residency(PAGE - 100..PAGE).unwrap();
    assert_eq!((part.pages(), part.is_resident(PAGE - 100)), (1, Some(true)));
}

#[test]
fn the_cache_is_counted_clean_and_dirty() {
    let file = file_of(64 * PAGE);
    let stat = match CacheStat::of(&file, ..) {
        Err(error) if error.kind() == Kind::Unsupported(Feature::Cachestat) => {
            return skip("the_cache_is_counted", &error.to_string());
        }
        stat => stat.unwrap(),
    };
    assert_eq!(stat.cached(), 64 * PAGE as u64);
    let map = FileMap::of(&file).writable().map().unwrap();
    map.write_at(8 * PAGE, &[1; 16 * PAGE]).unwrap();
    let dirty = |range| CacheStat::of(&file, range).unwrap().dirty();
    assert!(dirty(0..64 * PAGE as u64) >= 16 * PAGE as u64);
    file.sync_all().unwrap();
    assert_eq!(dirty(0..64 * PAGE as u64), 0);
    assert_eq!(CacheStat::of(&file, 5..5), Ok(CacheStat::default()));
    let error = CacheStat::of(&file, u64::MAX..).unwrap_err();
    assert_eq!((error.kind(), error.range().start), (Kind::OutOfRange, u64::MAX));
    let tail = CacheStat::of(&file, 63 * PAGE as u64..).unwrap();
    assert_eq!(tail.cached(), PAGE as u64);
}

#[test]
fn a_read_that_would_wait_is_none() {
    let file = file_of(64 * PAGE);
    let mut bytes = [0; 2 * PAGE];
    let read = match try_read_resident(&file, PAGE as u64, &mut bytes) {
        Err(error) if error.kind() == Kind::Unsupported(Feature::ReadNoWait) => {
            return skip("a_read_that_would_wait", &error.to_string());
        }
        read => read.unwrap(),
    };
    assert_eq!(
        (read, bytes[0], bytes[2 * PAGE - 1]),
        (Some(2 * PAGE), b'a', b'a')
    );
    assert_eq!(
        try_read_resident(&file, 64 * PAGE as u64, &mut bytes),
        Ok(Some(0)),
        "the end"
    );
    let map = FileMap::of(&file).map().unwrap();
    // Of a file without a name the kernel may not tell; what is mapped here is told by the page table.
    map.hint(.., Hint::PopulateRead).unwrap();
    assert_eq!(map.try_read_resident(PAGE, &mut bytes), Ok(true));
    drop(map);
    if !drop_cache(&file) {
        return skip(
            "a_read_that_would_wait",
            "the temporary files' system keeps its cache",
        );
    }
    let map = FileMap::of(&file).map().unwrap();
    let mut untouched = [7; PAGE];
    assert_eq!(map.try_read_resident(32 * PAGE, &mut untouched), Ok(false));
    assert_eq!(untouched, [7; PAGE]);
    let error = map.try_read_resident(64 * PAGE - 1, &mut [0; 2]).unwrap_err();
    assert_eq!(
        (error.kind(), error.operation()),
        (Kind::OutOfRange, Operation::Read)
    );
}

#[test]
fn of_a_strangers_file_nothing_is_told_and_that_is_said() {
    if !is_root() {
        return skip("of_a_strangers_file", "takes root to make one");
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[b'a'; 16 * PAGE]).unwrap();
    file.as_file().sync_all().unwrap();
    let mode = std::fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(mode).unwrap();
    let path = file.path().to_owned();
    as_nobody(|| {
        let Ok(file) = File::open(&path) else {
            return skip(
                "of_a_strangers_file",
                "the folder of temporary files is closed to others",
            );
        };
        let map = FileMap::of(&file).map().unwrap();
        let residency = map.residency(..).unwrap();
        assert_eq!((residency.answer(), residency.resident()), (Answer::Denied, None));
        assert_eq!(
            (residency.is_resident(0), residency.stretches().count()),
            (None, 0)
        );
        assert_eq!(map.try_read_resident(0, &mut [0]), Ok(false));
        match CacheStat::of(&file, ..) {
            Err(error) => {
                let kinds = [Kind::AccessDenied, Kind::Unsupported(Feature::Cachestat)];
                assert!(kinds.contains(&error.kind()), "{error}");
            }
            // Before 6.14 it tells everybody.
            Ok(stat) => assert_eq!(stat.cached(), 16 * PAGE as u64),
        }
        // One's own memory and files are told of.
        let shared = Anon::shared(PAGE).map().unwrap();
        shared.write_at(0, &[1]).unwrap();
        assert_eq!(shared.residency(..).unwrap().answer(), Answer::Told);
    });
    std::fs::remove_file(&path).unwrap();
    as_nobody(|| {
        let unnamed = file_of(PAGE);
        let map = FileMap::of(&unnamed).map().unwrap();
        map.read_at(0, &mut [0]).unwrap();
        assert_eq!(map.residency(..).unwrap().answer(), Answer::Unsure);
        // The page is mapped here, so that it takes no disk to read it.
        assert_eq!(map.try_read_resident(0, &mut [0]), Ok(true));
    });
}

#[test]
fn each_page_has_a_state() {
    let mut map = Anon::private(4 * PAGE).guards(Guards::Both).map().unwrap();
    map[PAGE] = 1;
    let _zero = map[2 * PAGE];
    let pages = map.pages(..).unwrap();
    let present: Vec<bool> = pages.iter().map(|page| page.is_present()).collect();
    assert_eq!(present, [false, true, true, false]);
    assert!(pages[1].is_exclusive() && !pages[1].is_file_or_shared());
    assert_eq!(pages[0].place(), Where::Absent);
    assert!(!pages[1].is_swapped() && !pages[1].is_guard());
    if is_root() {
        // Without CAP_SYS_ADMIN, in a container, it is denied even to root.
        assert_ne!(pages[1].place(), Where::Absent);
    }
    let shared = Anon::shared(PAGE).map().unwrap();
    shared.write_at(0, &[1]).unwrap();
    assert!(shared.pages(..).unwrap()[0].is_file_or_shared());
    as_nobody(|| {
        let map = Anon::private(PAGE)
            .populate(neap_map::Populate::Now)
            .map()
            .unwrap();
        assert_eq!(map.pages(..).unwrap()[0].place(), Where::Denied);
    });
}

#[test]
fn scans_find_runs_and_more_than_fit_at_once() {
    in_child(|| {
        let mut map = Anon::private(512 * PAGE).guards(Guards::Both).map().unwrap();
        map.hint(.., Hint::NoHugePage).unwrap();
        for page in (0..512).step_by(2) {
            map[page * PAGE] = 1;
        }
        let runs = match map.scan(.., Categories::PRESENT) {
            Err(error) if error.kind() == Kind::Unsupported(Feature::PagemapScan) => {
                return skip("scans_find_runs", &error.to_string());
            }
            runs => runs.unwrap(),
        };
        let wanted: Vec<_> = (0..512)
            .step_by(2)
            .map(|page| page * PAGE..(page + 1) * PAGE)
            .collect();
        assert_eq!(runs.iter().map(PageRun::bytes).collect::<Vec<_>>(), wanted);
        assert!(runs[0].states().contains(Categories::PRESENT));
        map.hint(.., Hint::PopulateWrite).unwrap();
        let whole = map.scan(5..100 * PAGE - 5, Categories::PRESENT).unwrap();
        assert!(whole.iter().map(PageRun::bytes).eq(once(5..100 * PAGE - 5)));
        assert_eq!(map.scan(3..3, Categories::PRESENT), Ok(Vec::new()));
    });
}
