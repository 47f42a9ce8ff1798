//! System V segments: made, attached, refused.
#![allow(unsafe_code, reason = "shmdt by hand")]

use neap_map::{Anon, Populate, sysv as segments};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::sysv::{self, Access, Create, Features, Id, Key, Place, Reserve};
use neap_os::unit::{Bytes, Span};

use super::object::refused;
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};
use crate::lab::offspring::End;

/// A segment that is removed when this goes.
pub(super) struct Removed(pub(super) Id);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = sysv::remove(self.0);
    }
}

/// A key that no other process of this experiment's uses.
pub(super) fn key(which: u8) -> Key {
    let pid = std::process::id().cast_signed() & 0x003f_ffff;
    Key(0x4e00_0000 | pid << 2 | i32::from(which & 3))
}

/// Makes the key's segment, of mode 0600.
pub(super) fn create(key: Key, len: usize) -> Result<Id, Errno> {
    sysv::get(key, Bytes(len), Create::New, Features::PLAIN)
}

/// The key's segment.
pub(super) fn find(key: Key) -> Result<Id, Errno> {
    sysv::get(key, Bytes(0), Create::Never, Features::PLAIN)
}

pub(super) fn span_of(base: *const u8, len: usize) -> Result<Span, Stop> {
    Span::new(base.addr(), len).ok_or_else(|| failed("a span")(Errno::EINVAL))
}

/// Segments must outlast their last attachment.
pub(super) fn must_last() -> Result<(), Stop> {
    let forced = std::fs::read_to_string("/proc/sys/kernel/shm_rmid_forced").unwrap_or_default();
    if forced.trim() != "1" {
        return Ok(());
    }
    Err(cannot(
        "kernel.shm_rmid_forced is 1: every segment goes with its last attachment",
        "set it to 0: sysctl kernel.shm_rmid_forced=0",
    ))
}

/// The four calls.
pub(super) const SEGMENT: Experiment = Experiment {
    name: "sysv-calls",
    chapter: Chapter::Shm,
    question: "What does each of the four calls of System V shared memory do?",
    method: "shmget of a new key with 10000 bytes; again with IPC_EXCL, and without IPC_CREAT. shmat twice; \
             store in one attachment, read in the other; count attachments by shmctl, in a child, too. \
             shmdt both, IPC_RMID, shmget.",
    expectation: "EEXIST, and the same number. The attachments show the same bytes at two addresses; there \
                  are 2, and 4 while the child lives; the segment is 10000 bytes long. After IPC_RMID the \
                  key is ENOENT.",
    explanation: "A segment is a file in a tmpfs without names. A key finds its number, and the number is \
                  what all other calls take. Every shmat is a mapping of its own, counted in shm_nattch; \
                  fork copies mappings and so the count. Nothing has to be sized afterwards: the length is \
                  told at the start and never changes.",
    cannot_show: "Segments of other IPC namespaces: each has its own keys and numbers.",
    source: "Note 01, shm, System V; shmget(2), shmop(2), shmctl(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-calls.c"),
    rust: include_str!("../../code/sysv-calls.rs"),
    run: segment,
};

