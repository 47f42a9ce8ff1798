//! Maps of files: every head and length, the end of the file, and each refusal of mmap.

#![allow(unsafe_code)]

use super::*;
use crate::child::in_child;
use crate::error::Feature;
use crate::smaps;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use tempfile::tempfile;

const PAGE: u64 = 4096;

/// A file of `len` bytes, each telling where it is.
fn numbered(len: usize) -> (File, Vec<u8>) {
    let bytes: Vec<u8> = (0..len)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut file = tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}

fn kind_of<T>(result: Result<T, Error>) -> Kind {
    result.err().expect("refused").kind()
}

#[test]
fn every_offset_in_a_page_is_as_good_as_another() {
    let (file, bytes) = numbered(3 * 4096 + 100);
    for head in 0..=PAGE {
        let range = head..head + 4097;
        let map = FileMap::of(&file).range(range.clone()).map().unwrap();
        assert_eq!(map.len(), 4097);
        assert_eq!(map.as_ptr().addr() as u64 % PAGE, head % PAGE);
        let mut copy = vec![0; 4097];
        map.read_at(0, &mut copy).unwrap();
        assert_eq!(copy, &bytes[range.start as usize..range.end as usize]);
        assert_eq!(map.read_at(4097, &mut [0]).unwrap_err().kind(), Kind::OutOfRange);
    }
}

#[test]
fn empty_files_and_ranges_are_empty_maps() {
    let (file, _) = numbered(100);
    let empty = tempfile().unwrap();
    for map in [
        FileMap::of(&empty).map().unwrap(),
        FileMap::of(&file).range(50..50).map().unwrap(),
        FileMap::of(&file).range(100..).map().unwrap(),
        FileMap::of(&file).range(5000..5000).map().unwrap(),
    ] {
        assert!(map.is_empty() && map.as_ptr().addr() % 4096 == 0 && !map.as_ptr().is_null());
        map.read_at(0, &mut []).unwrap();
        map.flush(..).unwrap();
        map.unmap().unwrap();
    }
    let backwards = (std::ops::Bound::Included(60), std::ops::Bound::Excluded(50));
    assert_eq!(
        kind_of(FileMap::of(&file).range(backwards).map()),
        Kind::OutOfRange
    );
}

#[test]
fn past_the_end_of_the_file_is_an_error_of_the_copy_until_the_file_grows() {
    let (file, bytes) = numbered(5000);
    let map = FileMap::of(&file)
        .range(..4 * PAGE)
        .populate(Populate::Now)
        .map()
        .unwrap();
    let mut copy = vec![1; 8192];
    map.read_at(0, &mut copy).unwrap();
    assert!(copy[..5000] == bytes && copy[5000..].iter().all(|&byte| byte == 0));
    let error = map.read_at(8000, &mut [0; 400]).unwrap_err();
    assert!(
        smaps::is_past_the_end(error.kind()) && error.range() == (8192..8400),
        "{error}"
    );
    file.set_len(4 * PAGE).unwrap();
    map.read_at(8000, &mut [0; 400]).unwrap();
}

#[test]
fn stores_go_where_the_kind_says() {
    let (mut file, bytes) = numbered(4096);
    let private = FileMap::of(&file).copy_on_write().map().unwrap();
    let shared = FileMap::of(&file).range(10..).writable().map().unwrap();
    private.write_at(20, b"private").unwrap();
    shared.write_at(90, b"shared").unwrap();
    let mut now = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut now).unwrap();
    assert_eq!((&now[100..106], &now[20..27]), (&b"shared"[..], &bytes[20..27]));
    // The private page is a copy of its own by now.
    assert_eq!(private.read::<u8>(100).unwrap(), bytes[100]);
    drop(file);
    assert_eq!(shared.read::<u8>(90), Ok(b's'));
}

