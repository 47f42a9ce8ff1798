//! Flags that are ignored, refused or new.

use neap_os::advice;
use neap_os::env::page_size;
use neap_os::errno::Errno;
use neap_os::mapping::{Flags, Prot, Request, Sharing};

use crate::lab::area::{Area, ask_by_number, one_page, private, shared};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::offspring::End;

/// MAP_DENYWRITE, MAP_EXECUTABLE, MAP_UNINITIALIZED.
pub(super) const IGNORED: Experiment = Experiment {
    name: "map-ignored-flags",
    chapter: Chapter::Flags,
    question: "Does MAP_DENYWRITE keep others from writing to the file?",
    method: "Map a file with MAP_DENYWRITE and with MAP_EXECUTABLE, anonymous memory with \
             MAP_UNINITIALIZED; open the file for writing, and compare VmFlags with those of a plain \
             mapping.",
    expectation: "The file can be written to, no VmFlag differs, and anonymous memory reads 0.",
    explanation: "MAP_DENYWRITE once was what makes a running program's file ETXTBSY; any user could \
                  have blocked /etc/passwd with it, so Linux ignores it from programs. MAP_EXECUTABLE \
                  was for accounting and is ignored, too. MAP_UNINITIALIZED works only on kernels for \
                  machines without an MMU: elsewhere it would show one program the other's bytes.",
    cannot_show: "A kernel without MMU.",
    source: "Note 01, MAP_DENYWRITE; mmap(2); include/linux/mman.h.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-ignored-flags.c"),
    rust: include_str!("../../code/map-ignored-flags.rs"),
    run: ignored,
};

fn ignored(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let file = one_page(hand)?;
    let with = |flags| {
        Area::new(&Request {
            flags,
            ..shared(&file, page, Prot::READ)
        })
    };
    let plain = with(Flags::NONE)?;
    let denied = with(Flags::DENY_WRITE)?;
    let executable = with(Flags::EXECUTABLE)?;
    let raw = Area::new(&Request {
        flags: Flags::UNINITIALIZED,
        ..private(page)
    })?;
    hand.watch("plain", plain.span());
    hand.watch("MAP_DENYWRITE", denied.span());
    hand.watch("MAP_EXECUTABLE", executable.span());
    hand.watch("MAP_UNINITIALIZED", raw.span());
    let seen = hand.look("mapped");
    let written = std::fs::write(hand.scratch().join("one-page"), [8])
        .map_err(|error| Errno(error.raw_os_error().unwrap_or(0)));
    let of = |index: usize| seen.span(index).flags().to_owned();
    hand.expect_ok("writing to the file meanwhile", written);
    hand.expect_eq("MAP_DENYWRITE: VmFlags", of(0), of(1));
    hand.expect_eq("MAP_EXECUTABLE: VmFlags", of(0), of(2));
    hand.expect_eq("the byte seen through MAP_DENYWRITE", 8, denied.load(0));
    let zeros = (0..page).filter(|&at| raw.load(at) == 0).count();
    hand.expect_eq("MAP_UNINITIALIZED: bytes that are 0", page, zeros);
    Ok(())
}

/// A flag that no kernel has.
const UNKNOWN: i32 = 1 << 24;

/// MAP_SHARED_VALIDATE.
pub(super) const VALIDATE: Experiment = Experiment {
    name: "map-shared-validate",
    chapter: Chapter::Flags,
    question: "How does a program learn that the kernel does not know a flag of mmap?",
    method: "Map a file with a flag that nobody has, as MAP_SHARED and as MAP_SHARED_VALIDATE; with \
             MAP_SYNC; and anonymous memory with MAP_SHARED_VALIDATE.",
    expectation: "MAP_SHARED ignores the flag; MAP_SHARED_VALIDATE says EOPNOTSUPP, for MAP_SYNC on an \
                  ordinary file system, too; anonymous memory is EINVAL (Linux 4.15).",
    explanation: "mmap never checked its flags, so a new one is silently lost on an old kernel. MAP_SYNC \
                  must not be lost: it promises that a stored page survives a power cut, which only a \
                  file on persistent memory (DAX) can keep. So 4.15 gave shared file mappings a second \
                  name that checks.",
    cannot_show: "MAP_SYNC where it works: that needs persistent memory and a file system mounted with \
                  dax.",
    source: "mmap(2), MAP_SHARED_VALIDATE; mm/mmap.c, do_mmap.",
    since: Some((4, 15)),
    under: Under::Plain,
    c: include_str!("../../code/map-shared-validate.c"),
    rust: include_str!("../../code/map-shared-validate.rs"),
    run: validate,
};

