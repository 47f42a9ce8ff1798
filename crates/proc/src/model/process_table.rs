//! The processes of the machine at one moment, and what they did between two moments.
//!
//! A row is made of the cheap files: `stat`, `statm`, the owner of the folder; some 20 µs a process. PSS,
//! USS and swap cost milliseconds for each GiB, so they are read for the processes that a caller names
//! ([`ProcessTable::read_footprints`]) and are [`Reason::NotYet`] until then. What seldom changes (command
//! line, user) is kept from reading to reading and read again when the name or the owner has changed, and
//! by turns: every process once in eight readings.
//!
//! A process is the same as before when pid and start are the same: pids are reused. One that ends while
//! the table is read is not in it.

use std::collections::HashMap;
use std::sync::Arc;

use neap_os::clock;

use super::{Footprint, FootprintSource};
use crate::parse::{Stat, State};
use crate::read::Proc;
use crate::{Reading, Reason};

/// A command line is read again once in so many readings.
const TURNS: u64 = 8;
/// Bytes of a command line that are kept; the kernel allows megabytes.
const ARGUMENTS_BYTES_MAX: usize = 4096;

/// One process at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// Its parent's; 0 for the first of the namespace.
    pub parent: u32,
    /// Clock ticks from the start of the machine to its own. With the pid it names a process for good.
    pub start_ticks: u64,
    /// Name of the program's file, at most 15 bytes, or what the process made of it.
    pub name: String,
    /// Its arguments, the first 4 KiB; none for a zombie or a kernel thread. Any bytes.
    pub arguments: Reading<Arc<[String]>>,
    /// The effective user's number.
    pub user: Reading<u32>,
    /// What it does.
    pub state: State,
    /// How many threads it has.
    pub threads: u64,
    /// CPU time in its own code, in clock ticks.
    pub user_ticks: u64,
    /// CPU time in the kernel, in clock ticks.
    pub system_ticks: u64,
    /// Page faults that read nothing from a disk, since its start.
    pub minor_faults: u64,
    /// Page faults that did.
    pub major_faults: u64,
    /// RSS by `statm`, exact since 6.16; before, each processor may owe some pages.
    pub resident_bytes: Reading<u64>,
    /// Its addresses (VmSize).
    pub size_bytes: Reading<u64>,
    /// PSS, USS, swap.
    pub footprint: Footprint,
}

/// All processes, or chosen ones, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessTable {
    /// In the order of pids.
    pub rows: Vec<Process>,
    /// CLOCK_MONOTONIC when the reading began, in nanoseconds.
    pub at_ns: u64,
    /// Clock ticks of a second.
    pub ticks_per_second: u64,
    /// Processes whose `stat` is kept from this user (hidepid of proc(5)).
    pub denied: u64,
}

/// What a process did between two tables.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Minor faults a second.
    pub minor_faults_per_second: f64,
    /// Major faults a second.
    pub major_faults_per_second: f64,
    /// CPU time of a time: 1 is one processor kept busy. Ticks are 10 ms, so it comes in steps of that.
    pub cpu_share: f64,
    /// Bytes by which RSS grew in a second, below 0 when it shrank; `None` without both RSS.
    pub resident_growth_bytes_per_second: Option<f64>,
}

/// Reads tables, one after the other.
#[derive(Debug)]
pub struct Processes {
    proc: Proc,
    known: HashMap<u32, Known>,
    turn: u64,
}

/// What seldom changes.
#[derive(Debug)]
struct Known {
    start_ticks: u64,
    name: String,
    owner: Reading<u32>,
    user: Reading<u32>,
    arguments: Reading<Arc<[String]>>,
    /// The reading in which it was last seen.
    seen: u64,
}

impl Process {
    /// Whether it has memory of its own: zombies and kernel threads have not.
    #[must_use]
    pub fn has_memory(&self) -> bool {
        self.size_bytes != Reading::Absent(Reason::NoMemory)
    }

    /// Whether both are one process, at two moments.
    #[must_use]
    pub fn is_same(&self, other: &Process) -> bool {
        (self.pid, self.start_ticks) == (other.pid, other.start_ticks)
    }

    /// CPU time since its start, in nanoseconds, in steps of a tick.
    #[must_use]
    pub fn cpu_ns(&self, ticks_per_second: u64) -> u64 {
        let ticks = self.user_ticks.saturating_add(self.system_ticks);
        ticks.saturating_mul(1_000_000_000 / ticks_per_second.max(1))
    }

    /// What it did since `earlier`, `elapsed_ns` ago. `None` for another process, or without time between.
    #[must_use]
    pub fn rates_since(&self, earlier: &Process, elapsed_ns: u64, ticks_per_second: u64) -> Option<Rates> {
        if elapsed_ns == 0 || !self.is_same(earlier) {
            return None;
        }
        let seconds = to_f64(elapsed_ns) / 1e9;
        let per_second = |now: u64, then: u64| to_f64(now.saturating_sub(then)) / seconds;
        let resident = self.resident_bytes.value().zip(earlier.resident_bytes.value());
        Some(Rates {
            minor_faults_per_second: per_second(self.minor_faults, earlier.minor_faults),
            major_faults_per_second: per_second(self.major_faults, earlier.major_faults),
            cpu_share: per_second(self.cpu_ns(ticks_per_second), earlier.cpu_ns(ticks_per_second)) / 1e9,
            resident_growth_bytes_per_second: resident
                .map(|(now, then)| (to_f64(now) - to_f64(then)) / seconds),
        })
    }
}