#[test]
fn a_map_for_reading_of_a_file_for_reading_stays_so() {
    let named = tempfile::NamedTempFile::new().unwrap();
    named.as_file().set_len(PAGE).unwrap();
    let reading = File::open(named.path()).unwrap();
    assert_eq!(
        kind_of(FileMap::of(&reading).writable().map()),
        Kind::AccessDenied
    );
    FileMap::of(&reading)
        .copy_on_write()
        .map()
        .unwrap()
        .write_at(0, b"x")
        .unwrap();
    let map = FileMap::of(&reading).map().unwrap();
    let refused = map.into_writable().unwrap_err();
    assert_eq!(refused.error().kind(), Kind::AccessDenied);
    assert_eq!(refused.into_inner().read::<u8>(0), Ok(0));
    let writing = File::options().write(true).open(named.path()).unwrap();
    assert_eq!(kind_of(FileMap::of(&writing).map()), Kind::AccessDenied);
}

#[test]
fn each_refusal_has_its_kind() {
    use rustix::fs::{Mode, OFlags, open};
    let path = open(".", OFlags::PATH, Mode::empty()).unwrap();
    assert_eq!(kind_of(FileMap::of(&path).range(..1).map()), Kind::BadDescriptor);
    let directory = File::open(".").unwrap();
    let (pipe, _end) = std::io::pipe().unwrap();
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let status = File::open("/proc/self/status").unwrap();
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    assert_eq!(
        kind_of(FileMap::of(&directory).range(..1).map()),
        Kind::NotMappable
    );
    assert_eq!(kind_of(FileMap::of(&socket).range(..1).map()), Kind::DeviceMemory);
    assert_eq!(kind_of(FileMap::of(&status).range(..1).map()), Kind::NotMappable);
    assert_eq!(kind_of(FileMap::of(&null).range(..1).map()), Kind::DeviceMemory);
    let pipe: OwnedFd = pipe.into();
    assert_eq!(kind_of(FileMap::of(&pipe).range(..1).map()), Kind::NotMappable);

    let (file, _) = numbered(1);
    let end = u64::MAX - 4096;
    assert_eq!(
        kind_of(FileMap::of(&file).range(end..end + 1).map()),
        Kind::TooLarge
    );
    assert_eq!(
        kind_of(FileMap::of(&file).range(..u64::MAX).map()),
        Kind::TooLarge
    );
    assert_eq!(
        kind_of(FileMap::of(&file).range(1..1 << 63).map()),
        Kind::TooLarge
    );
    let error = FileMap::of(&file).range(..PAGE).writable().sync().map();
    // On a DAX file it would be a map.
    assert!(error.is_ok() || kind_of(error) == Kind::Unsupported(Feature::Sync));
}

#[test]
fn an_append_only_open_file_cannot_be_mapped_for_writing_where_the_file_is_append_only() {
    let named = tempfile::NamedTempFile::new().unwrap();
    let append = |flag: &str| {
        let done = std::process::Command::new("chattr")
            .arg(flag)
            .arg(named.path())
            .output();
        done.is_ok_and(|output| output.status.success())
    };
    named.as_file().set_len(PAGE).unwrap();
    if !append("+a") {
        return crate::skip::skip(format_args!("chattr +a is not possible here"));
    }
    let file = File::options().read(true).append(true).open(named.path());
    let outcome = file.map(|file| {
        FileMap::of(&file)
            .writable()
            .map()
            .map(drop)
            .map_err(|error| error.kind())
    });
    assert!(append("-a"));
    assert_eq!(outcome.unwrap(), Err(Kind::AccessDenied));
}

#[test]
fn a_sealed_memfd_is_sealed_against_writing() {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let memfd = memfd_create(c"neap", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&memfd, PAGE).unwrap();
    fcntl_add_seals(&memfd, SealFlags::WRITE).unwrap();
    assert_eq!(kind_of(FileMap::of(&memfd).writable().map()), Kind::SealedAgainst);
    let map = FileMap::of(&memfd).map().unwrap();
    assert_eq!(
        map.into_writable().unwrap_err().error().kind(),
        Kind::AccessDenied
    );
}

