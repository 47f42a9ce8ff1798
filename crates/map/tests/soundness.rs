//! Attacks by safe code: what an adversary of this library tries, and what it gets.
#![allow(unsafe_code)]

mod child;
mod memory;
#[path = "../src/skip.rs"]
mod skip;

use child::in_child;
use memory::{HUGE, PAGE};
use neap_map::lock::When;
use neap_map::protection::Protection;
use neap_map::view::{Owned, VolatileMut};
use neap_map::{
    Allocation, Anon, FileMap, Guards, HugePage, Kind, Map, Means, Memfd, Sealed, Seals, SharedRing,
    Snapshot, Window, use_means,
};
use skip::skip;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

/// Runs `body` with pages of 2 MiB in the pool, if the test may fill it.
fn with_huge_pages(count: usize, body: impl FnOnce()) {
    const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    static TURN: Mutex<()> = Mutex::new(());
    struct Restore(String);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = std::fs::write(POOL, self.0.trim());
        }
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(before) = std::fs::read_to_string(POOL) else {
        return skip("no huge pages of 2 MiB");
    };
    if std::env::var_os("NEAP_TEST_SYSTEM").is_none() {
        return skip("NEAP_TEST_SYSTEM=1 would let it fill the pool of huge pages");
    }
    let want = before.trim().parse::<usize>().unwrap() + count;
    let _restore = Restore(before);
    let filled = std::fs::write(POOL, want.to_string()).is_ok()
        && std::fs::read_to_string(POOL).unwrap().trim() == want.to_string();
    if !filled {
        return skip("the pool of huge pages could not be filled");
    }
    body();
}

#[test]
fn huge_pages_do_not_move_over_small_ones() {
    with_huge_pages(2, || {
        let huge = Anon::private(HUGE).huge(HugePage::MIB_2).map().unwrap();
        let small = Anon::private(HUGE).align(HUGE).map().unwrap();
        let refused = huge.move_over(small).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::Invalid);
        let (huge, small) = refused.into_inner();
        let refused = small.move_over(huge).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::Invalid);
    });
}

#[test]
fn huge_memory_that_can_be_referred_to_is_there() {
    if !neap_map::huge::sizes().contains(&HugePage::MIB_2) {
        return skip("no huge pages of 2 MiB");
    }
    in_child(|| {
        let huge = Anon::private(1 << 44).huge(HugePage::MIB_2);
        assert_eq!(huge.no_reserve().map().unwrap_err().kind(), Kind::Invalid);
        assert_eq!(huge.map().unwrap_err().kind(), Kind::HugePoolEmpty);
        let room = huge.reserve().unwrap();
        let refused = room.commit().unwrap_err();
        assert_eq!(refused.error().kind(), Kind::HugePoolEmpty);
        drop(refused.into_inner());
    });
}

#[test]
fn huge_memory_that_is_committed_again_is_there() {
    with_huge_pages(1, || {
        in_child(|| {
            let mut map = Anon::private(HUGE).huge(HugePage::MIB_2).map().unwrap();
            map[0] = 1;
            let room = map.decommit().unwrap();
            let mut thief = Anon::private(HUGE).huge(HugePage::MIB_2).map().unwrap();
            thief[0] = 2;
            let refused = room.commit().map(|mut map| map[0] = 1).unwrap_err();
            assert_eq!(refused.error().kind(), Kind::HugePoolEmpty);
            drop(thief);
            let mut map = refused.into_inner().commit().unwrap();
            assert_eq!((map[0], map.page_size()), (0, HUGE));
            map[HUGE - 1] = 3;
        });
    });
}

