//! What a child gets.

use std::cell::RefCell;

use neap_map::view::{Owned, View, VolatileMut};
use neap_map::{Anon, Guards, Map};
use neap_os::advice::{Hint, hint};
use neap_os::env::page_size;
use neap_os::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};

use crate::lab::disk_file::{map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, failed};
use crate::lab::offspring::{End, Turn};

mod stdio;

pub(super) const ALL: &[&Experiment] = &[&COPIES, &SHARES, &TABLES, &stdio::DUPLICATES];

/// Pages that are looked at.
const PAGES: usize = 1024;

/// Minor faults of this process so far.
fn faults() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.minor_page_faults().unsigned_abs())
}

/// So that pages are of the small size, whatever the machine's setting.
fn small_pages<V: View>(map: &Map<V>) -> Result<(), Stop> {
    match hint(span_of(map), Hint::NoHugePage) {
        // A kernel without huge pages does not know the advice.
        Ok(()) | Err(Errno::EINVAL) => Ok(()),
        Err(errno) => Err(failed("madvise with MADV_NOHUGEPAGE")(errno)),
    }
}

const COPIES: Experiment = Experiment {
    name: "fork-copies-on-write",
    chapter: Chapter::Fork,
    question: "When does fork copy memory?",
    method: "Write 1024 pages of private memory and fork. The child stores to the first 256; then the \
             parent to the first 512. Look at the parent's share of the memory (Pss) each time, and \
             count the child's faults.",
    expectation: "Pss halves at fork: 4096 kB to 2048. It is 2560 after the child's 256 stores, which \
                  are 256 faults, 3072 after the parent's, and 4096 when the child has ended. Neither \
                  sees the other's stores.",
    explanation: "fork copies the page tables and makes both sides' entries read-only; Pss divides a \
                  page by the processes that map it. The first store to such a page faults, and the \
                  kernel copies it for who stores. The other one then has it alone: its next store \
                  faults, too, but only to be allowed to write again, so 256 of the parent's 512 \
                  stores copy nothing.",
    cannot_show: "What pages the fork itself copies, such as page tables: see fork-copies-page-tables.",
    source: "fork(2), smaps in proc_pid_smaps(5), mm/memory.c of Linux, wp_page_copy and wp_page_reuse.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/fork-copies-on-write.c"),
    rust: include_str!("../code/fork-copies-on-write.rs"),
    run: copies,
};

