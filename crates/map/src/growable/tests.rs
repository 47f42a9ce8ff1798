#![allow(unsafe_code)]

use super::*;
use crate::Kind;
use crate::allocation::Allocation;
use crate::child::{Child, address_space, exhaust_maps, in_child, limit};
use proptest::prelude::*;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicBool;

mod crash;

const CAPACITY: usize = 1 << 30;

const EVERY: [Growth; 4] = [
    growth(Allocation::UpFront, Room::Ahead),
    growth(Allocation::UpFront, Room::Exact),
    growth(Allocation::Sparse, Room::Ahead),
    growth(Allocation::Sparse, Room::Exact),
];

const fn growth(storage: Allocation, room: Room) -> Growth {
    Growth { storage, room }
}

fn new(growth: Growth) -> (File, Growable) {
    let file = tempfile::tempfile().unwrap();
    let growable = Growable::open_with(&file, CAPACITY, growth).unwrap();
    (file, growable)
}

fn contents(growable: &Growable<impl CopyOut>) -> Vec<u8> {
    let mut bytes = vec![0; growable.len()];
    growable.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn appends_are_in_the_file_and_stay_at_their_address() {
    for growth in EVERY {
        let (file, growable) = new(growth);
        let base = growable.as_ptr();
        let mut model = Vec::new();
        for size in [1, 4095, 4096, 4097, 0, 100_000, 3 << 20] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
            assert_eq!(growable.append(&bytes).unwrap(), model.len());
            model.extend(bytes);
        }
        assert_eq!((growable.as_ptr(), growable.len()), (base, model.len()));
        assert!(contents(&growable) == model);
        growable.flush(..).unwrap();
        growable.flush(10..5000).unwrap();
        drop(growable);
        assert_eq!(file.metadata().unwrap().len(), model.len() as u64, "{growth:?}");
        let again = Growable::open(&file, CAPACITY).unwrap();
        assert!(contents(&again) == model);
    }
}

#[test]
fn grown_bytes_are_zeros_also_after_a_truncation() {
    for growth in EVERY {
        let (file, mut growable) = new(growth);
        growable.append(&[7; 10_000]).unwrap();
        growable.truncate(100).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 100);
        growable.grow_to(20_000).unwrap();
        growable.grow_to(50).unwrap();
        let bytes = contents(&growable);
        assert_eq!(bytes.len(), 20_000);
        assert!(bytes[..100].iter().all(|&b| b == 7) && bytes[100..].iter().all(|&b| b == 0));
        growable.write_at(19_990, &[1; 10]).unwrap();
        let late = growable.write_at(19_991, &[1; 10]).unwrap_err();
        assert_eq!((late.kind(), late.range()), (Kind::OutOfRange, 19_991..20_001));
        assert_eq!(
            growable.read_at(20_000, &mut [0]).unwrap_err().kind(),
            Kind::OutOfRange
        );
        growable.read_at(20_000, &mut []).unwrap();
    }
}

#[test]
fn allocated_growth_takes_the_space_and_sparse_growth_does_not() {
    use std::os::unix::fs::MetadataExt;
    for storage in [Allocation::UpFront, Allocation::Sparse] {
        let (file, growable) = new(growth(storage, Room::Exact));
        growable.grow_to(1 << 20).unwrap();
        let blocks = file.metadata().unwrap().blocks() * 512;
        assert_eq!(blocks >= 1 << 20, storage == Allocation::UpFront, "{blocks}");
    }
}

#[test]
fn room_is_made_once_and_cut_off_by_a_trim() {
    let (file, growable) = new(Growth::default());
    growable.reserve(1 << 20).unwrap();
    assert_eq!((growable.len(), file.metadata().unwrap().len()), (0, 1 << 20));
    growable.append(b"abc").unwrap();
    growable.trim().unwrap();
    assert_eq!(file.metadata().unwrap().len(), 3);
    growable.append(&[1; 100_000]).unwrap();
    assert!(file.metadata().unwrap().len() > 100_003);
    // Somebody else's length is not cut.
    file.set_len(1 << 20).unwrap();
    growable.trim().unwrap();
    drop(growable);
    assert_eq!(file.metadata().unwrap().len(), 1 << 20);
}

