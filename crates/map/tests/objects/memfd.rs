//! memfd_create, seals, huge pages, and what a reader may do.

use crate::child::{as_stranger, in_child, skip};
use neap_map::{Allocation, Execution, FileMap, HugePage, Kind, Memfd, Sealing, Seals};
use rustix::fs::{FallocateFlags, OFlags, fallocate, fstat};
use std::os::fd::{AsRawFd, OwnedFd};

fn blocks(memfd: &Memfd) -> i64 {
    fstat(memfd).unwrap().st_blocks * 512
}

#[test]
fn its_memory_is_taken_when_it_is_made_unless_it_is_sparse() {
    let whole = Memfd::named("whole").create(100_000).unwrap();
    assert_eq!(whole.len().unwrap(), 100_000);
    assert!(blocks(&whole) >= 100_000);
    let sparse = Memfd::named("sparse")
        .allocation(Allocation::Sparse)
        .create(1 << 40)
        .unwrap();
    assert_eq!((sparse.len().unwrap(), blocks(&sparse)), (1 << 40, 0));
    // More than any machine of these tests has: refused before the kernel starts to fill it.
    let error = Memfd::named("huge").create(1 << 50).unwrap_err();
    assert_eq!(error.kind(), Kind::OutOfMemory);
    let error = Memfd::named("endless")
        .allocation(Allocation::Sparse)
        .create(u64::MAX)
        .unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}

#[test]
fn signals_do_not_keep_it_from_its_memory() {
    in_child(|| {
        crate::child::interrupt_often();
        for _ in 0..3 {
            let memfd = Memfd::named("interrupted").create(64 << 20).unwrap();
            assert_eq!((memfd.len().unwrap(), blocks(&memfd)), (64 << 20, 64 << 20));
        }
    });
}

#[test]
fn a_name_is_shown_and_has_249_bytes_at_most() {
    let memfd = Memfd::named("with/slash").create(1).unwrap();
    let link = std::fs::read_link(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsFd::as_fd(&memfd).as_raw_fd()
    ));
    assert_eq!(link.unwrap().to_str(), Some("/memfd:with/slash (deleted)"));
    Memfd::named(&"x".repeat(249)).create(1).unwrap();
    Memfd::named("").create(1).unwrap();
    for bad in ["x".repeat(250), "a\0b".to_owned()] {
        assert_eq!(Memfd::named(&bad).create(1).unwrap_err().kind(), Kind::BadName);
    }
}

#[test]
fn each_seal_forbids_what_it_names() {
    // A child that another test forks meanwhile would have the map, too.
    in_child(|| {
        let memfd = Memfd::named("sealed").create(8192).unwrap();
        memfd.seal(Seals::SHRINK).unwrap();
        assert_eq!(memfd.shrink(4096).unwrap_err().kind(), Kind::SealedAgainst);
        memfd.grow(12_288, Allocation::UpFront).unwrap();
        memfd.seal(Seals::GROW).unwrap();
        for how in [Allocation::UpFront, Allocation::Sparse] {
            assert_eq!(memfd.grow(20_000, how).unwrap_err().kind(), Kind::SealedAgainst);
        }
        let map = memfd.map().unwrap();
        assert_eq!(memfd.seal(Seals::WRITE).unwrap_err().kind(), Kind::Busy);
        memfd.seal(Seals::FUTURE_WRITE).unwrap();
        assert_eq!(memfd.map().unwrap_err().kind(), Kind::SealedAgainst);
        map.write_at(0, b"old maps still write").unwrap();
        assert!(rustix::io::write(&memfd, b"x").is_err());
        map.unmap().unwrap();
        memfd.seal(Seals::WRITE | Seals::SEAL).unwrap();
        assert!(
            fallocate(
                &memfd,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                0,
                4096
            )
            .is_err()
        );
        assert_eq!(memfd.seal(Seals::EXEC).unwrap_err().kind(), Kind::SealedAgainst);
        let all = Seals::SEAL | Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::FUTURE_WRITE;
        assert_eq!(memfd.seals().unwrap(), all);
        let view = memfd.file_map().map().unwrap();
        assert_eq!(view.read::<[u8; 8]>(0).unwrap(), *b"old maps");
    });
}

#[test]
fn who_may_not_seal_is_told_why() {
    let memfd = Memfd::named("plain").sealing(Sealing::Refused).create(1).unwrap();
    assert_eq!(memfd.seals().unwrap(), Seals::SEAL);
    assert_eq!(memfd.seal(Seals::GROW).unwrap_err().kind(), Kind::SealedAgainst);
    let open = Memfd::named("open").create(1).unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsFd::as_fd(&open).as_raw_fd());
    let reader = rustix::fs::open(path, OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    let reader = Memfd::try_from(reader).unwrap();
    assert_eq!(reader.seal(Seals::GROW).unwrap_err().kind(), Kind::AccessDenied);
    assert_eq!(reader.shrink(0).unwrap_err().kind(), Kind::AccessDenied);
    assert_eq!(
        reader.grow(9, Allocation::UpFront).unwrap_err().kind(),
        Kind::AccessDenied
    );
    assert_eq!(
        reader.grow(9, Allocation::Sparse).unwrap_err().kind(),
        Kind::AccessDenied
    );
    assert_eq!(reader.map().unwrap_err().kind(), Kind::AccessDenied);
}

