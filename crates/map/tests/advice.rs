//! Every madvise value does what it says: seen from outside, in smaps, pagemap, the file system or a child.
#![allow(unsafe_code)]

mod child;
mod kernel;
mod memory;
#[path = "../src/skip.rs"]
mod skip;

use child::{End, end, in_child, start};
use kernel::{bytes, has_flag, may_change_system, skip};
use memory::{HUGE, PAGE, apart, file_of, filled, until};
use neap_map::view::{Owned, Volatile, VolatileMut};
use neap_map::{Anon, AtFork, CacheStat, Discard, FileMap, Guards, Hint, HugePage, Kind, Map};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

/// Takes a file's pages out of the cache; false where they stay (tmpfs).
fn drop_cache(file: &File) -> bool {
    file.sync_all().unwrap();
    // SAFETY: no memory is involved.
    let dropped = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(dropped, 0);
    let residency = FileMap::of(file).map().unwrap().residency(..).unwrap();
    residency.resident() == Some(0)
}

#[test]
fn the_usual_kernel_knows_all_but_those_for_broken_memory() {
    for hint in Hint::ALL.iter().filter(|hint| **hint != Hint::SoftOffline) {
        if !hint.is_supported() {
            skip("the_usual_kernel_knows", &format!("{hint:?}"));
        }
    }
    assert!(Hint::Normal.is_supported() && Hint::WillNeed.is_supported());
    assert!(Discard::DontNeed.is_supported() && Discard::Remove.is_supported());
    assert!(AtFork::ALL.iter().all(|fork| fork.is_supported()));
    // What is known to be unsupported is answered so.
    let map = Anon::private(PAGE).map().unwrap();
    if !Hint::SoftOffline.is_supported() {
        let error = map.hint(.., Hint::SoftOffline).unwrap_err();
        let kinds = [Kind::Unsupported(neap_map::Feature::Advice), Kind::NotPermitted];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
    if !Discard::HwPoison.is_supported() {
        // SAFETY: (1, 2) the kernel does not know it, so nothing is lost.
        let error = unsafe { map.discard_unchecked(.., Discard::HwPoison) }.unwrap_err();
        let kinds = [Kind::Unsupported(neap_map::Feature::Advice), Kind::NotPermitted];
        assert!(kinds.contains(&error.kind()), "{error}");
    }
}

#[test]
fn read_ahead_is_as_advised() {
    const LEN: usize = 16 << 20;
    let cached = |hint: Hint, flags: [bool; 2]| -> Option<u64> {
        let file = file_of(LEN);
        if !drop_cache(&file) {
            return None;
        }
        let map: Map<Volatile> = FileMap::of(&file).map().unwrap();
        map.hint(.., hint).unwrap();
        assert_eq!(
            [has_flag(map.as_ptr(), "rr"), has_flag(map.as_ptr(), "sr")],
            flags
        );
        map.read_at(LEN / 2, &mut [0]).unwrap();
        let stat = CacheStat::of(&file, ..).unwrap();
        Some(stat.cached() / PAGE as u64)
    };
    let random = cached(Hint::Random, [true, false]);
    let sequential = cached(Hint::Sequential, [false, true]);
    let normal = cached(Hint::Normal, [false, false]);
    match (random, sequential, normal) {
        (Some(random), Some(sequential), Some(normal)) => {
            eprintln!(
                "pages in cache after one touch: random {random}, sequential {sequential}, normal {normal}"
            );
            // The device may be told to read nothing ahead.
            assert!(random <= sequential && random <= normal);
        }
        _ => skip(
            "read_ahead_is_as_advised",
            "the temporary files' system keeps its cache",
        ),
    }
}

#[test]
fn will_need_reads_the_file_in() {
    let file = file_of(8 << 20);
    if !drop_cache(&file) {
        return skip(
            "will_need_reads_the_file_in",
            "the temporary files' system keeps its cache",
        );
    }
    let map = FileMap::of(&file).map().unwrap();
    map.prefetch(1 << 20..2 << 20).unwrap();
    let read = || map.residency(1 << 20..2 << 20).unwrap().resident() == Some(256);
    until("reading in", read);
}

#[test]
fn discarding_shows_what_lies_beneath() {
    in_child(|| {
        let mut map = filled(4 * PAGE);
        map.discard(PAGE + 1..3 * PAGE + 1).unwrap();
        // Only whole pages inside the range go: here the third.
        for (page, byte) in [0xab, 0xab, 0, 0xab].into_iter().enumerate() {
            assert_eq!(map[page * PAGE..][..PAGE], [byte; PAGE], "page {page}");
        }
        // The third was just read: that is the zero page, which is nobody's.
        assert_eq!(bytes(map.as_ptr(), "Rss"), 3 * PAGE);
        map.discard(..).unwrap();
        assert_eq!(bytes(map.as_ptr(), "Rss"), 0);

        let file = file_of(2 * PAGE);
        let copy: Map<VolatileMut> = FileMap::of(&file).copy_on_write().map().unwrap();
        copy.write_at(0, b"bbbb").unwrap();
        copy.discard(..).unwrap();
        assert_eq!(copy.read::<[u8; 4]>(0), Ok(*b"aaaa"));

        let writable = FileMap::of(&file).writable().map().unwrap();
        writable.write_at(0, b"cccc").unwrap();
        assert_ne!(bytes(writable.as_ptr(), "Rss"), 0);
        writable.discard(..).unwrap();
        assert_eq!(bytes(writable.as_ptr(), "Rss"), 0);
        assert_eq!(writable.read::<[u8; 4]>(0), Ok(*b"cccc"));
        let shared = Anon::shared(PAGE).map().unwrap();
        shared.write_at(0, b"dddd").unwrap();
        shared.discard(..).unwrap();
        assert_eq!(shared.read::<[u8; 4]>(0), Ok(*b"dddd"));
    });
}

#[test]
fn freed_pages_are_the_kernels_until_they_are_taken_back() {
    const LEN: usize = 1024 * PAGE;
    in_child(|| {
        let map = filled(LEN).free(..).unwrap();
        assert!(bytes(map.as_ptr(), "LazyFree") > LEN / 2);
        let byte = map.read::<u8>(7 * PAGE).unwrap();
        assert!(byte == 0xab || byte == 0);
        // A store cancels it for its page, and the page then survives being paged out.
        map.write_at(5 * PAGE, &[1]).unwrap();
        map.hint(.., Hint::PageOut).unwrap();
        assert_eq!(map.read::<u8>(7 * PAGE), Ok(0), "paging out takes freed pages");
        assert_eq!(map.read::<u8>(5 * PAGE), Ok(1));

        let map = filled(LEN).free(..).unwrap();
        let map: Map<Owned> = map.retake().unwrap();
        let before: Vec<u8> = map.to_vec();
        map.hint(.., Hint::PageOut).unwrap();
        assert_eq!(bytes(map.as_ptr(), "LazyFree"), 0);
        assert!(before == map[..], "what was taken back has not changed");
    });
}

#[test]
fn punching_makes_a_hole_for_everybody() {
    let file = file_of(64 * PAGE);
    let map = FileMap::of(&file).writable().map().unwrap();
    let before = file.metadata().unwrap().blocks();
    match map.punch(PAGE..33 * PAGE) {
        Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => {
            return skip("punching_makes_a_hole", &error.to_string());
        }
        answer => answer.unwrap(),
    }
    let mut bytes = [1; 2];
    file.read_exact_at(&mut bytes, PAGE as u64 - 1).unwrap();
    assert_eq!(bytes, [b'a', 0]);
    file.sync_all().unwrap();
    assert!(file.metadata().unwrap().blocks() < before);
    // SAFETY: no memory is involved.
    let hole = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_HOLE) };
    assert_eq!(hole, PAGE as i64);

    let shared = Anon::shared(4 * PAGE).map().unwrap();
    shared.write_at(0, &[7; 4 * PAGE]).unwrap();
    shared.punch(PAGE..2 * PAGE).unwrap();
    assert_eq!(shared.read::<[u8; 2]>(PAGE - 1), Ok([7, 0]));
    assert_eq!(shared.read::<[u8; 2]>(2 * PAGE - 1), Ok([0, 7]));
}

