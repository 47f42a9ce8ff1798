//! What the calls say at a limit.
#![allow(unsafe_code, reason = "munmap by hand, in children")]

use std::fs;

use neap_os::advice::{Hint, hint};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::lock::{When, lock};
use neap_os::mapping::{Flags, Prot, Request, Sharing, unmap};

use super::answer::{Caller, Expected, Limit, answers_of, expect_all};
use crate::lab::area::{Area, private};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::setting::Setting;

/// EAGAIN and its kin.
pub(super) const LOCKED: Experiment = Experiment {
    name: "eagain-of-map-locked",
    chapter: Chapter::Errno,
    question: "Do mmap and mlock say the same at RLIMIT_MEMLOCK?",
    method: "In a child as user 65534, lock 1 MiB with MAP_LOCKED and with mlock, under a limit of 64 \
             KiB and of 0.",
    expectation: "MAP_LOCKED says EAGAIN, mlock ENOMEM; both say EPERM under a limit of 0.",
    explanation: "The limit is one, the words differ by history: mmap's EAGAIN says \"locked, or too \
                  much is locked\", mlock's ENOMEM \"over the limit\". A limit of 0 means that the \
                  process may not lock at all, which is a question of permission. With CAP_IPC_LOCK \
                  there is no limit, so this needs an unprivileged user.",
    cannot_show: "Locks of System V segments and of io_uring, which are counted per user.",
    source: "mmap(2), EAGAIN; mlock(2), ENOMEM, EPERM; mm/mlock.c, do_mlock.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/eagain-of-map-locked.c"),
    rust: include_str!("../../code/eagain-of-map-locked.rs"),
    run: locked,
};

fn locked(hand: &mut Hand) -> Result<(), Stop> {
    let plain = Area::new(&private(1 << 20))?;
    hand.watch("1 MiB", plain.span());
    hand.look("1 MiB that a child wants to lock");
    let request = Request {
        flags: Flags::LOCKED,
        ..private(1 << 20)
    };
    let found = answers_of(hand, Caller::Nobody, 4, |child| {
        for limit in [64 << 10, 0] {
            child.limit(Limit::Locked(limit));
            child.tell(Area::ask(&request));
            child.tell(lock(plain.span(), When::Now));
        }
    })?;
    let expected: [Expected; 4] = [
        ("limit 64 KiB: MAP_LOCKED", Err(Errno::EAGAIN)),
        ("limit 64 KiB: mlock", Err(Errno::ENOMEM)),
        ("limit 0: MAP_LOCKED", Err(Errno::EPERM)),
        ("limit 0: mlock", Err(Errno::EPERM)),
    ];
    expect_all(hand, &expected, found);
    Ok(())
}

/// ENFILE.
pub(super) const FILES: Experiment = Experiment {
    name: "enfile-of-shared-anonymous",
    chapter: Chapter::Errno,
    question: "Why can anonymous memory fail with \"too many open files\"?",
    method: "Set fs.file-max to 16; in a child as user 65534 map shared anonymous and private anonymous \
             memory.",
    expectation: "ENFILE for the shared one; the private one is mapped.",
    explanation: "Shared anonymous memory is a file of the kernel's own tmpfs, deleted from the start, \
                  and counts as an open file as long as it is mapped. Root may pass the limit.",
    cannot_show: "The limit of one process, EMFILE: the file takes no descriptor.",
    source: "mmap(2), ENFILE; mm/shmem.c, shmem_zero_setup; fs/file_table.c, alloc_empty_file.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/enfile-of-shared-anonymous.c"),
    rust: include_str!("../../code/enfile-of-shared-anonymous.rs"),
    run: files,
};

fn files(hand: &mut Hand) -> Result<(), Stop> {
    hand.look("before");
    hand.change(Setting::FileMax, "16")?;
    let found = answers_of(hand, Caller::Nobody, 2, |child| {
        child.tell(Area::ask(&Request {
            sharing: Sharing::Shared,
            ..private(page_size())
        }));
        child.tell(Area::ask(&private(page_size())));
    })?;
    let expected: [Expected; 2] = [("shared", Err(Errno::ENFILE)), ("private", Ok(()))];
    expect_all(hand, &expected, found);
    Ok(())
}

/// ENOMEM by RLIMIT_AS, RLIMIT_DATA and overcommit.
pub(super) const MEMORY: Experiment = Experiment {
    name: "enomem-of-limits",
    chapter: Chapter::Errno,
    question: "Which limits make mmap say ENOMEM long before memory is short?",
    method: "In children: map under RLIMIT_AS of 1 MiB; map private writable, private read-only and \
             shared memory under RLIMIT_DATA of 4096 bytes.",
    expectation: "ENOMEM for everything under RLIMIT_AS; under RLIMIT_DATA for private writable memory \
                  only.",
    explanation: "RLIMIT_AS bounds all addresses of the process, used or not. RLIMIT_DATA once meant the \
                  break; since 4.7 it counts private writable mappings, too, because malloc had long \
                  moved there. None of them says how much memory there is.",
    cannot_show: "The limit of a control group, which is never ENOMEM of mmap: the OOM killer enforces \
                  it on touch.",
    source: "mmap(2), ENOMEM; getrlimit(2), RLIMIT_DATA; mm/vma.c, may_expand_vm.",
    since: Some((4, 7)),
    under: Under::Plain,
    c: include_str!("../../code/enomem-of-limits.c"),
    rust: include_str!("../../code/enomem-of-limits.rs"),
    run: memory,
};

