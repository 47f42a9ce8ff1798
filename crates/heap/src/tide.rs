//! [`Tide`]: giving memory back.
//!
//! Owns the clock of the heap and what it has learned; the pass over the dirt is in `crate::ebb`. Nothing is given back when it is freed: a
//! page must lie free for one whole tick, so what is wanted again soon is never lost. Each tick
//! discards what was free already at the tick before (*old* dirt), ages the rest (*new* becomes
//! *old*), looks into the shelved slabs for pages without a live byte, and lowers the window's top.
//! There are no time stamps on pages, only those two sets.
//!
//! Regret sets the length of a tick: when more than half of what was given back is wanted again
//! within a second, ticks become twice as long (to 800 ms), below a tenth half as long (to 25 ms).
//!
//! Who runs a tick: the helper thread (`crate::helper`), or any slow path when there is none
//! (`crate::watch`). One at a time, under `lock`.

use crate::ground::Regret;
use crate::knob::Knob;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Lock, Relaxed};

/// The shortest and the longest tick.
pub(crate) const TICK_MS_MIN: usize = 25;
const TICK_MS_MAX: usize = 800;
/// Within this time wanting a page again is regretted.
const REGRET_MS: usize = 1000;

pub(crate) struct Tide {
    pub(crate) lock: Lock,
    pub(crate) tick_ms: Knob<TICK_MS_MIN>,
    /// When the next tick is due, for slow paths that run ticks themselves.
    pub(crate) due_ns: AtomicU64,
    /// The chunk at which a tick that was left half way goes on; 0: it is complete.
    pub(crate) next_chunk: AtomicU32,
    /// Whether that tick is still at the shelves.
    pub(crate) sweeping: AtomicBool,
    /// When slow paths publish the next count.
    pub(crate) publish_ns: AtomicU64,
    /// Pages of shelved slabs that came free since the last pass over the shelves.
    pub(crate) stirred: AtomicUsize,
    /// Pages given back since the last judgement.
    pub(crate) given: AtomicUsize,
    pub(crate) judged: AtomicUsize,
    /// Forks that wait for the pass to end.
    pub(crate) pauses: AtomicUsize,
    pub(crate) helper: crate::helper::Helper,
}

/// What may be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// What has lain free for a tick.
    Old,
    /// All that is free.
    All,
}

impl Tide {
    pub(crate) const fn new() -> Tide {
        Tide {
            lock: Lock::new(),
            tick_ms: Knob::new(),
            due_ns: AtomicU64::new(0),
            next_chunk: AtomicU32::new(0),
            sweeping: AtomicBool::new(false),
            publish_ns: AtomicU64::new(0),
            stirred: AtomicUsize::new(0),
            given: AtomicUsize::new(0),
            judged: AtomicUsize::new(0),
            pauses: AtomicUsize::new(0),
            helper: crate::helper::Helper::new(),
        }
    }

    /// Has a pass under way end soon: somebody is about to fork.
    pub(crate) fn pause(&self) {
        self.pauses.fetch_add(1, Relaxed);
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.pauses.fetch_sub(1, Relaxed);
    }

    /// In the child of fork(2): the pauses of other threads did not come along.
    pub(crate) fn unpause(&self) {
        self.pauses.store(0, Relaxed);
    }

    /// Whether a pass should end.
    pub(crate) fn is_paused(&self) -> bool {
        self.pauses.load(Relaxed) != 0
    }

    /// Notes `pages` that came free inside shelved slabs.
    pub(crate) fn stir(&self, pages: usize) {
        self.stirred.fetch_add(pages, Relaxed);
    }

    /// Pages that came free inside shelved slabs and were not looked at.
    pub(crate) fn stirred(&self) -> usize {
        self.stirred.load(Relaxed)
    }

    /// Once a second: were we too hasty?
    pub(crate) fn judge(&self, regret: &Regret) -> usize {
        let now = regret.now.get();
        let tick = self.tick_ms.get();
        if now.wrapping_sub(self.judged.load(Relaxed)) < REGRET_MS / tick {
            return 0;
        }
        self.judged.store(now, Relaxed);
        let given = self.given.swap(0, Relaxed);
        let regretted = regret.pages.swap(0, Relaxed);
        let next = if given >= 256 && regretted * 2 > given {
            (tick * 2).min(TICK_MS_MAX)
        } else if regretted * 10 <= given {
            (tick / 2).max(TICK_MS_MIN)
        } else {
            tick
        };
        self.tick_ms.set(next);
        regret.ticks.set(REGRET_MS / next);
        regretted
    }
}
