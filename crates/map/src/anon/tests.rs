//! Each flag of mmap for anonymous memory, by what /proc/self/smaps says of it.

use super::*;
use crate::child::{Child, in_child};
use crate::error::Feature;
use crate::smaps;

const MIB: usize = 1 << 20;

#[test]
fn private_memory_is_charged_and_made_on_touch() {
    let mut map = Anon::private(MIB).map().unwrap();
    let fresh = smaps::at(map.as_ptr()).unwrap();
    assert!(fresh.rights == "rw-p" && fresh.has("ac") && !fresh.has("nr"));
    map[0] = 1;
    assert!(smaps::at(map.as_ptr()).unwrap().kib("Rss:") >= 4);
    let mut empty = Anon::private(0).map().unwrap();
    assert!(empty.is_empty() && empty[..].is_empty() && empty.iter_mut().next().is_none());
    empty.unmap().unwrap();
}

#[test]
fn no_reserve_is_not_charged() {
    let map = Anon::private(MIB).no_reserve().map().unwrap();
    let entry = smaps::at(map.as_ptr()).unwrap();
    assert!(entry.has("nr") && !entry.has("ac"));
    let shared = Anon::shared(MIB).no_reserve().map().unwrap();
    assert!(smaps::at(shared.as_ptr()).unwrap().has("nr"));
}

#[test]
fn a_reservation_is_charged_when_it_is_committed_and_no_longer_when_it_is_not() {
    in_child(|| {
        let room = Anon::private(16 * MIB).align(2 * MIB).reserve().unwrap();
        assert!(room.as_ptr().addr().is_multiple_of(2 * MIB));
        let look = |at: *const u8| smaps::at(at).unwrap();
        assert!(look(room.as_ptr()).rights == "---p" && !look(room.as_ptr()).has("ac"));
        let map = room.commit().unwrap();
        assert!(look(map.as_ptr()).rights == "rw-p" && look(map.as_ptr()).has("ac"));
        let room = map.decommit().unwrap();
        assert!(look(room.as_ptr()).rights == "---p" && !look(room.as_ptr()).has("ac"));
        // Who asked for no charge has none later either.
        let map = Anon::private(MIB)
            .no_reserve()
            .reserve()
            .unwrap()
            .commit()
            .unwrap();
        assert!(!look(map.as_ptr()).has("ac"));
    });
}

#[test]
fn read_only_memory_is_charged_when_it_may_be_written() {
    // A file's: anonymous memory is charged from the start, as it starts writable.
    let file = tempfile::tempfile().unwrap();
    file.set_len(4096).unwrap();
    let map = crate::FileMap::of(&file).private().map().unwrap();
    assert!(!smaps::at(map.as_ptr()).unwrap().has("ac"));
    let map = map.into_writable().unwrap();
    assert!(smaps::at(map.as_ptr()).unwrap().has("ac"));
}

#[test]
fn locked_memory_is_there_and_locked() {
    let map = Anon::private(MIB / 16).locked().map().unwrap();
    let entry = smaps::at(map.as_ptr()).unwrap();
    assert!(entry.has("lo"));
    assert_eq!((entry.kib("Locked:"), entry.kib("Rss:")), (64, 64));
}

#[test]
fn a_stack_has_no_huge_pages() {
    let map = Anon::private(4 * MIB).stack().map().unwrap();
    let entry = smaps::at(map.as_ptr()).unwrap();
    if !entry.has("nh") {
        return crate::skip::skip(format_args!(
            "MAP_STACK means nothing before Linux 6.7 or without huge pages"
        ));
    }
    assert!(
        !smaps::at(Anon::private(4 * MIB).map().unwrap().as_ptr())
            .unwrap()
            .has("nh")
    );
}