fn segment(hand: &mut Hand) -> Result<(), Stop> {
    must_last()?;
    let (key, len) = (key(0), 10_000);
    let made = Removed(create(key, len).map_err(failed("shmget"))?);
    let again = create(key, len);
    let found = find(key);
    let segment = segments::Segment::of(made.0);
    let one = segment.attach().map().map_err(refused("shmat"))?;
    let two = segment.attach().map().map_err(refused("shmat once more"))?;
    hand.watch("one attachment", span_of(one.as_ptr(), len)?);
    hand.watch("the other", span_of(two.as_ptr(), len)?);
    hand.look("attached twice");
    one.write_at(9999, b"!").map_err(refused("a store"))?;
    let byte: u8 = two.read(9999).map_err(refused("a read"))?;
    hand.look("the last byte stored in one and read in the other");
    let stat = sysv::stat(made.0).map_err(failed("shmctl"))?;
    let of_child = hand.in_child(|| {
        let stat = sysv::stat(made.0);
        stat.map_or(u8::MAX, |stat| u8::try_from(stat.attachments).unwrap_or(u8::MAX))
    })?;
    let after_child = sysv::stat(made.0).map_err(failed("shmctl"))?;
    hand.expect_errno("shmget with IPC_EXCL of a key that has one", Errno::EEXIST, again);
    if let Some(id) = hand.expect_ok("shmget without IPC_CREAT", found) {
        hand.expect_eq("the number it answers with", made.0.0, id.0);
    }
    hand.expect_eq("byte read by the other attachment", b'!', byte);
    let apart = one.as_ptr() != two.as_ptr();
    hand.expect("addresses", "two", if apart { "two" } else { "one" }, apart);
    hand.expect_eq("length in bytes", len, stat.len.0);
    hand.expect_eq("attachments", 2, stat.attachments);
    hand.expect_eq("attachments while a child lives", End::Exited(4), of_child);
    hand.expect_eq("attachments when it has ended", 2, after_child.attachments);
    one.detach().map_err(|error| refused("shmdt")(error.error()))?;
    two.detach().map_err(|error| refused("shmdt")(error.error()))?;
    let left = sysv::stat(made.0).map_err(failed("shmctl"))?;
    hand.look("detached");
    hand.expect_eq("attachments after shmdt", 0, left.attachments);
    let removed = sysv::remove(made.0);
    hand.expect_ok("IPC_RMID", removed);
    hand.expect_errno("shmget of the key after it", Errno::ENOENT, find(key));
    Ok(())
}

/// EINVAL and ENOENT.
pub(super) const REFUSALS: Experiment = Experiment {
    name: "sysv-refusals",
    chapter: Chapter::Shm,
    question: "What do shmget, shmat and shmdt refuse?",
    method: "shmget of a new segment of 0 bytes; of a key that has none; of a key whose segment has 4096 \
             bytes, for 0, 4096 and 4097. shmat of a number that was removed. shmdt of memory that is no \
             attachment.",
    expectation: "EINVAL; ENOENT; success, success and EINVAL; EINVAL (or EIDRM); EINVAL, and the memory \
                  stays.",
    explanation: "To find a segment its length need not be known: 0 is always right, and anything up to the \
                  length it was made with, not rounded to pages, is. A larger one is refused because a \
                  program that asks for it would use it. shmdt takes the address that shmat gave and looks \
                  there for an attachment; other mappings it leaves alone.",
    cannot_show: "The limits shmmni (ENOSPC) and shmall: to reach them would disturb others.",
    source: "shmget(2), shmop(2), ERRORS; ipc/shm.c, shm_more_checks, ksys_shmdt.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-refusals.c"),
    rust: include_str!("../../code/sysv-refusals.rs"),
    run: refusals,
};

fn refusals(hand: &mut Hand) -> Result<(), Stop> {
    let get = |key, len| sysv::get(key, Bytes(len), Create::Never, Features::PLAIN);
    let made = Removed(create(key(0), 4096).map_err(failed("shmget"))?);
    hand.expect_errno(
        "shmget of a new segment of 0 bytes",
        Errno::EINVAL,
        create(key(1), 0),
    );
    hand.expect_errno("shmget of a key that has none", Errno::ENOENT, get(key(1), 4096));
    hand.expect_ok("shmget of what there is, for 0 bytes", get(key(0), 0));
    hand.expect_ok("for 4096 bytes", get(key(0), 4096));
    hand.expect_errno("for 4097 bytes", Errno::EINVAL, get(key(0), 4097));
    sysv::remove(made.0).map_err(failed("IPC_RMID"))?;
    let attached = sysv::attach(made.0, Place::Anywhere, Access::ReadWrite);
    let is_refused = matches!(attached, Err(Errno::EINVAL | Errno::EIDRM));
    let found = attached
        .err()
        .map_or("success", |errno| errno.name().unwrap_or("another errno"));
    hand.expect("shmat of a removed number", "EINVAL or EIDRM", found, is_refused);
    let page = page_size();
    let plain = Anon::private(page)
        .populate(Populate::Now)
        .map()
        .map_err(refused("mmap"))?;
    hand.watch("memory of mmap", span_of(plain.as_ptr(), page)?);
    // SAFETY: (1) no attachment starts there, since a mapping of mmap's does, so nothing is detached.
    let detached = unsafe { sysv::detach(plain.as_ptr().addr()) };
    let after = hand.look("after shmdt of memory that mmap gave");
    hand.expect_errno("shmdt of memory of mmap", Errno::EINVAL, detached);
    hand.expect_eq(
        "kB of it that are mapped",
        (page / 1024) as u64,
        after.span(0).mapped_kb(),
    );
    Ok(())
}

