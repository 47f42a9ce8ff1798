//! One reading of everything that is exported.
//!
//! First the table of processes, then the choice, then the files of those chosen, the largest first up to the
//! limit. A process that ends meanwhile, or whose pid became another's, is left out as a whole: figures of two
//! processes never stand in one row. Keeps between readings what is dear to learn: heaps, PSS, names of users.

use std::collections::HashSet;
use std::time::Instant;

use neap_proc::Reading;
use neap_proc::model::{Process as Row, Processes};
use neap_proc::parse::{MemoryGroup, Status};
use neap_proc::read::{Host, Proc};

use super::choice::{Choice, Under};
use super::figures::{Memory, Own, Process, Scrape};
use super::heaps::{Classes, HeapReader, NoHeap};
use super::machine;
use super::shares::{Identity, ShareReader};
use super::unreadable::{DENIED, Source, Tally};
use crate::report::Figure;
use crate::report::text::printable;
use crate::users::Users;

/// Reads scrapes, one after the other.
#[derive(Debug)]
pub(crate) struct Gatherer {
    choice: Choice,
    proc: Proc,
    host: Host,
    processes: Processes,
    shares: ShareReader,
    heaps: HeapReader,
    users: Users,
    boot_seconds: Reading<u64>,
    vanished_total: u64,
    scrapes_total: u64,
}

/// A row that was chosen, and what is known of its heap.
struct Chosen {
    row: Row,
    heap: Result<(), NoHeap>,
}

impl Gatherer {
    /// Of the running machine.
    pub(crate) fn new(choice: Choice, shares: ShareReader, classes: Classes) -> Gatherer {
        Gatherer::of(Proc::default(), Host::default(), choice, shares, classes)
    }

    /// Of a machine, which may be a recorded one.
    fn of(proc: Proc, host: Host, choice: Choice, shares: ShareReader, classes: Classes) -> Gatherer {
        Gatherer {
            choice,
            processes: Processes::new(proc.clone()),
            boot_seconds: host.boot_time_seconds(),
            proc,
            host,
            shares,
            heaps: HeapReader::new(classes),
            users: Users::default(),
            vanished_total: 0,
            scrapes_total: 0,
        }
    }

    /// Which processes are exported.
    pub(crate) fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Reads everything once.
    ///
    /// # Errors
    /// Why `/proc` could not be listed.
    pub(crate) fn gather(&mut self) -> Result<Scrape, String> {
        let start = Instant::now();
        let table = if self.choice.pids.is_empty() {
            let table = self.processes.read();
            let reason = table.reason().unwrap_or_default();
            table
                .value()
                .ok_or_else(|| format!("/proc could not be listed: {reason}"))?
        } else {
            self.processes.read_of(&self.choice.pids)
        };
        let mut tally = Tally::default();
        tally.count(Source::Status, DENIED, table.denied);
        let seen = u64::try_from(table.rows.len()).unwrap_or(u64::MAX);
        let mut chosen = self.choose(table.rows, &mut tally);
        // The largest are kept; equals in the order of pids.
        chosen.sort_by_key(|one| (std::cmp::Reverse(one.row.resident_bytes.value()), one.row.pid));
        let left_out = chosen.len().saturating_sub(self.choice.limit);
        chosen.truncate(self.choice.limit);
        chosen.sort_by_key(|one| one.row.pid);

        let identities: Vec<Identity> = chosen.iter().map(|one| identity(&one.row)).collect();
        self.shares.refresh(&self.proc, &identities);
        let mut groups = Vec::new();
        let mut processes = Vec::with_capacity(chosen.len());
        for one in chosen {
            let group = machine::group_of(&self.host, one.row.pid);
            match self.process(one, group.as_ref(), &mut tally) {
                Some(process) => {
                    processes.push(process);
                    groups.extend(group);
                }
                None => self.vanished_total += 1,
            }
        }
        self.scrapes_total += 1;
        Ok(Scrape {
            groups: machine::groups(&self.host, groups.into_iter()),
            machine: machine::machine(&self.host),
            unreadable: tally.rows(),
            exporter: Own {
                seen,
                exported: count(processes.len()),
                left_out: count(left_out),
                vanished_total: self.vanished_total,
                share_readings_total: self.shares.readings,
                scrapes_total: self.scrapes_total,
                scrape_ns: u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
                errors: Vec::new(),
            },
            processes,
        })
    }

