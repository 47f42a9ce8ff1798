//! What is charged: Committed_AS.

use super::*;
use crate::lab::disk_file::span_of;
use crate::lab::offspring::{End, Turn};
use crate::lab::sight::Seen;
use neap_map::Anon;
use neap_os::advice::{Hint, hint};

pub(super) const COMMITTED: Experiment = Experiment {
    name: "what-is-committed",
    chapter: Chapter::Overcommit,
    question: "Which mappings does Committed_AS count?",
    method: "In overcommit mode 0, map half of the machine's memory in each kind and touch nothing; \
             look at Committed_AS and at the mapping's flags. Make a read-only mapping writable, and \
             read-only again, untouched and touched.",
    expectation: "Private writable and shared anonymous memory are counted in full (flag ac where \
                  private), though no page is there. Read-only, inaccessible, MAP_NORESERVE (flag nr) \
                  and shared mappings of a file are not. mprotect to writable counts it. Back to \
                  read-only takes it off only if no page was ever touched (expected from Linux 6.6 on; \
                  older ones never do); munmap does.",
    explanation: "The kernel counts what it could have to provide, not what it has: pages that could \
                  be stored to and have no file to go to. The count is made when a mapping is made, by \
                  its rights then, and again when mprotect makes it writable. Once a page of its own \
                  is there, mprotect cannot take it back: the page stays, and stays private, though \
                  nobody may store to it.",
    cannot_show: "Single pages: other programs map and unmap, so only large amounts can be told.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/what-is-committed.c"),
    rust: include_str!("../../code/what-is-committed.rs"),
    run: committed,
};