#[test]
fn a_child_gets_what_was_said() {
    in_child(|| {
        let shared = Anon::shared(3 * PAGE).map().unwrap();
        // SAFETY: (1) the child below forgets the map and asks the kernel first.
        unsafe { shared.at_fork(PAGE..2 * PAGE, AtFork::Omit) }.unwrap();
        let middle = shared.as_ptr().wrapping_add(PAGE);
        assert!(has_flag(middle, "dc") && !has_flag(shared.as_ptr(), "dc"));
        let pid = start(|| {
            let shared = std::mem::ManuallyDrop::new(shared);
            assert_eq!(
                shared.residency(PAGE..2 * PAGE).unwrap_err().kind(),
                Kind::NotMapped
            );
            assert_eq!(shared.read::<u8>(PAGE).unwrap_err().kind(), Kind::NotMapped);
            assert_eq!(shared.read::<u8>(2 * PAGE), Ok(0));
        });
        assert_eq!(end(pid), End::Exited(0));
    });
    in_child(|| {
        let shared = Anon::shared(PAGE).map().unwrap();
        // SAFETY: (1, 3) inherited again at once, and not of a lease.
        unsafe {
            shared.at_fork(.., AtFork::Omit).unwrap();
            shared.at_fork(.., AtFork::Inherit).unwrap();
        }
        assert!(!has_flag(shared.as_ptr(), "dc"));
        assert_eq!(
            end(start(|| assert_eq!(shared.read::<u8>(0), Ok(0)))),
            End::Exited(0)
        );
    });
    in_child(|| {
        let map = filled(2 * PAGE);
        // SAFETY: (2) the child takes new slices.
        unsafe { map.at_fork(..PAGE, AtFork::Wipe) }.unwrap();
        assert!(has_flag(map.as_ptr(), "wf"));
        assert_eq!(
            end(start(|| assert_eq!((map[0], map[PAGE]), (0, 0xab)))),
            End::Exited(0)
        );
        assert_eq!(map[0], 0xab);
        // SAFETY: (2) undone.
        unsafe { map.at_fork(..PAGE, AtFork::Keep) }.unwrap();
        assert!(!has_flag(map.as_ptr(), "wf"));
        assert_eq!(end(start(|| assert_eq!(map[0], 0xab))), End::Exited(0));
    });
}

