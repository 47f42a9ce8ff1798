//! System V shared memory.

use crate::child::{NOBODY, is_root};
use crate::mapping::cases;
use crate::memory::PAGE;
use crate::{Case, Outcome, said, skipped};
use neap_map::sysv::{Key, Segment};
use neap_map::{Anon, Errno, Kind, Operation};

/// A key that no other test has.
fn key() -> Key {
    Key(0x4e45_0000 ^ i32::try_from(std::process::id()).unwrap())
}

/// Hands a segment of a page to `body`, and removes it.
fn with_segment(body: impl FnOnce(Segment) -> Outcome) -> Outcome {
    match Segment::keyed(key(), PAGE).create() {
        Ok(segment) => {
            let outcome = body(segment);
            segment.remove().unwrap();
            outcome
        }
        Err(error) => skipped(error.to_string()),
    }
}

/// The same, with `body` as a user whose segment it is not.
fn as_a_stranger(body: impl FnOnce(Segment) -> Outcome) -> Outcome {
    if !is_root() {
        return skipped("takes root to have another user's");
    }
    with_segment(|segment| {
        // SAFETY: changes this child's effective user, and back.
        unsafe {
            assert_eq!(libc::seteuid(NOBODY), 0);
            let outcome = body(segment);
            assert_eq!(libc::seteuid(0), 0);
            outcome
        }
    })
}

pub(crate) const CASES: &[Case] = cases! {
    "shmget: 0 bytes", Some(Errno::EINVAL), Kind::Invalid, Operation::Create, 0..0, || {
        said(Segment::private(0).create())
    };
    "shmget: longer than the segment of the key", Some(Errno::EINVAL), Kind::TooLarge, Operation::Create,
        0..8192, || with_segment(|_| said(Segment::keyed(key(), 2 * PAGE).open_or_create()));
    "shmget: the key is taken", Some(Errno::EEXIST), Kind::AlreadyExists, Operation::Create, 0..4096, || {
        with_segment(|_| said(Segment::keyed(key(), PAGE).create()))
    };
    "shmget: no segment of the key", Some(Errno::ENOENT), Kind::NotFound, Operation::Open, 0..0, || {
        said(Segment::open(key()))
    };
    "shmget: another user's", Some(Errno::EACCES), Kind::AccessDenied, Operation::Open, 0..0, || {
        as_a_stranger(|_| said(Segment::open(key())))
    };
    "shmget: more than all memory and swap", Some(Errno::ENOMEM), Kind::Overcommit, Operation::Create,
        0..1 << 45, || {
        if std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap().trim() == "1" {
            return skipped("vm.overcommit_memory is 1");
        }
        said(Segment::private(1 << 45).create())
    };
    "shmat: an address that is not aligned",
        Some(Errno::EINVAL), Kind::Unaligned, Operation::Attach, 0..0, || {
        with_segment(|segment| {
            let free = Anon::private(PAGE).map().unwrap().as_ptr().addr();
            said(segment.attach().at(free + 1).map())
        })
    };
    "shmat: a place that is taken", Some(Errno::EINVAL), Kind::Occupied, Operation::Attach, 0..0, || {
        with_segment(|segment| {
            let taken = Anon::private(PAGE).map().unwrap();
            said(segment.attach().at(taken.as_ptr().addr()).map())
        })
    };
    "shmat: another user's", Some(Errno::EACCES), Kind::AccessDenied, Operation::Attach, 0..0, || {
        as_a_stranger(|segment| said(segment.attach().map()))
    };
    "shmctl IPC_RMID: another user's", Some(Errno::EPERM), Kind::NotPermitted, Operation::Remove, 0..0, || {
        as_a_stranger(|segment| said(segment.remove()))
    };
    "shmctl IPC_STAT: a segment that was removed",
        Some(Errno::EINVAL), Kind::NotFound, Operation::Stat, 0..0, || {
        let segment = Segment::private(PAGE).create().unwrap();
        segment.remove().unwrap();
        said(segment.stat())
    };
};
