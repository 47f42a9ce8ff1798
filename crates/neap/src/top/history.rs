//! RSS by kind over time in bounded memory: when full, neighbours are merged and the resolution halves.
//!
//! Of two readings that are merged the one with the larger RSS stays, so a peak is never lost and the parts
//! of a point always add up to it.

use neap_proc::model::Kind;

/// Points kept at most: more than a screen has columns.
const POINTS_MAX: usize = 1024;
/// Kinds of mappings.
pub(crate) const KINDS: usize = Kind::ALL.len();

/// One reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// Since the watching began.
    pub(crate) at_ns: u64,
    pub(crate) resident_bytes: u64,
    /// RSS of each of [`Kind::ALL`]; `None` when smaps may not be read.
    pub(crate) kinds: Option<[u64; KINDS]>,
}

/// The points in order of time.
#[derive(Clone, Debug)]
pub(crate) struct History {
    points: Vec<Point>,
    /// Readings in each point but the last.
    stride: u32,
    in_last: u32,
}

impl Default for History {
    fn default() -> History {
        History {
            points: Vec::new(),
            stride: 1,
            in_last: 0,
        }
    }
}

impl History {
    pub(crate) fn push(&mut self, point: Point) {
        match self.points.last_mut() {
            Some(last) if self.in_last < self.stride => {
                *last = larger(*last, point);
                self.in_last += 1;
            }
            _ => {
                if self.points.len() >= POINTS_MAX {
                    let pairs = self.points.chunks(2);
                    self.points = pairs
                        .filter_map(|pair| pair.iter().copied().reduce(larger))
                        .collect();
                    self.stride = self.stride.saturating_mul(2);
                }
                self.points.push(point);
                self.in_last = 1;
            }
        }
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// The largest RSS that was seen.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        self.points.iter().map(|point| point.resident_bytes).max()
    }

    /// So many columns of equal time from the start to the last point, each with its largest point. A column
    /// without a reading has the one before; `None` before the first.
    pub(crate) fn columns(&self, count: usize) -> Vec<Option<Point>> {
        let mut columns: Vec<Option<Point>> = vec![None; count];
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return columns;
        };
        // As many columns as there are points: a few readings are a few columns, at the left.
        let used = count.min(self.points.len()).max(1);
        let span = u128::from(last.at_ns - first.at_ns).max(1);
        for point in &self.points {
            let place = u128::from(point.at_ns - first.at_ns) * (used as u128 - 1) / span;
            if let Some(column) = usize::try_from(place).ok().and_then(|at| columns.get_mut(at)) {
                *column = Some(column.map_or(*point, |other| larger(other, *point)));
            }
        }
        let mut before = None;
        for column in columns.iter_mut().take(used) {
            before = column.or(before);
            *column = before;
        }
        columns
    }
}

fn larger(a: Point, b: Point) -> Point {
    let at_ns = a.at_ns;
    let larger = if b.resident_bytes > a.resident_bytes { b } else { a };
    Point { at_ns, ..larger }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ns: u64, resident_bytes: u64) -> Point {
        let mut kinds = [0; KINDS];
        kinds[0] = resident_bytes;
        Point {
            at_ns,
            resident_bytes,
            kinds: Some(kinds),
        }
    }

    #[test]
    fn memory_is_bounded_and_the_peak_survives_with_its_parts() {
        let mut history = History::default();
        for at in 0..100_000 {
            history.push(point(at, if at == 77_777 { 99 } else { at % 7 }));
        }
        assert!(history.points().len() <= POINTS_MAX && history.points().len() >= POINTS_MAX / 4);
        assert_eq!(history.peak_bytes(), Some(99));
        assert!(history.points().is_sorted_by_key(|point| point.at_ns));
        assert!(
            history
                .points()
                .iter()
                .all(|p| p.kinds.unwrap()[0] == p.resident_bytes)
        );
    }

    #[test]
    fn columns_show_the_largest_and_carry_on() {
        let mut history = History::default();
        assert_eq!(history.columns(3), [None, None, None]);
        for (at, bytes) in [(0, 5), (1, 50), (2, 4), (99, 6), (100, 7)] {
            history.push(point(at, bytes));
        }
        let heights: Vec<Option<u64>> = history
            .columns(8)
            .iter()
            .map(|column| column.map(|point| point.resident_bytes))
            .collect();
        let rest = [None; 3];
        assert_eq!(heights[..5], [Some(50), Some(50), Some(50), Some(6), Some(7)]);
        assert_eq!(heights[5..], rest);
    }

    #[test]
    fn one_reading_is_one_column() {
        let mut history = History::default();
        history.push(point(5, 5));
        assert_eq!(history.columns(2), [Some(point(5, 5)), None]);
    }
}