#[test]
fn a_ring_of_huge_pages_is_foreign() {
    with_huge_pages(2, || {
        in_child(|| {
            let memfd = Memfd::named("hostile")
                .huge(HugePage::MIB_2)
                .create(HUGE as u64)
                .unwrap();
            {
                let map = memfd.map().unwrap();
                map.write(0, &u64::from_be_bytes(*b"neaprin1")).unwrap();
                map.write(8, &(HUGE as u64 - PAGE as u64)).unwrap();
                map.punch(..).unwrap();
            }
            memfd.seal(Seals::SHRINK | Seals::GROW).unwrap();
            let mut thieves = Vec::new();
            while let Ok(mut map) = Anon::private(HUGE).huge(HugePage::MIB_2).map() {
                map[0] = 1;
                thieves.push(map);
            }
            let error = SharedRing::open(&memfd).unwrap_err();
            assert_eq!(error.kind(), Kind::Foreign);
        });
    });
}

#[test]
fn a_socket_is_no_file() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = FileMap::of(&listener).range(..PAGE as u64).map().unwrap_err();
    assert_eq!(refused.kind(), Kind::DeviceMemory);
}

#[test]
fn values_without_bytes_are_read_in_any_number() {
    let map = Anon::shared(PAGE).map().unwrap();
    assert_eq!(map.read_vec::<()>(PAGE, usize::MAX).unwrap().len(), usize::MAX);
    assert_eq!(map.read::<[u64; 0]>(PAGE), Ok([]));
    map.write(PAGE, &[0u64; 0]).unwrap();
    for count in [usize::MAX, usize::MAX / 8, usize::MAX / 8 + 1, PAGE / 8 + 1] {
        assert_eq!(
            map.read_vec::<u64>(0, count).unwrap_err().kind(),
            Kind::OutOfRange
        );
    }
    assert_eq!(
        map.read_vec::<u8>(usize::MAX, 1).unwrap_err().kind(),
        Kind::OutOfRange
    );
}

#[test]
fn more_values_than_there_is_memory_for_are_an_error() {
    in_child(|| {
        let fd = Memfd::named("sparse").create(0).unwrap();
        let map = fd.file_map().range(..1 << 45).map().unwrap();
        assert_eq!(
            map.read_vec::<u64>(0, 1 << 42).unwrap_err().kind(),
            Kind::OutOfMemory
        );
    });
}

#[test]
fn more_records_than_there_is_memory_for_are_an_error() {
    in_child(|| {
        let room = Anon::private(1 << 40).reserve().unwrap();
        let (soft, hard) = (libc::RLIMIT_AS, (1 << 40) + (256 << 20));
        let limit = libc::rlimit {
            rlim_cur: hard,
            rlim_max: hard,
        };
        // SAFETY: `limit` is live.
        assert_eq!(unsafe { libc::setrlimit(soft, &raw const limit) }, 0);
        assert_eq!(room.residency(..).unwrap_err().kind(), Kind::OutOfMemory);
        assert_eq!(room.pages(..).unwrap_err().kind(), Kind::OutOfMemory);
        let file = memory::file_of(PAGE);
        for windows in [usize::MAX, usize::MAX >> 1, 1 << 40] {
            let refused = Window::new(&file, PAGE, NonZeroUsize::new(windows).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), Kind::OutOfMemory);
        }
    });
}

#[test]
#[should_panic(expected = "no more than was lent")]
fn a_cursor_does_not_go_back_by_consuming_too_much() {
    use std::io::BufRead;
    let map = Anon::shared(PAGE).map().unwrap();
    let mut cursor = map.cursor();
    cursor.fill_buf().unwrap();
    cursor.consume(1);
    cursor.consume(usize::MAX);
}

#[test]
fn a_forgotten_lock_keeps_no_map() {
    in_child(|| {
        let map = Anon::private(PAGE).map().unwrap();
        let place = map.as_ptr().addr();
        match map.lock(.., When::Now) {
            Ok(guard) => std::mem::forget(guard),
            Err(error) => return skip(error),
        }
        map.unmap().unwrap();
        let map = Anon::private(PAGE).at(place).map().unwrap();
        let guard = map.lock(.., When::Now).unwrap();
        assert_eq!(map[0], 0);
        // The forgotten one still counts: the page stays locked.
        guard.unlock().unwrap();
        let mut map = map;
        map.fill(1);
        map.resize_moving(9 * PAGE).unwrap();
        assert_eq!((map[PAGE - 1], map[PAGE]), (1, 0));
    });
}

