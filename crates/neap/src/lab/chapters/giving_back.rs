//! What comes back after free: bursts of which everything, most or all but a little is freed, and how long it
//! takes until the memory has gone.

use std::thread::sleep;
use std::time::Duration;

use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop};
use crate::lab::malloc::{Block, Malloc, small_pages_only, trim};
use crate::lab::sight::Seen;

mod by_hand;
mod threads;

pub(super) const ALL: &[&Experiment] = &[
    &EVERYTHING,
    &EVERY_TENTH,
    &OLDEST,
    &NEWEST,
    &ONE_PAGE,
    &threads::EXITED,
    &threads::IDLE,
    &by_hand::BY_HAND,
];

/// Blocks of a burst, and the bytes of each: 62 MiB.
const COUNT: usize = 65_536;
const EACH: usize = 1000;

/// A burst of small blocks of which none is kept.
const EVERYTHING: Experiment = Experiment {
    name: "give-back-all",
    chapter: Chapter::GivingBack,
    question: "How much is still in memory when a burst of small blocks was freed, all of it?",
    method: "malloc 65536 blocks of 1000 bytes and write to them; free all, in the order in which they \
             came; look at once, and after 0.5, 1 and 2 s without a further call; then malloc_trim(0).",
    expectation: "glibc: less than a tenth at once. neap: less than a tenth after 2 s at the latest.",
    explanation: "With everything free the free chunks of glibc's heap join the top, and a top above the \
                  trim threshold is cut off within the call of free. neap lets pages lie for some tens of \
                  milliseconds, in case they are wanted again, and a helper thread then gives them back, \
                  so nothing has to be called.",
    cannot_show: "Real programs, in which something always stays: the experiments below.",
    source: "malloc_trim(3); mallopt(3), M_TRIM_THRESHOLD; docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/give-back-burst.c"),
    rust: include_str!("../code/give-back-burst.rs"),
    run: |hand| {
        let course = burst(hand, |_| false)?;
        let expected = [
            (Malloc::Glibc, Moment::Freed, Share::Below(10)),
            (Malloc::Neap, Moment::Late, Share::Below(10)),
        ];
        course.judge(hand, &expected)
    },
};

/// What is kept lies everywhere.
const EVERY_TENTH: Experiment = Experiment {
    name: "give-back-every-tenth-kept",
    chapter: Chapter::GivingBack,
    question: "How much comes back when every tenth block of a burst stays?",
    method: "As give-back-all, but every tenth block is kept.",
    expectation: "glibc: at least 95 % stay for 2 s; malloc_trim(0) brings it below two thirds. neap: \
                  below two thirds after 2 s by itself. No malloc comes to a tenth.",
    explanation: "Blocks never move, and memory goes back by pages: ten blocks fill two and a half, and \
                  the one that is kept holds the page, or the two pages, that it lies on. glibc gives back \
                  nothing of what lies below its last live block unless malloc_trim is called, which drops \
                  whole free pages inside. neap drops them by itself, and its blocks of 1000 bytes lie \
                  four to a page and never across two.",
    cannot_show: "Other sizes: the smaller the blocks, the more pages each kept one in ten holds.",
    source: "Note 00, the drawback of brk; malloc_trim(3); docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/give-back-burst.c"),
    rust: include_str!("../code/give-back-burst.rs"),
    run: |hand| {
        let course = burst(hand, |index| index % 10 == 0)?;
        let expected = [
            (Malloc::Glibc, Moment::Late, Share::AtLeast(95)),
            (Malloc::Glibc, Moment::Trimmed, Share::Below(67)),
            (Malloc::Neap, Moment::Late, Share::Below(67)),
            (Malloc::Neap, Moment::Trimmed, Share::AtLeast(10)),
        ];
        course.judge(hand, &expected)
    },
};

/// What is kept lies at the bottom.
const OLDEST: Experiment = Experiment {
    name: "give-back-oldest-kept",
    chapter: Chapter::GivingBack,
    question: "How much comes back when the oldest hundredth of a burst stays?",
    method: "As give-back-all, but the first 655 blocks are kept.",
    expectation: "glibc: less than a tenth at once. neap: less than a tenth after 2 s at the latest.",
    explanation: "What is kept lies at the bottom of glibc's heap, all above is free and joins the top, \
                  and the top is cut off: the one pattern, besides freeing all, in which the break can \
                  give back. With neap it does not matter where the live blocks lie.",
    cannot_show: "Blocks that were allocated in between by others and stay: they pin the heap where they \
                  lie.",
    source: "Note 00, the drawback of brk; mallopt(3), M_TRIM_THRESHOLD; docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/give-back-burst.c"),
    rust: include_str!("../code/give-back-burst.rs"),
    run: |hand| {
        let course = burst(hand, |index| index < COUNT / 100)?;
        let expected = [
            (Malloc::Glibc, Moment::Freed, Share::Below(10)),
            (Malloc::Neap, Moment::Late, Share::Below(10)),
        ];
        course.judge(hand, &expected)
    },
};

