//! [`Bits`]: one bit for each of the 512 pages of a chunk.
//!
//! Changed under the heap's `pages` lock only; single words may be read without it.

use crate::layout::PAGES_PER_CHUNK;
use crate::sync::{AtomicU64, Relaxed};

const WORDS: usize = PAGES_PER_CHUNK / 64;

/// 512 bits.
#[repr(C)]
pub(crate) struct Bits([AtomicU64; WORDS]);

/// A run of pages inside one chunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Run {
    pub(crate) const ALL: Run = Run {
        first: 0,
        count: PAGES_PER_CHUNK,
    };

    pub(crate) const fn end(self) -> usize {
        self.first + self.count
    }
}

/// `words & (words >> step)`, all 512 bits as one number.
#[inline]
fn and_shifted(words: &[u64; WORDS], step: usize) -> [u64; WORDS] {
    let (skip, shift) = (step / 64, step % 64);
    core::array::from_fn(|w| {
        let low = words.get(w + skip).copied().unwrap_or(0);
        let high = words.get(w + skip + 1).copied().unwrap_or(0);
        let moved = if shift == 0 {
            low
        } else {
            low >> shift | high << (64 - shift)
        };
        words[w] & moved
    })
}

impl Bits {
    /// Calls `each` with the words that `run` lies in, and its bits there.
    #[inline(always)]
    fn each_word(&self, run: Run, mut each: impl FnMut(&AtomicU64, u64)) {
        debug_assert!(run.end() <= PAGES_PER_CHUNK);
        let (mut w, mut low, mut left) = (run.first / 64, run.first % 64, run.count);
        // Most runs end in the word they begin in.
        while left != 0
            && let Some(word) = self.0.get(w)
        {
            let here = left.min(64 - low);
            each(word, u64::MAX >> (64 - here) << low);
            (w, low, left) = (w + 1, 0, left - here);
        }
    }

    /// Sets every bit of `run`.
    pub(crate) fn set(&self, run: Run) {
        self.each_word(run, |word, mask| word.store(word.load(Relaxed) | mask, Relaxed));
    }

    /// Clears every bit of `run` and says how many were set.
    pub(crate) fn clear(&self, run: Run) -> usize {
        let mut count = 0;
        self.each_word(run, |word, mask| {
            let old = word.load(Relaxed);
            // A store is spared where there is nothing to clear, as mostly.
            if old & mask != 0 {
                count += (old & mask).count_ones() as usize;
                word.store(old & !mask, Relaxed);
            }
        });
        count
    }

    /// How many bits of `run` are set.
    pub(crate) fn count(&self, run: Run) -> usize {
        let mut count = 0;
        self.each_word(run, |word, mask| {
            count += (word.load(Relaxed) & mask).count_ones() as usize;
        });
        count
    }

    /// Whether bit `page` is set.
    pub(crate) fn get(&self, page: usize) -> bool {
        self.0
            .get(page / 64)
            .is_some_and(|word| word.load(Relaxed) >> (page % 64) & 1 == 1)
    }

    /// The first set bit at or after `from`, or 512.
    pub(crate) fn next_set(&self, from: usize) -> usize {
        self.next(from, |word| word)
    }

    /// The first clear bit at or after `from`, or 512.
    pub(crate) fn next_clear(&self, from: usize) -> usize {
        self.next(from, |word| !word)
    }

    #[inline]
    fn next(&self, from: usize, wanted: impl Fn(u64) -> u64) -> usize {
        let mut low = from % 64;
        for (w, word) in self.0.iter().enumerate().skip(from / 64) {
            let left = wanted(word.load(Relaxed)) >> low << low;
            if left != 0 {
                return w * 64 + left.trailing_zeros() as usize;
            }
            low = 0;
        }
        PAGES_PER_CHUNK
    }

    /// A page, a multiple of `align` (a power of two up to 512), at which `count` bits in a row are set: the
    /// first one of which all bits are in one word, else the first of all.
    pub(crate) fn find_run(&self, count: usize, align: usize) -> Option<usize> {
        if count <= 32 && align == 1 {
            for (w, word) in self.0.iter().enumerate() {
                let mut starts = word.load(Relaxed);
                let mut have = 1;
                while have < count && starts != 0 {
                    let step = have.min(count - have);
                    starts &= starts >> step;
                    have += step;
                }
                if starts != 0 {
                    return Some(w * 64 + starts.trailing_zeros() as usize);
                }
            }
        }
        self.find_anywhere(count, align)
    }

    fn find_anywhere(&self, count: usize, align: usize) -> Option<usize> {
        let mut starts: [u64; WORDS] = core::array::from_fn(|w| self.0[w].load(Relaxed));
        // After each round a bit says that `have` bits from there on are set.
        let mut have = 1;
        while have < count {
            let step = have.min(count - have);
            starts = and_shifted(&starts, step);
            have += step;
        }
        for (w, word) in starts.iter().enumerate() {
            let mut left = *word;
            while left != 0 {
                let page = w * 64 + left.trailing_zeros() as usize;
                if page.is_multiple_of(align) {
                    return Some(page);
                }
                left &= left - 1;
            }
        }
        None
    }

