#![allow(unsafe_code)]

use crate::access::{Means, is_caught, use_means};
use crate::anon::Anon;
use crate::child::in_child;
use crate::error::{Error, Kind};
use crate::file::FileMap;
use crate::map::Map;
use crate::operation::Operation;
use crate::view::VolatileMut;
use neap_os::advice::{self, Guard};
use neap_os::env::page_size;
use neap_os::mapping::{self, Prot};
use neap_os::unit::{HugePage, Span};
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::os::fd::OwnedFd;
use zerocopy::TryFromBytes;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn memfd(contents: &[u8]) -> OwnedFd {
    let fd = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    assert_eq!(rustix::io::pwrite(&fd, contents, 0).unwrap(), contents.len());
    fd
}

fn seen(answer: Result<(), Error>) -> (Operation, Kind, u64, u64) {
    let error = answer.unwrap_err();
    (
        error.operation(),
        error.kind(),
        error.range().start,
        error.range().end,
    )
}

/// `body` with each of the means, in a process of its own each.
fn with_each_means(body: impl Fn()) {
    for means in [Means::Handler, Means::SystemCalls] {
        in_child(|| {
            use_means(means).unwrap();
            body();
        });
    }
}

#[test]
fn a_file_cut_short_is_an_error_at_the_first_missing_byte() {
    with_each_means(|| {
        let page = page_size();
        // With a name: the unprivileged find no other.
        let named = tempfile::NamedTempFile::new().unwrap();
        let file = named.as_file();
        std::os::unix::fs::FileExt::write_all_at(file, &pattern(4 * page), 0).unwrap();
        let map = FileMap::of(file).range(10..).writable().map().unwrap();
        let len = map.len();
        file.set_len(page as u64 + 100).unwrap();
        let mut to = vec![1; len];
        let missing = (2 * page - 10) as u64;
        let expected = (Operation::Read, Kind::FileTooShort, missing, len as u64);
        assert_eq!(seen(map.read_at(0, &mut to)), expected);
        // What came before is there: up to the new end the old bytes, then zeros.
        assert_eq!(to[..page + 90], pattern(4 * page)[10..page + 100]);
        assert!(to[page + 90..missing as usize].iter().all(|&byte| byte == 0));
        assert!(to[missing as usize..].iter().all(|&byte| byte == 1));
        let expected = (Operation::Write, Kind::FileTooShort, missing, len as u64);
        assert_eq!(seen(map.write_at(0, &to)), expected);
        assert_eq!(seen(map.fill(5.., 3)), expected);
        assert_eq!(map.probe(..page).map_err(|error| error.kind()), Ok(()));
        assert_eq!(map.probe(..).unwrap_err().kind(), Kind::FileTooShort);
        // Who finds the file longer again finds the bytes again.
        file.set_len(4 * page as u64).unwrap();
        map.read_at(0, &mut to).unwrap();
    });
}

#[test]
fn a_file_without_a_name_is_found_too() {
    let page = page_size();
    let fd = memfd(&pattern(2 * page));
    let map = FileMap::of(&fd).map().unwrap();
    rustix::fs::ftruncate(&fd, 0).unwrap();
    drop(fd);
    let kind = map.read::<u64>(page).unwrap_err().kind();
    // /proc/self/map_files is for the privileged only.
    // SAFETY: returns a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    assert!(
        kind == Kind::FileTooShort || (!is_root && kind == Kind::PageUnavailable),
        "{kind:?}"
    );
}

#[test]
fn a_full_file_system_is_an_error() {
    // SAFETY: returns a number.
    if unsafe { libc::geteuid() } != 0 {
        crate::skip::skip(format_args!(
            "a_full_file_system_is_an_error: only root may mount"
        ));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(folder.path().to_str().unwrap()).unwrap();
    in_child(|| {
        // SAFETY: system calls of a process without other threads; strings that end with 0.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNS) != 0 {
                crate::skip::skip(format_args!("a_full_file_system_is_an_error: no mount namespace"));
                return;
            }
            let none = std::ptr::null();
            assert_eq!(
                libc::mount(
                    none,
                    c"/".as_ptr(),
                    none,
                    libc::MS_REC | libc::MS_PRIVATE,
                    none.cast()
                ),
                0
            );
            let (kind, options) = (c"tmpfs".as_ptr(), c"size=64k".as_ptr());
            assert_eq!(libc::mount(kind, path.as_ptr(), kind, 0, options.cast()), 0);
        }
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.path().join("file"))
            .unwrap();
        file.set_len(1 << 20).unwrap();
        let map = FileMap::of(&file).writable().map().unwrap();
        let expected = (Operation::Write, Kind::StorageFull, 64 << 10, 1 << 20);
        assert_eq!(seen(map.fill(.., 7)), expected);
        // A hole that is read takes a page, too.
        assert_eq!(map.read::<u8>(512 << 10).unwrap_err().kind(), Kind::StorageFull);
        assert_eq!(map.read::<u8>(0), Ok(7));
    });
}

