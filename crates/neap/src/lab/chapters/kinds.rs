//! Private and shared, of a file and anonymous.

use std::fs::File;
use std::thread;
use std::time::Duration;

use neap_map::{Allocation, Anon, Error, FileMap, Map, Memfd, view::VolatileMut};
use neap_os::unit::Span;

use crate::lab::disk_file::{Content, cached, map_failed, span_of};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::sight::Seen;

mod cold;
mod sight;
mod zero;

pub(super) const ALL: &[&Experiment] = &[
    &SHARED_FILE,
    &PRIVATE_FILE,
    &PRIVATE_ANONYMOUS,
    &SHARED_ANONYMOUS,
    &TMPFS_FILE,
    &cold::SHARED,
    &cold::PRIVATE,
    &sight::AT_ONCE,
    &sight::FOLLOWS,
    &zero::DEV_ZERO,
];

/// How often a round that other programs may have disturbed is repeated.
const ROUNDS: u32 = 4;
/// How long it waits before the second round; longer before the next.
const PAUSE: Duration = Duration::from_millis(100);

/// Other programs move what is looked at.
fn not_calm() -> Stop {
    cannot(
        "other programs took or freed hundreds of megabytes at the same time, in every round",
        "a machine on which little else runs",
    )
}

/// What a kind moves, in parts of what is written: 0 or 1.
#[derive(Clone, Copy)]
struct Moves {
    used: u8,
    shared: u8,
    cache: u8,
    anon: u8,
    file: u8,
    shmem: u8,
}

const NOTHING: Moves = Moves {
    used: 0,
    shared: 0,
    cache: 0,
    anon: 0,
    file: 0,
    shmem: 0,
};

