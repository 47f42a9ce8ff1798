use super::*;
use crate::child::{Child, address_space, exhaust_maps, in_child, limit};
use proptest::prelude::*;
use std::fs::File;
use std::os::unix::fs::FileExt;

const PAGE: usize = 4096;

fn count(windows: usize) -> NonZeroUsize {
    NonZeroUsize::new(windows).unwrap()
}

/// What byte `at` of a test's file is.
fn value(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn file(len: u64) -> File {
    let file = tempfile::tempfile().unwrap();
    let bytes: Vec<u8> = (0..len).map(value).collect();
    file.write_all_at(&bytes, 0).unwrap();
    file
}

fn mapped_bytes_of(file: &File) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(" {} ", file.metadata().unwrap().ino());
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter(|line| line.contains(&inode))
        .map(|line| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            u64::from_str_radix(end, 16).unwrap() - u64::from_str_radix(start, 16).unwrap()
        })
        .sum()
}

#[test]
fn a_read_crosses_any_number_of_windows() {
    let file = file(100_003);
    let window = Window::new(&file, 1, count(2)).unwrap();
    let mut bytes = vec![0; 100_003];
    window.read_at(0, &mut bytes).unwrap();
    assert!(bytes.iter().zip(0..).all(|(&byte, at)| byte == value(at)));
    let windows = 100_003u64.div_ceil(PAGE as u64);
    let statistics = window.statistics();
    assert_eq!((statistics.misses, statistics.evictions), (windows, windows - 2));
    assert_eq!(mapped_bytes_of(&file), 2 * PAGE as u64);
    drop(window);
    assert_eq!(mapped_bytes_of(&file), 0);
}

#[test]
fn what_was_used_the_longest_ago_makes_room() {
    let file = file(5 * PAGE as u64);
    let window = Window::new(&file, PAGE, count(3)).unwrap();
    let misses = |numbers: &[u64]| {
        let before = window.statistics().misses;
        for number in numbers {
            window.read_at(number * PAGE as u64, &mut [0]).unwrap();
        }
        window.statistics().misses - before
    };
    assert_eq!(misses(&[0, 1, 2, 0, 1, 2]), 3);
    assert_eq!(misses(&[0, 3]), 1);
    assert_eq!(misses(&[2, 0, 3]), 0);
    assert_eq!(misses(&[1]), 1);
    assert_eq!(misses(&[0, 3, 1]), 0);
    assert_eq!(misses(&[2, 2]), 1);
}

#[test]
fn behind_the_end_is_an_error_until_the_file_grows() {
    let file = file(10_000);
    let window = Window::writable(&file, PAGE, count(2)).unwrap();
    let mut two = [0; 2];
    let error = window.read_at(9_999, &mut two).unwrap_err();
    assert_eq!((error.kind(), error.range()), (Kind::FileTooShort, 9_999..10_001));
    assert_eq!(
        window.write_at(10_000, &[1]).unwrap_err().kind(),
        Kind::FileTooShort
    );
    assert_eq!(
        window.read_at(u64::MAX, &mut two).unwrap_err().kind(),
        Kind::FileTooShort
    );
    window.read_at(u64::MAX, &mut []).unwrap_err();
    window.read_at(10_000, &mut []).unwrap();
    file.write_all_at(&[5; 2], 10_000).unwrap();
    window.read_at(10_000, &mut two).unwrap();
    assert_eq!((two, window.len()), ([5; 2], 10_002));
    // Cut short behind the window's back: by pages at once, by bytes after a refresh.
    file.set_len(4_100).unwrap();
    let mut many = [0; 6_000];
    let error = window.read_at(4_000, &mut many).unwrap_err();
    assert_eq!((error.kind(), error.range()), (Kind::FileTooShort, 8_192..10_000));
    assert_eq!(many[99], value(4_099));
    assert_eq!(window.refresh().unwrap(), 4_100);
    assert_eq!(
        window.read_at(4_000, &mut many).unwrap_err().kind(),
        Kind::FileTooShort
    );
}

#[test]
fn what_is_written_is_in_the_file_when_its_window_has_gone() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 30).unwrap();
    let window = Window::writable(&file, 16 << 20, count(4)).unwrap();
    let mut at = 1u64;
    let mut places = Vec::new();
    for number in 0..300u64 {
        at = at
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (at >> 28) % ((64 << 30) / 16) * 16;
        window.write_at(place, &number.to_le_bytes()).unwrap();
        places.push((place, number));
    }
    window.flush().unwrap();
    assert!(mapped_bytes_of(&file) <= 64 << 20);
    places.sort_unstable();
    places.dedup_by_key(|(place, _)| *place);
    assert!(places.len() > 290);
    let mut word = [0; 8];
    for (place, _) in places.iter().step_by(3) {
        window.prefetch(*place..*place + 8).unwrap();
        file.read_exact_at(&mut word, *place).unwrap();
        let mut seen = [0; 8];
        window.read_at(*place, &mut seen).unwrap();
        assert_eq!(seen, word);
    }
}

