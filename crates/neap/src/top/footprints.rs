//! PSS, USS and swap of processes over time: whose is read next, and what was read last.
//!
//! A reading costs milliseconds for each GiB, so it is made for those who need it most: on the screen
//! before elsewhere, never read before changed, large before small. A process whose RSS and faults have not
//! moved is read again only to see what its neighbours did to its PSS. One that is costly to read waits, so
//! that it alone never takes more than half of the budget.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use neap_proc::model::{Footprint, FootprintSource, Process, ProcessTable};
use neap_proc::read::Proc;

use super::budget::{Budget, COST_DIVISOR, measured};

/// An unchanged process on the screen is read again after that time, one elsewhere after three times as long.
const UNCHANGED_NS: u64 = 20_000_000_000;

/// What was read of each process, and when.
#[derive(Debug, Default)]
pub(crate) struct Footprints {
    known: HashMap<u32, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    start_ticks: u64,
    footprint: Footprint,
    at_ns: u64,
    cost: Duration,
    /// What told a change, when it was read.
    mark: (Option<u64>, u64),
}

/// How much a process needs to be read: the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// Not on the screen, has not moved for long.
    OldElsewhere(u64),
    /// On the screen, has not moved for long.
    Old(u64),
    /// Not on the screen, and has moved, by how much.
    ChangedElsewhere(u64),
    /// Never read: its RSS.
    NewElsewhere(u64),
    /// On the screen and has moved: how long ago it was read.
    Changed(u64),
    /// On the screen and never read: its RSS.
    New(u64),
}

impl Footprints {
    /// Puts what is known into the rows, and forgets who has ended.
    pub(crate) fn fill(&mut self, table: &mut ProcessTable) {
        self.known.retain(|pid, known| {
            let row = table.row(*pid);
            row.is_some_and(|row| row.start_ticks == known.start_ticks)
        });
        for row in &mut table.rows {
            if let Some(known) = self.known.get(&row.pid) {
                row.footprint = known.footprint;
            }
        }
    }

    /// Reads until the budget or `patience` is used up. Whether anything was read and whether more waits.
    pub(crate) fn read(
        &mut self,
        proc: &Proc,
        table: &mut ProcessTable,
        visible: &[u32],
        budget: &mut Budget,
        patience: Duration,
    ) -> Progress {
        let mut queue = self.queue(table, visible);
        let (mut spent, mut read) = (Duration::ZERO, 0);
        while budget.is_left() && spent < patience {
            let Some((_, index)) = queue.pop() else { break };
            let Some(row) = table.rows.get_mut(index) else {
                continue;
            };
            let (footprint, cost) = measured(|| Footprint::read(proc, row.pid, FootprintSource::Rollup));
            budget.spend(cost);
            spent += cost;
            read += 1;
            let known = Known {
                start_ticks: row.start_ticks,
                footprint,
                at_ns: table.at_ns,
                cost,
                mark: mark(row),
            };
            self.known.insert(row.pid, known);
            row.footprint = footprint;
        }
        Progress {
            read,
            waiting: queue.len(),
        }
    }

    /// Who is to be read, the most urgent last.
    fn queue(&self, table: &ProcessTable, visible: &[u32]) -> Vec<(Need, usize)> {
        let visible: HashSet<u32> = visible.iter().copied().collect();
        let need = |row: &Process| self.need(row, visible.contains(&row.pid), table.at_ns);
        let rows = table.rows.iter().enumerate();
        let mut queue: Vec<(Need, usize)> = rows
            .filter(|(_, row)| row.has_memory())
            .filter_map(|(index, row)| Some((need(row)?, index)))
            .collect();
        queue.sort_unstable();
        queue
    }

    fn need(&self, row: &Process, on_screen: bool, now_ns: u64) -> Option<Need> {
        let resident = row.resident_bytes.value().unwrap_or(0);
        let Some(known) = self.known.get(&row.pid) else {
            return Some(if on_screen {
                Need::New(resident)
            } else {
                Need::NewElsewhere(resident)
            });
        };
        let age_ns = now_ns.saturating_sub(known.at_ns);
        let rest = known.cost.saturating_mul(2 * COST_DIVISOR);
        if age_ns == 0 || u128::from(age_ns) < rest.as_nanos() {
            return None;
        }
        let changed = mark(row) != known.mark && known.footprint.resident_bytes.value().is_some();
        let moved = resident.abs_diff(known.mark.0.unwrap_or(0));
        match (on_screen, changed) {
            (true, true) => Some(Need::Changed(age_ns)),
            (false, true) => Some(Need::ChangedElsewhere(moved)),
            (true, false) => (age_ns > UNCHANGED_NS).then_some(Need::Old(age_ns)),
            (false, false) => (age_ns > 3 * UNCHANGED_NS).then_some(Need::OldElsewhere(age_ns)),
        }
    }
}

