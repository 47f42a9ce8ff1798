#![allow(unsafe_code)]

use super::*;
use crate::child::{end_of_child, in_child, limit};
use crate::fd::close;
use crate::linux::Linux;
use crate::pagemap::Pagemap;
use crate::share::map_shared;
use crate::unit::{Bytes, Span};
use crate::vm::Vm;
use core::ptr::with_exposed_provenance_mut;
use std::fs::File;
use std::io::{Error, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

const PAGE: u64 = 4096;

const SEALABLE: Features = Features {
    sealing: Sealing::Allowed,
    execution: Execution::Unsaid,
    huge: None,
};

/// A new file that closes itself.
fn file(features: Features) -> Result<File, Errno> {
    let fd = create(c"neap-test", features)?;
    // SAFETY: opened just now, and owned by nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd.0) }))
}

fn fd(file: &File) -> Fd {
    Fd(file.as_raw_fd())
}

fn range(offset: u64, len: u64) -> FileRange {
    FileRange::new(offset, len).unwrap()
}

fn errno(outcome: std::io::Result<usize>) -> Option<i32> {
    outcome.err().as_ref().and_then(Error::raw_os_error)
}

fn unmap(span: Span) {
    // SAFETY: (1, 2) tests call it once for each mapping they made, and use it no more.
    unsafe { Linux.unmap(span) }.unwrap();
}

/// Whether a file of which nobody said so is executable (vm.memfd_noexec is 0, or not there).
fn unsaid_is_executable() -> bool {
    std::fs::read_to_string("/proc/sys/vm/memfd_noexec").map_or(true, |value| value.trim() == "0")
}

#[test]
fn a_file_in_memory_has_the_name_and_the_length_it_was_given() {
    let file = file(Features::default()).unwrap();
    let link = std::fs::read_link(std::format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    assert_eq!(link.to_str(), Some("/memfd:neap-test (deleted)"));
    let info = std::fs::read_to_string(std::format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
    assert_ne!(flags & 0o2_000_000, 0, "closed on exec");
    assert_eq!(file.metadata().unwrap().len(), 0);
    set_len(fd(&file), 10 * PAGE).unwrap();
    let grown = file.metadata().unwrap();
    assert_eq!((grown.len(), grown.blocks()), (10 * PAGE, 0));
}

#[test]
fn seals_forbid_what_they_say_and_stay() {
    let file = file(SEALABLE).unwrap();
    let fd = fd(&file);
    let first = if unsaid_is_executable() {
        Seals::NONE
    } else {
        Seals::EXEC
    };
    assert_eq!(seals(fd), Ok(first));
    set_len(fd, 4 * PAGE).unwrap();
    add_seals(fd, Seals::SHRINK).unwrap();
    assert_eq!(set_len(fd, PAGE), Err(Errno::EPERM));
    set_len(fd, 5 * PAGE).unwrap();
    add_seals(fd, Seals::GROW).unwrap();
    assert_eq!(set_len(fd, 6 * PAGE), Err(Errno::EPERM));
    assert_eq!(
        allocate(fd, range(0, 6 * PAGE), Allocate::Extend),
        Err(Errno::EPERM)
    );
    (&file).write_all(b"still").unwrap();
    add_seals(fd, Seals::WRITE | Seals::SEAL).unwrap();
    assert_eq!(errno((&file).write(b"no more")), Some(Errno::EPERM.0));
    assert_eq!(
        allocate(fd, range(0, PAGE), Allocate::PunchHole),
        Err(Errno::EPERM)
    );
    assert_eq!(map_shared(fd, 0, Bytes(4096)), Err(Errno::EPERM));
    let all = Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::SEAL | first;
    assert_eq!(seals(fd), Ok(all));
    assert!(all.contains(Seals::GROW) && !all.contains(Seals::FUTURE_WRITE));
    assert_eq!(add_seals(fd, Seals::FUTURE_WRITE), Err(Errno::EPERM));
}

#[test]
fn a_writable_mapping_bars_the_seal_against_writing_but_not_the_one_against_future_writing() {
    // In a child: one forked meanwhile by another test would hold the mapping.
    in_child(|| {
        let file = file(SEALABLE).unwrap();
        let fd = fd(&file);
        set_len(fd, PAGE).unwrap();
        let span = map_shared(fd, 0, Bytes(4096)).unwrap();
        assert_eq!(add_seals(fd, Seals::WRITE), Err(Errno::EBUSY));
        match add_seals(fd, Seals::FUTURE_WRITE) {
            Err(Errno::EINVAL) => crate::child::skip(format_args!("no F_SEAL_FUTURE_WRITE (5.1)")),
            added => {
                assert_eq!(added, Ok(()));
                let byte = with_exposed_provenance_mut::<u8>(span.base());
                // SAFETY: mapped above, for this test alone.
                unsafe { byte.write_volatile(1) };
                assert_eq!(errno((&file).write(b"x")), Some(Errno::EPERM.0));
                assert_eq!(map_shared(fd, 0, Bytes(4096)), Err(Errno::EPERM));
            }
        }
        unmap(span);
        assert_eq!(add_seals(fd, Seals::WRITE), Ok(()));
    });
}

#[test]
fn a_file_that_refuses_seals_has_the_seal_against_them() {
    if !unsaid_is_executable() {
        return crate::child::skip(format_args!("vm.memfd_noexec makes every file sealable"));
    }
    let file = file(Features::default()).unwrap();
    assert_eq!(seals(fd(&file)), Ok(Seals::SEAL));
    assert_eq!(add_seals(fd(&file), Seals::GROW), Err(Errno::EPERM));
}

#[test]
fn a_file_is_executable_as_asked() {
    let with = |execution| {
        file(Features {
            execution,
            ..Features::default()
        })
    };
    let (sealed, allowed) = match (with(Execution::Sealed), with(Execution::Allowed)) {
        (Err(Errno::EINVAL), _) => return crate::child::skip(format_args!("no MFD_NOEXEC_SEAL (6.3)")),
        (_, Err(Errno::EACCES)) => return crate::child::skip(format_args!("vm.memfd_noexec is 2")),
        (sealed, allowed) => (sealed.unwrap(), allowed.unwrap()),
    };
    assert_eq!(sealed.metadata().unwrap().mode() & 0o111, 0);
    assert_eq!(seals(fd(&sealed)), Ok(Seals::EXEC));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    let refused = sealed.set_permissions(executable).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(Errno::EPERM.0));
    assert_eq!(allowed.metadata().unwrap().mode() & 0o111, 0o111);
}

#[test]
fn storage_is_taken_kept_beyond_the_end_and_given_back() {
    let file = file(SEALABLE).unwrap();
    let fd = fd(&file);
    let state = || {
        let now = file.metadata().unwrap();
        (now.len() / PAGE, now.blocks() * 512 / PAGE)
    };
    allocate(fd, range(0, 8 * PAGE), Allocate::Extend).unwrap();
    assert_eq!(state(), (8, 8));
    (&file).write_all(&[7; 8192]).unwrap();
    allocate(fd, range(0, PAGE), Allocate::PunchHole).unwrap();
    assert_eq!(state(), (8, 7));
    let start = std::fs::read(std::format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    assert!(start[..4096].iter().all(|byte| *byte == 0));
    assert!(start[4096..8192].iter().all(|byte| *byte == 7));
    allocate(fd, range(8 * PAGE, 2 * PAGE), Allocate::KeepSize).unwrap();
    assert_eq!(state(), (8, 9));
    set_len(fd, PAGE).unwrap();
    assert_eq!(state(), (1, 0));
}

#[test]
fn a_secret_file_is_mapped_and_not_read() {
    in_child(|| {
        let secret = match create_secret() {
            Err(Errno::ENOSYS) => return crate::child::skip(format_args!("no memfd_secret (5.14)")),
            made => made.unwrap(),
        };
        set_len(secret, PAGE).unwrap();
        assert_eq!(set_len(secret, 2 * PAGE), Err(Errno::EINVAL));
        let span = match map_shared(secret, 0, Bytes(4096)) {
            Err(Errno::EAGAIN) => return crate::child::skip(format_args!("RLIMIT_MEMLOCK is too low")),
            mapped => mapped.unwrap(),
        };
        let byte = with_exposed_provenance_mut::<u8>(span.base());
        // SAFETY: mapped above, for this test alone.
        unsafe {
            byte.write_volatile(42);
            assert_eq!(byte.read_volatile(), 42);
        }
        let mut word = [0_u8; 8];
        // SAFETY: (1) writes at most the eight bytes of `word`.
        let read = unsafe {
            syscall3(
                Call::READ,
                secret.argument(),
                word.as_mut_ptr().expose_provenance(),
                8,
            )
        };
        assert_eq!(read, Err(Errno::EINVAL));
        assert_eq!(seals(secret), Err(Errno::EINVAL));
        close(secret);
    });
}

#[test]
fn a_file_of_huge_pages_is_as_long_as_they_are() {
    let huge = |size| {
        file(Features {
            huge: Some(size),
            ..Features::default()
        })
    };
    let file = match huge(HugePage::MIB_2) {
        Err(Errno::ENOSYS | Errno::ENODEV) => {
            return crate::child::skip(format_args!("no huge pages of 2 MiB"));
        }
        made => made.unwrap(),
    };
    assert_eq!(file.metadata().unwrap().blksize(), 2 << 20);
    assert_eq!(set_len(fd(&file), PAGE), Err(Errno::EINVAL));
    assert_eq!(set_len(fd(&file), 2 << 20), Ok(()));
    let none = HugePage::of(Bytes(8192)).unwrap();
    assert_eq!(huge(none).err(), Some(Errno::ENODEV));
}

#[test]
fn errors_are_the_kernels() {
    let long = std::ffi::CString::new("x".repeat(250)).unwrap();
    assert_eq!(create(&long, SEALABLE), Err(Errno::EINVAL));
    let bad = Fd(-1);
    assert_eq!(seals(bad), Err(Errno::EBADF));
    assert_eq!(add_seals(bad, Seals::GROW), Err(Errno::EBADF));
    assert_eq!(set_len(bad, 0), Err(Errno::EBADF));
    assert_eq!(allocate(bad, range(0, 1), Allocate::Extend), Err(Errno::EBADF));

    let file = file(SEALABLE).unwrap();
    let sealable = fd(&file);
    assert_eq!(add_seals(sealable, Seals(1 << 30)), Err(Errno::EINVAL));
    assert_eq!(set_len(sealable, u64::MAX), Err(Errno::EINVAL));
    assert_eq!(
        allocate(sealable, FileRange::ALL, Allocate::Extend),
        Err(Errno::EINVAL)
    );
    let reader = File::open(std::format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
    assert_eq!(add_seals(fd(&reader), Seals::GROW), Err(Errno::EPERM));
    assert_eq!(set_len(fd(&reader), 0), Err(Errno::EINVAL));
    let refused = allocate(fd(&reader), range(0, 1), Allocate::Extend);
    assert_eq!(refused, Err(Errno::EBADF));

    let null = File::create("/dev/null").unwrap();
    let refused = allocate(fd(&null), range(0, 1), Allocate::Extend);
    assert_eq!(refused, Err(Errno::ENODEV));
    let disk = File::open("/proc/self/maps").unwrap();
    assert_eq!(seals(fd(&disk)), Err(Errno::EINVAL));
    let (_reader, writer) = std::io::pipe().unwrap();
    let pipe = Fd(writer.as_raw_fd());
    assert_eq!(allocate(pipe, range(0, 1), Allocate::Extend), Err(Errno::ESPIPE));
    assert_eq!(set_len(pipe, 1), Err(Errno::EINVAL));
}

/// A file of a tmpfs whose size is bounded: in one that is not, memory is the only bound.
#[test]
fn a_file_system_without_room_says_so_and_takes_nothing() {
    const STATFS: Call = Call(if cfg!(target_arch = "x86_64") { 138 } else { 44 });
    let path = std::format!("/dev/shm/neap-os-room-{}", std::process::id());
    let Ok(file) = File::create_new(&path) else {
        return crate::child::skip(format_args!("no /dev/shm to write to"));
    };
    std::fs::remove_file(&path).unwrap();
    let mut words = [0_u64; 15];
    // SAFETY: (1) fstatfs writes a struct statfs, 120 bytes.
    unsafe {
        syscall2(
            STATFS,
            fd(&file).argument(),
            words.as_mut_ptr().expose_provenance(),
        )
    }
    .unwrap();
    let (kind, block, blocks) = (words[0], words[1], words[2]);
    if kind != 0x0102_1994 || blocks == 0 {
        return crate::child::skip(format_args!("/dev/shm is no tmpfs of bounded size"));
    }
    // More than the whole file system is refused before a page is taken.
    let vast = range(0, (blocks + 1) * block);
    assert_eq!(allocate(fd(&file), vast, Allocate::Extend), Err(Errno::ENOSPC));
    assert_eq!(file.metadata().unwrap().blocks(), 0);
}

#[test]
fn limits_on_files_hold() {
    const RLIMIT_FSIZE: usize = 1;
    const RLIMIT_NOFILE: usize = 7;
    const SIGXFSZ: i32 = 25;
    in_child(|| {
        let opened = create(c"neap-one", SEALABLE).unwrap();
        for grow in [
            || set_len(create(c"neap-long", SEALABLE).unwrap(), 2 * PAGE),
            || {
                allocate(
                    create(c"neap-long", SEALABLE).unwrap(),
                    range(PAGE, PAGE),
                    Allocate::Extend,
                )
            },
        ] {
            let end = end_of_child(|| {
                limit(RLIMIT_FSIZE, PAGE);
                let _ = grow();
            });
            assert_eq!(end, Err(SIGXFSZ));
        }
        limit(RLIMIT_NOFILE, u64::try_from(opened.0).unwrap());
        assert_eq!(create(c"neap-two", SEALABLE), Err(Errno::EMFILE));
        assert!(matches!(create_secret(), Err(Errno::EMFILE | Errno::ENOSYS)));
        assert_eq!(Pagemap::open(), Err(Errno::EMFILE));
    });
}
