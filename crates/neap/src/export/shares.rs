//! PSS and USS of many processes within a budget of time.
//!
//! The kernel walks the page tables for smaps_rollup: milliseconds for each GiB. So a scrape reads the file of as
//! many processes as its budget allows, those first whose figures are oldest, and gives for the rest what an
//! earlier scrape read, with its age. A process is read when what it cost last still fits; the first of a scrape
//! always is, so that every process has its turn. Denied and missing files are asked again as well: rights and
//! programs change.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use neap_proc::parse::SmapsRollup;
use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};

use super::figures::Shares;
use crate::report::Figure;

/// A process for good: a pid and the tick in which it started.
pub(crate) type Identity = (u32, u64);

/// What was read, and when.
#[derive(Clone, Copy, Debug)]
struct Read {
    sums: Reading<SmapsRollup>,
    at: Instant,
    cost: Duration,
}

/// The figures read so far.
#[derive(Debug)]
pub(crate) struct ShareReader {
    budget: Duration,
    known: HashMap<Identity, Read>,
    /// Readings, ever.
    pub(crate) readings: u64,
}

impl ShareReader {
    /// A scrape may take `budget` for these figures; zero turns them off.
    pub(crate) fn new(budget: Duration) -> ShareReader {
        ShareReader {
            budget,
            known: HashMap::new(),
            readings: 0,
        }
    }

    /// Reads what the budget allows of `chosen` and forgets everyone else.
    pub(crate) fn refresh(&mut self, proc: &Proc, chosen: &[Identity]) {
        self.refresh_by(chosen, Instant::now, |pid| proc.smaps_rollup(pid));
    }

    fn refresh_by(
        &mut self,
        chosen: &[Identity],
        now: impl Fn() -> Instant,
        read: impl Fn(u32) -> Reading<SmapsRollup>,
    ) {
        self.known.retain(|identity, _| chosen.contains(identity));
        if self.budget.is_zero() {
            return;
        }
        let mut turns = chosen.to_vec();
        // Those never read come first, then the oldest.
        turns.sort_by_key(|identity| self.known.get(identity).map(|known| known.at));
        let start = now();
        for (turn, identity) in turns.into_iter().enumerate() {
            let at = now();
            let left = self.budget.saturating_sub(at.duration_since(start));
            let cost = self
                .known
                .get(&identity)
                .map_or(Duration::ZERO, |known| known.cost);
            if turn > 0 && (left.is_zero() || cost > left) {
                continue;
            }
            let sums = read(identity.0);
            let cost = now().duration_since(at);
            self.readings += 1;
            self.known.insert(identity, Read { sums, at, cost });
        }
    }

    /// What is known of a process.
    pub(crate) fn reading(&self, identity: Identity) -> Reading<SmapsRollup> {
        let never = Reading::Absent(Reason::NotYet);
        self.known.get(&identity).map_or(never, |known| known.sums)
    }

    /// The same as figures, with their age at `now`.
    pub(crate) fn shares(&self, identity: Identity, now: Instant) -> Shares {
        if self.budget.is_zero() {
            let off = || Figure::Missing("turned off by --pss-budget 0s".to_owned());
            return Shares {
                proportional_bytes: off(),
                unique_bytes: off(),
                swap_proportional_bytes: off(),
                age_ns: off(),
            };
        }
        let sums = self.reading(identity);
        let age = self
            .known
            .get(&identity)
            .map(|known| now.saturating_duration_since(known.at));
        let age_ns = age.map_or(0, |age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        Shares {
            proportional_bytes: sums.and_then(|sums| sums.pss_bytes.into()).into(),
            unique_bytes: sums.and_then(|sums| sums.unique_bytes().into()).into(),
            swap_proportional_bytes: sums.and_then(|sums| sums.swap_pss_bytes.into()).into(),
            age_ns: sums.map(|_| age_ns).into(),
        }
    }

    /// Whether the figures are read at all.
    pub(crate) fn is_on(&self) -> bool {
        !self.budget.is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// A clock that only readings move.
    struct Clock {
        start: Instant,
        passed: Cell<Duration>,
        read: RefCell<Vec<u32>>,
    }

    impl Clock {
        fn new() -> Clock {
            Clock {
                start: Instant::now(),
                passed: Cell::new(Duration::ZERO),
                read: RefCell::default(),
            }
        }

        /// Reads what the budget allows, each process at `cost` milliseconds; who was read.
        fn refresh(
            &self,
            reader: &mut ShareReader,
            chosen: &[Identity],
            cost: impl Fn(u32) -> u64,
        ) -> Vec<u32> {
            self.read.borrow_mut().clear();
            reader.refresh_by(
                chosen,
                || self.start + self.passed.get(),
                |pid| {
                    self.passed
                        .set(self.passed.get() + Duration::from_millis(cost(pid)));
                    self.read.borrow_mut().push(pid);
                    Reading::Value(SmapsRollup {
                        pss_bytes: Some(u64::from(pid)),
                        ..SmapsRollup::default()
                    })
                },
            );
            self.read.borrow().clone()
        }
    }

    const FOUR: [Identity; 4] = [(1, 10), (2, 20), (3, 30), (4, 40)];

    #[test]
    fn the_oldest_are_read_first_and_the_rest_keep_what_they_had() {
        let (clock, mut reader) = (Clock::new(), ShareReader::new(Duration::from_millis(20)));
        assert_eq!(clock.refresh(&mut reader, &FOUR, |_| 10), [1, 2]);
        let missing = reader.shares(FOUR[2], clock.start);
        assert_eq!(missing.proportional_bytes.reason(), Some("not read yet"));
        assert_eq!(clock.refresh(&mut reader, &FOUR, |_| 10), [3, 4]);
        assert_eq!(clock.refresh(&mut reader, &FOUR, |_| 10), [1, 2]);
        let old = reader.shares(FOUR[3], clock.start + clock.passed.get());
        assert_eq!(old.proportional_bytes.value(), Some(4));
        assert_eq!(
            old.age_ns.value(),
            Some(30_000_000),
            "read 10 ms before the last two"
        );
        assert_eq!(reader.readings, 6);
    }

    #[test]
    fn a_process_dearer_than_the_budget_has_its_turn_too() {
        let (clock, mut reader) = (Clock::new(), ShareReader::new(Duration::from_millis(20)));
        let dear = |pid| if pid == 2 { 500 } else { 1 };
        assert_eq!(clock.refresh(&mut reader, &FOUR, dear), [1, 2]);
        assert_eq!(
            clock.refresh(&mut reader, &FOUR, dear),
            [3, 4, 1],
            "2 does not fit"
        );
        assert_eq!(
            clock.refresh(&mut reader, &FOUR, dear),
            [2],
            "its turn comes first"
        );
    }

    #[test]
    fn who_ended_is_forgotten_and_a_reused_pid_starts_anew() {
        let (clock, mut reader) = (Clock::new(), ShareReader::new(Duration::from_millis(20)));
        clock.refresh(&mut reader, &FOUR, |_| 1);
        let reused = [(1, 99)];
        assert_eq!(reader.reading(reused[0]).value(), None);
        clock.refresh(&mut reader, &reused, |_| 1);
        assert_eq!(reader.known.len(), 1);
    }

    #[test]
    fn a_budget_of_nothing_reads_nothing() {
        let (clock, mut reader) = (Clock::new(), ShareReader::new(Duration::ZERO));
        assert!(clock.refresh(&mut reader, &FOUR, |_| 1).is_empty());
        assert_eq!(
            reader.shares(FOUR[0], clock.start).unique_bytes.reason(),
            Some("turned off by --pss-budget 0s")
        );
    }
}
