//! What calls answer in a child: under its own limits, or as an unprivileged user.
#![allow(unsafe_code, reason = "the calls that drop privileges and set limits")]

use neap_os::errno::Errno;
use neap_os::mapping::{Request, Sharing};

use crate::lab::area::{Area, private};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::offspring::End;

/// As whom a child makes its calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    /// As this process.
    Same,
    /// As user and group 65534 without a capability, if this process is root's.
    Nobody,
}

/// A limit of a child: the soft one, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    AddressSpace(u64),
    Data(u64),
    Locked(u64),
}

/// A user that owns nothing.
const NOBODY: u32 = 65534;
/// Answers that a child may give.
const ANSWERS: usize = 64;

/// Where a child tells the answers: their count, then a byte each.
#[derive(Debug)]
pub(super) struct Tell<'a> {
    page: &'a Area,
}

impl Tell<'_> {
    /// Tells the next answer.
    pub(super) fn tell<T>(&self, answer: Result<T, Errno>) {
        let count = self.page.load(0);
        assert!(usize::from(count) < ANSWERS);
        let errno = answer.err().map_or(0, |errno| errno.0);
        let byte = u8::try_from(errno).unwrap_or(u8::MAX);
        self.page.store(1 + usize::from(count), byte);
        self.page.store(0, count + 1);
    }

    /// Sets a limit of this process, a child.
    pub(super) fn limit(&self, limit: Limit) {
        let (resource, bytes) = match limit {
            Limit::AddressSpace(bytes) => (libc::RLIMIT_AS, bytes),
            Limit::Data(bytes) => (libc::RLIMIT_DATA, bytes),
            Limit::Locked(bytes) => (libc::RLIMIT_MEMLOCK, bytes),
        };
        let mut both = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        // SAFETY: getrlimit writes to and setrlimit reads from the structure, which lives here.
        let is_set = unsafe {
            libc::getrlimit(resource, &raw mut both);
            both.rlim_cur = bytes;
            libc::setrlimit(resource, &raw const both) == 0
        };
        assert!(is_set, "the hard limit is lower");
    }
}

fn become_nobody() -> bool {
    // SAFETY: the three calls take numbers and an empty list. The child has one thread.
    unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
            && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
    }
}

/// Runs `body` in a child and answers with what it tells, in order; as many as `wanted`.
pub(super) fn answers_of(
    hand: &mut Hand,
    caller: Caller,
    wanted: usize,
    body: impl FnOnce(&Tell<'_>),
) -> Result<Vec<Result<(), Errno>>, Stop> {
    let page = Area::new(&Request {
        sharing: Sharing::Shared,
        ..private(1 + ANSWERS)
    })?;
    let drops = caller == Caller::Nobody && hand.is_root();
    let end = hand.in_child(|| {
        assert!(!drops || become_nobody(), "privileges cannot be dropped");
        body(&Tell { page: &page });
        0
    })?;
    let count = usize::from(page.load(0));
    if end != End::Exited(0) || count != wanted {
        return Err(cannot(
            format!("the child gave {count} answers of {wanted}: {end}"),
            "raise hard limits (ulimit -H), and let root drop its privileges",
        ));
    }
    let answer = |at| match page.load(1 + at) {
        0 => Ok(()),
        errno => Err(Errno(i32::from(errno))),
    };
    Ok((0..count).map(answer).collect())
}

/// What an answer should be.
pub(super) type Expected = (&'static str, Result<(), Errno>);

/// Expects each answer, in order.
pub(super) fn expect_all(hand: &mut Hand, expected: &[Expected], found: Vec<Result<(), Errno>>) {
    for ((what, expected), found) in expected.iter().zip(found) {
        match expected {
            Ok(()) => {
                hand.expect_ok(what, found);
            }
            Err(errno) => hand.expect_errno(what, *errno, found),
        }
    }
}
