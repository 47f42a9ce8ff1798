//! Who may do what with an object of POSIX shared memory.

use neap_map::FileMap;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::Prot;
use rustix::fs::{Mode, Uid, fchmod, fchown, ftruncate};

use super::object::{NOBODY, Name, Pages, as_nobody, code, needs_root, os};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};

/// O_RDONLY.
pub(super) const READ_ONLY: Experiment = Experiment {
    name: "shm-posix-read-only",
    chapter: Chapter::Shm,
    question: "What can be done with an object that was opened with O_RDONLY?",
    method: "Make an object; open it again with O_RDONLY. Map that one shared for reading; make the map \
             writable; map it shared for writing; map it private for writing; ftruncate.",
    expectation: "Reading works, and shows what the maker stores later. Shared for writing is EACCES, by \
                  mmap and by mprotect. Private for writing works, and the object does not change. \
                  ftruncate is EINVAL.",
    explanation: "mmap compares the rights that it is asked for with how the file was opened, and mprotect \
                  with what mmap could have been asked for. A private map writes into copies, for which \
                  reading is enough. ftruncate wants a descriptor open for writing, and says EINVAL where \
                  others say EBADF.",
    cannot_show: "Protection from the owner himself: he may open the name again with O_RDWR.",
    source: "shm_open(3), mmap(2), mprotect(2), ftruncate(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-read-only.c"),
    rust: include_str!("../../code/shm-posix-read-only.rs"),
    run: read_only,
};

fn read_only(hand: &mut Hand) -> Result<(), Stop> {
    let name = Name::new("read-only");
    let page = page_size();
    let file = name.create().map_err(failed("shm_open"))?;
    ftruncate(&file, page as u64)
        .map_err(os)
        .map_err(failed("ftruncate"))?;
    let pages = Pages::writable(&file, page).map_err(failed("mmap"))?;
    let reader = name
        .open(libc::O_RDONLY, 0)
        .map_err(failed("shm_open with O_RDONLY"))?;
    let view = Pages::map(&reader, page, Prot::READ).map_err(failed("mmap for reading"))?;
    hand.watch("the map for reading", view.span());
    hand.look("mapped for writing and, of another descriptor, for reading");
    pages.store(0, b'x');
    hand.expect_eq("what the map for reading shows of a store", b'x', view.load(0));
    hand.expect_errno(
        "mprotect of it for writing",
        Errno::EACCES,
        view.protect(Prot::READ | Prot::WRITE),
    );
    let shared = Pages::writable(&reader, page).map(|_| ());
    hand.expect_errno("mmap of O_RDONLY, shared, for writing", Errno::EACCES, shared);
    let private = FileMap::of(&reader).copy_on_write().map().map_err(code);
    if let Some(copy) = hand.expect_ok("mmap of O_RDONLY, private, for writing", private) {
        let stored = copy.write_at(0, b"y").map_err(code);
        hand.expect_ok("a store there", stored);
        hand.expect_eq("the object's byte after it", b'x', view.load(0));
    }
    let cut = ftruncate(&reader, 0).map_err(os);
    hand.expect_errno("ftruncate of O_RDONLY", Errno::EINVAL, cut);
    Ok(())
}

/// Another uid.
pub(super) const OTHER_USER: Experiment = Experiment {
    name: "shm-posix-other-user",
    chapter: Chapter::Shm,
    question: "Who else may open and remove an object?",
    method: "As root, make an object with mode 0600. A child that has become user 65534 opens it for \
             reading and removes its name. After fchmod to 0644 it opens it for reading and for writing; \
             after fchown to 65534 it opens it for writing, and removes it.",
    expectation: "With 0600 EACCES for both. With 0644 reading works and writing is EACCES. Its own it may \
                  write and remove.",
    explanation: "Rights are those of files, from owner, group and mode, asked when the object is opened. \
                  The folder has mode 1777: everybody may make names, and by the sticky bit only the owner \
                  may remove one. The kernel says EPERM to that, and the C library's shm_unlink turns it \
                  into EACCES, as POSIX wants.",
    cannot_show: "Access control lists and security modules, which may forbid more.",
    source: "Note 01, shm, fchmod and fchown; shm_open(3); glibc, rt/shm_unlink.c.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/shm-posix-other-user.c"),
    rust: include_str!("../../code/shm-posix-other-user.rs"),
    run: other_user,
};

fn other_user(hand: &mut Hand) -> Result<(), Stop> {
    needs_root(hand)?;
    let name = Name::new("other-user");
    let file = name.create().map_err(failed("shm_open"))?;
    ftruncate(&file, 4096).map_err(os).map_err(failed("ftruncate"))?;
    let open = |flags| name.open(flags, 0).map(|_| ());
    hand.look("root has made it");
    let reads = as_nobody(hand, || open(libc::O_RDONLY))?;
    hand.expect_errno("another user's shm_open of 0600", Errno::EACCES, reads);
    let removes = as_nobody(hand, || name.unlink())?;
    hand.expect_errno("another user's shm_unlink", Errno::EACCES, removes);
    let all_read = fchmod(&file, Mode::from_raw_mode(0o644)).map_err(os);
    hand.expect_ok("fchmod to 0644", all_read);
    let reads = as_nobody(hand, || open(libc::O_RDONLY))?;
    hand.expect_ok("another user's shm_open for reading", reads);
    let writes = as_nobody(hand, || open(libc::O_RDWR))?;
    hand.expect_errno("another user's shm_open for writing", Errno::EACCES, writes);
    let given = fchown(&file, Some(Uid::from_raw(NOBODY)), None).map_err(os);
    hand.expect_ok("fchown to the other user", given);
    let writes = as_nobody(hand, || open(libc::O_RDWR))?;
    hand.expect_ok("the new owner's shm_open for writing", writes);
    let removes = as_nobody(hand, || name.unlink())?;
    hand.expect_ok("the new owner's shm_unlink", removes);
    hand.look("its new owner has removed it");
    Ok(())
}