#[test]
fn a_snapshot_of_holes_has_all_its_pages() {
    in_child(|| {
        let Some(folder) = small_file_system() else {
            return skip("may not mount a tmpfs");
        };
        let path = folder.join("sparse");
        std::fs::File::create(&path)
            .unwrap()
            .set_len(64 * PAGE as u64)
            .unwrap();
        let snapshot = Snapshot::take(&std::fs::File::open(&path).unwrap(), &folder).unwrap();
        assert!(std::fs::write(folder.join("full"), vec![1; 2 << 20]).is_err());
        assert!(snapshot.iter().all(|&byte| byte == 0));
        let refused = Snapshot::take(&std::fs::File::open(&path).unwrap(), &folder).unwrap_err();
        assert_eq!(refused.kind(), Kind::StorageFull);
    });
}

#[test]
fn a_sealed_object_of_huge_pages_with_holes_is_there_or_refused() {
    with_huge_pages(1, || {
        in_child(|| {
            let make = || {
                let memfd = Memfd::named("holes").huge(HugePage::MIB_2);
                let memfd = memfd.allocation(Allocation::Sparse).create(HUGE as u64).unwrap();
                memfd.seal(Seals::SHRINK | Seals::GROW | Seals::WRITE).unwrap();
                memfd
            };
            let sealed = Sealed::open(make()).unwrap();
            assert_eq!(
                Anon::private(HUGE)
                    .huge(HugePage::MIB_2)
                    .map()
                    .unwrap_err()
                    .kind(),
                Kind::HugePoolEmpty
            );
            let refused = Sealed::open(make()).unwrap_err().kind();
            assert!(matches!(refused, Kind::HugePoolEmpty | Kind::OutOfMemory));
            assert!(sealed.iter().all(|&byte| byte == 0));
        });
    });
}

/// Two halves of a map, the second sealed for ever, as one.
fn half_sealed() -> Option<Map<Owned>> {
    let mut first = memory::filled(2 * PAGE);
    let second = first.split_off(PAGE).unwrap();
    let sealed = second.sealed().ok()?;
    let second = std::mem::replace(sealed, Anon::private(0).map().unwrap());
    Some(first.merge(second).unwrap())
}

#[test]
fn what_is_half_sealed_changes_as_a_whole_or_not_at_all() {
    in_child(|| {
        let Some(map) = half_sealed() else {
            return skip("no mseal");
        };
        let refused = map.into_read_only().unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapSealed);
        let mut map = refused.into_inner();
        map.fill(1);
        let refused = map
            .while_protected(..PAGE, Protection::NoAccess, |_| ())
            .map(drop);
        assert_eq!(refused, Ok(()));
        let error = map.while_protected(.., Protection::NoAccess, |_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::MapSealed);
        map.fill(2);
        let map = map.close().unwrap_err().into_inner();
        let map = map.decommit().unwrap_err().into_inner();
        let mut map = map.into_code().unwrap_err().into_inner();
        map.fill(3);
        map.resize(PAGE).unwrap_err();
        map.resize_moving(3 * PAGE).unwrap_err();
        map.fill(4);
        let map = map.unmap().unwrap_err().into_inner();
        let (front, back) = map.unmap_range(..PAGE).unwrap();
        assert!(front.is_empty() && back[PAGE - 1] == 4);
    });
}

#[test]
fn what_is_half_sealed_does_not_move_by_halves() {
    in_child(|| {
        let (Some(mut map), Some(target)) = (half_sealed(), half_sealed()) else {
            return skip("no mseal");
        };
        map.move_out().unwrap_err();
        map.fill(1);
        let refused = map.move_over(memory::filled(2 * PAGE)).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::Invalid);
        let (mut map, mut over) = refused.into_inner();
        map.fill(5);
        over.fill(6);
        let refused = over.move_over(target).unwrap_err();
        let (mut over, mut target) = refused.into_inner();
        over.fill(7);
        target.fill(8);
    });
}

