//! Growing, shrinking and moving, against what the bytes must be.

use crate::anon::Anon;
use crate::child::in_child;
use crate::error::Kind;
use crate::file::FileMap;
use crate::protection::Protection;
use crate::smaps::{is_mapped, is_past_the_end};

const PAGE: usize = 4096;

#[test]
fn what_a_shrink_cut_off_does_not_come_back() {
    in_child(|| {
        let mut map = Anon::private(4 * PAGE).map().unwrap();
        map.fill(7);
        map.resize(PAGE + 100).unwrap();
        assert!(!is_mapped(map.as_ptr().wrapping_add(2 * PAGE)));
        assert_eq!(map.len(), PAGE + 100);
        map.resize(PAGE + 200).unwrap();
        map.resize_moving(3 * PAGE).unwrap();
        assert!(map[..PAGE + 100].iter().all(|&byte| byte == 7));
        assert!(map[PAGE + 100..].iter().all(|&byte| byte == 0));
    });
}

#[test]
fn what_may_not_move_stays_or_is_refused() {
    let mut map = Anon::private(8 * PAGE).map().unwrap();
    map.fill(1);
    let behind = map.split_off(4 * PAGE).unwrap();
    let place = map.as_ptr();
    let error = map.resize(5 * PAGE).unwrap_err();
    assert_eq!(
        (error.kind(), error.range()),
        (Kind::Occupied, 0..5 * PAGE as u64)
    );
    assert_eq!((map.as_ptr(), map.len(), behind[0]), (place, 4 * PAGE, 1));
    map.resize_moving(1000 * PAGE).unwrap();
    assert_ne!(map.as_ptr(), place);
    assert_eq!(
        (map[0], map[4 * PAGE - 1], map[4 * PAGE], map[1000 * PAGE - 1]),
        (1, 1, 0, 0)
    );
    for len in [0, usize::MAX, 1 << 63] {
        assert!(matches!(
            map.resize(len).unwrap_err().kind(),
            Kind::Invalid | Kind::TooLarge
        ));
    }
    let mut guarded = Anon::private(PAGE).guards(crate::Guards::Both).map().unwrap();
    assert_eq!(guarded.resize_moving(2 * PAGE).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_file_map_grows_along_its_file() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * PAGE as u64).unwrap();
    let mut map = FileMap::of(&file).range(10..20).writable().map().unwrap();
    map.write_at(0, b"first").unwrap();
    map.resize_moving(3 * PAGE).unwrap();
    map.write_at(3 * PAGE - 4, b"last").unwrap();
    map.resize_moving(6 * PAGE).unwrap();
    assert!(is_past_the_end(map.read::<u8>(5 * PAGE).unwrap_err().kind()));
    map.resize(5).unwrap();
    let all = FileMap::of(&file).map().unwrap();
    let mut bytes = [0; 5];
    all.read_at(10, &mut bytes).unwrap();
    assert_eq!(
        (&bytes, all.read::<[u8; 4]>(3 * PAGE + 6).unwrap()),
        (b"first", *b"last")
    );
    let mut shared = Anon::shared(PAGE).map().unwrap();
    shared.resize_moving(2 * PAGE).unwrap();
    assert!(is_past_the_end(shared.read::<u8>(PAGE).unwrap_err().kind()));
}

#[test]
fn pages_move_out_and_the_addresses_stay() {
    let mut map = Anon::private(2 * PAGE).guards(crate::Guards::Both).map().unwrap();
    map.fill(9);
    let place = map.as_ptr();
    let mut taken = map.move_out().unwrap();
    assert_eq!(
        (map.as_ptr(), map.len(), taken.len()),
        (place, 2 * PAGE, 2 * PAGE)
    );
    assert!(map.iter().all(|&byte| byte == 0) && taken.iter().all(|&byte| byte == 9));
    map.fill(1);
    taken[0] = 2;
    assert_eq!((map[0], taken[0]), (1, 2));
    let shared = &mut Anon::shared(PAGE).map().unwrap();
    shared.write(0, &3u8).unwrap();
    match shared.move_out() {
        Ok(other) => assert_eq!((shared.read::<u8>(0), other.read::<u8>(0)), (Ok(3), Ok(3))),
        Err(error) => crate::skip::skip(format_args!("{error}")),
    }
    assert!(Anon::private(0).map().unwrap().move_out().unwrap().is_empty());
}

#[test]
fn pages_move_over_another_map_of_the_same_shape() {
    for guards in [crate::Guards::None, crate::Guards::Before, crate::Guards::Both] {
        in_child(|| {
            let mut source = Anon::private(5000).guards(guards).map().unwrap();
            source.fill(4);
            let old = source.as_ptr();
            let mut target = Anon::private(5000).guards(crate::Guards::Both).map().unwrap();
            target.fill(5);
            let place = target.as_ptr();
            let mut moved = source.move_over(target).unwrap();
            assert!(moved.as_ptr() == place && moved.iter().all(|&byte| byte == 4));
            assert!(!is_mapped(old));
            assert!(guards == crate::Guards::None || !is_mapped(old.wrapping_sub(1)));
            moved.fill(6);
            moved.unmap().unwrap();
            assert!(!is_mapped(place));
        });
    }
    let (short, long) = (
        Anon::private(PAGE).map().unwrap(),
        Anon::private(PAGE + 1).map().unwrap(),
    );
    let refused = short.move_over(long).unwrap_err();
    assert_eq!(refused.error().kind(), Kind::Invalid);
    let (short, long) = refused.into_inner();
    assert_eq!((short.len(), long.len()), (PAGE, PAGE + 1));
}

#[test]
fn what_is_sealed_neither_grows_nor_moves() {
    in_child(|| {
        let map = match Anon::private(2 * PAGE).map().unwrap().sealed() {
            Ok(map) => map,
            Err(refused) => return crate::skip::skip(format_args!("{refused}")),
        };
        map.fill(1);
        assert_eq!(map.resize(PAGE).unwrap_err().kind(), Kind::MapSealed);
        assert_eq!(map.resize_moving(9 * PAGE).unwrap_err().kind(), Kind::MapSealed);
        assert_eq!(map.move_out().unwrap_err().kind(), Kind::MapSealed);
        let error = map.while_protected(.., Protection::NoWrite, |_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::MapSealed);
        let sealed = std::mem::replace(map, Anon::private(2 * PAGE).map().unwrap());
        let refused = Anon::private(2 * PAGE)
            .map()
            .unwrap()
            .move_over(sealed)
            .unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapSealed);
        let (free, sealed) = refused.into_inner();
        assert_eq!((free[0], sealed[2 * PAGE - 1]), (0, 1));
        let refused = sealed.unmap_range(PAGE..).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::MapSealed);
        let sealed = refused.into_inner();
        assert_eq!((sealed.len(), sealed[2 * PAGE - 1]), (2 * PAGE, 1));
    });
}