/// What came of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) read: usize,
    pub(crate) waiting: usize,
}

/// Any page that came or went shows in one of them.
fn mark(row: &Process) -> (Option<u64>, u64) {
    (row.resident_bytes.value(), row.minor_faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::row::tests::process;
    use neap_proc::{Reading, Reason};

    fn table(rows: Vec<Process>, at_ns: u64) -> ProcessTable {
        ProcessTable {
            rows,
            at_ns,
            ticks_per_second: 100,
            denied: 0,
        }
    }

    fn pids(footprints: &Footprints, table: &ProcessTable, visible: &[u32]) -> Vec<u32> {
        let queue = footprints.queue(table, visible);
        queue
            .iter()
            .rev()
            .map(|(_, index)| table.rows[*index].pid)
            .collect()
    }

    #[test]
    fn the_screen_comes_first_and_the_large_before_the_small() {
        let mut rows: Vec<Process> = [(1, 10), (2, 30), (3, 20), (4, 40)]
            .map(|(pid, mib)| process(pid, "x", mib << 20))
            .into();
        rows[3].size_bytes = Reading::Absent(Reason::NoMemory);
        let table = table(rows, 1);
        assert_eq!(pids(&Footprints::default(), &table, &[1, 3]), [3, 1, 2]);
    }

    #[test]
    fn who_has_not_moved_waits_and_who_is_costly_waits_longer() {
        let mut footprints = Footprints::default();
        let known = |cost: u64| Known {
            start_ticks: 1,
            footprint: Footprint::missing(Reading::Value(4096)),
            at_ns: 0,
            cost: Duration::from_millis(cost),
            mark: (Some(1 << 20), 0),
        };
        for (pid, cost) in [(1, 1), (2, 1), (3, 1000)] {
            footprints.known.insert(pid, known(cost));
        }
        let mut rows: Vec<Process> = [1, 2, 3].map(|pid| process(pid, "x", 1 << 20)).into();
        rows[1].minor_faults = 7;
        rows[2].minor_faults = 7;
        let later = |seconds: u64, rows: &[Process]| table(rows.to_vec(), seconds * 1_000_000_000);
        assert_eq!(pids(&footprints, &later(1, &rows), &[1, 2, 3]), [2]);
        assert_eq!(pids(&footprints, &later(25, &rows), &[1, 2, 3]), [2, 1]);
        assert_eq!(
            pids(&footprints, &later(101, &rows), &[1, 2, 3]),
            [3, 2, 1],
            "a second of work waits for a hundred"
        );
        rows[0].start_ticks = 99;
        footprints.fill(&mut later(1, &rows));
        assert!(
            !footprints.known.contains_key(&1),
            "the pid is another process now"
        );
    }

    #[test]
    fn this_process_is_read_within_the_budget_and_not_beyond() {
        let proc = Proc::default();
        let mut processes = neap_proc::model::Processes::new(proc.clone());
        let mut table = processes.read_of(&[std::process::id()]);
        let (mut footprints, mut budget) = (Footprints::default(), Budget::default());
        budget.spend(Duration::from_secs(10));
        let patience = Duration::from_secs(1);
        let none = footprints.read(&proc, &mut table, &[], &mut budget, patience);
        assert_eq!((none.read, none.waiting), (0, 1));
        let progress = footprints.read(&proc, &mut table, &[], &mut Budget::default(), patience);
        assert_eq!(progress, Progress { read: 1, waiting: 0 });
        let pss = table.rows[0].footprint.proportional_bytes;
        assert!(pss.value() > Some(0));
        let mut again = processes.read_of(&[std::process::id()]);
        footprints.fill(&mut again);
        assert_eq!(again.rows[0].footprint.proportional_bytes, pss);
    }
}