fn memory(hand: &mut Hand) -> Result<(), Stop> {
    const LEN: usize = 1 << 20;
    hand.look("before");
    let found = answers_of(hand, Caller::Same, 5, |child| {
        let shared = Request {
            sharing: Sharing::Shared,
            ..private(LEN)
        };
        child.limit(Limit::Data(4096));
        child.tell(Area::ask(&private(LEN)));
        child.tell(Area::ask(&Request {
            prot: Prot::READ,
            ..private(LEN)
        }));
        child.tell(Area::ask(&shared));
        child.limit(Limit::AddressSpace(LEN as u64));
        child.tell(Area::ask(&private(LEN)));
        child.tell(Area::ask(&shared));
    })?;
    hand.look("after the children");
    let expected: [Expected; 5] = [
        ("RLIMIT_DATA: private writable", Err(Errno::ENOMEM)),
        ("RLIMIT_DATA: private read-only", Ok(())),
        ("RLIMIT_DATA: shared writable", Ok(())),
        ("RLIMIT_AS: private writable", Err(Errno::ENOMEM)),
        ("RLIMIT_AS: shared writable", Err(Errno::ENOMEM)),
    ];
    expect_all(hand, &expected, found);
    Ok(())
}

/// vm.max_map_count.
pub(super) const AREAS: Experiment = Experiment {
    name: "enomem-of-too-many-areas",
    chapter: Chapter::Errno,
    question: "What do the calls say when a process has as many areas as it may?",
    method: "In a child give every second page of a large reservation another protection until that \
             fails; then try mmap, madvise and munmap.",
    expectation: "mprotect, mmap and munmap of an area's middle say ENOMEM, madvise of its middle \
                  EAGAIN; munmap of a whole area works.",
    explanation: "vm.max_map_count bounds the areas of a process, 65530 by default. A call that would \
                  split an area needs one or two more; so even munmap, which gives back, can fail for \
                  want of them. Memory is not short at all: the message misleads.",
    cannot_show: "Which program needs so many: one with a guard page below each of 30000 stacks does.",
    source: "proc_sys_vm(5), max_map_count; munmap(2), ENOMEM; madvise(2), EAGAIN; mm/vma.c, split_vma.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/enomem-of-too-many-areas.c"),
    rust: include_str!("../../code/enomem-of-too-many-areas.rs"),
    run: areas,
};

fn areas(hand: &mut Hand) -> Result<(), Stop> {
    const MOST: usize = 1 << 18;
    let text =
        fs::read_to_string("/proc/sys/vm/max_map_count").map_err(|error| cannot(error, "mount /proc"))?;
    let limit: usize = text.trim().parse().unwrap_or(usize::MAX);
    if limit > MOST {
        return Err(cannot(
            format!("vm.max_map_count is {limit}: that many areas cost too much memory"),
            "set it to 65530",
        ));
    }
    let page = page_size();
    let before = hand.look("before");
    hand.figure("vm.max_map_count", limit);
    hand.figure("areas before", before.mappings());
    let three = Area::new(&private(3 * page))?;
    let room = Area::new(&Request {
        prot: Prot::NONE,
        ..private((limit + 64) * page)
    })?;
    let found = answers_of(hand, Caller::Same, 5, |child| {
        let answer = (0..limit + 64)
            .step_by(2)
            .map(|at| room.protect(at * page..(at + 1) * page, Prot::READ))
            .find(Result::is_err);
        child.tell(answer.unwrap_or(Ok(())));
        // Of a kind that merges with nothing.
        let unlike = Request {
            sharing: Sharing::Shared,
            ..private(page)
        };
        let more: Vec<_> = (0..4).map(|_| Area::ask(&unlike)).collect();
        child.tell(
            more.iter()
                .find_map(|answer| answer.as_ref().err())
                .map_or(Ok(()), |errno| Err(*errno)),
        );
        child.tell(hint(three.part(page..2 * page), Hint::Random));
        // SAFETY: (1) the pages are the area's, and (2) nothing uses them in this child any more.
        let (middle, whole) = unsafe { (unmap(three.part(page..2 * page)), unmap(room.part(0..page))) };
        child.tell(middle);
        child.tell(whole);
    })?;
    let expected: [Expected; 5] = [
        ("mprotect of a page in the middle", Err(Errno::ENOMEM)),
        ("mmap", Err(Errno::ENOMEM)),
        ("madvise(MADV_RANDOM) of an area's middle", Err(Errno::EAGAIN)),
        ("munmap of an area's middle", Err(Errno::ENOMEM)),
        ("munmap of a whole area", Ok(())),
    ];
    expect_all(hand, &expected, found);
    Ok(())
}
