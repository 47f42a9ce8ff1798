//! How a System V segment ends, who may end it, and what locking one means.

use neap_map::lock::When;
use neap_map::sysv as segments;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::sysv::{self, Access, Create, Features, Key, Mode, Owner, Place};
use neap_os::unit::Bytes;

use super::object::{as_nobody, code, needs_root, refused};
use super::sysv::{Removed, create, find, key, must_last, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// SHM_DEST.
pub(super) const REMOVED: Experiment = Experiment {
    name: "sysv-removed-while-attached",
    chapter: Chapter::Shm,
    question: "What becomes of a segment that is removed while it is attached?",
    method: "Attach a segment, store, IPC_RMID. Look at its state; attach it again by its number; look for \
             it by its key; make a new one with that key. Detach both and look at the old number again.",
    expectation: "It is marked SHM_DEST and has no key. Attaching by number works and shows the bytes; the \
                  key is free for another segment. After the last shmdt the number is EINVAL (or EIDRM).",
    explanation: "IPC_RMID takes the name away, as shm_unlink does, and lets the segment go with its last \
                  attachment; then, or when the last process that has it ends, it is gone. That the number \
                  still works until then is Linux's own: portable programs attach everywhere first and \
                  remove then. ipcs shows the state as dest.",
    cannot_show: "Systems on which a removed segment cannot be attached any more.",
    source: "shmctl(2), IPC_RMID and NOTES; ipc/shm.c, do_shm_rmid.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-removed-while-attached.c"),
    rust: include_str!("../../code/sysv-removed-while-attached.rs"),
    run: removed,
};

fn removed(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let made = Removed(create(key(0), page).map_err(failed("shmget"))?);
    let segment = segments::Segment::of(made.0);
    let first = segment.attach().map().map_err(refused("shmat"))?;
    first.write_at(0, b"dest").map_err(refused("a store"))?;
    hand.watch("the attachment", span_of(first.as_ptr(), page)?);
    hand.look("attached");
    hand.expect_ok("IPC_RMID while it is attached", sysv::remove(made.0));
    let stat = sysv::stat(made.0).map_err(failed("shmctl"))?;
    hand.look("removed");
    let state = if stat.removed { "SHM_DEST" } else { "not SHM_DEST" };
    hand.expect("its state", "SHM_DEST", state, stat.removed);
    hand.expect_eq("its key", Key::PRIVATE.0, stat.key.0);
    hand.expect_errno("shmget of the key", Errno::ENOENT, find(key(0)));
    if let Some(second) = hand.expect_ok("shmat by the number", segment.attach().map().map_err(code)) {
        let bytes: [u8; 4] = second.read(0).map_err(refused("a read"))?;
        hand.expect_eq(
            "bytes there",
            "dest".to_owned(),
            String::from_utf8_lossy(&bytes).into_owned(),
        );
        hand.look("attached once more");
    }
    let other = create(key(0), page).map(Removed);
    if let Some(other) = hand.expect_ok("shmget of a new segment with that key", other) {
        hand.expect("its number", "another", other.0.0, other.0 != made.0);
    }
    first.detach().map_err(|error| refused("shmdt")(error.error()))?;
    hand.look("detached");
    let gone = sysv::stat(made.0);
    let is_gone = matches!(gone, Err(Errno::EINVAL | Errno::EIDRM));
    let found = gone
        .err()
        .map_or("success", |errno| errno.name().unwrap_or("another errno"));
    hand.expect("shmctl after the last shmdt", "EINVAL or EIDRM", found, is_gone);
    Ok(())
}

/// Another uid.
pub(super) const OTHER_USER: Experiment = Experiment {
    name: "sysv-other-user",
    chapter: Chapter::Shm,
    question: "What may another user do with a segment?",
    method: "As root, make a segment with mode 0600. A child that has become user 65534 finds it by its \
             key, attaches it by its number, asks for its state and removes it. After mode 0644 it attaches \
             it for reading and for writing.",
    expectation: "EACCES for all but IPC_RMID, which is EPERM. With 0644 reading works and writing is \
                  EACCES.",
    explanation: "Rights are asked at every call, for there is no descriptor that could carry them; the \
                  number alone gives nothing. To remove or change a segment is not a right of the mode: its \
                  owner, its creator and CAP_SYS_ADMIN may, all others are told EPERM.",
    cannot_show: "Capabilities one by one: CAP_IPC_OWNER goes past the mode.",
    source: "shmget(2), shmctl(2), ERRORS; sysvipc(7), permissions.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-other-user.c"),
    rust: include_str!("../../code/sysv-other-user.rs"),
    run: other_user,
};

