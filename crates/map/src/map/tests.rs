//! Cutting, joining and unmapping; and maps across forks and in signal handlers.
#![allow(unsafe_code)]

use super::*;
use crate::anon::Anon;
use crate::child::in_child;
use crate::error::Kind;
use crate::file::FileMap;
use crate::smaps::{is_mapped, is_past_the_end};
use crate::view::VolatileMut;
use std::sync::atomic::{AtomicPtr, Ordering};

const PAGE: usize = 4096;

#[test]
fn what_is_cut_is_joined_again_and_nothing_else_is() {
    let mut map = Anon::private(10_000).guards(crate::Guards::Both).map().unwrap();
    for (at, byte) in map.iter_mut().enumerate() {
        *byte = (at / 7) as u8;
    }
    for cut in [0, PAGE, 2 * PAGE, 10_000] {
        let before = map.to_vec();
        let tail = map.split_off(cut).unwrap();
        assert_eq!((map.len(), tail.len()), (cut, 10_000 - cut));
        assert_eq!((&map[..], &tail[..]), (&before[..cut], &before[cut..]));
        map = map.merge(tail).unwrap();
        assert_eq!(&map[..], before);
    }
    for (cut, kind) in [
        (1, Kind::Unaligned),
        (9_999, Kind::Unaligned),
        (10_001, Kind::OutOfRange),
    ] {
        assert_eq!(map.split_off(cut).unwrap_err().kind(), kind);
    }
    let tail = map.split_off(PAGE).unwrap();
    let (tail, map) = tail.merge(map).unwrap_err().into_inner();
    let end = tail.split_at(1).1.as_ptr();
    assert!(is_mapped(end));
    let odd = Anon::private(100).map().unwrap();
    let refused = odd.merge(Anon::private(100).map().unwrap()).unwrap_err();
    assert_eq!(refused.error().kind(), Kind::NotAdjacent);
    assert_eq!(map.merge(tail).unwrap().len(), 10_000);
}

#[test]
fn an_unaligned_file_map_is_cut_at_the_kernels_pages() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(4 * PAGE as u64).unwrap();
    let mut map = FileMap::of(&file).range(100..).writable().map().unwrap();
    assert_eq!(map.split_off(PAGE).unwrap_err().kind(), Kind::Unaligned);
    let tail = map.split_off(PAGE - 100).unwrap();
    tail.write(0, &7u8).unwrap();
    assert_eq!(
        (map.len(), map.area().in_file(0), tail.area().in_file(1)),
        (PAGE - 100, Some(100), Some(4097))
    );
    let all = map.merge(tail).unwrap();
    assert_eq!(
        (all.read::<u8>(PAGE - 100), all.area().in_file(PAGE)),
        (Ok(7), Some(PAGE as u64 + 100))
    );
}

#[test]
fn a_part_is_unmapped_and_the_rest_is_not() {
    in_child(|| {
        for (range, left, right) in [
            (0..0, 0, 5 * PAGE - 1),
            (0..PAGE, 0, 4 * PAGE - 1),
            (PAGE..3 * PAGE, PAGE, 2 * PAGE - 1),
            (4 * PAGE..5 * PAGE - 1, 4 * PAGE, 0),
            (0..5 * PAGE - 1, 0, 0),
        ] {
            let mut map = Anon::private(5 * PAGE - 1).map().unwrap();
            map.fill(8);
            let place = map.as_ptr();
            let (before, behind) = map.unmap_range(range.clone()).unwrap();
            assert_eq!((before.len(), behind.len()), (left, right), "{range:?}");
            for page in 0..5 {
                let inside = range.contains(&(page * PAGE));
                assert_eq!(is_mapped(place.wrapping_add(page * PAGE)), !inside, "{range:?}");
            }
            assert!(before.iter().chain(&behind[..]).all(|&byte| byte == 8));
            drop((before, behind));
            assert!(!is_mapped(place) && !is_mapped(place.wrapping_add(4 * PAGE)));
        }
    });
    let map = Anon::private(3 * PAGE).map().unwrap();
    let refused = map.unmap_range(1..PAGE).unwrap_err();
    assert_eq!(refused.error().kind(), Kind::Unaligned);
    let refused = refused.into_inner().unmap_range(..3 * PAGE + 1).unwrap_err();
    assert_eq!(refused.error().kind(), Kind::OutOfRange);
    assert_eq!(refused.into_inner().len(), 3 * PAGE);
}

#[test]
fn a_child_that_unmaps_its_copy_takes_nothing_from_its_parent() {
    let mut private = Anon::private(PAGE).map().unwrap();
    private.fill(1);
    let shared = Anon::shared(PAGE).map().unwrap();
    let copies = std::sync::Mutex::new(Some((private, shared)));
    in_child(|| {
        let (private, shared) = copies.lock().unwrap().take().unwrap();
        shared.write(0, &9u8).unwrap();
        let place = private.as_ptr();
        private.unmap().unwrap();
        shared.unmap().unwrap();
        assert!(!is_mapped(place));
    });
    let (private, shared) = copies.into_inner().unwrap().unwrap();
    assert_eq!((private[PAGE - 1], shared.read::<u8>(0)), (1, Ok(9)));
}

static IN_HANDLER: AtomicPtr<Map<VolatileMut>> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_signal(_: libc::c_int) {
    // SAFETY: the test's map, which outlives the signal; the handler shares it as threads do.
    let map = unsafe { &*IN_HANDLER.load(Ordering::Acquire) };
    let seen = map.read::<u32>(0).unwrap_or(u32::MAX);
    let past_the_end = map.read::<u8>(PAGE).err().map(|error| error.kind());
    let right = seen == 41 && past_the_end.is_some_and(is_past_the_end);
    let _ = map.write(0, &(seen + u32::from(right)));
}

#[test]
fn a_signal_handler_copies_and_meets_faults_as_any_code_does() {
    in_child(|| {
        let file = tempfile::tempfile().unwrap();
        file.set_len(PAGE as u64).unwrap();
        let map = FileMap::of(&file)
            .range(..2 * PAGE as u64)
            .writable()
            .map()
            .unwrap();
        map.write(0, &41u32).unwrap();
        IN_HANDLER.store((&raw const map).cast_mut(), Ordering::Release);
        // SAFETY: a handler of signal's signature, for a signal that only this child raises.
        unsafe {
            libc::signal(libc::SIGUSR1, (on_signal as *const ()).addr());
            libc::raise(libc::SIGUSR1);
        }
        assert_eq!(map.read::<u32>(0), Ok(42));
    });
}
