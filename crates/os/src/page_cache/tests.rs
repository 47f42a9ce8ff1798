#![allow(unsafe_code)]

use super::*;
use crate::child::{become_user, in_child};
use crate::fd::close;
use core::mem::size_of;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::vec;

const PAGE: u64 = 4096;

fn fd(file: &impl AsRawFd) -> Fd {
    Fd(file.as_raw_fd())
}

/// A file that goes when the test ends.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    /// `pages` pages, written and not synced, in the directory for temporary files.
    fn new(name: &str, pages: u64) -> Scratch {
        let path = std::env::temp_dir().join(std::format!("neap-cache-{}-{name}", std::process::id()));
        let mut file = File::create_new(&path).unwrap();
        file.write_all(&vec![1; usize::try_from(pages * PAGE).unwrap()])
            .unwrap();
        Scratch { path, file }
    }

    /// Whether the file has a disk beneath it: on tmpfs (and overlays of it) nothing is ever dirty or
    /// evicted.
    fn has_disk(&self) -> bool {
        const STATFS: Call = Call(if cfg!(target_arch = "x86_64") { 138 } else { 44 });
        const ON_DISK: [u64; 3] = [0xef53, 0x5846_5342, 0x9123_683e]; // ext4, xfs, btrfs
        let mut words = [0_u64; 15];
        let address = words.as_mut_ptr().expose_provenance();
        // SAFETY: (1) fstatfs writes a struct statfs, 120 bytes.
        unsafe { crate::syscall::syscall2(STATFS, fd(&self.file).argument(), address) }.unwrap();
        if !ON_DISK.contains(&words[0]) {
            crate::child::skip(format_args!(
                "{} is on no disk (type {:x})",
                self.path.display(),
                words[0]
            ));
        }
        ON_DISK.contains(&words[0])
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn counts(scratch: &Scratch) -> Option<Counts> {
    match count(fd(&scratch.file), FileRange::ALL) {
        Err(Errno::ENOSYS) => {
            crate::child::skip(format_args!("no cachestat (6.5)"));
            None
        }
        counted => Some(counted.unwrap()),
    }
}

const _: () = assert!(size_of::<Counts>() == 40);

#[test]
fn a_range_counts_the_pages_it_touches() {
    let scratch = Scratch::new("range", 8);
    let Some(all) = counts(&scratch) else { return };
    assert_eq!(all.cached, 8);
    let part = |offset, len| {
        let range = FileRange::new(offset, len).unwrap();
        count(fd(&scratch.file), range).unwrap().cached
    };
    assert_eq!(part(0, PAGE), 1);
    assert_eq!(part(PAGE - 1, 2), 2);
    assert_eq!(part(6 * PAGE, 100 * PAGE), 2);
    assert_eq!(part(8 * PAGE, PAGE), 0);
    let tail = FileRange::from(5 * PAGE).unwrap();
    assert_eq!(count(fd(&scratch.file), tail).unwrap().cached, 3);
}

#[test]
fn writing_out_leaves_nothing_dirty_and_letting_go_leaves_nothing_cached() {
    const PAGES: u64 = 64;
    let scratch = Scratch::new("dirty", PAGES);
    if !scratch.has_disk() {
        return;
    }
    let Some(written) = counts(&scratch) else { return };
    assert_eq!(written.cached, PAGES);
    // The kernel may have begun on its own.
    assert!(written.dirty <= PAGES);
    let file = fd(&scratch.file);
    for how in [WriteOut::Start, WriteOut::StartAll, WriteOut::Wait] {
        assert_eq!(write_out(file, FileRange::ALL, how), Ok(()));
    }
    write_out(file, FileRange::ALL, WriteOut::Complete).unwrap();
    let clean = counts(&scratch).unwrap();
    assert_eq!((clean.cached, clean.dirty, clean.writeback), (PAGES, 0, 0));

    // Clean buffers may still be the journal's.
    scratch.file.sync_all().unwrap();
    let half = FileRange::new(0, PAGES / 2 * PAGE).unwrap();
    advise(file, half, Use::DontNeed).unwrap();
    let rest = FileRange::from(PAGES / 2 * PAGE).unwrap();
    assert_eq!(count(file, rest).unwrap().cached, PAGES / 2);
    advise(file, FileRange::ALL, Use::DontNeed).unwrap();
    assert_eq!(counts(&scratch).unwrap().cached, 0);
}

#[test]
fn what_is_asked_for_ahead_comes_in() {
    const PAGES: u64 = 16;
    let scratch = Scratch::new("ahead", PAGES);
    if !scratch.has_disk() || counts(&scratch).is_none() {
        return;
    }
    scratch.file.sync_all().unwrap();
    let reader = File::open(&scratch.path).unwrap();
    let ways: [&dyn Fn() -> Result<(), Errno>; 3] = [
        &|| advise(fd(&reader), FileRange::ALL, Use::WillNeed),
        &|| read_ahead(fd(&reader), FileRange::ALL),
        &|| read_ahead(fd(&reader), FileRange::new(0, PAGES * PAGE).unwrap()),
    ];
    for way in ways {
        advise(fd(&reader), FileRange::ALL, Use::DontNeed).unwrap();
        assert_eq!(counts(&scratch).unwrap().cached, 0);
        assert_eq!(way(), Ok(()));
        // Pages are in the cache as soon as their reading has begun.
        assert_eq!(counts(&scratch).unwrap().cached, PAGES);
        // Those still being read could not be let go.
        assert_eq!(std::fs::read(&scratch.path).unwrap().len() as u64, PAGES * PAGE);
    }
    for usage in [Use::Normal, Use::Random, Use::Sequential, Use::NoReuse] {
        assert_eq!(advise(fd(&reader), FileRange::ALL, usage), Ok(()));
    }
}

#[test]
fn a_bad_descriptor_is_refused_by_each_call() {
    for bad in [Fd(-1), Fd(1 << 20)] {
        for refused in [
            count(bad, FileRange::ALL).map(|_| ()),
            advise(bad, FileRange::ALL, Use::WillNeed),
            read_ahead(bad, FileRange::ALL),
            write_out(bad, FileRange::ALL, WriteOut::Start),
        ] {
            assert!(
                matches!(refused, Err(Errno::EBADF | Errno::ENOSYS)),
                "{refused:?}"
            );
        }
    }
}

#[test]
fn a_pipe_has_no_page_cache() {
    let (reader, writer) = std::io::pipe().unwrap();
    let all = FileRange::ALL;
    assert_eq!(advise(fd(&reader), all, Use::WillNeed), Err(Errno::ESPIPE));
    assert_eq!(write_out(fd(&reader), all, WriteOut::Start), Err(Errno::ESPIPE));
    assert_eq!(read_ahead(fd(&reader), all), Err(Errno::EINVAL));
    assert_eq!(read_ahead(fd(&writer), all), Err(Errno::EBADF));
}

#[test]
fn others_files_are_counted_for_nobody() {
    in_child(|| {
        if !become_user(12_345) {
            return crate::child::skip(format_args!("not run as root"));
        }
        let readable = File::open("/etc/passwd").unwrap();
        match count(fd(&readable), FileRange::ALL) {
            Ok(_) | Err(Errno::ENOSYS) => crate::child::skip(format_args!("a kernel before 6.14")),
            refused => assert_eq!(refused, Err(Errno::EPERM)),
        }
    });
}

#[test]
fn a_file_of_huge_pages_is_not_counted() {
    const HUGE: usize = 4;
    let name = c"neap-huge";
    // SAFETY: (1) reads the C string and opens a descriptor.
    let opened =
        unsafe { crate::syscall::syscall2(Call::MEMFD_CREATE, name.as_ptr().expose_provenance(), HUGE) };
    let Ok(number) = opened else {
        return crate::child::skip(format_args!("no hugetlbfs"));
    };
    let huge = Fd::answered(number).unwrap();
    let counted = count(huge, FileRange::ALL);
    assert!(
        matches!(counted, Err(Errno::EOPNOTSUPP | Errno::ENOSYS)),
        "{counted:?}"
    );
    close(huge);
}