#[test]
fn the_capacity_is_a_limit_until_it_is_moved() {
    for growth in EVERY {
        let file = tempfile::tempfile().unwrap();
        let mut growable = Growable::open_with(&file, 10_000, growth).unwrap();
        growable.append(&[3; 9_999]).unwrap();
        for error in [
            growable.append(&[1, 2]).unwrap_err(),
            growable.grow_to(10_001).unwrap_err(),
            growable.reserve(2).unwrap_err(),
            growable.grow_to(usize::MAX).unwrap_err(),
            growable.move_to_capacity(9_000).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::Capacity);
        }
        assert_eq!(growable.append(&[4]).unwrap(), 9_999);
        growable.move_to_capacity(CAPACITY).unwrap();
        growable.append(&[5; 1 << 20]).unwrap();
        let bytes = contents(&growable);
        assert_eq!((bytes[9_998], bytes[9_999], bytes[10_000]), (3, 4, 5));
        let error = Growable::open(&file, 10_000).unwrap_err();
        assert_eq!(error.kind(), Kind::Capacity);
    }
}

#[test]
fn readers_and_writers_go_on_while_others_append() {
    const RECORD: usize = 100;
    for growth in EVERY {
        let (_, growable) = new(growth);
        let is_done = AtomicBool::new(false);
        std::thread::scope(|s| {
            for _ in 0..2 {
                s.spawn(|| {
                    let mut record = [0; RECORD];
                    let mut seen = 0;
                    while !is_done.load(Ordering::Acquire) {
                        let len = growable.len();
                        assert!(len >= seen && len.is_multiple_of(RECORD));
                        seen = len;
                        if len > 0 {
                            growable.read_at(len - RECORD, &mut record).unwrap();
                            assert!(record[0] != 0 && record.iter().all(|&b| b == record[0]));
                        }
                    }
                });
            }
            let appenders: Vec<_> = (1..=3)
                .map(|id| {
                    s.spawn({
                        let growable = &growable;
                        move || {
                            (0..2_000).for_each(|_| {
                                growable.append(&[id; RECORD]).unwrap();
                            })
                        }
                    })
                })
                .collect();
            appenders.into_iter().for_each(|thread| thread.join().unwrap());
            is_done.store(true, Ordering::Release);
        });
        let bytes = contents(&growable);
        for id in 1..=3 {
            assert_eq!(bytes.iter().filter(|&&b| b == id).count(), 2_000 * RECORD);
        }
        assert!(
            bytes
                .chunks(RECORD)
                .all(|record| record.iter().all(|&b| b == record[0]))
        );
    }
}

#[test]
fn another_process_follows_the_growth() {
    let (file, growable) = new(growth(Allocation::Sparse, Room::Exact));
    let (mut told, mut tell) = std::io::pipe().unwrap();
    let (mut heard, mut answer) = std::io::pipe().unwrap();
    let child = Child::start(|| {
        let reader = Growable::open_read_only(&file, CAPACITY).unwrap();
        let mut seen = 0;
        let mut number = [0];
        while told.read(&mut number).unwrap() == 1 && number[0] != 0 {
            let len = reader.refresh().unwrap();
            assert_eq!(len - seen, usize::from(number[0]) * 100);
            let bytes = contents(&reader);
            assert!(bytes[seen..].iter().all(|&b| b == number[0]), "{seen}..{len}");
            seen = len;
            answer.write_all(&number).unwrap();
        }
    });
    for number in 1..100 {
        growable.append(&vec![number; usize::from(number) * 100]).unwrap();
        tell.write_all(&[number]).unwrap();
        heard.read_exact(&mut [0]).unwrap();
    }
    tell.write_all(&[0]).unwrap();
    assert_eq!(child.end(), Ok(0));
}

