//! What a process costs: USS, PSS, RSS and swap as smem counts them, from one reading of smaps.
//!
//! smem sums the mappings' lines, so [`FootprintSource::Smaps`] gives its numbers. smaps_rollup is cheaper
//! for a process with many mappings and cuts PSS to kilobytes once instead of in each mapping, so its PSS
//! is a little larger, by less than a kilobyte a mapping; the other figures are the same. A figure is never
//! made of both. smem leaves out processes without a command line: zombies and kernel threads, which have
//! no smaps either.

use crate::parse::{Smaps, SmapsField, SmapsRollup};
use crate::read::Proc;
use crate::{Reading, Reason};

/// Which file the figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FootprintSource {
    /// `/proc/PID/smaps`: smem's numbers.
    Smaps,
    /// `/proc/PID/smaps_rollup` (4.14); smaps where there is none.
    Rollup,
}

/// The four figures, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Swap: its pages in swap.
    pub swap_bytes: Reading<u64>,
    /// USS: Private_Clean + Private_Dirty.
    pub unique_bytes: Reading<u64>,
    /// PSS.
    pub proportional_bytes: Reading<u64>,
    /// RSS.
    pub resident_bytes: Reading<u64>,
}

impl Footprint {
    /// All four missing for one reason.
    #[must_use]
    pub fn missing(why: Reading<u64>) -> Footprint {
        Footprint {
            swap_bytes: why,
            unique_bytes: why,
            proportional_bytes: why,
            resident_bytes: why,
        }
    }

    /// The figures of a process. Milliseconds for each GiB in memory.
    #[must_use]
    pub fn read(proc: &Proc, pid: u32, source: FootprintSource) -> Footprint {
        let sums = match source {
            FootprintSource::Rollup => proc.smaps_rollup(pid).map(|sums| Footprint::of_rollup(&sums)),
            FootprintSource::Smaps => Reading::Absent(Reason::NotInThisKernel),
        };
        let sums = match sums {
            Reading::Absent(Reason::NotInThisKernel) => proc.smaps(pid).map(|smaps| Footprint::of(&smaps)),
            other => other,
        };
        match sums {
            Reading::Value(footprint) => footprint,
            Reading::Denied => Footprint::missing(Reading::Denied),
            Reading::Absent(reason) => Footprint::missing(Reading::Absent(reason)),
        }
    }

    /// The sums that the kernel made.
    #[must_use]
    pub fn of_rollup(sums: &SmapsRollup) -> Footprint {
        Footprint {
            swap_bytes: sums.swap_bytes.into(),
            unique_bytes: sums.unique_bytes().into(),
            proportional_bytes: sums.pss_bytes.into(),
            resident_bytes: sums.rss_bytes.into(),
        }
    }

    /// The sums of a text.
    #[must_use]
    pub fn of(smaps: &Smaps) -> Footprint {
        let total = smaps.total();
        Footprint {
            swap_bytes: total.get(SmapsField::Swap).into(),
            unique_bytes: total.unique_bytes().into(),
            proportional_bytes: total.get(SmapsField::Pss).into(),
            resident_bytes: total.get(SmapsField::Rss).into(),
        }
    }
}

/// Every process that may be read, ascending by PSS, and how many are kept from this user.
#[must_use]
pub fn footprints(proc: &Proc) -> (Vec<(u32, Footprint)>, usize) {
    let (mut all, mut denied) = (Vec::new(), 0);
    for pid in proc.pids().value().unwrap_or_default() {
        match proc.smaps(pid) {
            Reading::Value(smaps) => all.push((pid, Footprint::of(&smaps))),
            Reading::Denied => denied += 1,
            Reading::Absent(_) => {}
        }
    }
    all.sort_by_key(|(pid, footprint)| (footprint.proportional_bytes.value(), *pid));
    (all, denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_sums_over_the_mappings() {
        let text = b"1000-2000 rw-p 0 0:0 0\nRss: 12 kB\nPss: 6 kB\nPrivate_Clean: 1 kB\nPrivate_Dirty: 2 kB\n2000-3000 r--p 0 0:0 0\nRss: 4 kB\nPss: 1 kB\nPrivate_Clean: 4 kB\nPrivate_Dirty: 0 kB\n";
        let footprint = Footprint::of(&Smaps::parse(text));
        assert_eq!(footprint.unique_bytes, Reading::Value(7 << 10));
        assert_eq!(footprint.proportional_bytes, Reading::Value(7 << 10));
        assert_eq!(footprint.resident_bytes, Reading::Value(16 << 10));
        assert_eq!(
            footprint.swap_bytes,
            Reading::Absent(crate::Reason::NotInThisKernel)
        );
    }

    #[test]
    fn both_sources_agree_but_for_what_is_cut_off() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let proc = Proc::default();
        // Once it sleeps nothing of it changes.
        while proc
            .command_line(child.id())
            .value()
            .is_none_or(|line| line.first().map(String::as_str) != Some("sleep"))
            || proc.stat(child.id()).value().unwrap().state != crate::parse::State::Sleeping
        {
            std::thread::yield_now();
        }
        let mappings = proc.smaps(child.id()).value().unwrap().entries.len() as u64;
        let smaps = Footprint::read(&proc, child.id(), FootprintSource::Smaps);
        let rollup = Footprint::read(&proc, child.id(), FootprintSource::Rollup);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(smaps.resident_bytes, rollup.resident_bytes);
        assert_eq!(smaps.swap_bytes, rollup.swap_bytes);
        let resident = smaps.resident_bytes.value().unwrap();
        let proportional = smaps.proportional_bytes.value().unwrap();
        assert!(proportional > 0 && proportional <= resident);
        // Other processes that share its library may come and go between the two readings, so the two are
        // compared by what no such process can change: the size of the process.
        assert!(rollup.proportional_bytes.value().unwrap() <= resident + (mappings << 10));
        let gone = Footprint::read(&proc, u32::MAX, FootprintSource::Rollup);
        assert_eq!(gone, Footprint::missing(Reading::Absent(Reason::Gone)));
    }

    #[test]
    fn without_a_rollup_smaps_are_summed() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/linux-6.18/proc");
        let proc = Proc::recorded(root, 4096);
        let footprint = Footprint::read(&proc, 4711, FootprintSource::Rollup);
        assert_eq!(footprint, Footprint::of(&proc.smaps(4711).value().unwrap()));
        assert!(footprint.proportional_bytes.value().is_some());
    }

    #[test]
    fn this_process_is_among_all() {
        let (all, _) = footprints(&Proc::default());
        assert!(all.iter().any(|(pid, _)| *pid == std::process::id()));
        assert!(all.is_sorted_by_key(|(_, footprint)| footprint.proportional_bytes.value()));
    }
}
