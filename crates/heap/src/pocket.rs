//! [`Pocket`]: a few runs of pages that a thread has freed and not put down yet.
//!
//! Owns the choice of which to keep. To everybody else a pocketed run is still in use, so taking one
//! out again needs no lock and no search. Small by design: what lies in the pocket of an idle thread
//! is not given back.

use core::cell::Cell;

/// Larger runs are not kept.
pub(crate) const KEPT_MAX: usize = 256 << 10;
/// How many runs, and how many bytes of them, at most.
const PLACES: usize = 8;
const BYTES: usize = 512 << 10;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Kept {
    address: usize,
    bytes: usize,
}

const NOTHING: Kept = Kept { address: 0, bytes: 0 };

/// All zeros is an empty pocket. Entries are in the order of their coming, newest last, without gaps.
pub(crate) struct Pocket {
    kept: [Cell<Kept>; PLACES],
    count: Cell<usize>,
    bytes: Cell<usize>,
}

/// The run was in the pocket already.
pub(crate) struct AlreadyThere;

impl Pocket {
    fn entries(&self) -> &[Cell<Kept>] {
        self.kept.get(..self.count.get()).unwrap_or(&[])
    }

    /// Puts a run in, unless it is too large to keep. Afterwards the pocket may hold too much:
    /// [`Pocket::overflow`] says what has to go.
    pub(crate) fn put(&self, address: usize, bytes: usize) -> Result<(), AlreadyThere> {
        debug_assert!(bytes <= KEPT_MAX);
        if self.entries().iter().any(|kept| kept.get().address == address) {
            return Err(AlreadyThere);
        }
        if let Some(place) = self.kept.get(self.count.get()) {
            place.set(Kept { address, bytes });
            self.count.set(self.count.get() + 1);
            self.bytes.set(self.bytes.get() + bytes);
        }
        Ok(())
    }

    /// How many runs there are, and their bytes.
    pub(crate) fn contents(&self) -> (u64, u64) {
        (self.count.get() as u64, self.bytes.get() as u64)
    }

    /// The runs in here: address and bytes.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.entries()
            .iter()
            .map(|kept| (kept.get().address, kept.get().bytes))
    }

    /// Whether another run may be put in.
    pub(crate) fn has_place(&self) -> bool {
        self.count.get() < PLACES
    }

    /// The run that has been here for longest, if there is too much, or, with `all`, anything at all.
    pub(crate) fn overflow(&self, all: bool) -> Option<usize> {
        if self.count.get() == 0 || (!all && self.has_place() && self.bytes.get() <= BYTES) {
            return None;
        }
        self.take_out(0)
    }

    /// Takes out the newest run of exactly `bytes` bytes.
    #[inline]
    pub(crate) fn take(&self, bytes: usize) -> Option<usize> {
        let at = self
            .entries()
            .iter()
            .rposition(|kept| kept.get().bytes == bytes)?;
        self.take_out(at)
    }

    fn take_out(&self, at: usize) -> Option<usize> {
        let taken = self.kept.get(at)?.get();
        for (here, next) in self.entries().iter().zip(self.entries().iter().skip(1)).skip(at) {
            here.set(next.get());
        }
        self.count.set(self.count.get() - 1);
        self.bytes.set(self.bytes.get() - taken.bytes);
        if let Some(last) = self.kept.get(self.count.get()) {
            last.set(NOTHING);
        }
        Some(taken.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Pocket {
        Pocket {
            kept: [const { Cell::new(NOTHING) }; PLACES],
            count: Cell::new(0),
            bytes: Cell::new(0),
        }
    }

    #[test]
    fn the_newest_fitting_run_comes_out_first_and_the_oldest_is_dropped() {
        let pocket = empty();
        for n in 1..=PLACES {
            assert!(pocket.has_place());
            assert!(pocket.put(n * 4096, 4096 * (1 + n % 2)).is_ok());
        }
        assert!(!pocket.has_place());
        assert_eq!(pocket.overflow(false), Some(4096));
        assert_eq!(pocket.overflow(false), None);
        assert_eq!(pocket.take(4096), Some(8 * 4096));
        assert_eq!(pocket.take(4096), Some(6 * 4096));
        assert_eq!(pocket.take(12_288), None);
        assert_eq!(pocket.take(8192), Some(7 * 4096));
    }

    #[test]
    fn a_run_goes_in_once_and_bytes_are_bounded() {
        let pocket = empty();
        assert!(pocket.put(4096, KEPT_MAX).is_ok());
        assert!(pocket.put(4096, KEPT_MAX).is_err());
        assert!(pocket.put(1 << 20, KEPT_MAX).is_ok());
        assert_eq!(pocket.overflow(false), None);
        assert!(pocket.put(2 << 20, KEPT_MAX).is_ok());
        assert_eq!(pocket.overflow(false), Some(4096));
        assert_eq!(pocket.overflow(false), None);
        assert_eq!(pocket.overflow(true), Some(1 << 20));
        assert_eq!(pocket.overflow(true), Some(2 << 20));
        assert_eq!(pocket.overflow(true), None);
    }
}