#[test]
fn a_file_cut_short_by_others_is_an_error_and_then_refreshed() {
    let (file, growable) = new(growth(Allocation::Sparse, Room::Exact));
    growable.append(&[9; 100_000]).unwrap();
    file.set_len(4096).unwrap();
    let mut all = vec![0; 100_000];
    let error = growable.read_at(0, &mut all).unwrap_err();
    assert_eq!((error.kind(), error.range()), (Kind::FileTooShort, 4096..100_000));
    assert!(all[..4096].iter().all(|&b| b == 9));
    assert_eq!(growable.refresh().unwrap(), 4096);
    assert_eq!(growable.append(&[8]).unwrap(), 4096);
    file.write_all_at(&[7; 100], 4097).unwrap();
    assert_eq!(growable.refresh().unwrap(), 4197);
    assert_eq!(contents(&growable)[4095..4099], [9, 8, 7, 7]);
    file.set_len(2 * CAPACITY as u64).unwrap();
    assert_eq!(growable.refresh().unwrap(), CAPACITY);
}

#[test]
fn a_refused_growth_leaves_everything_as_it_was() {
    for growth in EVERY {
        in_child(|| {
            let (file, growable) = new(growth);
            growable.append(&[1; 5_000]).unwrap();
            growable.trim().unwrap();
            // SAFETY: an ignored signal runs no code.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            limit(libc::RLIMIT_FSIZE, 8_000);
            let error = growable.append(&[2; 5_000]).unwrap_err();
            assert_eq!(error.kind(), Kind::TooLarge, "{error}");
            assert!(growable.grow_to(9_000).is_err() && growable.reserve(9_000).is_err());
            assert_eq!((growable.len(), file.metadata().unwrap().len()), (5_000, 5_000));
            // As many as fit without room for more.
            assert_eq!(growable.append(&[3; 3_000]).unwrap(), 5_000);
            assert_eq!(growable.append(&[4]).unwrap_err().kind(), Kind::TooLarge);
            limit(libc::RLIMIT_FSIZE, libc::RLIM_INFINITY);
            growable.append(&[4]).unwrap();
            let bytes = contents(&growable);
            assert_eq!((bytes.len(), bytes[7_999], bytes[8_000]), (8_001, 3, 4));
        });
    }
}

#[test]
fn a_memfd_sealed_against_growth_refuses() {
    let fd = rustix::fs::memfd_create("growable", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    for growth in EVERY {
        let growable = Growable::open_with(&fd, CAPACITY, growth).unwrap();
        if growable.is_empty() {
            growable.grow_to(4096).unwrap();
            rustix::fs::fcntl_add_seals(&fd, rustix::fs::SealFlags::GROW).unwrap();
        }
        let refused = [growable.grow_to(5000), growable.append(&[1; 5000]).map(|_| ())];
        for error in refused.map(Result::unwrap_err) {
            assert!(
                matches!(error.kind(), Kind::NotPermitted | Kind::SealedAgainst),
                "{error}"
            );
        }
        assert_eq!(growable.len(), 4096);
    }
}

#[test]
fn a_full_file_system_is_an_error_of_the_growth() {
    in_child(|| {
        let Some(folder) = small_file_system() else {
            return crate::skip::skip(format_args!(
                "a_full_file_system_is_an_error_of_the_growth: may not mount a tmpfs"
            ));
        };
        let file = tempfile::tempfile_in(&folder).unwrap();
        let growable = Growable::open(&file, CAPACITY).unwrap();
        let mut len = 0;
        let error = loop {
            match growable.append(&[5; 10_000]) {
                Ok(_) => len += 10_000,
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), growable.len()), (Kind::StorageFull, len));
        assert!(len > 900_000 && contents(&growable).iter().all(|&b| b == 5));
        assert_eq!(growable.grow_to(2 << 20).unwrap_err().kind(), Kind::StorageFull);
        drop(growable);
        let sparse = growth(Allocation::Sparse, Room::Ahead);
        let growable = Growable::open_with(&file, CAPACITY, sparse).unwrap();
        growable.grow_to(2 << 20).unwrap();
        let error = growable.write_at(0, &vec![1; 2 << 20]).unwrap_err();
        assert_eq!(error.kind(), Kind::StorageFull);
        let error = growable.append(&[1]).unwrap_err();
        assert_eq!((error.kind(), growable.len()), (Kind::StorageFull, 2 << 20));
    });
}

