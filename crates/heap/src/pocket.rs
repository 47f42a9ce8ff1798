//! [`Pocket`]: a few runs of pages that a thread has freed and not put down yet.
//!
//! Owns the choice of which to keep. To everybody else a pocketed run is still in use, so taking one
//! out again needs no lock and no search. What lies in the pocket of an idle thread is not given back, so
//! it is small, and a thread that frees many runs and takes none is told to empty and to close it.

use crate::layout::PAGE;
use core::cell::Cell;

/// Larger runs are not kept.
pub(crate) const KEPT_MAX: usize = BINS * PAGE;
/// One bin for each number of pages, less one: as many as bits in a word.
const BINS: usize = 64;
/// Runs of one length at most, and pages in all.
const DEPTH: usize = 4;
const PAGES: usize = (1 << 20) / PAGE;
/// So many runs put in, and not one asked for meanwhile, close the pocket.
const UNASKED: u32 = 256;

/// All zeros is an empty pocket. A bin's runs are in the order of their coming, newest last, without
/// gaps; 0 where there is none.
pub(crate) struct Pocket {
    bins: [[Cell<usize>; DEPTH]; BINS],
    /// The bins that are not empty.
    filled: Cell<u64>,
    pages: Cell<usize>,
    /// The bin that gave up a run last when there was too much.
    turn: Cell<u32>,
    /// Runs put in since one was last asked for.
    unasked: Cell<u32>,
}

const _: () = {
    use neap_abi::anatomy;
    assert!(BINS == anatomy::POCKET_BINS && DEPTH == anatomy::POCKET_DEPTH);
};

/// The run was in the pocket already.
pub(crate) struct AlreadyThere;

impl Pocket {
    /// Where the runs are, for readers outside.
    pub(crate) const KEPT: usize = core::mem::offset_of!(Pocket, bins);

    /// Puts a run of `bytes` (whole pages, at most [`KEPT_MAX`]) in. Returns the run that must be put down
    /// in its place, if its bin was full. Afterwards the pocket may hold too much: [`Pocket::overflow`]
    /// says what has to go.
    pub(crate) fn put(&self, address: usize, bytes: usize) -> Result<Option<usize>, AlreadyThere> {
        debug_assert!(bytes.is_multiple_of(PAGE) && (PAGE..=KEPT_MAX).contains(&bytes));
        let number = (bytes / PAGE - 1) % BINS;
        let bin = &self.bins[number];
        if bin.iter().any(|kept| kept.get() == address) {
            return Err(AlreadyThere);
        }
        self.unasked.set(self.unasked.get() + 1);
        self.filled.set(self.filled.get() | 1 << number);
        if let Some(place) = bin.iter().find(|kept| kept.get() == 0) {
            place.set(address);
            self.pages.set(self.pages.get() + number + 1);
            return Ok(None);
        }
        let mut newer = address;
        for place in bin.iter().rev() {
            newer = place.replace(newer);
        }
        Ok(Some(newer))
    }

    /// Whether nothing is to be put in until a run is asked for; then what is in here should go, too.
    pub(crate) fn is_closed(&self) -> bool {
        self.unasked.get() >= UNASKED
    }

    /// How many runs there are, and their bytes.
    pub(crate) fn contents(&self) -> (u64, u64) {
        let count = self.bins.iter().flatten().filter(|kept| kept.get() != 0).count();
        (count as u64, (self.pages.get() * PAGE) as u64)
    }