#[test]
fn flags_of_a_mapping_are_set_and_cleared() {
    in_child(|| {
        let map = apart(2 * HUGE);
        for (set, flag, clear) in [
            (Hint::Mergeable, "mg", Hint::Unmergeable),
            (Hint::HugePage, "hg", Hint::NoHugePage),
            (Hint::NoHugePage, "nh", Hint::HugePage),
            (Hint::DontDump, "dd", Hint::DoDump),
            (Hint::Random, "rr", Hint::Normal),
            (Hint::Sequential, "sr", Hint::Normal),
        ] {
            match map.hint(PAGE..2 * PAGE, set) {
                Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => {
                    skip("flags_of_a_mapping", &format!("{set:?}: {error}"));
                    continue;
                }
                answer => answer.unwrap(),
            }
            assert!(has_flag(map.as_ptr().wrapping_add(PAGE), flag), "{set:?}");
            map.hint(.., clear).unwrap();
            assert!(!has_flag(map.as_ptr().wrapping_add(PAGE), flag), "{clear:?}");
        }
    });
}

#[test]
fn huge_pages_come_where_they_are_advised() {
    let enabled = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if enabled.is_empty() || enabled.contains("[never]") {
        return skip(
            "huge_pages_come_where_they_are_advised",
            "no transparent huge pages",
        );
    }
    in_child(|| {
        let fresh = || {
            Anon::private(2 * HUGE)
                .align(HUGE)
                .guards(Guards::Both)
                .map()
                .unwrap()
        };
        let mut map = fresh();
        map.hint(.., Hint::HugePage).unwrap();
        map.fill(1);
        let huge = bytes(map.as_ptr(), "AnonHugePages");
        if huge == 0 {
            skip(
                "huge_pages_come_where_they_are_advised",
                "the machine has none free",
            );
        }
        let mut map = fresh();
        map.hint(.., Hint::NoHugePage).unwrap();
        map.fill(1);
        assert_eq!(bytes(map.as_ptr(), "AnonHugePages"), 0);
    });
    in_child(|| {
        let mut map = Anon::private(HUGE)
            .align(HUGE)
            .guards(Guards::Both)
            .map()
            .unwrap();
        map.hint(.., Hint::NoHugePage).unwrap();
        map.fill(1);
        assert_eq!(bytes(map.as_ptr(), "AnonHugePages"), 0);
        map.hint(.., Hint::HugePage).unwrap();
        match map.hint(.., Hint::Collapse) {
            Ok(()) => assert_eq!(bytes(map.as_ptr(), "AnonHugePages"), HUGE),
            Err(error) => {
                let unable = [
                    Kind::Unsupported(neap_map::Feature::Advice),
                    Kind::OutOfMemory,
                    Kind::WouldBlock,
                    Kind::Busy,
                ];
                assert!(unable.contains(&error.kind()), "{error}");
                skip("collapse", &error.to_string());
            }
        }
        assert!(map.iter().all(|&byte| byte == 1));
    });
}

