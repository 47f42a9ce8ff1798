//! The command and all its descendants: who lives, who ended, how large each was.
//!
//! Orphans become children of neap (it is a subreaper), so whoever descends from neap descends from the
//! command, except for children that neap already had before (a shell that exec'd it may leave some).

use std::collections::{BTreeMap, HashMap, HashSet};

use neap_proc::model;
use neap_proc::parse::{State, Statm};
use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};

use super::child::End;

/// Ended processes remembered; later ones are only counted.
const ENDED_MAX: usize = 4096;
/// Time between two readings of a process's name and high-water mark: for each process there is, and at most.
const DETAIL_NS: u64 = 5_000_000;
const DETAIL_NS_MAX: u64 = 100_000_000;

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    /// The pid that the process itself sees, which is the one on its page of the board.
    pub(crate) pid_inside: u32,
    pub(crate) command: Vec<String>,
    pub(crate) first_seen_ns: u64,
    pub(crate) last_seen_ns: u64,
    /// VmHWM as last read.
    pub(crate) rss_peak_bytes: Reading<u64>,
    pub(crate) end: Option<End>,
    sizes: Reading<Statm>,
    /// Runs in its parent's memory.
    borrows: bool,
    details_ns: Option<u64>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Tree {
    proc: Proc,
    root: u32,
    bystanders: HashSet<u32>,
    living: BTreeMap<u32, Process>,
    ended: Vec<Process>,
    /// Ended ones that found no room, and orphans that were collected before they were ever seen.
    uncounted: u64,
    rss_peak_bytes: u64,
}

impl Tree {
    /// A tree of what `root`, this process, starts from now on.
    pub(crate) fn new(proc: Proc, root: u32) -> Tree {
        let bystanders = model::descendants(&proc, root)
            .0
            .iter()
            .map(|member| member.pid)
            .collect();
        Tree {
            proc,
            root,
            bystanders,
            living: BTreeMap::new(),
            ended: Vec::new(),
            uncounted: 0,
            rss_peak_bytes: 0,
        }
    }

    /// Looks at every process.
    pub(crate) fn read(&mut self, now_ns: u64) {
        self.walk(now_ns);
        let count = u64::try_from(self.living.len()).unwrap_or(u64::MAX);
        let pause_ns = DETAIL_NS.saturating_mul(count).min(DETAIL_NS_MAX);
        let before: HashMap<u32, Option<u64>> = self
            .living
            .values()
            .map(|process| (process.pid, process.code_bytes()))
            .collect();
        for process in self.living.values_mut() {
            process.sizes = self.proc.statm(process.pid);
        }
        let borrowers: HashSet<u32> = self
            .living
            .values()
            .filter(|process| self.borrows_memory(process))
            .map(|process| process.pid)
            .collect();
        for process in self.living.values_mut() {
            process.borrows = borrowers.contains(&process.pid);
            // exec(2) shows as another size of code; names and marks are then those of another program.
            let executed = before.get(&process.pid) != Some(&process.code_bytes());
            let due = process
                .details_ns
                .is_none_or(|read_ns| now_ns.saturating_sub(read_ns) >= pause_ns);
            if (executed || due) && process.has_memory() && !process.borrows {
                process.details_ns = Some(now_ns);
                process.read_details(&self.proc);
            }
            if let Reading::Value(peak) = process.rss_peak_bytes {
                self.rss_peak_bytes = self.rss_peak_bytes.max(peak);
            }
        }
    }

    /// The sum of the resident sets as they were read.
    pub(crate) fn rss_bytes(&self) -> u64 {
        let owners = self.living.values().filter(|process| !process.borrows);
        owners.map(Process::rss_bytes).fold(0, u64::saturating_add)
    }

    /// Learns who is there, without measuring them.
    pub(crate) fn walk(&mut self, now_ns: u64) {
        let mut strangers = self.bystanders.clone();
        let mut found = HashMap::new();
        for member in model::descendants(&self.proc, self.root).0 {
            if strangers.contains(&member.pid) || strangers.contains(&member.parent) {
                strangers.insert(member.pid);
            } else {
                found.insert(member.pid, member.parent);
            }
        }
        // A process may be missed by one walk (its parent ended meanwhile) and still be there.
        let gone =
            |pid: &u32| !found.contains_key(pid) && self.proc.statm(*pid) == Reading::Absent(Reason::Gone);
        let gone: Vec<u32> = self.living.keys().filter(|pid| gone(pid)).copied().collect();
        for pid in gone {
            self.remove(pid, None);
        }
        for (pid, parent) in found {
            let process = self
                .living
                .entry(pid)
                .or_insert_with(|| Process::new(pid, parent, now_ns));
            process.parent = parent;
            process.last_seen_ns = now_ns;
        }
    }

    /// `pid` was collected by neap.
    pub(crate) fn ended(&mut self, pid: u32, end: End) {
        if !self.bystanders.remove(&pid) {
            self.remove(pid, Some(end));
        }
    }