fn validate(hand: &mut Hand) -> Result<(), Stop> {
    use std::os::fd::AsRawFd as _;
    let file = one_page(hand)?;
    let by_number = |flags| ask_by_number(libc::PROT_READ, flags, file.as_raw_fd());
    let lax = by_number(libc::MAP_SHARED | UNKNOWN);
    let strict = by_number(libc::MAP_SHARED_VALIDATE | UNKNOWN);
    let sync = Area::ask(&Request {
        sharing: Sharing::SharedValidate,
        flags: Flags::SYNC,
        ..shared(&file, page_size(), Prot::READ)
    });
    let anonymous = Area::ask(&Request {
        sharing: Sharing::SharedValidate,
        ..private(page_size())
    });
    if sync.is_ok() {
        return Err(cannot(
            "the folder of temporary files is on DAX",
            "set TMPDIR to another",
        ));
    }
    if let Some(area) = hand.expect_ok("MAP_SHARED with an unknown flag", lax) {
        hand.watch("MAP_SHARED with an unknown flag", area.span());
        hand.look("the mapping whose flag was lost");
    }
    hand.expect_errno(
        "MAP_SHARED_VALIDATE with an unknown flag",
        Errno::EOPNOTSUPP,
        strict,
    );
    hand.expect_errno("MAP_SHARED_VALIDATE with MAP_SYNC", Errno::EOPNOTSUPP, sync);
    hand.expect_errno(
        "MAP_SHARED_VALIDATE of anonymous memory",
        Errno::EINVAL,
        anonymous,
    );
    Ok(())
}

/// Neither private nor shared.
pub(super) const NO_TYPE: Experiment = Experiment {
    name: "map-neither-private-nor-shared",
    chapter: Chapter::Flags,
    question: "Does mmap have a default between private and shared?",
    method: "Ask for anonymous memory and for a file with neither MAP_PRIVATE nor MAP_SHARED.",
    expectation: "EINVAL for both.",
    explanation: "The two lowest bits of the flags are a number, not a set: 1 shared, 2 private, 3 \
                  shared and checked. 0 is none of them, and the kernel refuses it. So MAP_ANONYMOUS \
                  alone is the error that the bare words \"anonymous memory\" invite.",
    cannot_show: "Old Unixes, on which 0 meant something.",
    source: "Note 01, flags of mmap; mmap(2), EINVAL; mm/mmap.c, do_mmap.",
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/map-neither-private-nor-shared.c"),
    rust: include_str!("../../code/map-neither-private-nor-shared.rs"),
    run: no_type,
};

fn no_type(hand: &mut Hand) -> Result<(), Stop> {
    use std::os::fd::AsRawFd as _;
    let file = one_page(hand)?;
    let before = hand.look("before");
    let anonymous = ask_by_number(libc::PROT_READ, libc::MAP_ANONYMOUS, -1);
    let of_file = ask_by_number(libc::PROT_READ, 0, file.as_raw_fd());
    let after = hand.look("after two refusals");
    hand.expect_errno("MAP_ANONYMOUS alone", Errno::EINVAL, anonymous);
    hand.expect_errno("a file with flags 0", Errno::EINVAL, of_file);
    hand.expect_eq("mappings more", 0, after.mappings() - before.mappings());
    Ok(())
}

/// MAP_DROPPABLE.
pub(super) const DROPPABLE: Experiment = Experiment {
    name: "map-droppable",
    chapter: Chapter::Flags,
    question: "What memory may the kernel take away without writing it anywhere?",
    method: "Map 256 pages with MAP_DROPPABLE, write to all, read them in a child, then call \
             madvise(MADV_PAGEOUT).",
    expectation: "VmFlags has nr, wf, dd and dp; the child reads 0 everywhere; after MADV_PAGEOUT pages \
                  read 0, though there may be no swap (Linux 6.11).",
    explanation: "Droppable memory is for what can be made anew, such as the state of getrandom in the \
                  vDSO, for which it was added. Under pressure the kernel drops the page where it would \
                  have to write another one to swap. It is not counted (nr), empty in a child (wf) and \
                  left out of core dumps (dd), since its first use was secrets.",
    cannot_show: "When the kernel takes pages by itself.",
    source: "mmap(2), MAP_DROPPABLE; mm/rmap.c, try_to_unmap_one.",
    since: Some((6, 11)),
    under: Under::Plain,
    c: include_str!("../../code/map-droppable.c"),
    rust: include_str!("../../code/map-droppable.rs"),
    run: droppable,
};

fn droppable(hand: &mut Hand) -> Result<(), Stop> {
    const PAGES: usize = 256;
    let area = Area::new(&Request {
        sharing: Sharing::Droppable,
        ..private(PAGES * page_size())
    })?;
    hand.watch("droppable", area.span());
    area.store_in_pages(7);
    let before = hand.look("written");
    let child = hand.in_child(|| u8::from(area.pages_with(0) == PAGES))?;
    let advised = advice::hint(area.span(), advice::Hint::PageOut);
    let after = hand.look("after MADV_PAGEOUT");
    let zeros = area.pages_with(0);
    for flag in ["nr", "wf", "dd", "dp"] {
        let what = format!("the flag {flag}");
        hand.expect_eq(&what, true, before.span(0).has_flag(flag));
    }
    hand.expect_eq(
        "exit code of a child that read 0 everywhere",
        End::Exited(1),
        child,
    );
    hand.expect_ok("madvise(MADV_PAGEOUT)", advised);
    // Up to 31 pages can still sit in the batch of another processor, on no list to be taken from.
    hand.expect("pages that read 0 then", "some or all", zeros, zeros > 0);
    hand.figure(
        "pages in memory after MADV_PAGEOUT",
        after.span(0).present_pages(),
    );
    Ok(())
}
