//! Each advice that this kernel and an ordinary process can show at work, and the errors.
#![allow(unsafe_code)]

use super::*;
use crate::child::{end_of_child, in_child};
use crate::fd::close;
use crate::linux::Linux;
use crate::lock::{When, lock};
use crate::residency::residency;
use crate::thread::getpid;
use crate::vm::Vm;
use core::ptr::with_exposed_provenance_mut;
use core::slice;
use std::os::fd::AsRawFd;
use std::{format, fs, string::String};

const LEN: usize = 8 * 4096;

fn map() -> Span {
    Linux.map(Bytes(LEN)).unwrap()
}

fn part(span: Span, first: usize, pages: usize) -> Span {
    Span::new(span.base() + first * 4096, pages * 4096).unwrap()
}

fn bytes(span: Span) -> &'static mut [u8] {
    // SAFETY: tests call it on mapped spans, one slice at a time.
    unsafe { slice::from_raw_parts_mut(with_exposed_provenance_mut(span.base()), span.len()) }
}

fn all(span: Span, value: u8) -> bool {
    bytes(span).iter().all(|&b| b == value)
}

fn give_up(span: Span, what: Discard) -> Result<(), Errno> {
    // SAFETY: (1, 2) test data that the test mapped.
    unsafe { discard(span, what) }
}

/// The VmFlags line of the area that starts at `span`.
fn flags(span: Span) -> String {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let area = smaps.split(&format!("{:x}-", span.base())).nth(1).unwrap();
    format!(
        "{} ",
        area.lines().find_map(|l| l.strip_prefix("VmFlags:")).unwrap()
    )
}

/// A shared mapping of a file of `LEN` bytes, all `value`.
fn shared_file(name: &str, value: u8) -> (Span, fs::File) {
    let path = std::env::temp_dir().join(format!("neap-os-{}-{name}", getpid()));
    let mut file = fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .read(true)
        .open(&path)
        .unwrap();
    fs::remove_file(path).unwrap();
    std::io::Write::write_all(&mut file, &[value; LEN]).unwrap();
    let span = crate::share::map_shared(Fd(file.as_raw_fd()), 0, Bytes(LEN)).unwrap();
    (span, file)
}

#[test]
fn hints_set_and_clear_the_areas_flags() {
    in_child(|| {
        let span = map();
        bytes(span).fill(1);
        for (set, flag, clear) in [
            (Hint::Random, " rr ", Hint::Normal),
            (Hint::Sequential, " sr ", Hint::Normal),
            (Hint::DontDump, " dd ", Hint::DoDump),
            (Hint::Mergeable, " mg ", Hint::Unmergeable),
            (Hint::HugePage, " hg ", Hint::NoHugePage),
            (Hint::NoHugePage, " nh ", Hint::HugePage),
        ] {
            match hint(span, set) {
                // KSM and huge pages are options of the kernel's build.
                Err(Errno::EINVAL) => continue,
                done => assert_eq!(done, Ok(()), "{set:?}"),
            }
            assert!(flags(span).contains(flag), "{set:?}: {}", flags(span));
            hint(span, clear).unwrap();
            assert!(!flags(span).contains(flag), "{clear:?}: {}", flags(span));
        }
        for quiet in [
            Hint::WillNeed,
            Hint::Cold,
            Hint::PageOut,
            Hint::PopulateRead,
            Hint::PopulateWrite,
        ] {
            hint(span, quiet).unwrap();
        }
        assert!(all(span, 1));
    });
}

#[test]
fn dont_need_zeroes_anonymous_memory_and_keeps_shared_memory() {
    let span = map();
    bytes(span).fill(1);
    give_up(part(span, 1, 2), Discard::DontNeed).unwrap();
    assert!(all(part(span, 0, 1), 1) && all(part(span, 1, 2), 0) && all(part(span, 3, 5), 1));
    let (shared, _file) = shared_file("need", 2);
    give_up(shared, Discard::DontNeed).unwrap();
    assert!(all(shared, 2));
    give_up(span, Discard::Free).unwrap();
    assert!(bytes(part(span, 3, 5)).iter().all(|&b| b == 1 || b == 0));
    assert_eq!(give_up(shared, Discard::Free), Err(Errno::EINVAL));
}

#[test]
fn remove_punches_a_hole_into_the_file() {
    let (shared, file) = shared_file("remove", 3);
    match give_up(part(shared, 2, 3), Discard::Remove) {
        Err(Errno::EOPNOTSUPP) => std::eprintln!("this file system has no holes"),
        done => {
            assert_eq!(done, Ok(()));
            assert!(all(part(shared, 0, 2), 3) && all(part(shared, 2, 3), 0) && all(part(shared, 5, 3), 3));
            let mut contents = [9; LEN];
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut contents, 0).unwrap();
            assert_eq!(contents[2 * 4096..5 * 4096], [0; 3 * 4096]);
        }
    }
    // Private anonymous memory has no file behind it.
    assert_eq!(give_up(map(), Discard::Remove), Err(Errno::EINVAL));
}

#[test]
fn a_child_faults_or_reads_zeros_as_advised() {
    let (kept, gone, wiped) = (map(), map(), map());
    for span in [kept, gone, wiped] {
        bytes(span).fill(4);
    }
    give_up(gone, Discard::DontFork).unwrap();
    give_up(wiped, Discard::WipeOnFork).unwrap();
    in_child(|| assert!(all(kept, 4) && all(wiped, 0)));
    assert_eq!(end_of_child(|| assert!(all(gone, 4))), Err(11));
    hint(gone, Hint::DoFork).unwrap();
    hint(wiped, Hint::KeepOnFork).unwrap();
    in_child(|| assert!(all(gone, 4) && all(wiped, 4)));
}