    fn remove(&mut self, pid: u32, end: Option<End>) {
        match self.living.remove(&pid) {
            Some(process) if self.ended.len() < ENDED_MAX => self.ended.push(Process { end, ..process }),
            _ => self.uncounted += 1,
        }
    }

    /// A child between vfork(2) and exec(2) runs in its parent's memory, which must not count twice. Such a
    /// child has its parent's sizes to the page while its parent waits for it.
    fn borrows_memory(&self, process: &Process) -> bool {
        let Some(parent) = self.living.get(&process.parent) else {
            return false;
        };
        if process.sizes.as_value().is_none() || process.code_bytes() != parent.code_bytes() {
            return false;
        }
        // The parent may have been read before it forked.
        if process.sizes != parent.sizes && self.proc.statm(parent.pid) != self.proc.statm(process.pid) {
            return false;
        }
        let stat = self.proc.stat(parent.pid).value();
        stat.is_some_and(|stat| stat.state == State::Waiting || stat.threads > 1)
    }

    pub(crate) fn living(&self) -> impl Iterator<Item = &Process> {
        self.living.values()
    }

    /// The process lives and is no zombie.
    pub(crate) fn has_memory(&self, pid: u32) -> bool {
        self.living.get(&pid).is_some_and(Process::has_memory)
    }

    pub(crate) fn is_living(&self, pid: u32) -> bool {
        self.living.contains_key(&pid)
    }

    /// Every process seen, in the order in which they turned up.
    pub(crate) fn processes(&self) -> Vec<&Process> {
        let mut all: Vec<&Process> = self.ended.iter().chain(self.living.values()).collect();
        all.sort_by_key(|process| (process.first_seen_ns, process.pid));
        all
    }

    pub(crate) fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// The greatest high-water mark of any single process; 0 when none was read.
    pub(crate) fn rss_peak_bytes(&self) -> u64 {
        self.rss_peak_bytes
    }
}

impl Process {
    fn new(pid: u32, parent: u32, now_ns: u64) -> Process {
        Process {
            pid,
            parent,
            pid_inside: pid,
            command: Vec::new(),
            first_seen_ns: now_ns,
            last_seen_ns: now_ns,
            rss_peak_bytes: Reading::Absent(Reason::NeverRead),
            end: None,
            sizes: Reading::Absent(Reason::NeverRead),
            borrows: false,
            details_ns: None,
        }
    }

    /// Has memory: is no zombie.
    pub(crate) fn has_memory(&self) -> bool {
        self.sizes.as_value().is_some()
    }

    /// Its resident set as it was read; 0 without memory.
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.sizes.as_value().map_or(0, |sizes| sizes.resident_bytes)
    }

    /// Has memory of its own.
    pub(crate) fn owns_memory(&self) -> bool {
        self.has_memory() && !self.borrows
    }

    /// Size of the code: another number after exec(2).
    pub(crate) fn code_bytes(&self) -> Option<u64> {
        self.sizes.as_value().map(|sizes| sizes.text_bytes)
    }

    fn read_details(&mut self, proc: &Proc) {
        let Reading::Value(status) = proc.status(self.pid) else {
            return;
        };
        self.pid_inside = status.pid_inside.unwrap_or(self.pid);
        if let Some(peak) = status.resident_peak_bytes {
            // A new program starts a new mark; the process's peak is that of all its programs.
            let before = self.rss_peak_bytes.value().unwrap_or(0);
            self.rss_peak_bytes = Reading::Value(peak.max(before));
        }
        let arguments = proc.command_line(self.pid).value().unwrap_or_default();
        let named = || status.name.clone().map(|name| vec![name]).unwrap_or_default();
        self.command = if arguments.is_empty() { named() } else { arguments };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bystander_is_not_followed_and_a_child_is() {
        let mut before = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        let mut tree = Tree::new(Proc::default(), std::process::id());
        let mut after = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        // The parent goes on before execve(2) has laid out the arguments.
        while std::fs::read(format!("/proc/{}/cmdline", after.id()))
            .unwrap()
            .is_empty()
        {
            std::thread::yield_now();
        }
        tree.read(5);
        let seen: Vec<u32> = tree.living().map(|process| process.pid).collect();
        assert!(!seen.contains(&before.id()) && seen.contains(&after.id()));
        assert!(tree.rss_bytes() > 0 && tree.has_memory(after.id()) && tree.rss_peak_bytes() > 0);
        for child in [&mut before, &mut after] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        tree.walk(9);
        assert!(!tree.is_living(after.id()));
        let ended = tree
            .processes()
            .into_iter()
            .find(|process| process.pid == after.id())
            .unwrap();
        assert_eq!((ended.first_seen_ns, ended.end), (5, None));
        assert_eq!(ended.command, ["sleep", "10"]);
    }
}