/// Pieces of different files side by side.
fn motley() -> Map<VolatileMut> {
    let room = Anon::private(4 * PAGE).reserve().unwrap();
    let base = room.as_ptr().addr();
    room.unmap().unwrap();
    let file = memory::file_of(PAGE);
    let memfd = Memfd::named("piece").create(PAGE as u64).unwrap();
    let segment = neap_map::sysv::Segment::private(PAGE).create().unwrap();
    let first = FileMap::of(&file).writable().at(base).map().unwrap();
    let second = memfd.file_map().writable().at(base + PAGE).map().unwrap();
    let third = segment.attach().at(base + 2 * PAGE).map().unwrap().into_map();
    segment.remove().unwrap();
    let fourth = Anon::shared(PAGE).at(base + 3 * PAGE).map().unwrap();
    first
        .merge(second)
        .unwrap()
        .merge(third)
        .unwrap()
        .merge(fourth)
        .unwrap()
}

#[test]
fn pieces_of_different_memory_are_one_map() {
    in_child(|| {
        let mut map = motley();
        map.fill(.., 9).unwrap();
        map.copy_from(100, &map, ..2 * PAGE).unwrap();
        map.resize(3 * PAGE).unwrap();
        assert_eq!(map.resize_moving(8 * PAGE).unwrap_err().kind(), Kind::Invalid);
        map.discard(..).unwrap();
        assert_eq!(map.read::<u8>(PAGE), Ok(9));
        let mut map = map.close().unwrap().open().unwrap();
        assert_eq!(map.read::<u8>(2 * PAGE), Ok(9));
        map.move_out().unwrap_err();
        let refused = map.move_over(Anon::shared(3 * PAGE).map().unwrap()).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::Invalid);
        let (map, target) = refused.into_inner();
        map.fill(.., 1).unwrap();
        target.fill(.., 2).unwrap();
        let map = target.move_over(map).unwrap();
        assert_eq!(map.read::<u8>(3 * PAGE - 1), Ok(2));
    });
}

#[test]
fn what_was_cut_and_merged_again_moves() {
    let mut map = memory::filled(4 * PAGE);
    let back = map.split_off(PAGE).unwrap();
    let map = map.merge(back).unwrap();
    let map = map.move_over(memory::filled(4 * PAGE)).unwrap();
    assert!(map.iter().all(|&byte| byte == 0xab));
}

/// A file system in memory of 1 MiB that only this child sees.
fn small_file_system() -> Option<std::path::PathBuf> {
    let folder = tempfile::tempdir().unwrap().keep();
    let path = std::ffi::CString::new(folder.to_str()?).unwrap();
    let (none, kind, nothing) = (c"none".as_ptr(), c"tmpfs".as_ptr(), std::ptr::null());
    let limit = c"size=1m".as_ptr().cast();
    // SAFETY: this child has one thread; the strings live through the calls. What is mounted vanishes with
    // the namespace.
    let failed = unsafe {
        libc::unshare(libc::CLONE_NEWNS) != 0
            || libc::mount(
                none,
                c"/".as_ptr(),
                nothing,
                libc::MS_REC | libc::MS_PRIVATE,
                nothing.cast(),
            ) != 0
            || libc::mount(none, path.as_ptr(), kind, 0, limit) != 0
    };
    if failed {
        let _ = std::fs::remove_dir(&folder);
    }
    (!failed).then_some(folder)
}