impl ProcessTable {
    /// The row of a process.
    #[must_use]
    pub fn row(&self, pid: u32) -> Option<&Process> {
        let index = self.rows.binary_search_by_key(&pid, |row| row.pid).ok()?;
        self.rows.get(index)
    }

    /// What each process did since `earlier`; those that came since then are not among them.
    #[must_use]
    pub fn rates_since(&self, earlier: &ProcessTable) -> HashMap<u32, Rates> {
        let elapsed_ns = self.at_ns.saturating_sub(earlier.at_ns);
        let rates = |row: &Process| {
            let before = earlier.row(row.pid)?;
            let rates = row.rates_since(before, elapsed_ns, self.ticks_per_second)?;
            Some((row.pid, rates))
        };
        self.rows.iter().filter_map(rates).collect()
    }

    /// Reads PSS, USS and swap of the rows that `wanted` picks and that have memory.
    pub fn read_footprints(
        &mut self,
        proc: &Proc,
        source: FootprintSource,
        wanted: impl Fn(&Process) -> bool,
    ) {
        for row in self.rows.iter_mut().filter(|row| row.has_memory() && wanted(row)) {
            row.footprint = Footprint::read(proc, row.pid, source);
        }
    }
}

impl Processes {
    /// Nothing read so far.
    #[must_use]
    pub fn new(proc: Proc) -> Processes {
        Processes {
            proc,
            known: HashMap::new(),
            turn: 0,
        }
    }

    /// Where it reads.
    #[must_use]
    pub fn proc(&self) -> &Proc {
        &self.proc
    }

    /// Every process there is.
    pub fn read(&mut self) -> Reading<ProcessTable> {
        self.proc.pids().map(|pids| self.read_of(&pids))
    }

    /// Those of `pids` that there are.
    pub fn read_of(&mut self, pids: &[u32]) -> ProcessTable {
        self.turn = self.turn.wrapping_add(1);
        let at_ns = clock::monotonic_ns();
        let (mut rows, mut denied) = (Vec::with_capacity(pids.len()), 0);
        for &pid in pids {
            match self.proc.stat(pid) {
                Reading::Value(stat) => rows.push(self.row(stat)),
                Reading::Denied => denied += 1,
                Reading::Absent(_) => {}
            }
        }
        rows.sort_unstable_by_key(|row| row.pid);
        rows.dedup_by_key(|row| row.pid);
        let turn = self.turn;
        self.known.retain(|_, known| known.seen == turn);
        ProcessTable {
            rows,
            at_ns,
            ticks_per_second: self.proc.ticks_per_second(),
            denied,
        }
    }

    fn row(&mut self, stat: Stat) -> Process {
        let pid = stat.pid;
        // A zombie's statm is all zeros, a kernel thread's too: both come as `NoMemory`.
        let statm = self.proc.statm(pid);
        let (user, arguments) = self.seldom(&stat);
        Process {
            pid,
            parent: stat.ppid,
            start_ticks: stat.start_ticks,
            name: stat.comm,
            arguments,
            user,
            state: stat.state,
            threads: stat.threads,
            user_ticks: stat.user_ticks,
            system_ticks: stat.system_ticks,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            resident_bytes: statm.map(|statm| statm.resident_bytes),
            size_bytes: statm.map(|statm| statm.size_bytes),
            footprint: Footprint::missing(match statm {
                Reading::Value(_) => Reading::Absent(Reason::NotYet),
                Reading::Denied => Reading::Denied,
                Reading::Absent(reason) => Reading::Absent(reason),
            }),
        }
    }

    /// User and arguments, read again when there is a reason to.
    fn seldom(&mut self, stat: &Stat) -> (Reading<u32>, Reading<Arc<[String]>>) {
        let (turn, pid) = (self.turn, stat.pid);
        let owner = self.proc.owner(pid);
        if let Some(known) = self.known.get_mut(&pid) {
            let same = known.start_ticks == stat.start_ticks && known.name == stat.comm;
            let due = (u64::from(pid) ^ turn).is_multiple_of(TURNS);
            if same && known.owner == owner && !due {
                known.seen = turn;
                return (known.user, known.arguments.clone());
            }
        }
        let status = self.proc.status(pid);
        let user = status.and_then(|status| status.effective_user.into());
        let arguments = self.proc.command_line(pid).map(kept);
        let known = Known {
            start_ticks: stat.start_ticks,
            name: stat.comm.clone(),
            owner,
            user,
            arguments: arguments.clone(),
            seen: turn,
        };
        self.known.insert(pid, known);
        (user, arguments)
    }
}

/// The arguments that fit; the one that does not is cut, at a character.
fn kept(arguments: Vec<String>) -> Arc<[String]> {
    let mut room = ARGUMENTS_BYTES_MAX;
    let mut kept = Vec::new();
    for mut argument in arguments {
        if room == 0 {
            break;
        }
        argument.truncate(argument.floor_char_boundary(room));
        room = room.saturating_sub(argument.len() + 1);
        kept.push(argument);
    }
    kept.into()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53; a rate needs no more digits"
)]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