/// A kind of mapping, and by how many of its lengths Committed_AS rises.
struct Kind {
    what: &'static str,
    request: Request,
    charge: u64,
    /// A flag of VmFlags, and whether it is there.
    flag: (&'static str, bool),
}

fn kinds(len: usize, file: Request) -> [Kind; 6] {
    let kind = |what, request, charge, flag| Kind {
        what,
        request,
        charge,
        flag,
    };
    let base = private(len);
    let with = |prot, sharing, flags| Request {
        prot,
        sharing,
        flags,
        ..base
    };
    let private = Sharing::Private;
    [
        kind("private", base, 1, ("ac", true)),
        kind(
            "private, read-only",
            with(Prot::READ, private, Flags::NONE),
            0,
            ("ac", false),
        ),
        kind(
            "private, without access",
            with(Prot::NONE, private, Flags::NONE),
            0,
            ("ac", false),
        ),
        kind(
            "private, MAP_NORESERVE",
            with(RW, private, Flags::NO_RESERVE),
            0,
            ("nr", true),
        ),
        kind("shared", with(RW, Sharing::Shared, Flags::NONE), 1, ("nr", false)),
        kind("shared, of a file", file, 0, ("ac", false)),
    ]
}

fn rise_kb(before: &Seen, after: &Seen) -> u64 {
    after.committed_kb().saturating_sub(before.committed_kb())
}

fn committed(hand: &mut Hand) -> Result<(), Stop> {
    no_limits()?;
    set_mode(hand, "0")?;
    let len = (memory_and_swap() / 2) & !0xff_ffff;
    let (kb, slack) = (len as u64 / 1024, len as u64 / 4096);
    let file = hand.disk_file("sparse", len as u64, Content::Hole)?;
    let of_file = Request {
        sharing: Sharing::Shared,
        source: Source::File(fd_of(&file), 0),
        ..private(len)
    };
    // The first page is enough for the flags.
    let page = |promise: &Promise| Span::new(promise.0.base(), page_size()).unwrap_or(promise.0);
    for kind in kinds(len, of_file) {
        let before = hand.look("before");
        let promise = Promise::get(kind.request).map_err(failed(kind.what))?;
        hand.watch("its first page", page(&promise));
        let after = hand.look(kind.what);
        drop(promise);
        let what = format!("rise of Committed_AS, {}", kind.what);
        hand.expect_near(&what, kind.charge * kb, rise_kb(&before, &after), slack, "kB");
        let (flag, is_there) = kind.flag;
        let what = format!("flag {flag}, {}", kind.what);
        hand.expect_eq(&what, is_there, after.span(0).has_flag(flag));
    }
    by_mprotect(hand, len)
}

/// Read-only memory made writable, touched, and made read-only again.
fn by_mprotect(hand: &mut Hand, len: usize) -> Result<(), Stop> {
    let (kb, slack) = (len as u64 / 1024, len as u64 / 4096);
    let read_only = Request {
        prot: Prot::READ,
        ..private(len)
    };
    let before = hand.look("before");
    let promise = Promise::get(read_only).map_err(failed("mmap, read-only"))?;
    let first = Span::new(promise.0.base(), page_size()).unwrap_or(promise.0);
    hand.watch("its first page", first);
    let made = promise.change(RW);
    let writable = hand.look("made writable");
    let back = promise.change(Prot::READ);
    let untouched = hand.look("made read-only again, untouched");
    let again = promise.change(RW);
    let touched = hint(first, Hint::PopulateWrite);
    let back_again = promise.change(Prot::READ);
    let kept = hand.look("made read-only again, a page of it touched");
    drop(promise);
    let gone = hand.look("unmapped");
    hand.expect_ok("mprotect to writable", made.and(again));
    hand.expect_ok("mprotect to read-only", back.and(back_again));
    let rise = |seen: &Seen| rise_kb(&before, seen);
    hand.expect_near("rise, made writable", kb, rise(&writable), slack, "kB");
    if hand.has_kernel(6, 6) {
        let what = "rise, made read-only again, untouched";
        hand.expect_near(what, 0, rise(&untouched), slack, "kB");
    } else {
        hand.figure("rise, made read-only again, untouched, in kB", rise(&untouched));
    }
    match touched {
        Ok(()) => hand.expect_near(
            "rise, made read-only again, a page touched",
            kb,
            rise(&kept),
            slack,
            "kB",
        ),
        Err(errno) => hand.figure("MADV_POPULATE_WRITE, to touch a page", errno),
    }
    hand.expect_near("rise, unmapped", 0, rise(&gone), slack, "kB");
    Ok(())
}

pub(super) const FORK: Experiment = Experiment {
    name: "fork-is-charged",
    chapter: Chapter::Overcommit,
    question: "What does fork promise?",
    method: "In overcommit mode 0, map half of the machine's memory private and touch nothing; look at \
             Committed_AS, fork, look while the child lives and when it has ended. The same with \
             shared memory.",
    expectation: "With private memory Committed_AS rises by the whole again while the child lives; \
                  with shared memory it does not.",
    explanation: "The child may store to every page of its private memory, and each store may copy, so \
                  fork counts all of it once more, whatever has been touched. This is why a large \
                  process may fail to fork in mode 2, and why vfork and posix_spawn, which copy \
                  nothing, do not fail. Shared memory is one object, counted once, for all its \
                  mappings.",
    cannot_show: "That the copies could be made.",
    source: SOURCE,
    since: None,
    under: Under::Plain,
    c: include_str!("../../code/fork-is-charged.c"),
    rust: include_str!("../../code/fork-is-charged.rs"),
    run: fork,
};

fn fork(hand: &mut Hand) -> Result<(), Stop> {
    no_limits()?;
    set_mode(hand, "0")?;
    let len = (memory_and_swap() / 2) & !0xff_ffff;
    let (kb, slack) = (len as u64 / 1024, len as u64 / 4096);
    let rise = |hand: &mut Hand, label: &str| {
        let before = hand.look(&format!("{label}: mapped"));
        let child = |turn: &Turn| u8::from(!turn.take());
        let (end, during) = hand.beside(child, |hand, turn| {
            let during = hand.look(&format!("{label}: the child lives"));
            turn.give();
            during
        })?;
        let after = hand.look(&format!("{label}: the child has ended"));
        Ok((end, rise_kb(&before, &during), rise_kb(&before, &after)))
    };
    let private = Anon::private(len)
        .map()
        .map_err(crate::lab::disk_file::map_failed)?;
    hand.watch(
        "first page",
        Span::new(span_of(&private).base(), page_size()).unwrap_or(span_of(&private)),
    );
    let of_private = rise(hand, "private")?;
    drop(private);
    let shared = Anon::shared(len)
        .map()
        .map_err(crate::lab::disk_file::map_failed)?;
    let of_shared = rise(hand, "shared")?;
    drop(shared);
    for (what, charge, (end, during, after)) in [("private", kb, of_private), ("shared", 0, of_shared)] {
        hand.expect_eq(&format!("the child, {what}"), End::Exited(0), end);
        let during_what = format!("rise of Committed_AS by fork, {what}");
        hand.expect_near(&during_what, charge, during, slack, "kB");
        let after_what = format!("rise that is left when the child has ended, {what}");
        hand.expect_near(&after_what, 0, after, slack, "kB");
    }
    Ok(())
}