#[test]
fn cold_pages_are_not_referenced_any_more() {
    if !Hint::Cold.is_supported() {
        return skip("cold_pages", "MADV_COLD is Linux 5.4");
    }
    in_child(|| {
        let map = filled(64 * PAGE);
        assert_eq!(bytes(map.as_ptr(), "Referenced"), 64 * PAGE);
        // While somebody else looks at a page the kernel passes it over.
        until("cooling", || {
            map.hint(.., Hint::Cold).unwrap();
            bytes(map.as_ptr(), "Referenced") == 0
        });
        assert_eq!(bytes(map.as_ptr(), "Rss"), 64 * PAGE);
        assert!(map.iter().all(|&byte| byte == 0xab));
    });
}

#[test]
fn a_file_is_paged_out() {
    let file = file_of(256 * PAGE);
    if !drop_cache(&file) {
        return skip(
            "a_file_is_paged_out",
            "the temporary files' system keeps its cache",
        );
    }
    let map = FileMap::of(&file).map().unwrap();
    map.hint(.., Hint::PopulateRead).unwrap();
    assert_eq!(map.residency(..).unwrap().resident(), Some(256));
    map.hint(.., Hint::PageOut).unwrap();
    let gone = || {
        map.hint(.., Hint::PageOut).unwrap();
        map.residency(..).unwrap().resident() == Some(0)
    };
    until("paging out", gone);
    assert_eq!(map.read::<u8>(100 * PAGE), Ok(b'a'));
}

fn minor_faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writes one rusage.
    unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init().ru_minflt
    }
}

#[test]
fn populated_pages_fault_no_more() {
    if !Hint::PopulateRead.is_supported() {
        return skip("populated_pages", "MADV_POPULATE_READ is Linux 5.14");
    }
    in_child(|| {
        let mut map = apart(256 * PAGE);
        map.hint(.., Hint::PopulateRead).unwrap();
        assert!(map.pages(..).unwrap().iter().all(|page| page.is_present()));
        assert_eq!(
            bytes(map.as_ptr(), "Anonymous"),
            0,
            "loads make no pages of one's own"
        );
        map.hint(.., Hint::PopulateWrite).unwrap();
        assert_eq!(bytes(map.as_ptr(), "Anonymous"), 256 * PAGE);
        let before = minor_faults();
        for page in 0..256 {
            map[page * PAGE] = 1;
        }
        let faults = minor_faults() - before;
        assert!(faults < 16, "{faults} faults on 256 populated pages");
    });
}

