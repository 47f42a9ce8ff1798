//! Objects without bytes and file systems without room.
#![allow(unsafe_code, reason = "a mount namespace of a child's own")]

use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use neap_map::view::VolatileMut;
use neap_map::{Anon, Map};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use rustix::fs::{FallocateFlags, fallocate, ftruncate};

use super::object::{Name, Pages, os, refused};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot, failed};

/// A new object is empty.
pub(super) const EMPTY: Experiment = Experiment {
    name: "shm-posix-size-0",
    chapter: Chapter::Shm,
    question: "What happens when one forgets ftruncate, or the object shrinks under a map?",
    method: "Map two pages of a new object, which has 0 bytes, and read, in a child. Make the object one \
             byte long and read the first page and the second. Make it 0 bytes long again and read the \
             first.",
    expectation: "mmap succeeds. Reading is SIGBUS with BUS_ADRERR; of the first page it works as long as \
                  the object has one byte, of the second it does not.",
    explanation: "mmap does not compare its length with the file's, which may change at any time. The page \
                  fault does: a page that has no byte of the file is refused with SIGBUS, while the rest of \
                  the page with the last byte reads as zeros. Whoever may open an object for writing can do \
                  this to all others, unless it is a memfd with F_SEAL_SHRINK.",
    cannot_show: "What a program should do then: catch the signal, or not map what others may cut.",
    source: "mmap(2), SIGBUS; ftruncate(2); mm/shmem.c, shmem_get_folio_gfp.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-size-0.c"),
    rust: include_str!("../../code/shm-posix-size-0.rs"),
    run: empty,
};

fn empty(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("empty");
    let page = page_size();
    let file = name.create().map_err(failed("shm_open"))?;
    let mapped = Pages::writable(&file, 2 * page);
    let Some(pages) = hand.expect_ok("mmap of two pages of an empty object", mapped) else {
        return Ok(());
    };
    hand.watch("the two pages", pages.span());
    hand.look("the object has 0 bytes");
    let fault = hand.fault_of(|| {
        pages.load(0);
    })?;
    hand.expect_fault("a read of 0 bytes", "BUS_ADRERR", fault);
    ftruncate(&file, 1)
        .map_err(os)
        .map_err(failed("ftruncate to 1"))?;
    let fault = hand.fault_of(|| {
        pages.load(page - 1);
    })?;
    hand.expect_no_fault("a read of the page that has the only byte", fault);
    let fault = hand.fault_of(|| {
        pages.load(page);
    })?;
    hand.expect_fault("a read of the page behind it", "BUS_ADRERR", fault);
    pages.store(0, b'x');
    hand.look("the object has 1 byte, which is stored to");
    ftruncate(&file, 0)
        .map_err(os)
        .map_err(failed("ftruncate to 0"))?;
    let shrunk = hand.look("the object has 0 bytes again");
    let fault = hand.fault_of(|| {
        pages.load(0);
    })?;
    hand.expect_fault("a read after it has shrunk", "BUS_ADRERR", fault);
    hand.expect_eq("kB in memory after it has shrunk", 0, shrunk.span(0).rss_kb());
    Ok(())
}

/// No room.
pub(super) const FULL: Experiment = Experiment {
    name: "shm-file-system-full",
    chapter: Chapter::Shm,
    question: "When is one told that there is no room for shared memory?",
    method: "A child mounts a tmpfs of 1 MiB where nobody else sees it. On a file there it calls \
             posix_fallocate for 2 MiB, then ftruncate to 2 MiB, maps it and stores a byte to one page \
             after the other.",
    expectation: "fallocate is ENOSPC at once. ftruncate succeeds, and the stores do until 1 MiB is full; \
                  the next one is SIGBUS with BUS_ADRERR.",
    explanation: "ftruncate sets a length and takes no memory; pages are taken when they are touched, and a \
                  touch has no return value: SIGBUS is all that the kernel can say. fallocate takes the \
                  pages, so it can refuse. So an object of shared memory is best made with fallocate.",
    cannot_show: "/dev/shm itself, which is not filled here since others need it: it is half of the memory \
                  unless it was mounted otherwise, 64 MiB in many containers.",
    source: "fallocate(2), posix_fallocate(3), tmpfs(5); mm/shmem.c, shmem_fallocate.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-file-system-full.c"),
    rust: include_str!("../../code/shm-file-system-full.rs"),
    run: full,
};

