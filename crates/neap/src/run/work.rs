//! What the processes did between two readings: page faults and memory calls.
//!
//! Sources: `/proc/PID/stat` of whoever lives, which has the faults of children that were waited for as well;
//! getrusage(RUSAGE_CHILDREN) for those that neap collected; the board for the heaps' memory calls. All of
//! them only grow, so work is the difference of two sums. A process that ends is in its parent's sum only
//! after it was waited for: meanwhile the whole seems to fall, and nothing counts until it is higher again.

use neap_abi::Call;
use neap_proc::read::Proc;
use nix::sys::resource::{UsageWho, getrusage};

use super::Spent;
use super::board::Board;
use super::tree::Tree;

/// Calls that succeeded and the bytes they were about, for each [`Call`] in the order of [`Call::ALL`].
pub(crate) type Calls = [CallWork; Call::ALL.len()];

/// One kind of call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallWork {
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
}

/// What was done since the reading before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) calls: Calls,
}

/// The greatest sums so far.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    proc: Proc,
    /// Faults of children that neap had collected before the command started.
    collected_before: [u64; 2],
    seen: Work,
}

impl Work {
    /// Both together.
    pub(crate) fn plus(mut self, other: &Work) -> Work {
        self.minor_faults = self.minor_faults.saturating_add(other.minor_faults);
        self.major_faults = self.major_faults.saturating_add(other.major_faults);
        for (own, more) in self.calls.iter_mut().zip(&other.calls) {
            own.calls = own.calls.saturating_add(more.calls);
            own.bytes = own.bytes.saturating_add(more.bytes);
        }
        self
    }
}

impl Ledger {
    /// Counts from now on.
    pub(crate) fn new(proc: Proc) -> Ledger {
        Ledger {
            proc,
            collected_before: collected(),
            seen: Work::default(),
        }
    }

    /// The work since the last time.
    pub(crate) fn settle(&mut self, tree: &Tree, board: &Board) -> Work {
        let [minor, major] = self.faults(tree);
        let mut work = Work {
            minor_faults: advance(&mut self.seen.minor_faults, minor),
            major_faults: advance(&mut self.seen.major_faults, major),
            ..Work::default()
        };
        let rows = self.seen.calls.iter_mut().zip(&mut work.calls);
        for (index, (seen, work)) in rows.enumerate() {
            let sum = |column: usize| {
                let cells = board
                    .snapshots()
                    .filter_map(|page| page.calls.get(index)?.get(column));
                cells.copied().fold(0, u64::saturating_add)
            };
            *work = CallWork {
                calls: advance(&mut seen.calls, sum(0)),
                bytes: advance(&mut seen.bytes, sum(1)),
            };
        }
        work
    }

    fn faults(&self, tree: &Tree) -> [u64; 2] {
        let now = collected();
        let mut sums = [0, 1].map(|kind: usize| now[kind].saturating_sub(self.collected_before[kind]));
        for process in tree.living() {
            let Some(stat) = self.proc.stat(process.pid).value() else {
                continue;
            };
            let minor = stat.minor_faults.saturating_add(stat.children_minor_faults);
            let major = stat.major_faults.saturating_add(stat.children_major_faults);
            for (sum, more) in sums.iter_mut().zip([minor, major]) {
                *sum = sum.saturating_add(more);
            }
        }
        sums
    }
}

/// Minor and major faults of the children that this process has collected.
fn collected() -> [u64; 2] {
    getrusage(UsageWho::RUSAGE_CHILDREN)
        .map(Spent::from)
        .map_or([0; 2], |spent| [spent.minor_faults, spent.major_faults])
}

/// How far `now` is beyond `seen`, which it becomes when it is greater.
fn advance(seen: &mut u64, now: u64) -> u64 {
    let more = now.saturating_sub(*seen);
    *seen = now.max(*seen);
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_falls_for_a_while_counts_nothing_twice() {
        let mut seen = 0;
        let steps = [10, 30, 5, 20, 35].map(|now| advance(&mut seen, now));
        assert_eq!(steps, [10, 20, 0, 0, 5]);
    }
}