#[test]
fn locked_memory_is_discarded_only_on_demand() {
    in_child(|| {
        let mut map = filled(8 * PAGE);
        // SAFETY: locks this map's pages.
        let locked = unsafe { libc::mlock(map.as_ptr().cast(), 8 * PAGE) };
        if locked != 0 {
            return skip("locked_memory", "RLIMIT_MEMLOCK");
        }
        assert_eq!(map.discard(..).unwrap_err().kind(), Kind::Locked);
        assert_eq!(map[0], 0xab);
        match map.discard_locked(..) {
            Err(error) => {
                assert_eq!(
                    error.kind(),
                    Kind::Unsupported(neap_map::Feature::Advice),
                    "{error}"
                );
                skip("locked_memory", "MADV_DONTNEED_LOCKED is Linux 5.18");
            }
            Ok(()) => {
                assert_eq!(bytes(map.as_ptr(), "Rss"), 0);
                assert!(has_flag(map.as_ptr(), "lo"));
                assert_eq!(map[0], 0);
            }
        }
    });
}

#[test]
fn a_core_lacks_what_was_left_out() {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    if pattern.starts_with(['|', '/', '@']) {
        return skip("a_core_lacks", "cores go elsewhere: kernel.core_pattern");
    }
    let folder = tempfile::tempdir().unwrap();
    // Made from parts, so that nothing but the maps has them whole.
    let marker = |kind: u8| [&b"neap-core-"[..], &[kind; 32]].concat();
    let dump = start(|| {
        std::env::set_current_dir(folder.path()).unwrap();
        let (mut kept, mut left_out) = (apart(PAGE), apart(PAGE));
        for (map, kind) in [(&mut kept, b'K'), (&mut left_out, b'L')] {
            map[..10].copy_from_slice(b"neap-core-");
            map[10..42].fill(kind);
        }
        left_out.hint(.., Hint::DontDump).unwrap();
        child::core_and_abort();
    });
    assert_eq!(end(dump), End::Killed(libc::SIGABRT));
    let Some(core) = fs::read_dir(folder.path()).unwrap().next() else {
        return skip("a_core_lacks", "this process may not dump: ulimit -c");
    };
    let core = fs::read(core.unwrap().path()).unwrap();
    let has = |marker: Vec<u8>| core.windows(marker.len()).any(|window| window == marker);
    assert!(has(marker(b'K')), "the core has what was not left out");
    assert!(!has(marker(b'L')), "the core lacks what was");
}

#[test]
fn huge_pages_of_the_pool_are_discarded_whole() {
    in_child(|| {
        let Ok(mut map) = Anon::private(HUGE).huge(HugePage::MIB_2).map() else {
            return skip("huge_pages_of_the_pool", "the pool is empty");
        };
        map[0] = 1;
        map.discard(..PAGE).unwrap();
        assert_eq!(map[0], 1, "4 KiB are no whole page of this map");
        if map.discard(..).is_err() {
            return skip(
                "huge_pages_of_the_pool",
                "MADV_DONTNEED of huge pages is Linux 5.18",
            );
        }
        assert_eq!(map[0], 0);
    });
}

#[test]
fn equal_pages_are_merged() {
    const KSM: &str = "/sys/kernel/mm/ksm";
    if !may_change_system() {
        return skip(
            "equal_pages_are_merged",
            "changes /sys/kernel/mm/ksm: NEAP_TEST_SYSTEM=1",
        );
    }
    let set = |name: &str, value: &str| fs::write(format!("{KSM}/{name}"), value).unwrap();
    let get = |name: &str| fs::read_to_string(format!("{KSM}/{name}")).unwrap();
    let (run, scan) = (get("run"), get("pages_to_scan"));
    in_child(|| {
        let map = filled(1024 * PAGE);
        map.hint(.., Hint::Mergeable).unwrap();
        set("pages_to_scan", "20000");
        set("run", "1");
        until("merging", || bytes(map.as_ptr(), "KSM") > 512 * PAGE);
        map.hint(.., Hint::Unmergeable).unwrap();
        assert_eq!(bytes(map.as_ptr(), "KSM"), 0);
        assert!(map.iter().all(|&byte| byte == 0xab));
    });
    set("pages_to_scan", scan.trim());
    set("run", run.trim());
}