#[test]
fn populating_makes_every_page_now() {
    let now = Anon::private(MIB).populate(Populate::Now).map().unwrap();
    let later = Anon::private(MIB).guards(Guards::Both).map().unwrap();
    assert_eq!(smaps::at(now.as_ptr()).unwrap().kib("Rss:") % 1024, 0);
    assert!(smaps::at(now.as_ptr()).unwrap().kib("Rss:") >= 1024);
    assert_eq!(smaps::at(later.as_ptr()).unwrap().kib("Rss:"), 0);
}

#[test]
fn droppable_memory_is_what_the_kernel_says_it_is() {
    let map = match Anon::droppable(MIB).map() {
        Err(error) if error.kind() == Kind::Unsupported(Feature::Droppable) => {
            return crate::skip::skip(format_args!("{error}"));
        }
        map => map.unwrap(),
    };
    let entry = smaps::at(map.as_ptr()).unwrap();
    for flag in ["nr", "wf", "dd", "dp"] {
        assert!(entry.has(flag), "{flag} in {}", entry.flags());
    }
    map.write(0, &7u64).unwrap();
    assert_eq!(map.read::<u64>(0), Ok(7));
    let child = Child::start(|| assert_eq!(map.read::<u64>(0), Ok(0)));
    assert_eq!(child.end(), Ok(0));
}