    /// The rows that every condition holds for.
    fn choose(&mut self, rows: Vec<Row>, tally: &mut Tally) -> Vec<Chosen> {
        let now = Instant::now();
        let mut seen: HashSet<Identity> = HashSet::with_capacity(rows.len());
        let mut chosen = Vec::new();
        for row in rows {
            seen.insert(identity(&row));
            if !row.has_memory() || !self.is_wanted(&row) {
                continue;
            }
            let heap = self.heaps.find(&self.proc, &row, now);
            if let Err(NoHeap::Unreadable(reason, _)) = &heap {
                tally.count(Source::Heap, reason, 1);
            }
            match (&heap, self.choice.under) {
                (Err(NoHeap::Gone), _) => self.vanished_total += 1,
                (Err(_), Under::Libneap) => {}
                _ => chosen.push(Chosen { row, heap }),
            }
        }
        self.heaps.keep_only(|identity| seen.contains(identity));
        chosen
    }

    /// Every condition but the heap.
    fn is_wanted(&self, row: &Row) -> bool {
        let program = || row.arguments.as_value()?.first().cloned();
        let group = || machine::group_of(&self.host, row.pid).map(|group| group.path);
        self.choice.has_pid(row.pid)
            && self.choice.has_name(&row.name, program)
            && self.choice.has_user(row.user.value())
            && (self.choice.groups.is_empty() || self.choice.has_group(group().as_deref()))
    }

    /// Reads the files of a process; `None` when it ended.
    fn process(&mut self, chosen: Chosen, group: Option<&MemoryGroup>, tally: &mut Tally) -> Option<Process> {
        let row = chosen.row;
        let identity = identity(&row);
        let status = self.proc.status(row.pid);
        // A heap that cannot be found was counted when it was looked for.
        let found = chosen.heap.is_ok();
        let heap = chosen.heap.and_then(|()| self.heaps.read(&self.proc, identity));
        let shares = self.shares.shares(identity, Instant::now());
        // Whoever has this pid now must be who had it before.
        let stat = self.proc.stat(row.pid).value()?;
        if stat.start_ticks != row.start_ticks || matches!(heap, Err(NoHeap::Gone)) {
            return None;
        }
        if let (true, Err(NoHeap::Unreadable(reason, _))) = (found, &heap) {
            tally.count(Source::Heap, reason, 1);
        }
        tally.reading(Source::Status, &status);
        if self.shares.is_on() {
            tally.reading(Source::SmapsRollup, &self.shares.reading(identity));
        }
        let (heap, no_heap) = match heap {
            Ok(heap) => (Some(heap), None),
            Err(NoHeap::Unreadable(_, sentence)) => (None, Some(sentence)),
            Err(_) => (None, Some("the process does not use libneap.so".to_owned())),
        };
        Some(Process {
            pid: row.pid,
            user: row.user.value().map(|number| self.users.name(number).to_string()),
            group: group.map(|group| printable(&group.path)),
            start_time_seconds: self.start_time_seconds(&row),
            memory: memory(&row, &status, self.proc.ticks_per_second()),
            // Scrapes are read at terminals, too.
            name: printable(&row.name),
            shares,
            heap,
            no_heap,
        })
    }

    fn start_time_seconds(&self, row: &Row) -> Option<f64> {
        let hertz = crate::unit::to_f64(self.proc.ticks_per_second());
        let boot = self.boot_seconds.value()?;
        Some(crate::unit::to_f64(boot) + crate::unit::to_f64(row.start_ticks) / hertz)
    }
}

fn identity(row: &Row) -> Identity {
    (row.pid, row.start_ticks)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn memory(row: &Row, status: &Reading<Status>, ticks_per_second: u64) -> Memory {
    let line = |line: fn(&Status) -> Option<u64>| match status {
        Reading::Value(status) => Figure::from(Reading::from(line(status))),
        missing => Figure::Missing(missing.reason().unwrap_or_default()),
    };
    let ns = |ticks: u64| Figure::Known(ticks.saturating_mul(1_000_000_000 / ticks_per_second));
    Memory {
        resident_bytes: line(|status| status.resident_bytes),
        resident_anonymous_bytes: line(|status| status.resident_anon_bytes),
        resident_file_bytes: line(|status| status.resident_file_bytes),
        resident_shmem_bytes: line(|status| status.resident_shmem_bytes),
        resident_peak_bytes: line(|status| status.resident_peak_bytes),
        swap_bytes: line(|status| status.swap_bytes),
        size_bytes: line(|status| status.size_bytes),
        page_table_bytes: line(|status| status.page_table_bytes),
        locked_bytes: line(|status| status.locked_bytes),
        threads: Figure::Known(row.threads),
        minor_faults: Figure::Known(row.minor_faults),
        major_faults: Figure::Known(row.major_faults),
        user_ns: ns(row.user_ticks),
        system_ns: ns(row.system_ticks),
    }
}

#[cfg(test)]
mod tests;
