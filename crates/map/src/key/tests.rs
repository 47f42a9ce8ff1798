//! Rights to keys, by threads.

use super::*;
use crate::anon::Anon;
use crate::child::in_child;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A key, or a word on why there is none.
fn key() -> Option<Key> {
    let has_keys = std::fs::read_to_string("/proc/cpuinfo")
        .unwrap()
        .contains("ospke");
    match Key::new() {
        Ok(key) => Some(key),
        Err(error) => {
            assert!(!has_keys, "{error}");
            assert_eq!(error.kind(), Kind::Unsupported(Feature::ProtectionKeys));
            crate::skip::skip(format_args!("{error}"));
            None
        }
    }
}

#[test]
fn rights_last_as_long_as_the_closure_and_are_the_threads_own() {
    let Some(key) = key() else { return };
    let mut map = Anon::private(5000).map().unwrap();
    map.fill(1);
    let memory = key.carried_by(map).unwrap();
    let mut byte = [0];
    let error = memory.read_at(4999, &mut byte).unwrap_err();
    assert_eq!((error.kind(), error.range()), (Kind::Inaccessible, 4999..5000));
    key.with(Rights::NoWrite, || {
        memory.read_at(4999, &mut byte).unwrap();
        assert_eq!(memory.write_at(0, b"x").unwrap_err().kind(), Kind::Inaccessible);
        key.with(Rights::All, || memory.write_at(0, b"x").unwrap())
            .unwrap();
        assert_eq!(memory.write_at(0, b"y").unwrap_err().kind(), Kind::Inaccessible);
    })
    .unwrap();
    assert_eq!(byte, [1]);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| memory.read_at(0, &mut [0]).map_err(|error| error.kind()));
        key.with(Rights::All, || {
            assert_eq!(other.join().unwrap(), Err(Kind::Inaccessible))
        })
        .unwrap();
    });
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        key.with(Rights::All, || panic!("in the closure"))
    }));
    assert!(panicked.is_err());
    assert_eq!(
        memory.read_at(0, &mut byte).unwrap_err().kind(),
        Kind::Inaccessible
    );
    assert_eq!(
        memory.read_at(5000, &mut byte).unwrap_err().kind(),
        Kind::OutOfRange
    );
    assert_eq!(
        memory.read_at(usize::MAX, &mut byte).unwrap_err().kind(),
        Kind::OutOfRange
    );
    let map = memory.release().unwrap();
    assert_eq!((map[0], map[1]), (b'x', 1));
}

#[test]
fn keys_run_out_and_come_back_with_the_last_that_carries_them() {
    in_child(|| {
        let Some(first) = key() else { return };
        let memory = first.carried_by(Anon::private(4096).map().unwrap()).unwrap();
        drop(first);
        let mut keys = Vec::new();
        let error = loop {
            match Key::new() {
                Ok(key) => keys.push(key),
                Err(error) => break error,
            }
            assert!(keys.len() < 16);
        };
        assert_eq!(error.kind(), Kind::Capacity);
        // The memory still has its key.
        drop(memory);
        let again = Key::new().unwrap();
        assert_eq!(Key::new().unwrap_err().kind(), Kind::Capacity);
        again
            .carried_by(Anon::private(4096).map().unwrap())
            .unwrap()
            .release()
            .unwrap();
        drop(again);
        Key::new().unwrap();
    });
}

#[test]
fn the_kernels_copies_need_the_right_too() {
    let Some(key) = key() else { return };
    in_child(|| {
        access::use_means(access::Means::SystemCalls).unwrap();
        let memory = key.carried_by(Anon::private(4096).map().unwrap()).unwrap();
        let mut byte = [0];
        let error = memory.read_at(7, &mut byte).unwrap_err();
        assert_eq!((error.kind(), error.range()), (Kind::Inaccessible, 7..8));
        key.with(Rights::NoWrite, || {
            memory.read_at(7, &mut byte).unwrap();
            assert_eq!(memory.write_at(7, b"x").unwrap_err().kind(), Kind::Inaccessible);
        })
        .unwrap();
        key.with(Rights::All, || memory.write_at(7, b"x").unwrap())
            .unwrap();
    });
}