/// Where the child tells: the errno of the preparations, of fallocate, of ftruncate, and pages stored to.
const SLOTS: [usize; 4] = [0, 4, 8, 12];
const MOUNTED: usize = 1 << 20;

/// Gives this process a mount namespace of its own, by way of a user namespace where it may not have one
/// otherwise. In a child only.
fn alone() -> Result<(), Errno> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    // SAFETY: unshare touches no memory of the process.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0 {
        return Ok(());
    }
    // SAFETY: as above.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        return Err(last());
    }
    // A file needs an owner, and so the namespace a user and a group.
    let maps = [
        ("uid_map", format!("0 {} 1", uid.as_raw())),
        ("setgroups", "deny".to_owned()),
        ("gid_map", format!("0 {} 1", gid.as_raw())),
    ];
    for (file, text) in maps {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| number_of(&error))?;
    }
    Ok(())
}

fn number_of(error: &std::io::Error) -> Errno {
    Errno(error.raw_os_error().unwrap_or(libc::EIO))
}

fn last() -> Errno {
    number_of(&std::io::Error::last_os_error())
}

/// Mounts a small tmpfs on `folder`, where only this process sees it. In a child only.
fn mount(folder: &Path) -> Result<(), Errno> {
    let folder = CString::new(folder.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    alone()?;
    // SAFETY: mount reads the strings that it is given, which live here, and no other memory.
    let is_mounted = unsafe {
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        ) == 0
            && libc::mount(
                c"neap-lab".as_ptr(),
                folder.as_ptr(),
                c"tmpfs".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                c"size=1m,mode=0777".as_ptr().cast(),
            ) == 0
    };
    if is_mounted { Ok(()) } else { Err(last()) }
}

/// The child's part: ends in SIGBUS.
fn fill(folder: &Path, board: &Map<VolatileMut>) {
    let number = |outcome: Result<(), Errno>| outcome.err().map_or(0, |errno| errno.0);
    let tell = |slot: usize, value: i32| {
        let _ = board.write(SLOTS[slot], &value);
    };
    let make = || {
        mount(folder)?;
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.join("object"))
            .map_err(|error| number_of(&error))
    };
    let file = match make() {
        Ok(file) => file,
        Err(errno) => return tell(0, errno.0),
    };
    let len = 2 * MOUNTED as u64;
    tell(
        1,
        number(fallocate(&file, FallocateFlags::empty(), 0, len).map_err(os)),
    );
    tell(2, number(ftruncate(&file, len).map_err(os)));
    let Ok(pages) = Pages::writable(&file, 2 * MOUNTED) else {
        return;
    };
    for (stored, at) in (1..).zip((0..2 * MOUNTED).step_by(page_size())) {
        pages.store(at, 1);
        tell(3, stored);
    }
}

fn full(hand: &mut Hand) -> Result<(), Stop> {
    let folder = hand.scratch().to_owned();
    let board = Anon::shared(page_size())
        .map()
        .map_err(refused("mmap of shared memory"))?;
    for slot in SLOTS {
        board.write(slot, &-1_i32).map_err(refused("a store"))?;
    }
    hand.look("before the child");
    let fault = hand.fault_of(|| fill(&folder, &board))?;
    hand.look("after it");
    let told = |slot: usize| board.read::<i32>(SLOTS[slot]).map_err(refused("a read"));
    if told(0)? > 0 {
        return Err(cannot(
            format!("a tmpfs of one's own: {}", Errno(told(0)?)),
            "run it as root, or where user namespaces are allowed",
        ));
    }
    let answer = |number: i32| if number == 0 { Ok(()) } else { Err(Errno(number)) };
    hand.expect_errno("fallocate of 2 MiB of 1", Errno::ENOSPC, answer(told(1)?));
    hand.expect_ok("ftruncate to 2 MiB", answer(told(2)?));
    let pages = i32::try_from(MOUNTED / page_size()).unwrap_or(0);
    hand.expect_eq("pages stored to before the signal", pages, told(3)?);
    hand.expect_fault("the next store", "BUS_ADRERR", fault);
    Ok(())
}
