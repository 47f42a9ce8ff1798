//! The calls of POSIX shared memory one after the other, and the rules for names.

use neap_os::env::page_size;
use neap_os::errno::Errno;
use rustix::fs::{Mode, fchmod, fchown, fstat, ftruncate};

use super::object::{NOBODY, Name, Pages, os};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

/// The note's nine calls.
pub(super) const CALLS: Experiment = Experiment {
    name: "shm-posix-calls",
    chapter: Chapter::Shm,
    question: "What does each of the nine calls of POSIX shared memory do?",
    method: "Open a name that is not there; make it with shm_open and O_EXCL, twice; fstat, ftruncate to 16 \
             pages, fstat; mmap, write; fchmod, fchown, fstat; close, read through the map; munmap; \
             shm_unlink, twice.",
    expectation: "ENOENT, success, EEXIST. The new object has 0 bytes, then 16 pages. The map has no page \
                  before it is written and 16 after. Mode and owner are what was set. The map outlives \
                  close. The second shm_unlink is ENOENT.",
    explanation: "A POSIX object is a file in a tmpfs that the C library finds at /dev/shm: shm_open is \
                  open, shm_unlink is unlink, and all others are the calls of files. So a new object is \
                  empty and wants ftruncate before a byte of it can be touched. The pages are made when \
                  they are first touched; the mapping holds the file open by itself, and so the descriptor \
                  may go.",
    cannot_show: "Object and calls of a C library that keeps objects elsewhere than in /dev/shm.",
    source: "Note 01, shm; shm_overview(7), shm_open(3); glibc, rt/shm_open.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-calls.c"),
    rust: include_str!("../../code/shm-posix-calls.rs"),
    run: calls,
};

fn calls(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("calls");
    let len = 16 * page_size();
    let missing = name.open(libc::O_RDWR, 0);
    let file = name.create().map_err(failed("shm_open"))?;
    let again = name.create();
    let new = fstat(&file).map_err(os).map_err(failed("fstat"))?;
    let grown = ftruncate(&file, len as u64).map_err(os);
    let longer = fstat(&file).map_err(os).map_err(failed("fstat"))?;
    let pages = Pages::writable(&file, len).map_err(failed("mmap of the object"))?;
    hand.watch("the object's map", pages.span());
    let before = hand.look("mapped, nothing touched");
    (0..len).step_by(page_size()).for_each(|at| pages.store(at, b'n'));
    let written = hand.look("a byte of each page written");
    let mode = fchmod(&file, Mode::from_raw_mode(0o640)).map_err(os);
    let uid = if hand.is_root() {
        NOBODY
    } else {
        rustix::process::geteuid().as_raw()
    };
    let owner = fchown(&file, Some(rustix::fs::Uid::from_raw(uid)), None).map_err(os);
    let changed = fstat(&file).map_err(os).map_err(failed("fstat"))?;
    drop(file);
    let after_close = pages.load(0);
    let unmapped = pages.unmap();
    hand.look("closed and unmapped");
    let removed = name.unlink();
    let twice = name.unlink();

    hand.expect_errno("shm_open of a name that is not there", Errno::ENOENT, missing);
    hand.expect_errno("shm_open with O_EXCL of one that is", Errno::EEXIST, again);
    hand.expect_eq("bytes of the new object", 0, new.st_size);
    hand.expect_ok("ftruncate to 16 pages", grown);
    hand.expect_eq("bytes after it", len as u64, longer.st_size.unsigned_abs());
    hand.expect_eq("kB in memory before a touch", 0, before.span(0).rss_kb());
    let kb = (len / 1024) as u64;
    hand.expect_eq(
        "kB in memory after one in each page",
        kb,
        written.span(0).rss_kb(),
    );
    hand.expect_ok("fchmod", mode);
    hand.expect_eq(
        "mode in octal",
        "640".to_owned(),
        format!("{:o}", changed.st_mode & 0o777),
    );
    hand.expect_ok("fchown", owner);
    hand.expect_eq("owner", uid, changed.st_uid);
    hand.expect_eq("byte read after close", b'n', after_close);
    hand.expect_ok("munmap", unmapped);
    hand.expect_ok("shm_unlink", removed);
    hand.expect_errno("shm_unlink once more", Errno::ENOENT, twice);
    Ok(())
}

/// What may be a name.
pub(super) const NAMES: Experiment = Experiment {
    name: "shm-posix-names",
    chapter: Chapter::Shm,
    question: "Which names may a POSIX object have?",
    method: "Make objects named: nothing, /, /., with a slash in the middle, with 255 letters and with 256; \
             open one that was made as /name as name, without its slash.",
    expectation: "EINVAL, but for 255 letters, which are good, and 256, which are EINVAL or ENAMETOOLONG. \
                  The leading slash makes no difference.",
    explanation: "The C library takes the leading slash off and puts the folder /dev/shm before the rest. \
                  It refuses what would lead out of that folder or name the folder itself; 255 bytes is the \
                  longest name of a file. A name without slash works on Linux and is left to the system by \
                  POSIX.",
    cannot_show: "What other systems take: portable names have one slash, at the start, and 14 letters.",
    source: "shm_open(3); glibc, posix/shm-directory.c; POSIX, shm_open.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-names.c"),
    rust: include_str!("../../code/shm-posix-names.rs"),
    run: names,
};

fn names(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("names");
    let file = name.create().map_err(failed("shm_open"))?;
    for (what, bad) in [
        ("no letter", ""),
        ("a slash alone", "/"),
        ("the folder itself", "/."),
        ("a slash in the middle", "/neap-lab/object"),
    ] {
        let answer = Name::of(bad).open(libc::O_CREAT | libc::O_RDWR, 0o600);
        hand.expect_errno(&format!("a name of {what}"), Errno::EINVAL, answer);
    }
    let stem = format!("/neap-lab-{}-", std::process::id());
    let of_letters = |letters: usize| Name::of(&format!("{stem:x<width$}", width = letters + 1));
    hand.expect_ok("a name of 255 letters", of_letters(255).create());
    let longer = of_letters(256).create();
    let is_refused = matches!(longer, Err(Errno::EINVAL | Errno::ENAMETOOLONG));
    let found = longer
        .err()
        .map_or("success", |errno| errno.name().unwrap_or("another errno"));
    hand.expect(
        "a name of 256 letters",
        "EINVAL or ENAMETOOLONG",
        found,
        is_refused,
    );
    let bare = format!("neap-lab-{}-names", std::process::id());
    let without = Name::of(&bare).open(libc::O_RDWR, 0);
    if let Some(other) = hand.expect_ok("shm_open without the leading slash", without) {
        let inode = |file| fstat(file).map(|stat| stat.st_ino).unwrap_or(0);
        hand.expect_eq("inode of the object that it finds", inode(&file), inode(&other));
    }
    Ok(())
}