/// What is kept lies at the top.
const NEWEST: Experiment = Experiment {
    name: "give-back-newest-kept",
    chapter: Chapter::GivingBack,
    question: "How much comes back when only the newest block of a burst stays?",
    method: "As give-back-all, but the last block is kept.",
    expectation: "glibc: at least 95 % stay for 2 s, less than a tenth after malloc_trim(0). neap: less \
                  than a tenth after 2 s at the latest.",
    explanation: "One live block of 1000 bytes right below the break holds all 62 MiB of glibc's heap, \
                  because the break can only be lowered to it, and free does not look for whole free pages \
                  elsewhere; malloc_trim does. Programs that build a result last, at the end of a burst, \
                  meet this.",
    cannot_show: "That such a block stays long: when it is freed, glibc gives back all at once.",
    source: "Note 00, pages 2, 3 and 4 of six; malloc_trim(3); docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/give-back-burst.c"),
    rust: include_str!("../code/give-back-burst.rs"),
    run: |hand| {
        let course = burst(hand, |index| index == COUNT - 1)?;
        let expected = [
            (Malloc::Glibc, Moment::Late, Share::AtLeast(95)),
            (Malloc::Glibc, Moment::Trimmed, Share::Below(10)),
            (Malloc::Neap, Moment::Late, Share::Below(10)),
        ];
        course.judge(hand, &expected)
    },
};

/// What is kept is hardly anything, and everywhere.
const ONE_PAGE: Experiment = Experiment {
    name: "give-back-one-page-in-1000",
    chapter: Chapter::GivingBack,
    question: "How much comes back when one page in a thousand is still in use?",
    method: "As give-back-all, but every 4096th block is kept, the last one of each: 16 blocks, each about \
             1000 pages from the next.",
    expectation: "glibc: at least 95 % stay for 2 s, less than a tenth after malloc_trim(0). neap: less \
                  than a tenth after 2 s at the latest.",
    explanation: "For glibc the block nearest to the break decides, so a thousandth of the pages keeps \
                  all. An allocator that gives back by spans of 64 KiB or more would keep sixteen of \
                  those; one that looks at pages keeps sixteen pages.",
    cannot_show: "What the kernel makes of the holes: with transparent huge pages one page may bring 512 \
                  back.",
    source: "Note 00, the drawback of brk; malloc_trim(3); docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../code/give-back-burst.c"),
    rust: include_str!("../code/give-back-burst.rs"),
    run: |hand| {
        let course = burst(hand, |index| index % 4096 == 4095)?;
        let expected = [
            (Malloc::Glibc, Moment::Late, Share::AtLeast(95)),
            (Malloc::Glibc, Moment::Trimmed, Share::Below(10)),
            (Malloc::Neap, Moment::Late, Share::Below(10)),
        ];
        course.judge(hand, &expected)
    },
};

/// When it was looked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Right after the last free.
    Freed,
    /// 2 s later, without a call of malloc's.
    Late,
    /// After malloc_trim(0).
    Trimmed,
}

/// How much of the burst is still in memory, in percent.
#[derive(Clone, Copy)]
enum Share {
    Below(u64),
    AtLeast(u64),
}

/// A burst's way in and out of memory.
struct Course {
    malloc: Malloc,
    /// kB of the burst in memory.
    full: u64,
    /// kB still there: at once, after 0.5, 1 and 2 s, trimmed.
    left: [u64; 5],
}

const LABELS: [&str; 5] = [
    "right after the last free",
    "0.5 s later",
    "1 s later",
    "2 s later",
    "after malloc_trim(0)",
];

/// Looks as time passes without a call of malloc's, then trims.
fn fall(hand: &mut Hand, malloc: Malloc, before: &Seen, full: &Seen) -> Course {
    let over = |seen: &Seen| seen.rss_kb().saturating_sub(before.rss_kb());
    let mut left = [over(&hand.look(LABELS[0])), 0, 0, 0, 0];
    for (index, wait) in [(1, 500), (2, 500), (3, 1000)] {
        sleep(Duration::from_millis(wait));
        left[index] = over(&hand.look(LABELS[index]));
    }
    trim(0);
    left[4] = over(&hand.look(LABELS[4]));
    Course {
        malloc,
        full: over(full),
        left,
    }
}

fn burst(hand: &mut Hand, keeps: fn(usize) -> bool) -> Result<Course, Stop> {
    let malloc = hand.malloc()?;
    small_pages_only()?;
    trim(0);
    // A mapping under glibc, and in memory before the first look.
    let mut blocks: Vec<Option<Block>> = (0..COUNT).map(|_| None).collect();
    let before = hand.look("before the burst");
    for block in &mut blocks {
        let got = Block::get(EACH)?;
        got.touch();
        *block = Some(got);
    }
    let full = hand.look("65536 blocks of 1000 bytes");
    for (index, block) in blocks.iter_mut().enumerate() {
        if !keeps(index) {
            *block = None;
        }
    }
    let course = fall(hand, malloc, &before, &full);
    drop(blocks);
    Ok(course)
}

impl Course {
    fn judge(&self, hand: &mut Hand, expected: &[(Malloc, Moment, Share)]) -> Result<(), Stop> {
        let percent = |kb: u64| kb * 100 / self.full.max(1);
        let bytes = (COUNT * EACH / 1024) as u64;
        let is_whole = self.full >= bytes * 9 / 10;
        hand.expect(
            "kB in memory with the burst",
            format!("at least {}", bytes * 9 / 10),
            self.full,
            is_whole,
        );
        for (label, kb) in LABELS.into_iter().zip(self.left) {
            hand.figure(&format!("kB {label}"), format!("{kb} ({} %)", percent(kb)));
        }
        for &(_, moment, share) in expected.iter().filter(|(malloc, ..)| *malloc == self.malloc) {
            let index = match moment {
                Moment::Freed => 0,
                Moment::Late => 3,
                Moment::Trimmed => 4,
            };
            let found = percent(self.left[index]);
            let (wanted, holds) = match share {
                Share::Below(most) => (format!("less than {most} %"), found < most),
                Share::AtLeast(least) => (format!("at least {least} %"), found >= least),
            };
            hand.expect(
                &format!("in memory {}", LABELS[index]),
                wanted,
                format!("{found} %"),
                holds,
            );
        }
        Ok(())
    }
}
