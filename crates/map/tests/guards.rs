//! Guards hold in this process, in children and for the kernel, and split nothing; nothing beside a range is
//! touched by any advice.
#![allow(unsafe_code)]

mod child;
mod kernel;
mod memory;
#[path = "../src/skip.rs"]
mod skip;

use child::{End, end, in_child, start};
use kernel::{has_flag, skip};
use memory::{PAGE, file_of, filled};
use neap_map::view::VolatileMut;
use neap_map::{Anon, FileMap, Hint, Kind, Map};
use std::os::fd::AsRawFd;

#[test]
fn guards_hold_and_leave_the_mapping_whole() {
    if !neap_map::has_guards() {
        return skip("guards", "MADV_GUARD_INSTALL is Linux 6.13");
    }
    in_child(|| {
        let file = file_of(4 * PAGE);
        let maps: [(&str, Map<VolatileMut>); 2] = [
            ("shared", Anon::shared(4 * PAGE).map().unwrap()),
            ("file", FileMap::of(&file).writable().map().unwrap()),
        ];
        for (name, map) in maps {
            match map.guard(PAGE..3 * PAGE) {
                Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => {
                    skip("guards", &format!("{name}: Linux 6.15"));
                    continue;
                }
                answer => answer.unwrap(),
            }
            assert_eq!(
                map.read::<u8>(PAGE).unwrap_err().kind(),
                Kind::Inaccessible,
                "{name}"
            );
            let error = map.write_at(PAGE - 1, &[1, 2]).unwrap_err();
            assert_eq!(
                (error.kind(), error.range().start),
                (Kind::Inaccessible, PAGE as u64)
            );
            let guards: Vec<bool> = map
                .pages(..)
                .unwrap()
                .iter()
                .map(|page| page.is_guard())
                .collect();
            assert_eq!(guards, [false, true, true, false], "{name}");
            assert!(has_flag(map.as_ptr(), "gu"));
            map.discard(..).unwrap();
            assert!(map.read::<u8>(PAGE).is_err(), "a guard survives a discard");
            assert_eq!(
                end(start(|| assert!(map.read::<u8>(PAGE).is_err()))),
                End::Exited(0)
            );
            map.unguard(..).unwrap();
            assert_eq!(map.read::<u8>(PAGE), Ok(if name == "file" { b'a' } else { 0 }));
        }
    });
}

#[test]
fn private_memory_is_guarded_and_opened_again() {
    if !neap_map::has_guards() {
        return skip("private_memory_is_guarded", "MADV_GUARD_INSTALL is Linux 6.13");
    }
    in_child(|| {
        let mut map = filled(3 * PAGE);
        let mut middle = map.split_off(PAGE).unwrap();
        let last = middle.split_off(PAGE).unwrap();
        let guarded = middle.into_guard().unwrap();
        let address = guarded.as_ptr();
        let touch = start(|| {
            // SAFETY: dies of it.
            let byte = unsafe { address.read_volatile() };
            eprintln!("read {byte} from a guard");
        });
        assert_eq!(end(touch), End::Killed(libc::SIGSEGV));
        // SAFETY: the kernel reads the guard, and says that it cannot.
        let written = unsafe { libc::write(file_of(1).as_raw_fd(), address.cast(), 1) };
        assert_eq!(
            (written, std::io::Error::last_os_error().raw_os_error()),
            (-1, Some(libc::EFAULT))
        );
        assert_eq!((map[PAGE - 1], last[0]), (0xab, 0xab));
        let middle = guarded.remove_guard().unwrap();
        assert_eq!(middle[..], [0; PAGE]);
        let map = map.merge(middle).unwrap().merge(last).unwrap();
        assert_eq!((map[0], map[PAGE], map[2 * PAGE]), (0xab, 0, 0xab));
    });
}

#[test]
fn no_advice_touches_what_lies_beside_it() {
    in_child(|| {
        let mut map = filled(5 * PAGE);
        let mut middle = map.split_off(2 * PAGE).unwrap();
        let last = middle.split_off(PAGE).unwrap();
        for range in [PAGE..PAGE + 1, PAGE + 1..PAGE + 1 + PAGE, 0..PAGE + 1] {
            for &hint in Hint::ALL.iter().filter(|hint| **hint != Hint::SoftOffline) {
                assert_eq!(
                    middle.hint(range.clone(), hint).unwrap_err().kind(),
                    Kind::OutOfRange
                );
            }
            assert_eq!(
                middle.discard(range.clone()).unwrap_err().kind(),
                Kind::OutOfRange
            );
        }
        middle.hint(0..1, Hint::Random).unwrap();
        middle.discard(..).unwrap();
        assert!(!has_flag(map.as_ptr(), "rr") && !has_flag(last.as_ptr(), "rr"));
        assert!(has_flag(middle.as_ptr(), "rr"));
        assert!(map.iter().chain(last.iter()).all(|&byte| byte == 0xab));
        assert_eq!(middle[..], [0; PAGE]);
    });
}