/// A tmpfs of 1 MiB that only this child sees.
fn small_file_system() -> Option<std::path::PathBuf> {
    let folder = tempfile::tempdir().unwrap().keep();
    let path = std::ffi::CString::new(folder.to_str()?).unwrap();
    // SAFETY: this child has one thread; the strings live through the calls. What is mounted vanishes with
    // the namespace.
    let failed = unsafe {
        libc::unshare(libc::CLONE_NEWNS) != 0
            || libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) != 0
            || libc::mount(
                c"none".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                c"size=1m".as_ptr().cast(),
            ) != 0
    };
    if failed {
        let _ = std::fs::remove_dir(&folder);
    }
    (!failed).then_some(folder)
}

#[test]
fn what_cannot_be_mapped_is_said_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let reading = File::open(file.path()).unwrap();
    assert_eq!(
        Growable::open(&reading, 4096).unwrap_err().kind(),
        Kind::AccessDenied
    );
    let reader = Growable::open_read_only(&reading, 4096).unwrap();
    assert!(reader.is_empty());
    in_child(|| {
        limit(libc::RLIMIT_AS, address_space() + (64 << 20));
        let error = Growable::open(&file, CAPACITY).unwrap_err();
        assert_eq!(error.kind(), Kind::AddressSpaceLimit);
        let mut growable = Growable::open(&file, 32 << 20).unwrap();
        growable.append(&[1; 10_000]).unwrap();
        let error = growable.move_to_capacity(CAPACITY).unwrap_err();
        assert_eq!(
            (error.kind(), growable.capacity()),
            (Kind::AddressSpaceLimit, 32 << 20)
        );
        assert_eq!(contents(&growable).len(), 10_000);
    });
}

#[test]
fn growth_needs_no_further_mapping() {
    in_child(|| {
        let (_, growable) = new(Growth::default());
        let arena = Arena::new(CAPACITY).unwrap();
        arena.append(&[1; 10]).unwrap();
        exhaust_maps(0);
        for _ in 0..100 {
            growable.append(&[1; 100_000]).unwrap();
            arena.append(&[2; 100_000]).unwrap();
        }
        assert_eq!((growable.len(), arena.len()), (10_000_000, 10_000_010));
    });
}

