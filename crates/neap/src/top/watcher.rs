//! All processes, read again and again.

use std::time::Duration;

use neap_proc::model::{FootprintSource, ProcessTable, Processes, Rates};
use neap_proc::read::{Host, Proc};
use neap_proc::{Reading, Reason};

use super::budget::{Budget, measured};
use super::footprints::{Footprints, Progress};
use super::machine::MachineMemory;
use super::row::Row;
use crate::users::Users;

/// A table costs at most one part in this many of the time until the next: on a machine with very many
/// processes the interval is stretched.
const TABLE_COST_DIVISOR: u32 = 20;

/// What is shown: the machine and its processes at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) machine: MachineMemory,
    /// Processes that have memory, in the order of pids.
    pub(crate) rows: Vec<Row>,
    /// Zombies and kernel threads.
    pub(crate) without_memory: usize,
    /// Processes that this user may not even see the state of.
    pub(crate) hidden: u64,
    /// Rows whose PSS is to be read yet.
    pub(crate) waiting: usize,
    /// Time between the two readings that rates are of; `None` after the first.
    pub(crate) elapsed_ns: Option<u64>,
    /// Why there is no row at all.
    pub(crate) failed: Option<String>,
}

/// Reads, and keeps what the next reading needs.
pub(crate) struct Watcher {
    host: Host,
    processes: Processes,
    users: Users,
    footprints: Footprints,
    budget: Budget,
    table: Option<ProcessTable>,
    rates: std::collections::HashMap<u32, Rates>,
    elapsed_ns: Option<u64>,
    failed: Option<String>,
}

impl Watcher {
    pub(crate) fn new(proc: Proc, host: Host) -> Watcher {
        Watcher {
            host,
            processes: Processes::new(proc),
            users: Users::default(),
            footprints: Footprints::default(),
            budget: Budget::default(),
            table: None,
            rates: std::collections::HashMap::new(),
            elapsed_ns: None,
            failed: None,
        }
    }

    /// Reads the table. Answers with the time to wait at least until the next.
    pub(crate) fn read(&mut self) -> Duration {
        let (table, cost) = measured(|| self.processes.read());
        match table {
            Reading::Value(table) => {
                self.failed = None;
                self.take(table);
            }
            other => self.failed = other.map(|_| ()).reason(),
        }
        cost.saturating_mul(TABLE_COST_DIVISOR)
    }

    fn take(&mut self, mut table: ProcessTable) {
        self.footprints.fill(&mut table);
        self.budget.advance(table.at_ns);
        if let Some(before) = &self.table {
            self.rates = table.rates_since(before);
            self.elapsed_ns = Some(table.at_ns.saturating_sub(before.at_ns));
        }
        self.table = Some(table);
    }

    /// Reads PSS, USS and swap of some processes, those in `visible` first, for at most `patience` of CPU
    /// time.
    pub(crate) fn read_footprints(&mut self, visible: &[u32], patience: Duration) -> Progress {
        let Some(table) = &mut self.table else {
            return Progress { read: 0, waiting: 0 };
        };
        let proc = self.processes.proc();
        self.footprints
            .read(proc, table, visible, &mut self.budget, patience)
    }

    /// Reads PSS, USS and swap of all processes that `wanted` picks, whatever it costs, as smem does.
    pub(crate) fn read_all_footprints(&mut self, wanted: impl Fn(&Row) -> bool) {
        let picture = self.picture();
        let wanted: std::collections::HashSet<u32> = picture
            .rows
            .iter()
            .filter(|row| wanted(row))
            .map(|row| row.process.pid)
            .collect();
        if let Some(table) = &mut self.table {
            let proc = self.processes.proc();
            table.read_footprints(proc, FootprintSource::Smaps, |row| wanted.contains(&row.pid));
            // Who ended in the meantime is not listed with figures that it no longer has.
            let gone = Reading::Absent(Reason::Gone);
            table.rows.retain(|row| row.footprint.proportional_bytes != gone);
        }
    }

    /// What is known now.
    pub(crate) fn picture(&mut self) -> Picture {
        let machine = MachineMemory::read(&self.host);
        let table = self.table.as_ref();
        let all = table.map(|table| table.rows.as_slice()).unwrap_or_default();
        let users = &mut self.users;
        let rates = &self.rates;
        let rows: Vec<Row> = all
            .iter()
            .filter(|process| process.has_memory())
            .map(|process| {
                let user = process.user.value().map(|id| users.name(id));
                Row::new(process.clone(), rates.get(&process.pid).copied(), user)
            })
            .collect();
        let not_yet = Reading::Absent(Reason::NotYet);
        let waits = |row: &&Row| row.process.footprint.proportional_bytes == not_yet;
        Picture {
            machine,
            without_memory: all.len().saturating_sub(rows.len()),
            hidden: table.map_or(0, |table| table.denied),
            waiting: rows.iter().filter(waits).count(),
            rows,
            elapsed_ns: self.elapsed_ns,
            failed: self.failed.clone(),
        }
    }
}

impl Picture {
    /// Before anything was read.
    pub(crate) fn not_yet() -> Picture {
        Picture {
            machine: MachineMemory::not_yet(),
            rows: Vec::new(),
            without_memory: 0,
            hidden: 0,
            waiting: 0,
            elapsed_ns: None,
            failed: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_readings_have_rates_and_footprints() {
        let mut watcher = Watcher::new(Proc::default(), Host::default());
        watcher.read();
        let first = watcher.picture();
        assert!(first.elapsed_ns.is_none() && first.waiting == first.rows.len());
        let me = std::process::id();
        let progress = watcher.read_footprints(&[me], Duration::from_secs(5));
        assert!(progress.read > 0);
        watcher.read();
        let second = watcher.picture();
        let row = second.rows.iter().find(|row| row.process.pid == me).unwrap();
        assert!(row.process.footprint.proportional_bytes.value() > Some(0));
        assert!(row.rates.is_some() && row.user.is_some() && second.elapsed_ns > Some(0));
        assert!(second.failed.is_none());
    }

    #[test]
    fn all_footprints_are_read_of_the_chosen_only() {
        let mut watcher = Watcher::new(Proc::default(), Host::default());
        watcher.read();
        let me = std::process::id();
        watcher.read_all_footprints(|row| row.process.pid == me);
        let picture = watcher.picture();
        assert_eq!(picture.rows.len() - 1, picture.waiting);
    }

    #[test]
    fn a_machine_without_proc_says_so() {
        let mut watcher = Watcher::new(Proc::recorded("/nowhere", 4096), Host::recorded("/nowhere"));
        watcher.read();
        let picture = watcher.picture();
        assert!(picture.rows.is_empty() && picture.failed.unwrap().contains("errno 2"));
    }
}
