//! RLIMIT_MEMLOCK.

use neap_os::errno::Errno;
use neap_os::lock::{When, lock, unlock_all};
use neap_os::mapping::{Flags, Request, Sharing};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::ground::{Ground, kb, request};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::offspring::End;

/// Pages that the limit allows.
const LIMIT: usize = 16;

pub(super) const OF_A_USER: Experiment = Experiment {
    name: "mlock-at-the-limit",
    chapter: Chapter::Locking,
    question: "How does locking refuse a user who may lock no more?",
    method: "In a child without privilege and with RLIMIT_MEMLOCK of 16 pages: mlock 16 and 17 pages, 17 \
             twice over, and map 17 with MAP_LOCKED; then with a limit of 0.",
    expectation: "16 pages are fine, also when they are locked again. mlock of 17 is ENOMEM, mmap of 17 with \
                  MAP_LOCKED EAGAIN, and with a limit of 0 mlock and mmap are EPERM.",
    explanation: "The limit bounds the addresses that a process without CAP_IPC_LOCK has locked; since Linux \
                  2.6.9 an ordinary user may lock a little. Each call has its own word for the same refusal. \
                  With a limit of 0 there is nothing to run out of, so it is a matter of permission.",
    cannot_show: "shmctl(SHM_LOCK), which counts for the user, not the process.",
    source: "mlock(2), ERRORS; mmap(2), EAGAIN; getrlimit(2), RLIMIT_MEMLOCK.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/mlock-at-the-limit.c"),
    rust: include_str!("../../code/mlock-at-the-limit.rs"),
    run: of_a_user,
};

/// Sets the limit to so many pages, for good.
fn limit_to(pages: usize) -> bool {
    let bytes = Some(kb(pages) * 1024);
    let limit = Rlimit {
        current: bytes,
        maximum: bytes,
    };
    setrlimit(Resource::Memlock, limit).is_ok()
}

/// In the child: what each call says, as errno.
fn answers(ground: &Ground) -> [Result<(), Errno>; 7] {
    let map = |pages| {
        Ground::of(&Request {
            flags: Flags::LOCKED,
            ..request(pages, Sharing::Shared)
        })
        .map(drop)
    };
    let within = lock(ground.pages(0..LIMIT), When::Now);
    let again = lock(ground.pages(0..LIMIT), When::Now);
    let one_more = lock(ground.pages(LIMIT..LIMIT + 1), When::Now);
    let _ = unlock_all();
    let above = lock(ground.pages(0..LIMIT + 1), When::Now);
    let mapped = map(LIMIT + 1);
    let set = limit_to(0);
    let none = if set {
        lock(ground.pages(0..1), When::Now)
    } else {
        Err(Errno::EINVAL)
    };
    [
        within,
        again,
        one_more,
        above,
        mapped,
        none,
        if set { map(1) } else { Err(Errno::EINVAL) },
    ]
}

fn of_a_user(hand: &mut Hand) -> Result<(), Stop> {
    let ground = Ground::anonymous(LIMIT + 1).map_err(failed("mmap"))?;
    let told = Ground::shared(7).map_err(failed("mmap"))?;
    hand.watch("memory", ground.span());
    hand.look("17 pages are mapped");
    let end = hand.in_child(|| {
        // SAFETY: setresuid has no condition; the child has one thread, and ends soon.
        let dropped = unsafe { libc::setresuid(65534, 65534, 65534) == 0 || libc::geteuid() != 0 };
        if !dropped || !limit_to(LIMIT) {
            return 1;
        }
        for (page, answer) in answers(&ground).into_iter().enumerate() {
            told.write(page, answer.err().map_or(0, |errno| errno.0 as u8));
        }
        0
    })?;
    if end != End::Exited(0) {
        return Err(cannot(
            "the child could not become an ordinary user with a limit of 16 pages",
            "run it as an ordinary user, or where RLIMIT_MEMLOCK is at least 64 kB",
        ));
    }
    hand.look("after the child");
    let name = |page| match told.read(page) {
        0 => "success",
        code => Errno(i32::from(code)).name().unwrap_or("another error"),
    };
    hand.expect_eq("mlock of 16 pages", "success", name(0));
    hand.expect_eq("mlock of the same again", "success", name(1));
    hand.expect_eq("mlock of another page", "ENOMEM", name(2));
    hand.expect_eq("mlock of 17 pages at once", "ENOMEM", name(3));
    hand.expect_eq("mmap of 17 pages with MAP_LOCKED", "EAGAIN", name(4));
    hand.expect_eq("mlock with a limit of 0", "EPERM", name(5));
    hand.expect_eq("mmap with MAP_LOCKED and a limit of 0", "EPERM", name(6));
    Ok(())
}