#[test]
fn a_leased_hole_has_a_page_or_there_is_no_lease() {
    in_child(|| {
        let Some(folder) = small_file_system() else {
            return skip("may not mount a tmpfs");
        };
        for is_full in [true, false] {
            let path = folder.join("sparse");
            std::fs::File::create(&path)
                .unwrap()
                .set_len(64 * PAGE as u64)
                .unwrap();
            let fill = vec![1; 2 << 20];
            if is_full {
                assert!(std::fs::write(folder.join("full"), &fill).is_err());
            }
            match FileMap::of(&std::fs::File::open(&path).unwrap()).leased() {
                Ok(map) => {
                    assert!(!is_full);
                    assert!(std::fs::write(folder.join("full"), &fill).is_err());
                    assert!(map.iter().all(|&byte| byte == 0));
                }
                Err(error) => {
                    assert!(is_full);
                    assert_eq!(error.kind(), Kind::StorageFull);
                    std::fs::remove_file(folder.join("full")).unwrap();
                }
            }
        }
    });
}

#[test]
fn a_panic_under_protection_gives_the_rights_back() {
    let mut map = memory::filled(3 * PAGE);
    for protection in [Protection::NoAccess, Protection::NoWrite] {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            map.while_protected(PAGE..2 * PAGE, protection, |around| {
                around.before[0] = 1;
                panic!("on purpose")
            })
        }));
        assert!(outcome.is_err());
        map.fill(7);
    }
    assert!(map.iter().all(|&byte| byte == 7));
}

#[test]
fn a_guarded_page_is_not_taken_for_memory_again() {
    let map = Anon::private(2 * PAGE).map().unwrap();
    let lazy = map.free(..).unwrap();
    if let Err(error) = lazy.guard(..PAGE) {
        return skip(error);
    }
    let refused = lazy.retake().unwrap_err();
    assert_eq!(refused.error().kind(), Kind::Inaccessible);
    let lazy = refused.into_inner();
    lazy.unguard(..).unwrap();
    lazy.retake().unwrap().fill(1);
}

#[test]
fn no_copy_reaches_a_neighbour() {
    for means in [Means::Handler, Means::SystemCalls] {
        in_child(|| {
            use_means(means).unwrap();
            let memfd = Memfd::named("m").create(3 * PAGE as u64).unwrap();
            let mut map = memfd.map().unwrap();
            let last = map.split_off(2 * PAGE).unwrap();
            let middle = map.split_off(PAGE).unwrap();
            middle.fill(.., 5).unwrap();
            for (offset, len) in [
                (PAGE, 1),
                (0, PAGE + 1),
                (usize::MAX, 1),
                (1, usize::MAX),
                (PAGE - 1, 2),
            ] {
                let len = len.min(PAGE + 1);
                assert!(map.write_at(offset, &vec![1; len]).is_err());
                assert!(last.write_at(offset, &vec![1; len]).is_err());
            }
            assert!(map.fill(..=PAGE, 1).is_err() && map.fill(..=usize::MAX, 1).is_err());
            assert!(map.punch(..=PAGE).is_err() && map.guard(PAGE..2 * PAGE).is_err());
            assert!(map.copy_from(1, &middle, ..).is_err());
            assert_eq!(middle.find(.., 1).unwrap(), None);
            memfd.shrink(0).unwrap();
            assert_eq!(
                map.read::<u8>(0).map(drop).map_err(|error| error.range()),
                Err(0..1)
            );
        });
    }
}

#[test]
fn guards_are_no_ones_to_change() {
    let mut map = Anon::private(2 * PAGE).guards(Guards::Both).map().unwrap();
    let back = map.split_off(PAGE).unwrap();
    assert_eq!(map.len() + back.len(), 2 * PAGE);
    let (mut map, back) = (
        map.decommit().unwrap().commit().unwrap(),
        back.close().unwrap().open().unwrap(),
    );
    map.resize(2 * PAGE).unwrap_err();
    let whole = map.merge(back).unwrap();
    let moved = whole.move_over(Anon::private(2 * PAGE).map().unwrap()).unwrap();
    assert_eq!(moved.len(), 2 * PAGE);
}
