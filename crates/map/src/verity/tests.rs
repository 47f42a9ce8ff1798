use super::{Algorithm, enable, measure};
use crate::error::{Feature, Kind};
use crate::file::FileMap;
use std::fs::{self, File};
use std::os::fd::AsFd;

const UNSUPPORTED: Kind = Kind::Unsupported(Feature::Verity);

#[test]
fn a_plain_file_has_no_hash() {
    let file = tempfile::tempfile().unwrap();
    assert_eq!(measure(&file).unwrap(), None);
    assert_eq!(measure(&File::open("/proc/self/exe").unwrap()).unwrap(), None);
    assert_eq!(measure(&File::open("/dev/null").unwrap()).unwrap(), None);
}

#[test]
fn where_it_is_not_supported_it_says_so() {
    // No kernel's /proc or tmpfs has it.
    let memfd = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    assert_eq!(enable(&memfd, Algorithm::Sha256).unwrap_err().kind(), UNSUPPORTED);
}

#[test]
fn the_bytes_of_a_verity_file_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let contents: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    fs::write(&path, &contents).unwrap();
    let file = File::open(&path).unwrap();
    match enable(&file, Algorithm::Sha256) {
        Ok(()) => {}
        Err(error) if error.kind() == UNSUPPORTED => {
            crate::skip::skip(format_args!("the_bytes_of_a_verity_file_stay: {error}"));
            return;
        }
        Err(error) => panic!("{error}"),
    }
    let digest = measure(&file.as_fd()).unwrap().unwrap();
    assert_eq!(
        (digest.algorithm(), digest.as_bytes().len()),
        (Algorithm::Sha256, 32)
    );
    assert_eq!(
        enable(&file, Algorithm::Sha256).unwrap_err().kind(),
        Kind::AlreadyExists
    );
    let map = FileMap::of(&file).immutable().unwrap();
    assert!(File::options().write(true).open(&path).is_err());
    assert!(fs::write(&path, "x").is_err());
    assert_eq!(map[..], contents);
    fs::remove_file(&path).unwrap();
    assert_eq!(map[..], contents);
}