#[test]
fn memory_that_may_not_be_accessed_is_an_error() {
    with_each_means(|| {
        let page = page_size();
        let map = Anon::shared(4 * page).map().unwrap();
        map.fill(.., 7).unwrap();
        let part = |at: usize| Span::new(map.as_ptr().addr() + at * page, page).unwrap();
        // SAFETY: the map's own pages, to which there are no references.
        unsafe { mapping::protect(part(2), Prot::NONE).unwrap() };
        let expected = (
            Operation::Read,
            Kind::Inaccessible,
            2 * page as u64,
            3 * page as u64,
        );
        assert_eq!(seen(map.read_at(0, &mut vec![0; 3 * page])), expected);
        // SAFETY: as above.
        unsafe { mapping::protect(part(1), Prot::READ).unwrap() };
        let expected = (Operation::Write, Kind::Inaccessible, page as u64, page as u64 + 8);
        assert_eq!(seen(map.write_at(page, &[1; 8])), expected);
        assert_eq!(map.read::<u8>(page), Ok(7));
        // SAFETY: the map's own page; the map is forgotten below.
        unsafe { mapping::unmap(part(3)).unwrap() };
        assert_eq!(map.read::<u8>(3 * page).unwrap_err().kind(), Kind::NotMapped);
        std::mem::forget(map);
    });
}

#[test]
fn a_guard_is_an_error() {
    let page = page_size();
    let map = Anon::shared(2 * page).map().unwrap();
    let span = Span::new(map.as_ptr().addr() + page, page).unwrap();
    // SAFETY: the map's own page, to which there are no references.
    if let Err(errno) = unsafe { advice::guard(span, Guard::Install) } {
        crate::skip::skip(format_args!("a_guard_is_an_error: MADV_GUARD_INSTALL: {errno:?}"));
        return;
    }
    assert_eq!(map.read::<u8>(page - 1), Ok(0));
    assert_eq!(map.read::<u16>(page - 1).unwrap_err().kind(), Kind::Inaccessible);
    assert_eq!(map.write(page, &1u8).unwrap_err().kind(), Kind::Inaccessible);
}

#[test]
fn an_empty_pool_of_huge_pages_is_an_error() {
    let Ok(map) = Anon::shared(2 << 20).huge(HugePage::DEFAULT).no_reserve().map() else {
        crate::skip::skip(format_args!(
            "an_empty_pool_of_huge_pages_is_an_error: no huge pages"
        ));
        return;
    };
    match map.write(0, &1u8) {
        Ok(()) => crate::skip::skip(format_args!(
            "an_empty_pool_of_huge_pages_is_an_error: the pool has pages"
        )),
        Err(error) => assert_eq!(error.kind(), Kind::HugePoolEmpty),
    }
}

#[test]
fn a_thread_that_blocks_the_signals_is_told() {
    in_child(|| {
        use_means(Means::Handler).unwrap();
        assert!(is_caught());
        // SAFETY: sets that the calls fill in.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGBUS);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
        assert!(!is_caught());
        use_means(Means::SystemCalls).unwrap();
        assert!(is_caught());
        let fd = memfd(&[1; 10]);
        let map = FileMap::of(&fd).map().unwrap();
        rustix::fs::ftruncate(&fd, 0).unwrap();
        assert!(map.read::<u8>(0).is_err());
    });
}

#[test]
fn no_handler_is_installed_for_who_wants_none() {
    in_child(|| {
        let action = || {
            // SAFETY: an array of integers that the call fills in.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut action);
                action.sa_sigaction
            }
        };
        // Another test may have been faster: then there is one already.
        let before = action();
        use_means(Means::SystemCalls).unwrap();
        let map = Anon::shared(100_000).map().unwrap();
        map.write_at(5, &pattern(99_995)).unwrap();
        let mut to = vec![0; 99_995];
        map.read_at(5, &mut to).unwrap();
        assert_eq!(to, pattern(99_995));
        assert_eq!(action(), before);
    });
}

#[test]
fn threads_and_children_have_errors_too() {
    let fd = memfd(&pattern(8192));
    let map = FileMap::of(&fd).map().unwrap();
    rustix::fs::ftruncate(&fd, 0).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| assert!(map.read::<u64>(0).is_err())));
        }
    });
    in_child(|| assert!(map.read::<u64>(0).is_err()));
}

#[derive(TryFromBytes, PartialEq, Debug)]
#[repr(u8)]
enum Colour {
    Red = 1,
    Green = 2,
}

fn shared(len: usize) -> Map<VolatileMut> {
    Anon::shared(len).map().unwrap()
}

