use crate::error::Kind;
use crate::file::FileMap;
use crate::sealed::Sealed;
use rustix::fs::{MemfdFlags, SealFlags};
use std::io::Write;

#[test]
fn ranges_are_those_of_the_file() {
    let sealed = Sealed::build("test", 10_000, |bytes| {
        bytes
            .iter_mut()
            .zip(0u32..)
            .for_each(|(byte, i)| *byte = (i % 251) as u8);
    })
    .unwrap();
    let map = FileMap::of(&sealed).range(4_097..9_001).immutable().unwrap();
    assert_eq!(map[..], sealed[4_097..9_001]);
    let empty = FileMap::of(&sealed).range(10_000..).immutable().unwrap();
    assert!(empty.is_empty());
}

#[test]
fn a_range_behind_the_end_is_refused() {
    let sealed = Sealed::build("test", 4096, |_| {}).unwrap();
    for range in [0..4097, 4096..4097, 1 << 20..(1 << 20) + 1] {
        let error = FileMap::of(&sealed).range(range.clone()).immutable().unwrap_err();
        assert_eq!(error.kind(), Kind::FileTooShort, "{range:?}");
        assert_eq!(error.range(), range.start.max(4096)..range.end);
    }
}

#[test]
fn growing_is_allowed_where_the_seals_allow_it() {
    let fd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::io::write(&fd, b"abc").unwrap();
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::WRITE).unwrap();
    let map = FileMap::of(&fd).immutable().unwrap();
    rustix::fs::ftruncate(&fd, 8192).unwrap();
    assert_eq!(&map[..], b"abc");
    assert_eq!(FileMap::of(&fd).immutable().unwrap().len(), 8192);
}

#[test]
fn without_proof_there_are_no_references() {
    let mut plain = tempfile::NamedTempFile::new().unwrap();
    plain.write_all(b"abc").unwrap();
    let read_only = std::fs::File::open(plain.path()).unwrap();
    assert_eq!(
        FileMap::of(&read_only).immutable().unwrap_err().kind(),
        Kind::NotImmutable
    );
    let memfd = rustix::fs::memfd_create("test", MemfdFlags::ALLOW_SEALING).unwrap();
    assert_eq!(
        FileMap::of(&memfd).immutable().unwrap_err().kind(),
        Kind::NotImmutable
    );
    let device = std::fs::File::open("/dev/zero").unwrap();
    assert_eq!(
        FileMap::of(&device).immutable().unwrap_err().kind(),
        Kind::NotImmutable
    );
}