#[test]
fn shared_memory_is_seen_by_a_child_and_private_memory_copied() {
    let shared = Anon::shared(4096).map().unwrap();
    let mut private = Anon::private(4096).map().unwrap();
    private[0] = 1;
    in_child(|| {
        shared.write(8, &42u32).unwrap();
        private[0] = 2;
    });
    assert_eq!((shared.read::<u32>(8), private[0]), (Ok(42), 1));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn low_memory_is_low() {
    let map = Anon::private(MIB).low().map().unwrap();
    assert!(map.as_ptr().addr() + MIB <= 1 << 31);
}

#[test]
fn guards_and_alignment_are_where_they_should_be() {
    for guards in [Guards::None, Guards::Before, Guards::Behind, Guards::Both] {
        for align in [1, 4096, 64 << 10, 2 * MIB, 1 << 30] {
            let mut map = Anon::private(5000).guards(guards).align(align).map().unwrap();
            assert!(map.as_ptr().addr().is_multiple_of(align.max(4096)));
            map.fill(3);
            let (first, last) = (map.as_ptr(), map.as_ptr().wrapping_add(8192));
            let rights = |at| smaps::at(at).map(|entry: smaps::Entry| entry.rights);
            if matches!(guards, Guards::Before | Guards::Both) {
                assert_eq!(rights(first.wrapping_sub(1)).as_deref(), Some("---p"));
            }
            if matches!(guards, Guards::Behind | Guards::Both) {
                assert_eq!(rights(last).as_deref(), Some("---p"));
            }
            assert_eq!(rights(first).as_deref(), Some("rw-p"));
        }
    }
    assert_eq!(
        Anon::private(1).align(3).map().unwrap_err().kind(),
        Kind::Unaligned
    );
}

#[test]
fn a_place_is_kept_or_refused_and_a_hint_is_a_hint() {
    let room = Anon::private(4 * 4096).reserve().unwrap();
    let taken = room.as_ptr().addr();
    let error = Anon::private(4096).at(taken).map().unwrap_err();
    assert_eq!(
        (error.kind(), error.errno().unwrap().name()),
        (Kind::Occupied, Some("EEXIST"))
    );
    let elsewhere = Anon::private(4096).near(taken).map().unwrap();
    assert_ne!(elsewhere.as_ptr().addr(), taken);
    in_child(|| {
        // In a child of one thread nobody else takes the place.
        let free = room.as_ptr().addr();
        room.unmap().unwrap();
        assert_eq!(Anon::private(4096).at(free).map().unwrap().as_ptr().addr(), free);
        assert_eq!(
            Anon::private(4096).near(free).map().unwrap().as_ptr().addr(),
            free
        );
        let error = Anon::private(4096).at(free + 1).map().unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let both = Anon::private(4096).at(free).guards(Guards::Both).map();
        assert_eq!(both.unwrap_err().kind(), Kind::Invalid);
    });
}

/// Runs `body` with `count` pages of `size` in the pool, if that is allowed and can be had.
fn with_pool(size: HugePage, count: usize, body: impl FnOnce()) {
    let kib = size.bytes().unwrap().0 / 1024;
    let pool = format!("/sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages");
    let Ok(before) = std::fs::read_to_string(&pool) else {
        return crate::skip::skip(format_args!("no pool of {kib} KiB pages"));
    };
    if std::env::var_os("NEAP_TEST_SYSTEM").is_none() {
        return crate::skip::skip(format_args!(
            "NEAP_TEST_SYSTEM=1 would let the test fill the pool of {kib} KiB pages"
        ));
    }
    struct Restore(String, String);
    impl Drop for Restore {
        fn drop(&mut self) {
            std::fs::write(&self.0, self.1.trim()).unwrap();
        }
    }
    let free = before.trim().parse::<usize>().unwrap() + count;
    let _restore = Restore(pool.clone(), before);
    let filled = std::fs::write(&pool, free.to_string()).is_ok()
        && std::fs::read_to_string(&pool).unwrap().trim() == free.to_string();
    if !filled {
        return crate::skip::skip(format_args!("the pool of {kib} KiB pages could not be filled"));
    }
    body();
}

#[test]
fn huge_pages_come_from_the_pool_or_not_at_all() {
    for size in [HugePage::MIB_2, HugePage::GIB_1] {
        let bytes = size.bytes().unwrap().0;
        if !crate::huge::sizes().contains(&size) {
            let error = Anon::private(1).huge(size).map().unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported(Feature::HugePages));
            continue;
        }
        // No machine has so many.
        let error = Anon::private(1 << 44).huge(size).map().unwrap_err();
        assert_eq!(error.kind(), Kind::HugePoolEmpty);
        with_pool(size, 2, || {
            let mut map = Anon::private(5000).huge(size).map().unwrap();
            assert_eq!((map.len(), map.page_size()), (5000, bytes));
            map.fill(1);
            let entry = smaps::at(map.as_ptr()).unwrap();
            assert_eq!(entry.kib("Private_Hugetlb:"), bytes / 1024);
            assert_eq!(entry.kib("Rss:"), 0);
            assert!(entry.has("ht") && entry.span.len() == bytes);
            let refused = map.unmap_range(..4096).unwrap_err();
            assert_eq!(refused.error().kind(), Kind::Unaligned);
            refused.into_inner().unmap().unwrap();
            let mut two = Anon::private(2 * bytes)
                .huge(size)
                .guards(Guards::Both)
                .map()
                .unwrap();
            let half = two.split_off(bytes).unwrap();
            half.unmap().unwrap();
            two[0] = 1;
            let room = two.decommit().unwrap();
            assert_eq!(room.commit().unwrap()[0], 0);
        });
    }
    let default = Anon::private(1 << 44).huge(HugePage::DEFAULT).map().unwrap_err();
    assert!(matches!(
        default.kind(),
        Kind::HugePoolEmpty | Kind::Unsupported(Feature::HugePages)
    ));
}

#[test]
fn a_huge_page_promised_without_a_pool_is_an_error_of_the_copy() {
    let size = HugePage::MIB_2;
    if !crate::huge::sizes().contains(&size) {
        return crate::skip::skip(format_args!("no huge pages of 2 MiB"));
    }
    // More pages than the pool can have: some touch fails.
    let map = Anon::shared(1 << 44).huge(size).no_reserve().map().unwrap();
    let free = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").unwrap();
    if free.trim() != "0" {
        return crate::skip::skip(format_args!(
            "the pool has free pages, which this test would take"
        ));
    }
    assert_eq!(map.write(0, &1u8).unwrap_err().kind(), Kind::HugePoolEmpty);
}