fn other_user(hand: &mut Hand) -> Result<(), Stop> {
    needs_root(hand)?;
    must_last()?;
    let agreed = key(0);
    let made = Removed(create(agreed, 4096).map_err(failed("shmget"))?);
    let id = made.0;
    hand.look("root has made it");
    let attach = |access| sysv::attach(id, Place::Anywhere, access).map(|_| ());
    let gets = as_nobody(hand, || {
        sysv::get(agreed, Bytes(0), Create::Never, Features::PLAIN).map(|_| ())
    })?;
    hand.expect_errno("another user's shmget with mode 0600", Errno::EACCES, gets);
    let attaches = as_nobody(hand, || attach(Access::Read))?;
    hand.expect_errno("another user's shmat by the number", Errno::EACCES, attaches);
    let asks = as_nobody(hand, || sysv::stat(id).map(|_| ()))?;
    hand.expect_errno("another user's IPC_STAT", Errno::EACCES, asks);
    let removes = as_nobody(hand, || sysv::remove(id))?;
    hand.expect_errno("another user's IPC_RMID", Errno::EPERM, removes);
    let owner = Owner {
        uid: 0,
        gid: rustix::process::getegid().as_raw(),
    };
    let mode = Mode::new(0o644).unwrap_or(Mode::OWNER);
    hand.expect_ok("IPC_SET of mode 0644", sysv::set(id, owner, mode));
    let reads = as_nobody(hand, || attach(Access::Read))?;
    hand.expect_ok("another user's shmat for reading", reads);
    let writes = as_nobody(hand, || attach(Access::ReadWrite))?;
    hand.expect_errno("another user's shmat for writing", Errno::EACCES, writes);
    hand.look("nobody has removed it");
    Ok(())
}

/// SHM_LOCK.
pub(super) const LOCKED: Experiment = Experiment {
    name: "sysv-lock",
    chapter: Chapter::Shm,
    question: "Is a segment that SHM_LOCK has locked shown as locked memory of a process?",
    method: "Attach and write a segment of 16 pages; SHM_LOCK; look at the mapping and at VmLck; mlock the \
             same pages, and look again.",
    expectation: "The segment's state has SHM_LOCKED, but the mapping has no lo and Locked and VmLck are 0. \
                  After mlock lo is there, and both are 64 kB.",
    explanation: "SHM_LOCK is a property of the segment: its pages are not swapped out once they are there, \
                  whoever has it attached, and also when nobody has. mlock is a property of a mapping, and \
                  of the process. SHM_LOCK does not even bring the pages in. It counts against \
                  RLIMIT_MEMLOCK of the user, not against VmLck.",
    cannot_show: "That the pages stay while others are swapped out.",
    source: "shmctl(2), SHM_LOCK; proc_pid_smaps(5), VmFlags; mm/shmem.c, shmem_lock.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-lock.c"),
    rust: include_str!("../../code/sysv-lock.rs"),
    run: locked,
};

fn locked(hand: &mut Hand) -> Result<(), Stop> {
    let len = 16 * page_size();
    let made = Removed(create(key(0), len).map_err(failed("shmget"))?);
    let map = segments::Segment::of(made.0)
        .attach()
        .map()
        .map_err(refused("shmat"))?;
    map.fill(.., 1).map_err(refused("a store"))?;
    hand.watch("the attachment", span_of(map.as_ptr(), len)?);
    hand.look("attached and written");
    sysv::lock(made.0).map_err(|errno| {
        cannot(
            format!("SHM_LOCK: {errno}"),
            "raise the limit of locked memory: ulimit -l",
        )
    })?;
    let stat = sysv::stat(made.0).map_err(failed("shmctl"))?;
    let by_segment = hand.look("SHM_LOCK");
    let lock = map.lock(.., When::Now).map_err(refused("mlock"))?;
    let by_mapping = hand.look("and mlock");
    drop(lock);
    let kb = (len / 1024) as u64;
    let has = |seen: &crate::lab::sight::Seen| {
        if seen.span(0).has_flag("lo") {
            "lo"
        } else {
            "no lo"
        }
    };
    let state = if stat.locked {
        "SHM_LOCKED"
    } else {
        "not SHM_LOCKED"
    };
    hand.expect("the segment's state", "SHM_LOCKED", state, stat.locked);
    hand.expect_eq("the mapping's flag", "no lo", has(&by_segment));
    hand.expect_eq("Locked of smaps, in kB", 0, by_segment.span(0).locked_kb());
    hand.expect_eq("VmLck, in kB", 0, by_segment.locked_kb());
    hand.expect_eq("the mapping's flag after mlock", "lo", has(&by_mapping));
    hand.expect_eq("VmLck after mlock, in kB", kb, by_mapping.locked_kb());
    hand.expect_ok("SHM_UNLOCK", sysv::unlock(made.0));
    Ok(())
}
