use super::Sealed;
use crate::error::Kind;
use crate::file::FileMap;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};
use std::process::Command;

#[test]
fn what_was_filled_in_is_lent() {
    let sealed = Sealed::build("test", 10_000, |bytes| {
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes.fill(7);
        bytes[9_999] = 8;
    })
    .unwrap();
    assert_eq!(sealed.len(), 10_000);
    assert!(sealed[..9_999].iter().all(|&byte| byte == 7));
    assert_eq!(sealed[9_999], 8);
    let copy = Sealed::copy_of("copy", &sealed).unwrap();
    assert_eq!(copy[..], sealed[..]);
    assert!(Sealed::build("empty", 0, |_| {}).unwrap().is_empty());
}

#[test]
fn nobody_can_change_it() {
    let sealed = Sealed::build("test", 4096 * 3, |bytes| bytes.fill(7)).unwrap();
    let fd = sealed.as_fd();
    assert_eq!(rustix::io::pwrite(fd, b"x", 0), Err(Errno::PERM));
    assert_eq!(rustix::fs::ftruncate(fd, 0), Err(Errno::PERM));
    assert_eq!(rustix::fs::ftruncate(fd, 1 << 20), Err(Errno::PERM));
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert_eq!(rustix::fs::fallocate(fd, hole, 0, 4096), Err(Errno::PERM));
    assert_eq!(
        rustix::fs::fcntl_add_seals(fd, SealFlags::FUTURE_WRITE),
        Err(Errno::PERM)
    );
    let refused = FileMap::of(&sealed).writable().map().unwrap_err();
    assert_eq!(refused.kind(), Kind::SealedAgainst);
    assert!(sealed.iter().all(|&byte| byte == 7));
}

#[test]
fn another_process_cannot_change_it() {
    let sealed = Sealed::build("test", 4096, |bytes| bytes.fill(7)).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), sealed.as_fd().as_raw_fd());
    for attack in [
        "printf x >>$0",
        "printf x >$0",
        "truncate -s 0 $0",
        "truncate -s 9999 $0",
        "printf x 1<>$0",
    ] {
        let status = Command::new("sh")
            .args(["-c", attack, &path])
            .stderr(std::process::Stdio::null())
            .status();
        assert!(!status.unwrap().success(), "{attack}");
    }
    assert!(sealed.iter().all(|&byte| byte == 7));
}

#[test]
fn only_what_is_sealed_against_writing_and_shrinking_is_opened() {
    let make = |seals| {
        let fd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&fd, 4096).unwrap();
        rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
        Sealed::open(fd)
            .map(|sealed| sealed.len())
            .map_err(|error| error.kind())
    };
    let refused = Err(Kind::NotImmutable);
    assert_eq!(make(SealFlags::empty()), refused);
    assert_eq!(make(SealFlags::WRITE), refused);
    assert_eq!(
        make(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL),
        refused
    );
    assert_eq!(make(SealFlags::SHRINK | SealFlags::FUTURE_WRITE), refused);
    assert_eq!(make(SealFlags::SHRINK | SealFlags::WRITE), Ok(4096));
    let file = tempfile::tempfile().unwrap();
    assert_eq!(Sealed::open(file).unwrap_err().kind(), Kind::NotImmutable);
    assert_eq!(
        Sealed::build("a\0b", 1, |_| {}).unwrap_err().kind(),
        Kind::BadName
    );
    assert_eq!(
        Sealed::build(&"n".repeat(250), 1, |_| {}).unwrap_err().kind(),
        Kind::BadName
    );
}

#[test]
fn the_seal_goes_to_a_copy_while_another_has_the_writable_mapping() {
    let mut other = None;
    let sealed = Sealed::build("test-busy", 4096, |bytes| {
        bytes.fill(7);
        // Somebody who finds the descriptor in /proc maps it while it is being filled.
        let file = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| std::fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("test-busy")))
            .map(|path| {
                std::fs::OpenOptions::new()
                    .read(true)
                    .write(true)
                    .open(path)
                    .unwrap()
            })
            .unwrap();
        other = Some(FileMap::of(&file).writable().map().unwrap());
    })
    .unwrap();
    other.unwrap().write_at(0, b"changed").unwrap();
    assert!(sealed.iter().all(|&byte| byte == 7));
}
