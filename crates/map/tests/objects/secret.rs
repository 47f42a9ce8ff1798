//! memfd_secret.

use crate::child::{Child, as_stranger, in_child, limit, skip};
use neap_map::{Kind, Secret};
use std::os::unix::fs::FileExt;

fn secret(len: u64) -> Option<Secret> {
    match Secret::create(len) {
        Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => {
            skip("memfd_secret", &error);
            None
        }
        secret => Some(secret.unwrap()),
    }
}

#[test]
fn its_bytes_are_for_who_maps_it_only() {
    let Some(secret) = secret(5000) else { return };
    let map = secret.map().unwrap();
    map.write_at(0, b"key").unwrap();
    assert_eq!(map.read::<[u8; 3]>(0).unwrap(), *b"key");
    assert_eq!(secret.map().unwrap().read::<[u8; 3]>(0).unwrap(), *b"key");
    let address = map.as_ptr() as u64;
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    assert!(memory.read_at(&mut [0; 3], address).is_err(), "/proc/self/mem");
    let ordinary = [7_u8; 3];
    let mut copy = [0; 3];
    memory.read_at(&mut copy, ordinary.as_ptr() as u64).unwrap();
    assert_eq!(copy, ordinary, "other memory can be read so");
    let mut bytes = [0; 3];
    assert!(rustix::io::read(&secret, &mut bytes).is_err(), "read(2)");
}

#[test]
fn its_length_is_set_once() {
    let Some(secret) = secret(4096) else { return };
    assert!(rustix::fs::ftruncate(&secret, 8192).is_err());
    assert_eq!(Secret::create(u64::MAX).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
fn it_counts_as_locked_and_the_limit_holds() {
    as_stranger(|| {
        limit(libc::RLIMIT_MEMLOCK, 64 << 10);
        let Some(small) = secret(64 << 10) else { return };
        let before = locked();
        let map = small.map().unwrap();
        assert_eq!(locked() - before, 64 << 10);
        let large = secret(128 << 10).unwrap();
        let error = large.map().unwrap_err();
        assert_eq!(error.kind(), Kind::MemlockLimit);
        map.unmap().unwrap();
        assert_eq!(locked(), before);
    });
}

fn locked() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmLck:"))
        .unwrap();
    line.trim()
        .strip_suffix("kB")
        .unwrap()
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn a_child_of_a_fork_sees_it() {
    let Some(secret) = secret(4096) else { return };
    in_child(|| {
        let map = secret.map().unwrap();
        let child = Child::start(|| map.write_at(0, b"from the child").unwrap());
        assert_eq!(child.end(), Ok(0));
        assert_eq!(map.read::<[u8; 14]>(0).unwrap(), *b"from the child");
    });
}
