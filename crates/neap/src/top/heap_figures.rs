//! What libneap.so counts in a process, and what it did between two readings.

use neap_abi::{Call, Snapshot};

use crate::heap::Survey;
use crate::run::board::live_is_counted;

/// Figures of one heap.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HeapFigures {
    /// Bytes in live blocks; `None`: libneap.so has not counted them yet.
    pub(crate) live_bytes: Option<u64>,
    pub(crate) live_blocks: Option<u64>,
    /// Memory that the heap has from the kernel.
    pub(crate) held_bytes: u64,
    /// Free pages that may still be in memory.
    pub(crate) dirt_bytes: u64,
    /// Given back to the kernel since the start.
    pub(crate) given_back_bytes: u64,
    /// Memory calls since the start, by [`Call::ALL`].
    pub(crate) calls: [u64; 6],
    /// What it did since the reading before; `None` after the first.
    pub(crate) rates: Option<HeapRates>,
}

/// Of a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HeapRates {
    pub(crate) given_back_bytes_per_second: f64,
    /// Of all kinds together.
    pub(crate) calls_per_second: f64,
}

impl HeapFigures {
    /// `earlier` is the same heap `elapsed_ns` before. A process that ran another program since then has a new
    /// heap, and no rates.
    pub(crate) fn new(now: &Snapshot, earlier: Option<&Snapshot>, elapsed_ns: u64) -> HeapFigures {
        let counted = live_is_counted(now);
        let same = earlier.filter(|earlier| earlier.start_ns == now.start_ns && elapsed_ns > 0);
        let seconds = crate::unit::to_f64(elapsed_ns) / 1e9;
        let grown = |now: u64, then: u64| crate::unit::to_f64(now.saturating_sub(then)) / seconds;
        HeapFigures {
            live_bytes: counted.then_some(now.live_bytes),
            live_blocks: counted.then_some(now.live_blocks),
            held_bytes: now.held_bytes,
            dirt_bytes: now.dirty_bytes,
            given_back_bytes: now.given_back_bytes,
            calls: now.calls.map(|[calls, ..]| calls),
            rates: same.map(|earlier| HeapRates {
                given_back_bytes_per_second: grown(now.given_back_bytes, earlier.given_back_bytes),
                calls_per_second: grown(all_calls(now), all_calls(earlier)),
            }),
        }
    }

    /// The same with what a look at the whole heap found: blocks and free pages of that moment, where the
    /// counters have those of the last time libneap.so gave back.
    pub(crate) fn surveyed(self, survey: &Survey) -> HeapFigures {
        HeapFigures {
            live_bytes: Some(survey.live_bytes),
            live_blocks: Some(survey.live_blocks),
            dirt_bytes: survey.dirt_bytes,
            ..self
        }
    }

    /// Name and count of each kind of call that was made.
    pub(crate) fn named_calls(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let named = Call::ALL.iter().zip(self.calls);
        named
            .filter(|(_, calls)| *calls > 0)
            .map(|(call, calls)| (call.name(), calls))
    }
}

fn all_calls(snapshot: &Snapshot) -> u64 {
    snapshot
        .calls
        .iter()
        .fold(0, |sum, [calls, ..]| sum.saturating_add(*calls))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use neap_abi::{MAGIC, PAGE_BYTES, VERSION};

    /// A page with a start, live bytes, held bytes, bytes given back, and calls of mmap and madvise.
    pub(crate) fn snapshot([start, live, held, given, mmap, madvise]: [u64; 6]) -> Snapshot {
        let mut bytes = [0; PAGE_BYTES];
        for (word, value) in [
            (0, MAGIC),
            (1, VERSION),
            (3, start),
            (6, live),
            (7, live / 16),
            (8, held),
            (15, given),
            (24 + 3, mmap),
            (24 + 12, madvise),
        ] {
            bytes[word * 8..word * 8 + 8].copy_from_slice(&value.to_ne_bytes());
        }
        Snapshot::parse(&bytes).unwrap()
    }

    #[test]
    fn rates_are_of_one_heap() {
        let before = snapshot([7, 160, 4096, 1000, 10, 5]);
        let now = snapshot([7, 320, 8192, 5000, 13, 10]);
        let figures = HeapFigures::new(&now, Some(&before), 2_000_000_000);
        assert_eq!((figures.live_bytes, figures.live_blocks), (Some(320), Some(20)));
        let rates = figures.rates.unwrap();
        assert!((rates.calls_per_second - 4.0).abs() < 1e-9);
        assert!((rates.given_back_bytes_per_second - 2000.0).abs() < 1e-9);
        assert_eq!(
            figures.named_calls().collect::<Vec<_>>(),
            [("mmap", 13), ("madvise", 10)]
        );
        let other = snapshot([8, 320, 8192, 5000, 13, 10]);
        assert_eq!(HeapFigures::new(&other, Some(&before), 2_000_000_000).rates, None);
        assert_eq!(HeapFigures::new(&now, Some(&before), 0).rates, None);
    }

    #[test]
    fn live_bytes_that_nobody_counted_are_not_zero() {
        let figures = HeapFigures::new(&snapshot([7, 0, 4096, 0, 1, 0]), None, 0);
        assert_eq!((figures.live_bytes, figures.held_bytes), (None, 4096));
        let survey = Survey {
            live_bytes: 48,
            live_blocks: 3,
            dirt_bytes: 8192,
            ..Survey::default()
        };
        let figures = figures.surveyed(&survey);
        assert_eq!((figures.live_bytes, figures.live_blocks), (Some(48), Some(3)));
        assert_eq!((figures.dirt_bytes, figures.held_bytes), (8192, 4096));
    }
}
