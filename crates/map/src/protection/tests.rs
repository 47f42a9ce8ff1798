//! What each view lets through, seen from a child that dies of it or does not.
#![allow(unsafe_code)]

use super::*;
use crate::anon::Anon;
use crate::child::{Child, in_child};
use crate::error::Kind;
use crate::smaps;
use std::panic::{AssertUnwindSafe, catch_unwind};

const PAGE: usize = 4096;
const SIGSEGV: i32 = 11;

fn rights(at: *const u8) -> String {
    smaps::at(at).unwrap().rights
}

/// Ends as a child that stores at `at`.
fn end_of_store(at: *const u8) -> Result<i32, i32> {
    // SAFETY: the child is meant to die of it, or has a copy of its own.
    Child::start(|| unsafe { at.cast_mut().write_volatile(1) }).end()
}

fn end_of_load(at: *const u8) -> Result<i32, i32> {
    // SAFETY: as above.
    Child::start(|| _ = unsafe { at.read_volatile() }).end()
}

#[test]
fn a_map_goes_through_every_right_and_keeps_its_bytes() {
    let mut map = Anon::private(3 * PAGE).guards(crate::Guards::Both).map().unwrap();
    map.fill(0xc3);
    let at = map.as_ptr();
    let map = map.into_read_only().unwrap();
    assert_eq!(
        (rights(at).as_str(), end_of_store(at), end_of_load(at)),
        ("r--p", Err(SIGSEGV), Ok(0))
    );
    let map = map.into_owned().unwrap().into_code().unwrap();
    assert_eq!(
        (rights(at).as_str(), end_of_store(at), end_of_load(at)),
        ("r-xp", Err(SIGSEGV), Ok(0))
    );
    let map = map.into_owned().unwrap().close().unwrap();
    assert_eq!(
        (rights(at).as_str(), end_of_store(at), end_of_load(at)),
        ("---p", Err(SIGSEGV), Err(SIGSEGV))
    );
    let map = map.open().unwrap();
    assert_eq!((rights(at).as_str(), end_of_store(at)), ("rw-p", Ok(0)));
    assert!(map.iter().all(|&byte| byte == 0xc3));
    assert_eq!(rights(at.wrapping_sub(1)), "---p");
}

#[test]
fn execute_only_memory_cannot_be_read_where_there_are_keys() {
    let map = Anon::private(PAGE).map().unwrap().into_execute_only().unwrap();
    assert_eq!(
        (rights(map.as_ptr()).as_str(), end_of_store(map.as_ptr())),
        ("--xp", Err(SIGSEGV))
    );
    if std::fs::read_to_string("/proc/cpuinfo")
        .unwrap()
        .contains("ospke")
    {
        assert_eq!(end_of_load(map.as_ptr()), Err(SIGSEGV));
    } else {
        crate::skip::skip(format_args!(
            "without protection keys execute-only memory can be read"
        ));
    }
    assert_eq!(map.into_owned().unwrap()[0], 0);
}

#[test]
fn a_scope_gives_the_rights_back_also_when_it_panics() {
    let mut map = Anon::private(4 * PAGE).map().unwrap();
    map.fill(1);
    let at = map.as_ptr();
    for (protection, shown) in [(Protection::NoAccess, "---p"), (Protection::NoWrite, "r--p")] {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            map.while_protected(PAGE..3 * PAGE, protection, |around| {
                assert_eq!((around.before.len(), around.behind.len()), (PAGE, PAGE));
                assert_eq!(
                    around.within.len(),
                    if protection == Protection::NoAccess {
                        0
                    } else {
                        2 * PAGE
                    }
                );
                around.before.fill(2);
                around.behind.fill(2);
                assert_eq!(rights(at.wrapping_add(PAGE)), shown);
                assert_eq!(rights(at.wrapping_add(PAGE - 1)), "rw-p");
                assert_eq!(end_of_store(at.wrapping_add(PAGE)), Err(SIGSEGV));
                panic!("out of the scope");
            })
        }));
        assert!(caught.is_err());
        assert_eq!(rights(at.wrapping_add(PAGE)), "rw-p");
        map[PAGE..3 * PAGE].fill(3);
        assert_eq!((map[0], map[PAGE], map[3 * PAGE]), (2, 3, 2));
    }
    let error = map
        .while_protected(1..PAGE, Protection::NoAccess, |_| ())
        .unwrap_err();
    assert_eq!((error.kind(), error.range()), (Kind::Unaligned, 1..4096));
    let error = map
        .while_protected(..5 * PAGE, Protection::NoAccess, |_| ())
        .unwrap_err();
    assert_eq!(error.kind(), Kind::OutOfRange);
}