#[test]
fn many_threads_share_few_windows_and_get_their_own_bytes() {
    const LEN: u64 = 256 * PAGE as u64;
    let file = file(LEN);
    for windows in [1, 2, 5] {
        let window = Window::writable(&file, 2 * PAGE, count(windows)).unwrap();
        std::thread::scope(|s| {
            for seed in 1..=4u64 {
                let window = &window;
                s.spawn(move || {
                    let mut random = seed;
                    let mut bytes = [0; 9_000];
                    for _ in 0..3_000 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        let len = (random >> 40) as usize % bytes.len();
                        let at = random % (LEN - len as u64);
                        let to = &mut bytes[..len];
                        if random >> 60 == 0 {
                            // The same again: whoever reads meanwhile sees it, too.
                            to.iter_mut().zip(at..).for_each(|(byte, at)| *byte = value(at));
                            window.write_at(at, to).unwrap();
                        } else {
                            window.read_at(at, to).unwrap();
                            assert!(to.iter().zip(at..).all(|(&byte, at)| byte == value(at)));
                        }
                    }
                });
            }
        });
        let statistics = window.statistics();
        assert!(statistics.evictions + windows as u64 >= statistics.misses && statistics.evictions > 0);
    }
}

#[test]
fn a_refused_mapping_leaves_the_windows_as_they_were() {
    let file = file(10 * PAGE as u64);
    let read = |window: &Window, number: u64| {
        let mut byte = [0];
        let outcome = window.read_at(number * PAGE as u64, &mut byte);
        outcome.map(|()| assert_eq!(byte[0], value(number * PAGE as u64)))
    };
    in_child(|| {
        let window = Window::new(&file, PAGE, count(2)).unwrap();
        (0..2).for_each(|number| read(&window, number).unwrap());
        exhaust_maps(0);
        let error = read(&window, 5).unwrap_err();
        assert_eq!(
            (error.kind(), error.range().start),
            (Kind::MapCountExhausted, 5 * PAGE as u64)
        );
        (0..2).for_each(|number| read(&window, number).unwrap());
        assert_eq!(window.statistics().misses, 2);
    });
    in_child(|| {
        let window = Window::new(&file, 1 << 30, count(2)).unwrap();
        limit(libc::RLIMIT_AS, address_space() + (64 << 20));
        assert_eq!(read(&window, 0).unwrap_err().kind(), Kind::AddressSpaceLimit);
        limit(libc::RLIMIT_AS, libc::RLIM_INFINITY);
        read(&window, 0).unwrap();
    });
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let file = file(1);
    assert_eq!(Window::new(&file, 0, count(1)).unwrap_err().kind(), Kind::Invalid);
    assert_eq!(
        Window::new(&file, usize::MAX, count(1)).unwrap_err().kind(),
        Kind::TooLarge
    );
    let named = tempfile::NamedTempFile::new().unwrap();
    named.as_file().set_len(1).unwrap();
    let reading = File::open(named.path()).unwrap();
    let window = Window::writable(&reading, PAGE, count(1)).unwrap();
    assert_eq!(window.write_at(0, &[1]).unwrap_err().kind(), Kind::AccessDenied);
}

#[test]
fn a_process_that_writes_the_file_is_seen() {
    let file = file(3 * PAGE as u64);
    let window = Window::new(&file, PAGE, count(1)).unwrap();
    window.read_at(0, &mut [0]).unwrap();
    let child = Child::start(|| file.write_all_at(&[1; 3 * PAGE], 0).unwrap());
    assert_eq!(child.end(), Ok(0));
    let mut bytes = [0; 3 * PAGE];
    window.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 3 * PAGE]);
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64, usize),
    Write(u64, usize),
    SetLen(u64),
    Prefetch(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..90_000u64, 0..20_000usize).prop_map(|(at, len)| Step::Read(at, len)),
        3 => (0..90_000u64, 0..20_000usize).prop_map(|(at, len)| Step::Write(at, len)),
        1 => (0..90_000u64).prop_map(Step::SetLen),
        1 => (0..90_000u64, 0..90_000u64).prop_map(|(at, end)| Step::Prefetch(at, end)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn it_reads_as_pread_and_writes_as_pwrite(
        steps in prop::collection::vec(step(), 1..40),
        windows in 1..4usize,
        bytes in 1..20_000usize,
    ) {
        let file = file(60_000);
        let window = Window::writable(&file, bytes, count(windows)).unwrap();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Read(at, len) => {
                    let (mut seen, mut there) = (vec![0; len], vec![0; len]);
                    // pread fills nothing from any offset; a window knows its end.
                    let is_inside = len > 0 || at <= window.len();
                    let expected = is_inside && file.read_exact_at(&mut there, at).is_ok();
                    prop_assert_eq!(window.read_at(at, &mut seen).is_ok(), expected);
                    if expected { prop_assert!(seen == there) }
                }
                Step::Write(at, len) => {
                    let written = vec![number as u8; len];
                    let fits = at + len as u64 <= file.metadata().unwrap().len();
                    prop_assert_eq!(window.write_at(at, &written).is_ok(), fits);
                    let mut there = vec![0; len];
                    if fits {
                        file.read_exact_at(&mut there, at).unwrap();
                        prop_assert!(there == written);
                    }
                }
                Step::SetLen(len) => {
                    file.set_len(len).unwrap();
                    prop_assert_eq!(window.refresh().unwrap(), len);
                }
                Step::Prefetch(at, end) => window.prefetch(at..end).unwrap(),
            }
        }
    }
}