/// The promise.
pub(super) const TOO_BIG: Experiment = Experiment {
    name: "sysv-bigger-than-memory",
    chapter: Chapter::Shm,
    question: "Can a segment be larger than memory and swap?",
    method: "shmget of twice the memory and swap that there is, and 1 GiB; the same with SHM_NORESERVE. \
             Nothing is touched, and what is made is removed at once.",
    expectation: "ENOMEM, and success with SHM_NORESERVE.",
    explanation: "A segment's whole length is charged when it is made, and with vm.overcommit_memory 0 a \
                  single charge beyond memory and swap is refused as obviously too much. SHM_NORESERVE \
                  charges each page when it is first touched, and then the answer to too much is SIGBUS or \
                  a kill.",
    cannot_show: "Overcommit modes 1, which grants all, and 2, which ignores SHM_NORESERVE.",
    source: "shmget(2), SHM_NORESERVE; proc_sys_vm(5), overcommit_memory; ipc/shm.c, newseg.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/sysv-bigger-than-memory.c"),
    rust: include_str!("../../code/sysv-bigger-than-memory.rs"),
    run: too_big,
};

fn too_big(hand: &mut Hand) -> Result<(), Stop> {
    let mode = std::fs::read_to_string("/proc/sys/vm/overcommit_memory").unwrap_or_default();
    if mode.trim() != "0" {
        return Err(cannot(
            format!("vm.overcommit_memory is {}", mode.trim()),
            "set it to 0: sysctl vm.overcommit_memory=0",
        ));
    }
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kb = |name: &str| -> Option<usize> {
        let line = info.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    let total = kb("MemTotal:")
        .zip(kb("SwapTotal:"))
        .map(|(memory, swap)| memory + swap);
    let Some(total) = total else {
        return Err(cannot("/proc/meminfo cannot be read", "mount /proc"));
    };
    let len = Bytes((total * 2 + (1 << 20)) * 1024);
    let longest = sysv::limits().map_err(failed("IPC_INFO"))?.longest;
    if len > longest {
        return Err(cannot(
            format!("kernel.shmmax allows {} bytes, which memory can hold", longest.0),
            "raise it: sysctl kernel.shmmax",
        ));
    }
    let before = hand.look("before");
    let charged = sysv::get(Key::PRIVATE, len, Create::New, Features::PLAIN).map(Removed);
    let is_made = charged.is_ok();
    hand.expect_errno("shmget of twice what there is", Errno::ENOMEM, charged);
    let lazy = Features {
        reserve: Reserve::Nothing,
        ..Features::PLAIN
    };
    let free = sysv::get(Key::PRIVATE, len, Create::New, lazy).map(Removed);
    let after = hand.look("with SHM_NORESERVE it is there");
    hand.expect_ok("the same with SHM_NORESERVE", free);
    if !is_made {
        let moved = after.committed_kb().wrapping_sub(before.committed_kb());
        hand.figure("kB that Committed_AS moved meanwhile", moved.cast_signed());
    }
    hand.figure("length asked for, in MiB", len.0 >> 20);
    Ok(())
}
