//! Bursts in threads: those that have ended, and those that wait.

use std::sync::{Arc, Barrier};
use std::thread;

use super::{COUNT, Course, EACH, Moment, Share, fall};
use crate::lab::experiment::{Chapter, Experiment, Under};
use crate::lab::hand::{Hand, Stop, cannot};
use crate::lab::malloc::{Block, Malloc, small_pages_only, trim};

/// Threads of a burst.
const THREADS: usize = 4;

/// Threads that free nearly all and end.
pub(super) const EXITED: Experiment = Experiment {
    name: "give-back-threads-exited",
    chapter: Chapter::GivingBack,
    question: "What becomes of the memory of threads that have ended?",
    method: "Four threads malloc 16384 blocks of 1000 bytes each and write to them; each frees all but its \
             last, hands that to the main thread, and ends. Look at once, and after 0.5, 1 and 2 s; then \
             malloc_trim(0).",
    expectation: "glibc: at least 90 % stay for 2 s, less than a tenth after malloc_trim(0). neap: less \
                  than a tenth after 2 s at the latest.",
    explanation: "glibc gives each thread an arena of its own, a heap in a mapping, whose top is pinned by \
                  the last live block as the main heap's is. An arena outlives its thread: another one may \
                  use it, and until then nobody frees into it and nobody trims it. malloc_trim goes \
                  through all arenas. neap takes over what a thread leaves when it ends and gives back its \
                  pages like any others.",
    cannot_show: "More threads than arenas (8 for each processor), which share.",
    source: "mallopt(3), M_ARENA_MAX; malloc/arena.c of glibc; docs/give-back.md.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/give-back-threads.c"),
    rust: include_str!("../../code/give-back-threads.rs"),
    run: |hand| threads(hand, Then::End),
};

/// Threads that free nearly all and wait.
pub(super) const IDLE: Experiment = Experiment {
    name: "give-back-threads-idle",
    chapter: Chapter::GivingBack,
    question: "What becomes of the memory of threads that have freed it and wait?",
    method: "As give-back-threads-exited, but the threads wait for something that does not come until all \
             was looked at.",
    expectation: "glibc: at least 90 % stay for 2 s, less than a tenth after malloc_trim(0). neap: less \
                  than a fifth after 2 s at the latest.",
    explanation: "A thread that waits calls nothing, so what an allocator keeps for it stays unless \
                  somebody else gives it back. glibc's arenas stay as they are. neap's helper thread gives \
                  back the pages of idle threads, too; what an idle thread has at hand, some ready blocks \
                  and at most 1 MiB of freed runs, it leaves alone, because to take it would need the \
                  thread's cooperation.",
    cannot_show: "What malloc_trim finds in other threads' hands: it gives back only what the calling one \
                  has.",
    source: "malloc_trim(3); docs/give-back.md, what an idle thread keeps.",
    since: None,
    under: Under::Both,
    c: include_str!("../../code/give-back-threads.c"),
    rust: include_str!("../../code/give-back-threads.rs"),
    run: |hand| threads(hand, Then::Wait),
};

/// What the threads do when they have freed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    End,
    Wait,
}

/// Where all meet: when the blocks are there, when they may be freed, when they are, and when all was
/// looked at.
struct Meetings {
    full: Barrier,
    free: Barrier,
    freed: Barrier,
    done: Barrier,
}

/// One thread's part. Answers with the last block, or without where malloc refused.
fn part(mut blocks: Vec<Option<Block>>, meetings: &Meetings, then: Then) -> Option<Block> {
    for block in &mut blocks {
        *block = Block::new(EACH);
        if let Some(block) = block {
            block.touch();
        }
    }
    meetings.full.wait();
    meetings.free.wait();
    let last = blocks.last_mut().and_then(Option::take);
    blocks.iter_mut().for_each(|block| *block = None);
    meetings.freed.wait();
    if then == Then::Wait {
        meetings.done.wait();
    }
    last
}

fn threads(hand: &mut Hand, then: Then) -> Result<(), Stop> {
    let malloc = hand.malloc()?;
    small_pages_only()?;
    trim(0);
    let meeting = || Barrier::new(THREADS + 1);
    let meetings = Arc::new(Meetings {
        full: meeting(),
        free: meeting(),
        freed: meeting(),
        done: meeting(),
    });
    let table = || (0..COUNT / THREADS).map(|_| None).collect::<Vec<Option<Block>>>();
    let tables: Vec<_> = (0..THREADS).map(|_| table()).collect();
    let before = hand.look("before the threads");
    let spawned: Vec<_> = tables
        .into_iter()
        .map(|table| {
            let meetings = Arc::clone(&meetings);
            thread::spawn(move || part(table, &meetings, then))
        })
        .collect();
    meetings.full.wait();
    let full = hand.look("4 threads with 16384 blocks of 1000 bytes each");
    meetings.free.wait();
    meetings.freed.wait();
    let join = |spawned: Vec<thread::JoinHandle<Option<Block>>>| -> Vec<Option<Block>> {
        spawned
            .into_iter()
            .map(|thread| thread.join().unwrap_or(None))
            .collect()
    };
    let course: Course;
    let lasts = match then {
        Then::End => {
            let lasts = join(spawned);
            course = fall(hand, malloc, &before, &full);
            lasts
        }
        Then::Wait => {
            course = fall(hand, malloc, &before, &full);
            meetings.done.wait();
            join(spawned)
        }
    };
    if lasts.iter().any(Option::is_none) {
        return Err(cannot("malloc answered with null", "free some memory"));
    }
    let most = if then == Then::Wait { 20 } else { 10 };
    let expected = [
        (Malloc::Glibc, Moment::Late, Share::AtLeast(90)),
        (Malloc::Glibc, Moment::Trimmed, Share::Below(10)),
        (Malloc::Neap, Moment::Late, Share::Below(most)),
    ];
    course.judge(hand, &expected)
}