#[test]
fn values_are_copied_at_any_offset() {
    let map = shared(1000);
    map.write(3, &0x0102_0304_0506_0708u64).unwrap();
    assert_eq!(map.read::<u64>(3), Ok(0x0102_0304_0506_0708));
    assert_eq!(map.read::<[u8; 2]>(3), Ok(0x0708u16.to_le_bytes()));
    map.write_slice(101, &[1u32, 2, 3]).unwrap();
    assert_eq!(map.read_vec::<u32>(101, 3), Ok(vec![1, 2, 3]));
    let mut two = [0u32; 2];
    map.read_slice(105, &mut two).unwrap();
    assert_eq!(two, [2, 3]);
    map.write_at(0, &[2, 7]).unwrap();
    assert_eq!(map.read_checked::<Colour>(0), Ok(Colour::Green));
    assert_eq!(map.read_checked::<Colour>(1).unwrap_err().kind(), Kind::Malformed);
    map.write_at(9, &[1]).unwrap();
    assert_eq!(map.read_checked::<Colour>(9), Ok(Colour::Red));
    assert_eq!(map.read_checked::<bool>(1).unwrap_err().kind(), Kind::Malformed);
}

#[test]
fn ranges_are_checked_before_anything_else() {
    let map = shared(1000);
    let kind = |error: Error| error.kind();
    assert_eq!(map.read::<u64>(993).map_err(kind), Err(Kind::OutOfRange));
    assert_eq!(map.read::<u64>(usize::MAX).map_err(kind), Err(Kind::OutOfRange));
    assert_eq!(
        map.read_vec::<u64>(0, usize::MAX / 4).map_err(kind),
        Err(Kind::OutOfRange)
    );
    assert_eq!(
        map.read_vec::<u8>(0, 1 << 40).map_err(kind),
        Err(Kind::OutOfRange)
    );
    assert_eq!(map.write_at(999, &[0; 2]).map_err(kind), Err(Kind::OutOfRange));
    assert_eq!(map.fill(999..1001, 0).map_err(kind), Err(Kind::OutOfRange));
    assert_eq!(
        map.copy_from(999, &map, 0..2).map_err(kind),
        Err(Kind::OutOfRange)
    );
    assert_eq!(map.read_at(1000, &mut []), Ok(()));
    assert_eq!(map.probe(1000..), Ok(()));
    assert_eq!(shared(0).probe(..), Ok(()));
}

#[test]
fn copies_agree_with_copies_of_slices() {
    let len = 40_000;
    for (from, to, count) in [
        (0, 20_000, 20_000),
        (0, 1, 39_999),
        (1, 0, 39_999),
        (5, 9_000, 30_000),
        (9_000, 5, 30_000),
        (7, 7, 100),
    ] {
        let map = shared(len);
        let mut model = pattern(len);
        map.write_at(0, &model).unwrap();
        map.copy_from(to, &map, from..from + count).unwrap();
        model.copy_within(from..from + count, to);
        assert!(
            map.read_vec::<u8>(0, len).unwrap() == model,
            "{from} {to} {count}"
        );
    }
}

#[test]
fn a_copy_between_maps_says_on_which_side_it_failed() {
    with_each_means(|| {
        let page = page_size();
        let (short, whole) = (memfd(&pattern(page)), memfd(&pattern(3 * page)));
        let map = |fd: &OwnedFd| FileMap::of(fd).range(..3 * page as u64).writable().map().unwrap();
        let (short, whole) = (map(&short), map(&whole));
        let end = 3 * page as u64;
        let (read, write) = (
            whole.copy_from(8, &short, 4..3 * page - 4),
            short.copy_from(4, &whole, 8..),
        );
        let error = read.unwrap_err();
        assert_eq!(
            (error.operation(), error.range().start),
            (Operation::Read, page as u64)
        );
        assert!(error.kind() == Kind::FileTooShort || error.kind() == Kind::PageUnavailable);
        let error = write.unwrap_err();
        assert_eq!(
            (error.operation(), error.range()),
            (Operation::Write, page as u64..end - 4)
        );
        assert_eq!(
            short.read_vec::<u8>(4, page - 4).unwrap(),
            whole.read_vec::<u8>(8, page - 4).unwrap()
        );
    });
}

#[test]
fn the_callers_word_lends_references() {
    let page = page_size();
    let fd = memfd(&pattern(page));
    // SAFETY: (1) the descriptor is this test's, which writes no more; (2) the file has these bytes; (3) none
    // is set.
    let map = unsafe { FileMap::of(&fd).map().unwrap().assume_unmodified() };
    assert_eq!(map[..], pattern(page));
    let map = shared(page);
    // SAFETY: (1 to 4) the map is this test's alone, and no call of it runs meanwhile.
    let atomics = unsafe { map.as_atomic_slice() };
    atomics[5].store(9, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(map.read::<u8>(5), Ok(9));
}
