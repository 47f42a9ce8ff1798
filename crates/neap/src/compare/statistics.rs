//! What a handful of readings says: median, spread, and whether two sets differ.
//!
//! Two sets differ when the rank test (Wilcoxon, Mann and Whitney; exact for up to [`EXACT_MAX`] readings,
//! ties in mid-ranks) gives a probability below [`SIGNIFICANT`] that one would look so different from the other
//! by chance. With five readings each that needs every reading of one set to lie below every one of the
//! other; with fewer no difference can be told from noise, and the answer says that.

use crate::unit::to_f64;

/// Below this a difference is called one. A report asks some thirty times.
pub(crate) const SIGNIFICANT: f64 = 0.01;
/// Readings in both sets together up to which every arrangement is counted; above, the normal law is near
/// enough.
const EXACT_MAX: usize = 60;

/// Readings in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) median: u64,
    /// Median absolute deviation from the median.
    pub(crate) deviation: u64,
    pub(crate) least: u64,
    pub(crate) greatest: u64,
    pub(crate) count: usize,
}

/// How one set compares with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// It lies below the other.
    Less,
    /// It lies above the other.
    More,
    /// Chance alone would often look like this.
    BelowNoise,
    /// No arrangement of so few readings could be told from chance.
    TooFew,
}

/// A comparison and its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) difference: Difference,
    /// Two-sided; `None` with no readings.
    pub(crate) chance: Option<f64>,
}

impl Summary {
    /// `None` without readings.
    pub(crate) fn of(readings: &[u64]) -> Option<Summary> {
        let mut sorted = readings.to_vec();
        sorted.sort_unstable();
        let median = middle(&sorted)?;
        let mut deviations: Vec<u64> = sorted.iter().map(|value| value.abs_diff(median)).collect();
        deviations.sort_unstable();
        Some(Summary {
            median,
            deviation: middle(&deviations)?,
            least: *sorted.first()?,
            greatest: *sorted.last()?,
            count: sorted.len(),
        })
    }
}

fn middle(sorted: &[u64]) -> Option<u64> {
    let above = *sorted.get(sorted.len() / 2)?;
    if !sorted.len().is_multiple_of(2) {
        return Some(above);
    }
    let below = *sorted.get(sorted.len() / 2 - 1)?;
    Some(below + (above - below) / 2)
}

/// Compares `these` with `those`.
pub(crate) fn compare(these: &[u64], those: &[u64]) -> Verdict {
    if these.is_empty() || those.is_empty() {
        return Verdict {
            difference: Difference::TooFew,
            chance: None,
        };
    }
    let ranks = Ranks::of(these, those);
    let chance = if these.len() + those.len() <= EXACT_MAX {
        ranks.exact()
    } else {
        ranks.normal()
    };
    let possible = least_chance(these.len(), those.len()) < SIGNIFICANT;
    let difference = if !possible {
        Difference::TooFew
    } else if chance >= SIGNIFICANT {
        Difference::BelowNoise
    } else if ranks.sum < ranks.expected() {
        Difference::Less
    } else {
        Difference::More
    };
    Verdict {
        difference,
        chance: Some(chance),
    }
}

/// The chance of two sets that do not overlap at all: two of all ways to choose which readings are whose.
fn least_chance(these: usize, those: usize) -> f64 {
    let mut ways = 1.0;
    for step in 1..=these.min(200) {
        ways *= small(those + step) / small(step);
    }
    2.0 / ways
}

/// Mid-ranks, doubled so that they are whole numbers.
struct Ranks {
    /// Of all readings.
    all: Vec<usize>,
    /// How many belong to the first set.
    chosen: usize,
    /// Their sum.
    sum: usize,
}

impl Ranks {
    fn of(these: &[u64], those: &[u64]) -> Ranks {
        let mut values: Vec<(u64, bool)> = these.iter().map(|&value| (value, true)).collect();
        values.extend(those.iter().map(|&value| (value, false)));
        values.sort_unstable();
        let (mut all, mut sum, mut rank) = (Vec::with_capacity(values.len()), 0, 1);
        for tied in values.chunk_by(|a, b| a.0 == b.0) {
            // The mean of rank, rank + 1, ... of so many, twice.
            let doubled = 2 * rank + tied.len() - 1;
            for (_, first) in tied {
                all.push(doubled);
                sum += if *first { doubled } else { 0 };
            }
            rank += tied.len();
        }
        Ranks {
            all,
            chosen: these.len(),
            sum,
        }
    }

    fn expected(&self) -> usize {
        self.chosen * (self.all.len() + 1)
    }

