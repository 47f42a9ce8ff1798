//! What a process costs: USS, PSS, RSS and swap as smem counts them, from one reading of smaps.
//!
//! Sums of the mappings' lines, never of smaps_rollup's: both are cut to kilobytes, and at other places.
//! smem leaves out processes without a command line: zombies and kernel threads, which have no smaps either.

use crate::Reading;
use crate::parse::{Smaps, SmapsField};
use crate::read::Proc;

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
    fn this_process_is_among_all() {
        let (all, _) = footprints(&Proc::default());
        assert!(all.iter().any(|(pid, _)| *pid == std::process::id()));
        assert!(all.is_sorted_by_key(|(_, footprint)| footprint.proportional_bytes.value()));
    }
}