#[test]
fn a_map_of_others_memory_loses_the_right_to_store_and_gets_it_back() {
    let map = Anon::shared(PAGE).map().unwrap();
    map.write(0, &5u8).unwrap();
    let map = map.into_read_only().unwrap();
    assert_eq!(
        (rights(map.as_ptr()).as_str(), map.read::<u8>(0)),
        ("r--s", Ok(5))
    );
    let map = map.into_writable().unwrap().close().unwrap().open().unwrap();
    map.write(0, &6u8).unwrap();
    assert_eq!(map.read::<u8>(0), Ok(6));
}

#[test]
fn a_reservation_is_committed_from_the_front_and_given_back() {
    let mut room = Anon::private(1 << 40)
        .guards(crate::Guards::Both)
        .align(1 << 30)
        .reserve()
        .unwrap();
    assert!(room.as_ptr().addr().is_multiple_of(1 << 30));
    let mut used = room.commit_front(0).unwrap();
    for step in 1..10 {
        used = used.merge(room.commit_front(step * PAGE).unwrap()).unwrap();
        used.fill(step as u8);
    }
    assert_eq!((used.len(), room.len()), (45 * PAGE, (1 << 40) - 45 * PAGE));
    assert_eq!(end_of_load(room.as_ptr()), Err(SIGSEGV));
    let error = room.commit_front(1).unwrap_err();
    assert_eq!(
        (error.kind(), room.len()),
        (Kind::Unaligned, (1 << 40) - 45 * PAGE)
    );
    assert_eq!(room.commit_front(1 << 41).unwrap_err().kind(), Kind::OutOfRange);
    let tail = used.split_off(5 * PAGE).unwrap().decommit().unwrap();
    let room = tail.merge(room).unwrap();
    assert_eq!((used.len(), room.len()), (5 * PAGE, (1 << 40) - 5 * PAGE));
    assert_eq!((used[0], rights(room.as_ptr()).as_str()), (9, "---p"));
}

#[test]
fn a_change_that_fails_half_way_is_undone() {
    in_child(|| {
        let mut map = Anon::private(4 * PAGE).map().unwrap();
        map.fill(1);
        let behind = map.split_off(2 * PAGE).unwrap();
        let sealed = match behind.sealed() {
            Err(refused) => return crate::skip::skip(format_args!("{refused}")),
            Ok(sealed) => sealed,
        };
        let place = sealed.as_ptr();
        let behind = std::mem::replace(sealed, Anon::private(0).map().unwrap());
        let map = map.merge(behind).unwrap();
        let refused = map.into_read_only().unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapSealed);
        let mut map = refused.into_inner();
        map.fill(2);
        assert_eq!(rights(map.as_ptr()), "rw-p");
        let refused = map.decommit().unwrap_err();
        assert_eq!(
            (refused.error().kind(), refused.error().operation()),
            (Kind::MapSealed, Operation::Protect)
        );
        let mut map = refused.into_inner();
        let error = map.while_protected(.., Protection::NoAccess, |_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::MapSealed);
        map.fill(3);
        let key = map.close().unwrap_err().into_inner();
        let refused = key.unmap().unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapSealed);
        assert_eq!(refused.into_inner()[4 * PAGE - 1], 3);
        // Dropped, and still there: the seal says so.
        assert_eq!(rights(place), "rw-p");
    });
}
