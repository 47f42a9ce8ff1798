//! The heaps of libneap.so in the processes of a scrape.
//!
//! To learn whether a process has one its mappings are read, which is too dear to do for each process at each
//! scrape. So the answer is kept: while pid, start, name and arguments are the same, and no longer than a
//! minute; at first for a second only, because a process that has just executed a program loads its libraries
//! then. Counters are read anew by every scrape.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use neap_abi::{Backend, Call as MemoryCall, Snapshot};
use neap_proc::model::Process as Row;
use neap_proc::read::Proc;

use super::figures::{Call, Class, Counters, Heap};
use super::shares::Identity;
use super::unreadable::DENIED;
use crate::heap::{Inside, Why};
use crate::report::Figure;
use crate::run::board::live_is_counted;

const FIRST_KEEP: Duration = Duration::from_secs(1);
const LONGEST_KEEP: Duration = Duration::from_secs(60);

/// Why a process has no heap to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoHeap {
    /// It does not use libneap.so.
    NotThere,
    /// It ended.
    Gone,
    /// It cannot be told or read: one word for a label, and a sentence.
    Unreadable(&'static str, String),
}

/// Whether size classes are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Classes {
    Shown,
    Hidden,
}

/// What is known of the processes seen.
#[derive(Debug)]
pub(crate) struct HeapReader {
    classes: Classes,
    known: HashMap<Identity, Known>,
}

#[derive(Debug)]
struct Known {
    answer: Result<(), NoHeap>,
    name: String,
    arguments: Option<Arc<[String]>>,
    until: Instant,
    keep: Duration,
}

impl HeapReader {
    /// Nothing known so far.
    pub(crate) fn new(classes: Classes) -> HeapReader {
        HeapReader {
            classes,
            known: HashMap::new(),
        }
    }

    /// Whether a process has a heap of libneap.so, as far as can be told.
    pub(crate) fn find(&mut self, proc: &Proc, row: &Row, now: Instant) -> Result<(), NoHeap> {
        let identity = (row.pid, row.start_ticks);
        let arguments = row.arguments.as_value();
        let known = self.known.get(&identity);
        let same = known.filter(|known| known.name == row.name && known.arguments.as_ref() == arguments);
        let keep = match same {
            Some(known) if now < known.until => return known.answer.clone(),
            Some(known) => (known.keep * 2).min(LONGEST_KEEP),
            None => FIRST_KEEP,
        };
        let answer = Inside::find(proc, row.pid).map(drop).map_err(no_heap);
        let found = Known {
            answer: answer.clone(),
            name: row.name.clone(),
            arguments: arguments.cloned(),
            until: now + keep,
            keep,
        };
        self.known.insert(identity, found);
        answer
    }

    /// The counters of a heap. It is found anew: a reader that is kept would hold files of the process open.
    pub(crate) fn read(&mut self, proc: &Proc, identity: Identity) -> Result<Heap, NoHeap> {
        let snapshot = Inside::find(proc, identity.0).and_then(|inside| inside.counters());
        snapshot
            .map(|snapshot| heap(&snapshot, self.classes))
            .map_err(|why| {
                // Another program may run there by now.
                self.known.remove(&identity);
                no_heap(why)
            })
    }

    /// Forgets everyone who is not in `seen`.
    pub(crate) fn keep_only(&mut self, seen: impl Fn(&Identity) -> bool) {
        self.known.retain(|identity, _| seen(identity));
    }
}

fn no_heap(why: Why) -> NoHeap {
    let sentence = why.to_string();
    match why {
        Why::NotThere => NoHeap::NotThere,
        Why::Gone => NoHeap::Gone,
        Why::Denied(_) => NoHeap::Unreadable(DENIED, sentence),
        Why::Version(_) => NoHeap::Unreadable("other_version", sentence),
        Why::Failed(_) => NoHeap::Unreadable("failed", sentence),
    }
}

fn heap(page: &Snapshot, classes: Classes) -> Heap {
    let known = Figure::Known;
    let live = |value| {
        if live_is_counted(page) {
            known(value)
        } else {
            Figure::Missing("its live blocks have not been counted yet".to_owned())
        }
    };
    let calls = MemoryCall::ALL.iter().zip(page.calls);
    let shown = page.classes.iter().filter(|_| classes == Classes::Shown);
    Heap {
        backend: match page.backend {
            Backend::Mmap => "mmap",
            Backend::Brk => "brk",
        },
        counters: Counters {
            live_bytes: live(page.live_bytes),
            live_blocks: live(page.live_blocks),
            held_bytes: known(page.held_bytes),
            dirty_bytes: live(page.dirty_bytes),
            meta_bytes: known(page.meta_bytes),
            threads: known(page.threads),
            live_peak_bytes: live(page.live_peak_bytes),
            held_peak_bytes: known(page.held_peak_bytes),
            large_blocks: live(page.large_blocks),
            large_bytes: live(page.large_bytes),
            direct_blocks: live(page.direct_blocks),
            direct_bytes: live(page.direct_bytes),
            given_back_bytes: known(page.given_back_bytes),
            regret_bytes: known(page.regret_bytes),
            purges: known(page.purges),
            helper_starts: known(page.helper_starts),
            helpers: known(u64::from(page.helper_alive)),
        },
        memory_calls: calls
            .map(|(call, [calls, bytes, failed])| Call {
                name: call.name(),
                calls,
                bytes,
                failed,
            })
            .collect(),
        classes: shown
            .filter(|[block_bytes, live_blocks]| *block_bytes > 0 && *live_blocks > 0)
            .map(|&[block_bytes, live_blocks]| Class {
                block_bytes,
                live_blocks,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