#[test]
fn the_child_of_a_fork_cuts_nothing_off() {
    let (file, growable) = new(Growth::default());
    growable.append(b"abc").unwrap();
    let growable = std::mem::ManuallyDrop::new(growable);
    let before = file.metadata().unwrap().len();
    let child = Child::start(|| {
        drop(std::mem::ManuallyDrop::into_inner(growable));
    });
    assert_eq!((child.end(), file.metadata().unwrap().len()), (Ok(0), before));
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Grow(usize),
    Reserve(usize),
    Truncate(usize),
    Write(usize, usize),
    Trim,
    Reopen,
    Move(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..9000usize).prop_map(Step::Append),
        1 => (0..60_000usize).prop_map(Step::Grow),
        1 => (0..60_000usize).prop_map(Step::Reserve),
        1 => (0..60_000usize).prop_map(Step::Truncate),
        2 => (0..60_000usize, 0..9000usize).prop_map(|(at, len)| Step::Write(at, len)),
        1 => Just(Step::Trim),
        1 => Just(Step::Reopen),
        1 => (1..100_000usize).prop_map(Step::Move),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn it_is_a_vector_of_bytes(steps in prop::collection::vec(step(), 1..40), kind in 0..4usize) {
        let file = tempfile::tempfile().unwrap();
        let mut capacity = 50_000;
        let open = |capacity| Growable::open_with(&file, capacity, EVERY[kind]).unwrap();
        let mut growable = open(capacity);
        let mut model: Vec<u8> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            let value = number as u8 + 1;
            match step {
                Step::Append(len) => {
                    let fits = model.len() + len <= capacity;
                    prop_assert_eq!(growable.append(&vec![value; len]).is_ok(), fits);
                    if fits { model.resize(model.len() + len, value) }
                }
                Step::Grow(len) => {
                    prop_assert_eq!(growable.grow_to(len).is_ok(), len <= capacity);
                    if len <= capacity && len > model.len() { model.resize(len, 0) }
                }
                Step::Reserve(more) => {
                    prop_assert_eq!(growable.reserve(more).is_ok(), model.len() + more <= capacity);
                }
                Step::Truncate(len) => {
                    growable.truncate(len).unwrap();
                    model.truncate(len);
                }
                Step::Write(at, len) => {
                    let fits = at + len <= model.len();
                    prop_assert_eq!(growable.write_at(at, &vec![value; len]).is_ok(), fits);
                    if fits { model[at..at + len].fill(value) }
                }
                Step::Trim => growable.trim().unwrap(),
                Step::Reopen => {
                    drop(growable);
                    prop_assert_eq!(file.metadata().unwrap().len(), model.len() as u64);
                    growable = open(capacity);
                }
                Step::Move(to) => {
                    growable.trim().unwrap();
                    prop_assert_eq!(growable.move_to_capacity(to).is_ok(), to >= model.len());
                    if to >= model.len() { capacity = to }
                }
            }
            prop_assert!(contents(&growable) == model);
        }
    }
}

#[test]
fn slices_of_an_arena_live_while_it_grows() {
    let arena = Arena::new(256 << 20).unwrap();
    assert!(arena.is_empty() && arena.as_slice().is_empty());
    std::thread::scope(|s| {
        for id in 1..=3u8 {
            let arena = &arena;
            s.spawn(move || {
                let mut slices = Vec::new();
                for number in 0..5_000 {
                    slices.push(arena.append(&vec![id; number % 97]).unwrap());
                    let all = arena.as_slice();
                    assert!(!all.contains(&0) || all.is_empty());
                }
                for (number, slice) in slices.into_iter().enumerate() {
                    assert!(slice.len() == number % 97 && slice.iter().all(|&b| b == id));
                }
            });
        }
    });
}

#[test]
fn an_arena_is_truncated_and_filled_again() {
    let mut arena = Arena::new(100_001).unwrap();
    arena.append(&[1; 100_001]).unwrap();
    let error = arena.append(&[1]).unwrap_err();
    assert_eq!((error.kind(), error.range()), (Kind::Capacity, 100_001..100_002));
    arena.append(&[]).unwrap();
    arena.truncate(10);
    arena.as_mut_slice()[0] = 5;
    assert_eq!(arena.append(&[2; 5]).unwrap(), [2; 5]);
    assert_eq!(arena.as_slice(), [5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
    let none = Arena::new(0).unwrap();
    assert_eq!(none.append(&[1]).unwrap_err().kind(), Kind::Capacity);
    assert!(none.append(&[]).unwrap().is_empty() && none.as_slice().is_empty());
}

#[test]
fn an_arena_that_gets_no_memory_keeps_what_it_has() {
    in_child(|| {
        let arena = Arena::new(CAPACITY).unwrap();
        let first = arena.append(&[1; 10]).unwrap();
        limit(libc::RLIMIT_DATA, 4096);
        let error = arena.append(&[2; 1 << 20]).unwrap_err();
        assert_eq!((error.kind(), arena.len()), (Kind::DataLimit, 10));
        limit(libc::RLIMIT_DATA, libc::RLIM_INFINITY);
        arena.append(&[2; 1 << 20]).unwrap();
        assert_eq!(first, [1; 10]);
    });
    in_child(|| {
        limit(libc::RLIMIT_AS, address_space() + (1 << 20));
        assert_eq!(Arena::new(CAPACITY).unwrap_err().kind(), Kind::AddressSpaceLimit);
    });
}