/// Pss of the parent at one moment, and what it should be.
type Share = (&'static str, u64, u64);

fn copies(hand: &mut Hand) -> Result<(), Stop> {
    let page = page_size();
    let map = Anon::private(PAGES * page).guards(Guards::Both).map();
    let mut map = map.map_err(map_failed)?;
    small_pages(&map)?;
    map.fill(b'p');
    let answers = Anon::shared(page).map().map_err(map_failed)?;
    hand.watch("private memory", span_of(&map));
    let kb = |pages: usize| (pages * page / 1024) as u64;
    let written = hand.look("written").span(0).pss_kb();
    let map = RefCell::new(map);
    let child = |turn: &Turn| copying_child(turn, &map, &answers);
    let (end, shares) = hand.beside(child, |hand, turn| {
        let forked = hand.look("forked").span(0).pss_kb();
        turn.pass();
        let by_child = hand.look("the child has stored to 256").span(0).pss_kb();
        let unseen = map.borrow()[0];
        store(&map, PAGES / 2, b'P');
        let by_parent = hand.look("the parent has stored to 512").span(0).pss_kb();
        turn.give();
        (
            unseen,
            [
                ("Pss when forked", kb(PAGES / 2), forked),
                (
                    "Pss after the child's stores",
                    kb(PAGES / 4 + PAGES * 3 / 8),
                    by_child,
                ),
                (
                    "Pss after the parent's stores",
                    kb(PAGES / 2 + PAGES / 4),
                    by_parent,
                ),
            ],
        )
    })?;
    let (unseen, shares): (u8, [Share; 3]) = shares;
    let alone = hand.look("the child has ended").span(0).pss_kb();
    hand.expect_eq("the child", End::Exited(0), end);
    let whole = kb(PAGES);
    let ends = [
        ("Pss when written", whole, written),
        ("Pss when the child has ended", whole, alone),
    ];
    judge_shares(hand, ends.into_iter().chain(shares));
    let taken: u64 = answers.read(0).map_err(map_failed)?;
    let kept: u8 = answers.read(8).map_err(map_failed)?;
    hand.expect_near("the child's faults", PAGES as u64 / 4, taken, 64, "faults");
    hand.expect_eq(
        "what the parent sees where the child stored",
        'p',
        char::from(unseen),
    );
    hand.expect_eq(
        "what the child sees where the parent stored",
        'p',
        char::from(kept),
    );
    Ok(())
}

/// A byte to each of the first pages.
fn store(map: &RefCell<Map<Owned>>, pages: usize, byte: u8) {
    let mut map = map.borrow_mut();
    (0..pages).for_each(|index| map[index * page_size()] = byte);
}

/// Stores to a quarter and says how many faults that took; then what it sees where the parent has stored.
fn copying_child(turn: &Turn, map: &RefCell<Map<Owned>>, answers: &Map<VolatileMut>) -> u8 {
    if !turn.take() {
        return 1;
    }
    let before = faults();
    store(map, PAGES / 4, b'c');
    let taken = faults() - before;
    if !turn.pass() {
        return 2;
    }
    // The parent has stored to half of them by now.
    let kept = map.borrow()[PAGES / 4 * page_size()];
    let told = answers
        .write(0, &taken)
        .and_then(|()| answers.write_at(8, &[kept]));
    u8::from(told.is_err())
}

fn judge_shares(hand: &mut Hand, shares: impl Iterator<Item = Share>) {
    for (what, expected, found) in shares {
        hand.expect_near(what, expected, found, 64, "kB");
    }
}

const SHARES: Experiment = Experiment {
    name: "fork-shares-shared",
    chapter: Chapter::Fork,
    question: "What happens to shared memory at fork?",
    method: "Write 1024 pages of shared anonymous memory and fork. The child stores to all; then the \
             parent does. Look at the parent's Pss, and at what each sees.",
    expectation: "Each sees the other's stores. Pss is halved once the child has touched the pages, \
                  however much is stored, and nothing is copied.",
    explanation: "A shared mapping is a mapping of a file, if a nameless one, and fork gives the child \
                  a mapping of the same file. There is nothing to copy on write. The page table is not \
                  even copied: the child finds the pages by faults when it touches them, and only then \
                  has Pss a second process to divide by.",
    cannot_show: "Processes that are not related: they need a name or a descriptor, see \
                  others-need-no-msync.",
    source: "Note 03, on shared anonymous memory; fork(2), mmap(2).",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/fork-shares-shared.c"),
    rust: include_str!("../code/fork-shares-shared.rs"),
    run: shares,
};

fn shares(hand: &mut Hand) -> Result<(), Stop> {
    let len = PAGES * page_size();
    let map = Anon::shared(len).map().map_err(map_failed)?;
    small_pages(&map)?;
    map.fill(.., b'p').map_err(map_failed)?;
    hand.watch("shared memory", span_of(&map));
    let written = hand.look("written");
    let child = |turn: &Turn| {
        if !turn.take() || map.fill(.., b'c').is_err() || !turn.pass() {
            return 1;
        }
        // What the parent stored meanwhile.
        map.read::<u8>(len - 1).unwrap_or(0)
    };
    let (end, seen) = hand.beside(child, |hand, turn| {
        let forked = hand.look("forked");
        turn.pass();
        let by_child = hand.look("the child has stored to all");
        let first: u8 = map.read(0)?;
        map.fill(.., b'P')?;
        let by_parent = hand.look("the parent has stored to all");
        turn.give();
        Ok((forked, by_child, by_parent, first))
    })?;
    let (forked, by_child, by_parent, first) = seen.map_err(map_failed)?;
    let kb = len as u64 / 1024;
    hand.expect_near("Pss when written", kb, written.span(0).pss_kb(), 64, "kB");
    hand.figure("Pss when forked, in kB", forked.span(0).pss_kb());
    hand.expect_near(
        "Pss after the child's stores",
        kb / 2,
        by_child.span(0).pss_kb(),
        64,
        "kB",
    );
    hand.expect_near(
        "Pss after the parent's stores",
        kb / 2,
        by_parent.span(0).pss_kb(),
        64,
        "kB",
    );
    hand.expect_eq(
        "anonymous memory of it, in kB",
        0,
        by_parent.span(0).anonymous_kb(),
    );
    hand.expect_eq(
        "what the parent sees of the child's store",
        'c',
        char::from(first),
    );
    hand.expect_eq(
        "what the child sees of the parent's store (its exit code)",
        End::Exited(i32::from(b'P')),
        end,
    );
    Ok(())
}

const TABLES: Experiment = Experiment {
    name: "fork-copies-page-tables",
    chapter: Chapter::Fork,
    question: "What does fork itself copy?",
    method: "Write 64 MiB of private memory, fork, and have the child read its VmPTE, what its page \
             tables take; the same with shared memory.",
    expectation: "With private memory the child's page tables are 128 kB larger than with shared: 8 \
                  bytes for each page.",
    explanation: "For private memory only the page table knows which page is where, so fork copies it, \
                  1/512 of the memory, and that is what makes the fork of a large process slow. For \
                  shared memory the file knows, and the table is left empty: a fault fills it in.",
    cannot_show: "The time that it takes.",
    source: "fork(2), VmPTE in proc_pid_status(5), mm/memory.c of Linux, vma_needs_copy.",
    since: None,
    under: Under::Plain,
    c: include_str!("../code/fork-copies-page-tables.c"),
    rust: include_str!("../code/fork-copies-page-tables.rs"),
    run: tables,
};

/// VmPTE of a child that is forked now.
fn tables_of_child(hand: &mut Hand) -> Result<u64, Stop> {
    let answer = Anon::shared(page_size()).map().map_err(map_failed)?;
    let child = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmPTE:"));
        let kb: Option<u64> = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
        let told = kb.is_some_and(|kb| answer.write(0, &kb).is_ok());
        u8::from(!told)
    };
    match hand.in_child(child)? {
        End::Exited(0) => answer.read(0).map_err(map_failed),
        end => Err(crate::lab::hand::cannot(
            format!("the child could not read its status: {end}"),
            "a mounted /proc",
        )),
    }
}

fn tables(hand: &mut Hand) -> Result<(), Stop> {
    const LEN: usize = 64 << 20;
    let mut private = Anon::private(LEN).map().map_err(map_failed)?;
    small_pages(&private)?;
    private.fill(1);
    hand.watch("64 MiB", span_of(&private));
    let own = hand.look("private memory is written").page_tables_kb();
    let of_private = tables_of_child(hand)?;
    drop(private);
    let shared = Anon::shared(LEN).map().map_err(map_failed)?;
    small_pages(&shared)?;
    shared.fill(.., 1).map_err(map_failed)?;
    hand.watch("64 MiB", span_of(&shared));
    hand.look("shared memory is written");
    let of_shared = tables_of_child(hand)?;
    let expected = (LEN / page_size() * 8) as u64 / 1024;
    hand.figure("VmPTE of the parent, in kB", own);
    hand.figure("VmPTE of the child with private memory, in kB", of_private);
    hand.figure("VmPTE of the child with shared memory, in kB", of_shared);
    hand.expect_near(
        "difference",
        expected,
        of_private.saturating_sub(of_shared),
        expected / 4,
        "kB",
    );
    Ok(())
}