    /// The runs in here: address and bytes.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        let bins = self.bins.iter().zip(1..);
        bins.flat_map(|(bin, pages)| bin.iter().map(move |kept| (kept.get(), pages * PAGE)))
            .filter(|(address, _)| *address != 0)
    }

    /// A run to put down, if there is too much, or, with `all`, anything at all: the bins take turns, and
    /// give up what came first.
    pub(crate) fn overflow(&self, all: bool) -> Option<usize> {
        let filled = self.filled.get();
        if filled == 0 || (!all && self.pages.get() <= PAGES) {
            return None;
        }
        let turn = self.turn.get() + 1;
        let number = (filled.rotate_right(turn).trailing_zeros() + turn) % BINS as u32;
        self.turn.set(number);
        let bin = &self.bins[number as usize];
        let oldest = bin[0].get();
        for (here, next) in bin.iter().zip(bin.iter().skip(1)) {
            here.set(next.get());
        }
        bin[DEPTH - 1].set(0);
        self.taken(number as usize);
        Some(oldest)
    }

    /// Takes out the newest run of `bytes` (whole pages), or of up to an eighth more.
    #[inline]
    pub(crate) fn take(&self, bytes: usize) -> Option<usize> {
        self.unasked.set(0);
        let least = bytes / PAGE - 1;
        let fitting = self.filled.get().checked_shr(least as u32)?;
        let more = fitting.trailing_zeros() as usize;
        if more > bytes / PAGE / 8 || fitting == 0 {
            return None;
        }
        let number = (least + more) % BINS;
        let newest = self.bins[number].iter().rev().find(|kept| kept.get() != 0)?;
        let address = newest.replace(0);
        self.taken(number);
        Some(address)
    }

    /// After a run has left bin `number`.
    fn taken(&self, number: usize) {
        self.pages.set(self.pages.get() - (number + 1));
        if self.bins[number][0].get() == 0 {
            self.filled.set(self.filled.get() & !(1 << number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Pocket {
        Pocket {
            bins: [const { [const { Cell::new(0) }; DEPTH] }; BINS],
            filled: Cell::new(0),
            pages: Cell::new(0),
            turn: Cell::new(0),
            unasked: Cell::new(0),
        }
    }

    #[test]
    fn the_newest_fitting_run_comes_out_first_and_the_oldest_is_dropped() {
        let pocket = empty();
        for n in 1..=DEPTH {
            assert!(matches!(pocket.put(n * PAGE, 2 * PAGE), Ok(None)));
        }
        assert!(matches!(pocket.put(100 * PAGE, 2 * PAGE), Ok(Some(PAGE))));
        assert!(pocket.put(100 * PAGE, 2 * PAGE).is_err());
        assert_eq!(pocket.take(PAGE), None);
        assert_eq!(pocket.take(3 * PAGE), None);
        assert_eq!(pocket.take(2 * PAGE), Some(100 * PAGE));
        assert_eq!(pocket.take(2 * PAGE), Some(DEPTH * PAGE));
        assert_eq!(
            pocket.contents(),
            (DEPTH as u64 - 2, (DEPTH - 2) as u64 * 2 * PAGE as u64)
        );
    }

    #[test]
    fn a_run_that_is_an_eighth_too_long_will_do() {
        let pocket = empty();
        assert!(pocket.put(PAGE, 18 * PAGE).is_ok());
        assert_eq!(pocket.take(15 * PAGE), None);
        assert_eq!(pocket.take(16 * PAGE), Some(PAGE));
        assert_eq!(pocket.take(KEPT_MAX), None);
        assert_eq!(pocket.take(KEPT_MAX + PAGE), None);
    }

    #[test]
    fn bytes_are_bounded_and_the_bins_take_turns() {
        let pocket = empty();
        for n in 1..=4 {
            assert!(pocket.put(n * 1000 * PAGE, KEPT_MAX).is_ok());
        }
        assert_eq!(pocket.overflow(false), None);
        assert!(pocket.put(PAGE, PAGE).is_ok());
        assert_eq!(pocket.overflow(false), Some(1000 * PAGE));
        assert_eq!(pocket.overflow(false), None);
        assert_eq!(pocket.overflow(true), Some(PAGE));
        for n in 2..=4 {
            assert_eq!(pocket.overflow(true), Some(n * 1000 * PAGE));
        }
        assert_eq!(pocket.overflow(true), None);
        assert_eq!(pocket.contents(), (0, 0));
    }

    #[test]
    fn who_only_frees_closes_the_pocket_and_who_asks_opens_it() {
        let pocket = empty();
        for n in 1..=UNASKED as usize {
            assert!(!pocket.is_closed());
            let _ = pocket.put(n * PAGE, PAGE * (1 + n % BINS));
        }
        assert!(pocket.is_closed());
        pocket.take(KEPT_MAX);
        assert!(!pocket.is_closed());
    }
}