#[test]
fn flags_show_in_smaps() {
    let (file, _) = numbered(3 * 4096);
    let locked = FileMap::of(&file).locked().map().unwrap();
    assert_eq!(smaps::at(locked.as_ptr()).unwrap().kib("Locked:"), 12);
    drop(locked);
    let cow = FileMap::of(&file).copy_on_write().map().unwrap();
    assert!(smaps::at(cow.as_ptr()).unwrap().has("ac"));
    drop(cow);
    let cow = FileMap::of(&file).copy_on_write().no_reserve().map().unwrap();
    assert!(smaps::at(cow.as_ptr()).unwrap().has("nr"));
    drop(cow);
    let now = FileMap::of(&file).populate(Populate::Now).map().unwrap();
    assert_eq!(smaps::at(now.as_ptr()).unwrap().kib("Rss:"), 12);
    drop(now);
    let code = FileMap::of(&file).private().executable().map();
    match code {
        Ok(code) => assert_eq!(smaps::at(code.as_ptr()).unwrap().rights, "r-xp"),
        Err(error) => assert_eq!(error.kind(), Kind::NoExec),
    }
}

#[test]
fn a_noexec_mount_is_named() {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
    let folders = mounts.lines().filter(|line| {
        let options = line.split(' ').nth(3).unwrap_or_default();
        options.split(',').any(|option| option == "noexec")
    });
    let file = folders
        .filter_map(|line| tempfile::tempfile_in(line.split(' ').nth(1)?).ok())
        .next();
    let Some(file) = file else {
        return crate::skip::skip(format_args!("no noexec mount that can be written"));
    };
    file.set_len(PAGE).unwrap();
    assert_eq!(kind_of(FileMap::of(&file).executable().map()), Kind::NoExec);
}

#[test]
fn places_are_kept_or_refused() {
    let (file, _) = numbered(2 * 4096);
    let room = crate::Anon::private(4 * 4096).reserve().unwrap();
    let taken = room.as_ptr().addr();
    assert_eq!(kind_of(FileMap::of(&file).at(taken).map()), Kind::Occupied);
    let map = FileMap::of(&file).near(taken).map().unwrap();
    assert_ne!(map.as_ptr().addr(), taken);
    assert_eq!(kind_of(FileMap::of(&file).at(0).map()), Kind::Invalid);
    in_child(|| {
        room.unmap().unwrap();
        let map = FileMap::of(&file).range(7..).at(taken).map().unwrap();
        assert_eq!(map.as_ptr().addr(), taken + 7);
    });
}

#[test]
fn what_is_not_a_file_is_refused_and_not_touched() {
    // A queue from which the kernel takes addresses: a safe store there could write anywhere.
    // SAFETY: reads and writes the 120 bytes of the parameters.
    let ring = unsafe {
        let mut parameters = [0_u32; 30];
        libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr())
    };
    if ring >= 0 {
        // SAFETY: opened above, and nobody else's.
        let ring = unsafe { <File as std::os::fd::FromRawFd>::from_raw_fd(ring as i32) };
        assert_eq!(
            kind_of(FileMap::of(&ring).range(..PAGE).writable().map()),
            Kind::DeviceMemory
        );
        assert_eq!(
            kind_of(FileMap::of(&ring).range(..PAGE).map()),
            Kind::DeviceMemory
        );
    } else {
        crate::skip::skip(format_args!("io_uring is not allowed here"));
    }
    let zero = File::options().read(true).write(true).open("/dev/zero").unwrap();
    assert_eq!(
        kind_of(FileMap::of(&zero).range(..PAGE).writable().map()),
        Kind::DeviceMemory
    );
    let register = File::open("/sys/kernel/mm/transparent_hugepage/enabled");
    if let Ok(register) = register {
        assert_eq!(
            kind_of(FileMap::of(&register).range(..PAGE).map()),
            Kind::DeviceMemory
        );
    }
}