/// A column's name, what it is in a look, and how much of what is written it shall rise by.
type Column = (&'static str, fn(&Seen) -> u64, fn(&Moves) -> u8);

/// Of the whole machine.
const OF_FREE: [Column; 3] = [
    ("shared of free(1)", Seen::shared_kb, |moves| moves.shared),
    ("buff/cache of free(1)", Seen::cache_kb, |moves| moves.cache),
    ("what is available without being free", not_free_kb, |_| 0),
];
const USED: Column = ("used of free(1)", Seen::used_kb, |moves| moves.used);

/// The cache that free(1) counts as available, in kB.
const fn not_free_kb(seen: &Seen) -> u64 {
    seen.available_kb().saturating_sub(seen.free_kb())
}

/// Of this process.
const OF_STATUS: [Column; 3] = [
    ("RssAnon", Seen::rss_anon_kb, |moves| moves.anon),
    ("RssFile", Seen::rss_file_kb, |moves| moves.file),
    ("RssShmem", Seen::rss_shmem_kb, |moves| moves.shmem),
];

/// How much is written: 1 GiB, or a quarter of what is available.
fn size(hand: &mut Hand) -> usize {
    const MAX: u64 = 1 << 30;
    let available = hand.look("nothing is mapped yet").available_kb();
    let bytes = available.saturating_mul(1024 / 4).min(MAX) & !0x1f_ffff;
    usize::try_from(bytes).unwrap_or(0)
}

/// By how much a column rose.
fn rise(before: &Seen, after: &Seen, (_, of, _): &Column) -> i64 {
    of(after).cast_signed() - of(before).cast_signed()
}

/// Whether a rise is what so many parts of what is written make, to a half.
fn is_near(written_kb: u64, found: i64, parts: u8) -> bool {
    let expected = (u64::from(parts) * written_kb).cast_signed();
    found.abs_diff(expected) <= written_kb / 2
}

/// A round that may be judged.
struct Round {
    before: Seen,
    after: Seen,
    /// Whether `used` may be judged, too: freed memory of others comes back to it late.
    is_used_calm: bool,
    /// How many it took.
    rounds: u32,
}

/// Maps and writes, once or until no other program has disturbed the columns of free(1).
fn calm_round<M>(
    hand: &mut Hand,
    written_kb: u64,
    moves: Moves,
    mut write: impl FnMut() -> Result<(Span, M), Error>,
) -> Result<Round, Stop> {
    for rounds in 1..=ROUNDS {
        let before = hand.look("before the mapping");
        let (span, map) = write().map_err(map_failed)?;
        hand.watch("the mapping", span);
        let after = hand.look("every page of it is written");
        drop(map);
        let gone = hand.look("unmapped");
        let near = |column: &Column| is_near(written_kb, rise(&before, &after, column), (column.2)(&moves));
        // What this process does, it undoes: what is left was done by others meanwhile.
        let calm = |column: &Column| rise(&before, &gone, column).unsigned_abs() <= written_kb / 8;
        let fall = before.free_kb().cast_signed() - after.free_kb().cast_signed();
        let is_free_near = is_near(written_kb, fall, moves.used);
        let is_expected = OF_FREE.iter().all(near);
        let is_last = rounds == ROUNDS && (is_expected || OF_FREE.iter().all(calm));
        if is_expected && is_free_near && near(&USED) || is_last {
            return Ok(Round {
                before,
                after,
                is_used_calm: is_free_near && (near(&USED) || calm(&USED)),
                rounds,
            });
        }
        thread::sleep(PAUSE * rounds);
    }
    Err(not_calm())
}

/// Maps and writes, and compares what rose with what should.
fn compare<M>(
    hand: &mut Hand,
    size: usize,
    moves: Moves,
    write: impl FnMut() -> Result<(Span, M), Error>,
) -> Result<(), Stop> {
    let written_kb = size as u64 / 1024;
    let round = calm_round(hand, written_kb, moves, write)?;
    let found = |column: &Column| rise(&round.before, &round.after, column);
    hand.figure("written", format!("{written_kb} kB"));
    hand.figure("rounds", round.rounds);
    let mut judge = |column: &Column, slack: u64| {
        let expected = u64::from((column.2)(&moves)) * written_kb;
        let holds = found(column).abs_diff(expected.cast_signed()) <= slack;
        let expected = format!("{expected} kB, give or take {slack}");
        hand.expect(
            &format!("rise of {}", column.0),
            expected,
            format!("{} kB", found(column)),
            holds,
        );
    };
    for column in &OF_STATUS {
        judge(column, 8 << 10);
    }
    for column in &OF_FREE {
        judge(column, written_kb / 2);
    }
    if round.is_used_calm {
        judge(&USED, written_kb / 2);
    } else {
        hand.figure(
            "rise of used, not judged, as others took or freed memory at the same time",
            format!("{} kB", found(&USED)),
        );
    }
    Ok(())
}

fn filled(map: Map<VolatileMut>) -> Result<(Span, Map<VolatileMut>), Error> {
    map.fill(.., b'c')?;
    Ok((span_of(&map), map))
}

/// A file of this size that is in the page cache.
fn warm_file(hand: &Hand, size: usize) -> Result<File, Stop> {
    let file = hand.disk_file("warm", size as u64, Content::Byte(b'w'))?;
    // How much of it is there is looked at only where the kernel tells.
    if let Ok(counts) = cached(&file)
        && counts.cached * neap_os::env::page_size() as u64 * 10 < size as u64 * 9
    {
        return Err(cannot(
            "the page cache does not keep what was just written",
            "a machine or a group with more free memory, or a file system with a page cache",
        ));
    }
    Ok(file)
}

const FREE_NOTE: &str = "Note 04; free(1), proc_pid_status(5), mmap(2).";

const SHARED_FILE: Experiment = Experiment {
    name: "kind-shared-file",
    chapter: Chapter::Kinds,
    question: "Where is the memory of a shared mapping of a file that is in the page cache?",
    method: "Write a file of 1 GiB (or a quarter of what is available), map it MAP_SHARED and write \
             every page. Look at free(1)'s columns and at the kinds of Rss, up to four times if other \
             programs disturb them.",
    expectation: "RssFile rises by the whole; used, shared and buff/cache do not.",
    explanation: "A shared mapping of a file shows the pages of the page cache themselves. They were \
                  there before, counted as buff/cache, and the store changes them in place, so nothing \
                  is added: the process is charged in its Rss for memory that the cache has anyway. Of \
                  a file that is not in the cache, buff/cache rises as its pages are read, which is \
                  what the note's pictures show.",
    cannot_show: "Whose memory it is when several processes map the file: RssFile counts it in each of \
                  them.",
    source: FREE_NOTE,
    since: None,
    under: Under::Plain,
    c: include_str!("../code/kind-shared-file.c"),
    rust: include_str!("../code/kind-shared-file.rs"),
    run: |hand| {
        let size = size(hand);
        let file = warm_file(hand, size)?;
        let moves = Moves { file: 1, ..NOTHING };
        compare(hand, size, moves, || filled(FileMap::of(&file).writable().map()?))
    },
};

const PRIVATE_FILE: Experiment = Experiment {
    name: "kind-private-file",
    chapter: Chapter::Kinds,
    question: "Where is the memory of a private mapping of a file that is in the page cache?",
    method: "As kind-shared-file, mapped MAP_PRIVATE.",
    expectation: "RssAnon and used rise by the whole; shared and buff/cache do not.",
    explanation: "The first store to a page of a private mapping copies it. The copy belongs to no \
                  file: it is anonymous memory of this process, can only go to swap, and free(1) \
                  counts it as used. The file's own pages stay in the cache as they were, so what is \
                  written is in memory twice.",
    cannot_show: "What pages cost that are only read: those are the cache's own.",
    source: FREE_NOTE,
    since: None,
    under: Under::Plain,
    c: include_str!("../code/kind-private-file.c"),
    rust: include_str!("../code/kind-private-file.rs"),
    run: |hand| {
        let size = size(hand);
        let file = warm_file(hand, size)?;
        let moves = Moves {
            used: 1,
            anon: 1,
            ..NOTHING
        };
        compare(hand, size, moves, || {
            filled(FileMap::of(&file).copy_on_write().map()?)
        })
    },
};

const PRIVATE_ANONYMOUS: Experiment = Experiment {
    name: "kind-private-anonymous",
    chapter: Chapter::Kinds,
    question: "Where is the memory of a private anonymous mapping?",
    method: "Map 1 GiB (or a quarter of what is available) MAP_PRIVATE|MAP_ANONYMOUS and write every \
             page. Look at free(1)'s columns and at the kinds of Rss, up to four times if other \
             programs disturb them. used is judged only if free fell by what was written: pages that \
             were freed before can come back late, above all in a virtual machine that offers them to \
             its host.",
    expectation: "RssAnon and used rise by the whole; shared and buff/cache do not.",
    explanation: "Each first store takes a page of zeros from the free ones, which is of no file and \
                  seen by nobody else: plain memory in use. The note's sentence that anonymous shared \
                  memory takes none of the cache stands below a program with MAP_PRIVATE: what it \
                  pictures is this kind. free(1) since procps 4.0.1 reckons used as total - available, \
                  before that as total - free - buff/cache; for this kind both rise alike.",
    cannot_show: "Which physical pages they are, and whether they are huge ones.",
    source: FREE_NOTE,
    since: None,
    under: Under::Plain,
    c: include_str!("../code/kind-private-anonymous.c"),
    rust: include_str!("../code/kind-private-anonymous.rs"),
    run: |hand| {
        let size = size(hand);
        let moves = Moves {
            used: 1,
            anon: 1,
            ..NOTHING
        };
        compare(hand, size, moves, || {
            let mut map = Anon::private(size).map()?;
            map.fill(b'c');
            Ok((span_of(&map), map))
        })
    },
};

const SHARED_ANONYMOUS: Experiment = Experiment {
    name: "kind-shared-anonymous",
    chapter: Chapter::Kinds,
    question: "Where is the memory of a shared anonymous mapping?",
    method: "As kind-private-anonymous, mapped MAP_SHARED|MAP_ANONYMOUS.",
    expectation: "RssShmem rises by the whole, and so do used, shared and buff/cache; nothing of that \
                  buff/cache is available.",
    explanation: "The kernel makes a file without a name on a tmpfs of its own (mm/shmem.c) and maps \
                  that. Its pages are page cache, hence buff/cache, and Shmem of meminfo, hence \
                  shared. They cannot be dropped as a disk's can, as there is nowhere to read them \
                  from again: MemAvailable leaves them out and used = total - available counts them, \
                  too. So buff/cache is not what can be had.",
    cannot_show: "That older versions of free(1) show used unchanged: they subtracted buff/cache.",
    source: FREE_NOTE,
    since: None,
    under: Under::Plain,
    c: include_str!("../code/kind-shared-anonymous.c"),
    rust: include_str!("../code/kind-shared-anonymous.rs"),
    run: |hand| {
        let size = size(hand);
        compare(hand, size, SHMEM, || filled(Anon::shared(size).map()?))
    },
};

const SHMEM: Moves = Moves {
    used: 1,
    shared: 1,
    cache: 1,
    shmem: 1,
    ..NOTHING
};

const TMPFS_FILE: Experiment = Experiment {
    name: "kind-tmpfs-file",
    chapter: Chapter::Kinds,
    question: "Is a file of tmpfs a file or shared memory, and when does its memory come back?",
    method: "Map a memfd, a file of tmpfs without a name, shared; write every page and look as in \
             kind-shared-anonymous. Unmap, look; close the descriptor, look.",
    expectation: "RssShmem, used, shared and buff/cache rise by the whole. Unmapping takes RssShmem \
                  down and nothing else; closing gives the memory back.",
    explanation: "tmpfs keeps its files in the page cache and nowhere else, so their pages are shared \
                  memory whichever way they were made: /dev/shm, memfd_create, \
                  MAP_SHARED|MAP_ANONYMOUS. A mapping only shows them. They belong to the file, and a \
                  file lives until its last name, its last descriptor and its last mapping have gone.",
    cannot_show: "Files of tmpfs that were swapped out.",
    source: "Note 04; memfd_create(2), tmpfs(5).",
    since: Some((3, 17)),
    under: Under::Plain,
    c: include_str!("../code/kind-tmpfs-file.c"),
    rust: include_str!("../code/kind-tmpfs-file.rs"),
    run: tmpfs_file,
};

fn tmpfs_file(hand: &mut Hand) -> Result<(), Stop> {
    let size = size(hand);
    let create = || {
        Memfd::named("neap-lab")
            .allocation(Allocation::Sparse)
            .create(size as u64)
    };
    compare(hand, size, SHMEM, || {
        let file = create()?;
        let (span, map) = filled(file.map()?)?;
        Ok((span, (file, map)))
    })?;
    let written_kb = size as u64 / 1024;
    let mut rounds = 0;
    let (mapped, unmapped, closed) = loop {
        rounds += 1;
        let before = hand.look("before the file is made");
        let file = create().map_err(map_failed)?;
        let (_, map) = filled(file.map().map_err(map_failed)?).map_err(map_failed)?;
        let mapped = hand.look("mapped and written");
        drop(map);
        let unmapped = hand.look("unmapped");
        drop(file);
        let closed = hand.look("closed");
        let kept = mapped.shared_kb().abs_diff(unmapped.shared_kb()) <= written_kb / 2;
        let gone = unmapped.shared_kb().saturating_sub(closed.shared_kb()) >= written_kb / 2;
        let is_calm = before.shared_kb().abs_diff(closed.shared_kb()) <= written_kb / 8;
        if kept && gone || rounds == ROUNDS && is_calm {
            break (mapped, unmapped, closed);
        }
        if rounds == ROUNDS {
            return Err(not_calm());
        }
        thread::sleep(PAUSE * rounds);
    };
    let fall = |from: &Seen, to: &Seen| from.shared_kb().saturating_sub(to.shared_kb());
    hand.expect_near(
        "RssShmem that munmap takes",
        written_kb,
        mapped.rss_shmem_kb().saturating_sub(unmapped.rss_shmem_kb()),
        8 << 10,
        "kB",
    );
    let slack = written_kb / 2;
    hand.expect_near(
        "fall of shared by munmap",
        0,
        fall(&mapped, &unmapped),
        slack,
        "kB",
    );
    hand.expect_near(
        "fall of shared by close",
        written_kb,
        fall(&unmapped, &closed),
        slack,
        "kB",
    );
    Ok(())
}
