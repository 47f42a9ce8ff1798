//! memfd, POSIX shared memory, secret memory, names, keys.

use crate::child::{become_nobody, is_root, limit};
use crate::mapping::cases;
use crate::memory::{PAGE, file_of};
use crate::{Case, Outcome, said, skipped};
use neap_map::{Allocation, Errno, FileMap, Kind, Memfd, Operation, Seals, Secret, Shm};

/// A name that no other test has.
fn name() -> String {
    format!("neap-errnos-{}", std::process::id())
}

/// Makes an object, and takes its name away again.
fn with_object(body: impl FnOnce(&Shm, &str) -> Outcome) -> Outcome {
    let name = name();
    let object = Shm::named(&name).create(4096).unwrap();
    let outcome = body(&object, &name);
    Shm::unlink(&name).unwrap();
    outcome
}

fn bad_name(name: &str) -> Outcome {
    said(Shm::open(name))
}

pub(crate) const CASES: &[Case] = cases! {
    "memfd_create: the limit of open files", Some(Errno::EMFILE), Kind::TooManyFiles, Operation::Create,
        0..4096, || {
        limit(libc::RLIMIT_NOFILE, 3);
        said(Memfd::named("case").create(4096))
    };
    "memfd_create: a name that is too long", None, Kind::BadName, Operation::Create, 0..4096, || {
        said(Memfd::named(&"n".repeat(250)).create(4096))
    };
    "fcntl F_ADD_SEALS: sealed against sealing",
        Some(Errno::EPERM), Kind::SealedAgainst, Operation::Seal, 0..0, || {
        let memfd = Memfd::named("case").create(4096).unwrap();
        memfd.seal(Seals::SEAL).unwrap();
        said(memfd.seal(Seals::WRITE))
    };
    "fcntl F_ADD_SEALS: a writable map lives", Some(Errno::EBUSY), Kind::Busy, Operation::Seal, 0..0, || {
        let memfd = Memfd::named("case").create(4096).unwrap();
        let _map = memfd.map().unwrap();
        said(memfd.seal(Seals::WRITE))
    };
    "ftruncate: a memfd sealed against shrinking",
        Some(Errno::EPERM), Kind::SealedAgainst, Operation::Truncate,
        0..4096, || {
        let memfd = Memfd::named("case").create(4096).unwrap();
        memfd.seal(Seals::SHRINK).unwrap();
        said(memfd.shrink(0))
    };
    "shm_open: no such object", Some(Errno::ENOENT), Kind::NotFound, Operation::Open, 0..0, || {
        said(Shm::open("neap-errnos-there-is-none"))
    };
    "shm_open: the name is taken", Some(Errno::EEXIST), Kind::AlreadyExists, Operation::Create, 0..0, || {
        with_object(|_, name| said(Shm::named(name).create(4096)))
    };
    "shm_open: a name with a slash in it", None, Kind::BadName, Operation::Open, 0..0, || bad_name("a/b");
    "shm_open: an empty name", None, Kind::BadName, Operation::Open, 0..0, || bad_name("");
    "shm_open: a slash for a name", None, Kind::BadName, Operation::Open, 0..0, || bad_name("/");
    "shm_open: a name of 256 bytes",
        None, Kind::BadName, Operation::Open, 0..0, || bad_name(&"n".repeat(256));
    "shm_open: another user's object", Some(Errno::EACCES), Kind::AccessDenied, Operation::Open, 0..0, || {
        if !is_root() {
            return skipped("takes root to have one");
        }
        with_object(|_, name| {
            // SAFETY: changes this child's effective user, and back.
            unsafe {
                assert_eq!(libc::seteuid(crate::child::NOBODY), 0);
                let answer = Shm::open(name);
                assert_eq!(libc::seteuid(0), 0);
                said(answer)
            }
        })
    };
    "shm_unlink: no such object", Some(Errno::ENOENT), Kind::NotFound, Operation::Unlink, 0..0, || {
        said(Shm::unlink("neap-errnos-there-is-none"))
    };
    "mmap: a shared object opened for reading", Some(Errno::EACCES), Kind::AccessDenied, Operation::Map,
        0..4096, || with_object(|_, name| said(Shm::open_read_only(name).unwrap().map()));
    "fallocate: more than the file system has", Some(Errno::ENOSPC), Kind::StorageFull, Operation::Allocate,
        4096..1 << 50, || with_object(|object, _| said(object.set_len(1 << 50, Allocation::UpFront)));
    "memfd_secret: above RLIMIT_MEMLOCK",
        Some(Errno::EAGAIN), Kind::MemlockLimit, Operation::Map, 0..1 << 20, || {
        limit(libc::RLIMIT_MEMLOCK, 1 << 16);
        become_nobody();
        match Secret::create(1 << 20) {
            Ok(secret) => said(secret.map()),
            Err(error) => skipped(error.to_string()),
        }
    };
    "prctl PR_SET_VMA: a file's memory", Some(Errno::EBADF), Kind::Invalid, Operation::Name, 0..4096, || {
        let map = FileMap::of(&file_of(PAGE)).map().unwrap();
        match map.set_name(c"case") {
            Err(error) if matches!(error.kind(), Kind::Unsupported(_)) => skipped(error.to_string()),
            answer => said(answer),
        }
    };
    "pkey_alloc: all keys are taken", Some(Errno::ENOSPC), Kind::Capacity, Operation::Key, 0..0, || {
        let mut keys = Vec::new();
        loop {
            match neap_map::key::Key::new() {
                Ok(key) => keys.push(key),
                Err(error) if keys.is_empty() => return skipped(error.to_string()),
                Err(error) => return Outcome::Said(error),
            }
        }
    };
};