    /// The length of the run of set bits that holds `page`, which must be set.
    pub(crate) fn run_around(&self, page: usize) -> usize {
        let mut first = page;
        while first > 0 && self.get(first - 1) {
            // Whole words of ones are stepped over at once.
            let word = first / 64;
            let whole =
                first.is_multiple_of(64) && self.0.get(word - 1).is_some_and(|w| w.load(Relaxed) == u64::MAX);
            first -= if whole { 64 } else { 1 };
        }
        self.next_clear(page) - first
    }

    /// Calls `each` with every maximal run of bits that are set here and in `other`.
    pub(crate) fn runs_common(&self, other: &Bits, mut each: impl FnMut(Run)) {
        let mut open: Option<usize> = None;
        for (w, (a, b)) in self.0.iter().zip(&other.0).enumerate() {
            let word = a.load(Relaxed) & b.load(Relaxed);
            if word == 0 {
                if let Some(first) = open.take() {
                    each(Run {
                        first,
                        count: w * 64 - first,
                    });
                }
                continue;
            }
            if word == u64::MAX {
                open = open.or(Some(w * 64));
                continue;
            }
            for bit in 0..64 {
                let page = w * 64 + bit;
                match (word >> bit & 1 == 1, open) {
                    (true, None) => open = Some(page),
                    (false, Some(first)) => {
                        each(Run {
                            first,
                            count: page - first,
                        });
                        open = None;
                    }
                    _ => {}
                }
            }
        }
        if let Some(first) = open {
            each(Run {
                first,
                count: PAGES_PER_CHUNK - first,
            });
        }
    }

    /// Whether a bit is set both here and in `other`.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn meets(&self, other: &Bits) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .any(|(a, b)| a.load(Relaxed) & b.load(Relaxed) != 0)
    }

    /// Whether every bit set here is set in `other`.
    #[cfg(any(test, feature = "verify"))]
    pub(crate) fn lies_within(&self, other: &Bits) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(a, b)| a.load(Relaxed) & !b.load(Relaxed) == 0)
    }

    /// Whether every bit is set.
    pub(crate) fn is_full(&self) -> bool {
        self.0.iter().all(|w| w.load(Relaxed) == u64::MAX)
    }

    /// Whether every bit is clear.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|w| w.load(Relaxed) == 0)
    }

    /// Moves every bit of `other` here, leaving `other` empty.
    pub(crate) fn take_from(&self, other: &Bits) {
        for (a, b) in self.0.iter().zip(&other.0) {
            a.store(b.load(Relaxed), Relaxed);
            b.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    fn empty() -> Bits {
        Bits([const { AtomicU64::new(0) }; WORDS])
    }

    proptest::proptest! {
        #[test]
        fn bits_agree_with_a_vector_of_bools(steps in proptest::collection::vec((0usize..512, 0usize..200, proptest::bool::ANY), 1..40)) {
            let bits = empty();
            let mut model = [false; 512];
            for (first, count, on) in steps {
                let run = Run { first, count: count.min(512 - first) };
                if on {
                    bits.set(run);
                } else {
                    let before = model[run.first..run.end()].iter().filter(|b| **b).count();
                    assert_eq!(bits.clear(run), before);
                }
                model[run.first..run.end()].fill(on);
                assert_eq!(bits.count(Run::ALL), model.iter().filter(|b| **b).count());
                assert_eq!(bits.next_set(first), (first..512).find(|i| model[*i]).unwrap_or(512));
                assert_eq!(bits.next_clear(first), (first..512).find(|i| !model[*i]).unwrap_or(512));
                for (count, align) in [(1, 1), (3, 1), (16, 4), (32, 1), (64, 1), (65, 2), (200, 1), (256, 256)] {
                    let free = |at: &usize| at.is_multiple_of(align) && model[*at..at + count].iter().all(|b| *b);
                    let whole = |at: &usize| at / 64 == (at + count - 1) / 64;
                    let in_word = (0..=512 - count).find(|at| count <= 32 && align == 1 && whole(at) && free(at));
                    let expected = in_word.or_else(|| (0..=512 - count).find(free));
                    assert_eq!(bits.find_run(count, align), expected, "{count} aligned to {align}");
                }
                if model[first] {
                    let low = (0..=first).rev().take_while(|i| model[*i]).last().unwrap();
                    let high = (first..512).take_while(|i| model[*i]).last().unwrap();
                    assert_eq!(bits.run_around(first), high - low + 1);
                }
                let mut runs = Vec::new();
                let all = empty();
                all.set(Run::ALL);
                bits.runs_common(&all, |r| runs.push(r));
                let mut seen = [false; 512];
                for r in runs {
                    assert!(r.first == 0 || !model[r.first - 1]);
                    assert!(r.end() == 512 || !model[r.end()]);
                    seen[r.first..r.end()].fill(true);
                }
                assert_eq!(seen, model);
            }
        }
    }
}