#[test]
fn locked_memory_refuses_all_but_dont_need_locked() {
    let span = map();
    bytes(span).fill(5);
    lock(span, When::Now).unwrap();
    for what in [Discard::DontNeed, Discard::Free, Discard::Remove] {
        assert_eq!(give_up(span, what), Err(Errno::EINVAL), "{what:?}");
    }
    for what in [Hint::Cold, Hint::PageOut, Hint::Collapse] {
        assert_eq!(hint(span, what), Err(Errno::EINVAL), "{what:?}");
    }
    // SAFETY: (1) the test's; (2) refused.
    assert_eq!(unsafe { guard(span, Guard::Install) }, Err(Errno::EINVAL));
    assert!(all(span, 5));
    match give_up(span, Discard::DontNeedLocked) {
        Err(Errno::EINVAL) => std::eprintln!("a kernel before 5.18"),
        done => {
            assert_eq!(done, Ok(()));
            assert!(all(span, 0));
        }
    }
}

#[test]
fn a_guard_faults_without_splitting_the_area() {
    let span = map();
    bytes(span).fill(6);
    // SAFETY: (1) the test's; (2) only children touch it.
    match unsafe { guard(part(span, 3, 1), Guard::Install) } {
        Err(Errno::EINVAL) => return std::eprintln!("a kernel before 6.13"),
        done => assert_eq!(done, Ok(())),
    }
    assert_eq!(end_of_child(|| bytes(part(span, 3, 1))[0] = 1), Err(11));
    assert_eq!(hint(span, Hint::PopulateRead), Err(Errno::EFAULT));
    assert!(all(part(span, 0, 3), 6) && all(part(span, 4, 4), 6));
    // SAFETY: (1) the test's; (2) removal only gives access.
    unsafe { guard(span, Guard::Remove) }.unwrap();
    assert!(all(part(span, 3, 1), 0) && all(part(span, 4, 4), 6));
}

#[test]
fn errors_are_the_kernels() {
    in_child(|| {
        let span = map();
        bytes(span).fill(7);
        let odd = Span::new(span.base() + 1, 4096).unwrap();
        assert_eq!(hint(odd, Hint::Normal), Err(Errno::EINVAL));
        assert_eq!(hint(Span::new(span.base(), 0).unwrap(), Hint::Normal), Ok(()));
        assert_eq!(
            hint(Span::new(4096, isize::MAX as usize).unwrap(), Hint::Normal),
            Err(Errno::ENOMEM)
        );
        // SAFETY: (1) refused.
        assert_eq!(unsafe { madvise(span, 9999) }, Err(Errno::EINVAL));
        // SAFETY: (1, 2) mapped above, used no more.
        unsafe { Linux.unmap(part(span, 2, 1)) }.unwrap();
        assert_eq!(give_up(span, Discard::DontNeed), Err(Errno::ENOMEM));
        assert!(all(part(span, 0, 2), 0) && all(part(span, 3, 5), 0));
        // Not for everybody, or not in this kernel; the pages are released here and nothing poisoned.
        match hint(part(span, 0, 1), Hint::SoftOffline) {
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn populate_past_the_end_of_a_file_is_a_bad_address() {
    let (shared, file) = shared_file("end", 8);
    file.set_len(4096).unwrap();
    assert_eq!(hint(shared, Hint::PopulateRead), Err(Errno::EFAULT));
    assert_eq!(hint(part(shared, 0, 1), Hint::PopulateRead), Ok(()));
    assert_eq!(hint(part(shared, 1, 1), Hint::PopulateWrite), Err(Errno::EFAULT));
}

#[test]
fn many_spans_take_a_hint_in_one_call() {
    let process = open_process(getpid()).unwrap();
    let spans: std::vec::Vec<Span> = (0..100).map(|_| map()).collect();
    for &span in &spans {
        bytes(span).fill(9);
    }
    assert_eq!(process_hint(process, &spans, Hint::Cold), Ok(Bytes(100 * LEN)));
    assert!(spans.iter().all(|&span| all(span, 9)));
    assert_eq!(process_hint(process, &[], Hint::Cold), Ok(Bytes(0)));
    close(process);
    assert_eq!(process_hint(process, &spans, Hint::Cold), Err(Errno::EBADF));
    assert_eq!(open_process(0), Err(Errno::EINVAL));
}

#[test]
fn many_spans_are_discarded_in_one_call_up_to_the_first_refusal() {
    let spans: std::vec::Vec<Span> = (0..100).map(|_| map()).collect();
    for &span in &spans {
        bytes(span).fill(9);
    }
    lock(spans[70], When::Now).unwrap();
    // SAFETY: (1) the test's, test data.
    match unsafe { discard_all(&spans, Discard::DontNeed) } {
        Err(Errno::EBADF | Errno::EINVAL | Errno::ENOSYS) => std::eprintln!("a kernel before 6.14"),
        done => {
            assert_eq!(done, Ok(Bytes(70 * LEN)));
            let mut pages = [0; LEN / 4096];
            for (i, &span) in spans.iter().enumerate() {
                assert_eq!(
                    residency(span, &mut pages),
                    Ok(if i < 70 { 0 } else { LEN / 4096 }),
                    "{i}"
                );
            }
        }
    }
}