#[test]
fn execution_is_allowed_forbidden_or_the_systems_choice() {
    let mode = |memfd: &Memfd| fstat(memfd).unwrap().st_mode & 0o111;
    let never = match Memfd::named("never").execution(Execution::Sealed).create(1) {
        Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => return skip("execution", &error),
        never => never.unwrap(),
    };
    assert_eq!(mode(&never), 0);
    assert!(never.seals().unwrap().contains(Seals::EXEC));
    let refused = Memfd::named("both")
        .execution(Execution::Sealed)
        .sealing(Sealing::Refused);
    assert_eq!(refused.create(1).unwrap_err().kind(), Kind::Invalid);
    match Memfd::named("may").execution(Execution::Allowed).create(1) {
        Err(error) if error.kind() == Kind::AccessDenied => skip("MFD_EXEC", &"vm.memfd_noexec is 2"),
        may => {
            let may = may.unwrap();
            assert_ne!(mode(&may), 0);
            // An executable that stays one must stay the same.
            may.seal(Seals::EXEC).unwrap();
            let all = Seals::SHRINK | Seals::GROW | Seals::WRITE | Seals::FUTURE_WRITE | Seals::EXEC;
            assert!(may.seals().unwrap().contains(all));
        }
    }
    Memfd::named("either")
        .execution(Execution::Unsaid)
        .create(1)
        .unwrap();
}

#[test]
fn huge_pages_round_the_length_or_are_said_to_be_missing() {
    let none = HugePage::of(neap_os::unit::Bytes(1 << 13)).unwrap();
    let error = Memfd::named("odd").huge(none).create(1).unwrap_err();
    assert!(matches!(error.kind(), Kind::Unsupported(_)), "{error}");
    // No pool is so large.
    let error = Memfd::named("pool")
        .huge(HugePage::MIB_2)
        .create(1 << 46)
        .unwrap_err();
    assert!(
        matches!(error.kind(), Kind::HugePoolEmpty | Kind::Unsupported(_)),
        "{error}"
    );
    let request = Memfd::named("huge").huge(HugePage::MIB_2);
    match request.allocation(Allocation::Sparse).create(5000) {
        Err(error) => skip("a sparse memfd of huge pages", &error),
        Ok(memfd) => {
            assert_eq!(memfd.len().unwrap(), 2 << 20);
            memfd.seal(Seals::GROW).unwrap();
            assert!(Memfd::try_from(OwnedFd::from(memfd)).is_ok());
        }
    }
    match request.create(5000) {
        Err(error) if error.kind() == Kind::HugePoolEmpty => skip("a map of huge pages", &error),
        memfd => {
            let map = memfd.unwrap().map().unwrap();
            assert_eq!((map.page_size(), map.len()), (2 << 20, 2 << 20));
            map.write_at((2 << 20) - 1, b"x").unwrap();
        }
    }
}

#[test]
fn what_is_cut_off_is_an_error_and_not_sigbus() {
    let memfd = Memfd::named("cut").create(8192).unwrap();
    let map = memfd.map().unwrap();
    map.write_at(4096, b"here").unwrap();
    memfd.shrink(100).unwrap();
    memfd.shrink(4096).unwrap();
    assert_eq!(memfd.len().unwrap(), 100);
    let error = map.read::<u8>(4096).unwrap_err();
    assert_eq!(error.range().start, 4096);
    // Who may not see the file's length by /proc cannot tell whether that is to blame.
    let told = [Kind::FileTooShort, Kind::PageUnavailable];
    assert!(told.contains(&error.kind()), "{error}");
    memfd.grow(8192, Allocation::UpFront).unwrap();
    assert_eq!(map.read::<u32>(4096).unwrap(), 0);
}

#[test]
fn a_reader_can_neither_write_nor_cut_nor_open_anew_for_writing() {
    as_stranger(|| {
        let memfd = Memfd::named("export").create(4096).unwrap();
        let map = memfd.map().unwrap();
        let reader = memfd.read_only().unwrap();
        map.write_at(0, b"news").unwrap();
        assert_eq!(
            FileMap::of(&reader).map().unwrap().read::<[u8; 4]>(0).unwrap(),
            *b"news"
        );
        let error = FileMap::of(&reader).writable().map().unwrap_err();
        assert!(
            matches!(error.kind(), Kind::AccessDenied | Kind::SealedAgainst),
            "{error}"
        );
        assert!(rustix::io::write(&reader, b"x").is_err());
        // The way around: the same user opens it by /proc for writing.
        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        let again = rustix::fs::open(path, OFlags::RDWR, rustix::fs::Mode::empty()).unwrap();
        let again = Memfd::try_from(again).unwrap();
        assert_eq!(again.map().unwrap_err().kind(), Kind::SealedAgainst);
        assert_eq!(again.shrink(0).unwrap_err().kind(), Kind::SealedAgainst);
        assert!(rustix::io::write(&again, b"x").is_err());
        assert!(memfd.read_only().is_ok(), "twice changes nothing");
    });
}

#[test]
fn only_a_memfd_is_taken_for_one() {
    let memfd = OwnedFd::from(Memfd::named("one").create(10).unwrap());
    assert_eq!(Memfd::try_from(memfd).unwrap().len().unwrap(), 10);
    let file = OwnedFd::from(tempfile::tempfile().unwrap());
    let pipe = OwnedFd::from(std::io::pipe().unwrap().0);
    let mut others = vec![file, pipe];
    // A tmpfs that somebody mounted has seals as well.
    match tempfile::tempfile_in("/dev/shm") {
        Ok(shm) => others.push(shm.into()),
        Err(error) => skip("/dev/shm", &error),
    }
    for other in others {
        let number = other.as_raw_fd();
        let refused = Memfd::try_from(other).unwrap_err();
        assert_eq!(refused.error().kind(), Kind::Foreign);
        assert_eq!(refused.into_inner().as_raw_fd(), number);
    }
}

#[test]
fn no_descriptor_left_is_said() {
    in_child(|| {
        crate::child::limit(libc::RLIMIT_NOFILE, 0);
        assert_eq!(
            Memfd::named("x").create(1).unwrap_err().kind(),
            Kind::TooManyFiles
        );
    });
}