    /// Counts, for every sum, the ways to choose so many ranks with it.
    fn exact(&self) -> f64 {
        let top: usize = self.all.iter().sum();
        let mut ways = vec![vec![0.0; top + 1]; self.chosen + 1];
        if let Some(none) = ways.first_mut().and_then(|row| row.first_mut()) {
            *none = 1.0;
        }
        for &rank in &self.all {
            for size in (1..=self.chosen).rev() {
                let (smaller, larger) = ways.split_at_mut(size);
                let (Some(from), Some(to)) = (smaller.last(), larger.first_mut()) else {
                    continue;
                };
                for (sum, way) in to.iter_mut().enumerate().skip(rank) {
                    *way += from.get(sum - rank).copied().unwrap_or(0.0);
                }
            }
        }
        let distance = self.sum.abs_diff(self.expected());
        let row = ways.last().map(Vec::as_slice).unwrap_or_default();
        let total: f64 = row.iter().sum();
        let far = row.iter().enumerate();
        let far = far.filter(|(sum, _)| sum.abs_diff(self.expected()) >= distance);
        let far: f64 = far.map(|(_, ways)| ways).sum();
        (far / total).min(1.0)
    }

    /// The normal law with the correction for ties.
    fn normal(&self) -> f64 {
        let count = small(self.all.len());
        let (these, those) = (small(self.chosen), count - small(self.chosen));
        let ties: f64 = self
            .all
            .chunk_by(|a, b| a == b)
            .map(|tied| small(tied.len()).powi(3) - small(tied.len()))
            .sum();
        let variance = these * those / 12.0 * ((count + 1.0) - ties / (count * (count - 1.0)));
        let distance = small(self.sum.abs_diff(self.expected())) / 2.0;
        if variance <= 0.0 {
            return 1.0;
        }
        two_tails((distance - 0.5).max(0.0) / variance.sqrt())
    }
}

/// The chance of a normal deviate at least `z` from 0. Abramowitz and Stegun 26.2.17: right to 1e-7.
fn two_tails(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let terms = [
        0.319_381_530,
        -0.356_563_782,
        1.781_477_937,
        -1.821_255_978,
        1.330_274_429,
    ];
    let series: f64 = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (2.0 * series * (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt()).min(1.0)
}

fn small(count: usize) -> f64 {
    to_f64(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_summary_is_the_middle_and_how_far_the_rest_is() {
        let summary = Summary::of(&[7, 1, 3, 100, 5]).unwrap();
        assert_eq!((summary.median, summary.deviation), (5, 2));
        assert_eq!((summary.least, summary.greatest, summary.count), (1, 100, 5));
        assert_eq!(Summary::of(&[4, 8]).unwrap().median, 6);
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn five_readings_each_differ_when_none_overlap_and_not_when_one_does() {
        let low = [10, 11, 12, 13, 14];
        let high = compare(&[15, 16, 17, 18, 19], &low);
        assert_eq!(high.difference, Difference::More);
        assert!((high.chance.unwrap() - 2.0 / 252.0).abs() < 1e-12);
        assert_eq!(compare(&low, &[15, 16, 17, 18, 19]).difference, Difference::Less);
        let overlap = compare(&[13, 16, 17, 18, 19], &low);
        assert_eq!(overlap.difference, Difference::BelowNoise);
    }

    #[test]
    fn few_readings_cannot_tell_however_far_apart_they_are() {
        let verdict = compare(&[1, 2, 3, 4], &[1000, 2000, 3000, 4000]);
        assert_eq!(verdict.difference, Difference::TooFew);
        assert_eq!(compare(&[], &[1]).chance, None);
    }

    #[test]
    fn equal_readings_never_differ() {
        let verdict = compare(&[5; 9], &[5; 9]);
        assert_eq!(verdict.difference, Difference::BelowNoise);
        assert!((verdict.chance.unwrap() - 1.0).abs() < 1e-12);
        assert!((compare(&[5; 40], &[5; 40]).chance.unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn many_readings_tell_small_differences() {
        let these: Vec<u64> = (0..50).map(|i| 1000 + i % 10).collect();
        let those: Vec<u64> = (0..50).map(|i| 1005 + i % 10).collect();
        assert_eq!(compare(&these, &those).difference, Difference::Less);
    }

    #[test]
    fn the_exact_count_and_the_normal_law_agree_where_they_meet() {
        let these: Vec<u64> = (0..30).map(|i| 2 * i + 14).collect();
        let those: Vec<u64> = (0..30).map(|i| 2 * i + 1).collect();
        let ranks = Ranks::of(&these, &those);
        assert!((ranks.exact() - ranks.normal()).abs() < 2e-3, "{}", ranks.exact());
    }

    proptest! {
        #[test]
        fn a_comparison_reads_the_same_from_both_sides(
            these in proptest::collection::vec(0_u64..9, 1..8),
            those in proptest::collection::vec(0_u64..9, 1..8),
        ) {
            let (there, back) = (compare(&these, &those), compare(&those, &these));
            prop_assert!((there.chance.unwrap() - back.chance.unwrap()).abs() < 1e-9);
            let mirrored = match back.difference {
                Difference::Less => Difference::More,
                Difference::More => Difference::Less,
                same => same,
            };
            prop_assert_eq!(there.difference, mirrored);
        }
    }
}
