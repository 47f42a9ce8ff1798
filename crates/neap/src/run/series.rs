//! Readings over time in bounded memory: when full, neighbours are merged and the resolution halves.
//!
//! A point stands for one reading or for several in a row. Gauges (sizes, processes) are their maxima, so no
//! peak is lost; work (faults, calls) is their sum, so that work divided by the time from the point before is
//! the mean rate, and all work together is what was counted.

use super::work::Work;

/// Points kept at most; a ten-hour run is then one point every nine to eighteen seconds.
const POINTS_MAX: usize = 4096;

/// One point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Point {
    /// Time of the first of its readings, after the start.
    pub(crate) at_ns: u64,
    /// Time of the last of them.
    pub(crate) until_ns: u64,
    pub(crate) rss_bytes: u64,
    /// `None`: not read since the point before.
    pub(crate) pss_bytes: Option<u64>,
    /// `None`: no process had a page on the board.
    pub(crate) live_bytes: Option<u64>,
    pub(crate) held_bytes: Option<u64>,
    pub(crate) dirty_bytes: Option<u64>,
    /// Processes with memory of their own.
    pub(crate) processes: u64,
    /// Since the point before. `None`: nobody asked.
    pub(crate) work: Option<Work>,
}

/// The points in order of time.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    points: Vec<Point>,
    /// Readings in each point but the last.
    stride: u64,
    in_last: u64,
}

impl Default for Series {
    fn default() -> Series {
        Series {
            points: Vec::new(),
            stride: 1,
            in_last: 0,
        }
    }
}

impl Point {
    fn merge(self, later: Point) -> Point {
        Point {
            at_ns: self.at_ns,
            until_ns: self.until_ns.max(later.until_ns),
            rss_bytes: self.rss_bytes.max(later.rss_bytes),
            pss_bytes: self.pss_bytes.max(later.pss_bytes),
            live_bytes: self.live_bytes.max(later.live_bytes),
            held_bytes: self.held_bytes.max(later.held_bytes),
            dirty_bytes: self.dirty_bytes.max(later.dirty_bytes),
            processes: self.processes.max(later.processes),
            work: match (self.work, later.work) {
                (Some(own), Some(more)) => Some(own.plus(&more)),
                (own, more) => own.or(more),
            },
        }
    }
}

impl Series {
    pub(crate) fn push(&mut self, point: Point) {
        match self.points.last_mut() {
            Some(last) if self.in_last < self.stride => {
                *last = last.merge(point);
                self.in_last += 1;
            }
            _ => {
                if self.points.len() >= POINTS_MAX {
                    self.halve();
                }
                self.points.push(point);
                self.in_last = 1;
            }
        }
    }

    /// PSS was read together with the newest reading.
    pub(crate) fn note_pss(&mut self, bytes: u64) {
        if let Some(last) = self.points.last_mut() {
            last.pss_bytes = last.pss_bytes.max(Some(bytes));
        }
    }

    fn halve(&mut self) {
        let merged = self
            .points
            .chunks(2)
            .filter_map(|pair| pair.iter().copied().reduce(Point::merge));
        self.points = merged.collect();
        self.stride *= 2;
    }

    pub(crate) fn points(&self) -> &[Point] {
        &self.points
    }

    /// At most so many points: neighbours are merged.
    pub(crate) fn reduced(mut self, most: usize) -> Vec<Point> {
        while self.points.len() > most.max(1) {
            self.halve();
        }
        self.points
    }

    /// Readings that one point stands for.
    pub(crate) fn stride(&self) -> u64 {
        self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_ns: u64, rss_bytes: u64) -> Point {
        Point {
            at_ns,
            until_ns: at_ns,
            rss_bytes,
            held_bytes: Some(rss_bytes / 2),
            ..Point::default()
        }
    }

    #[test]
    fn memory_is_bounded_and_peaks_survive() {
        let mut series = Series::default();
        for at in 0..1_000_000 {
            series.push(point(at, if at == 777_777 { 99 } else { at % 7 }));
        }
        assert!(series.points().len() <= POINTS_MAX && series.points().len() >= POINTS_MAX / 4);
        assert_eq!(series.points().iter().map(|p| p.rss_bytes).max(), Some(99));
        assert!(series.points().is_sorted_by_key(|p| p.at_ns));
        assert_eq!(series.stride(), 256);
        assert_eq!(series.points().first().map(|p| p.at_ns), Some(0));
    }

    #[test]
    fn merging_keeps_the_sum_of_work_and_leaves_no_gap_in_time() {
        let mut series = Series::default();
        for at in 0..100_000 {
            let mut work = Work {
                minor_faults: 3,
                ..Work::default()
            };
            work.calls[1].bytes = at;
            series.push(Point {
                work: Some(work),
                ..point(at, 1)
            });
        }
        let points = series.reduced(1000);
        let all = points
            .iter()
            .filter_map(|p| p.work)
            .reduce(|sum, work| sum.plus(&work));
        let all = all.unwrap();
        assert_eq!(
            (all.minor_faults, all.calls[1].bytes),
            (300_000, 99_999 * 100_000 / 2)
        );
        assert!(
            points
                .windows(2)
                .all(|pair| pair[0].until_ns + 1 == pair[1].at_ns)
        );
        assert_eq!(points.last().map(|p| p.until_ns), Some(99_999));
    }

    #[test]
    fn what_was_read_for_some_points_only_stays_known_where_it_was() {
        let mut series = Series::default();
        series.note_pss(5);
        series.push(point(0, 9));
        series.note_pss(7);
        series.push(point(1, 9));
        let pss: Vec<Option<u64>> = series.points().iter().map(|p| p.pss_bytes).collect();
        assert_eq!(pss, [Some(7), None]);
        assert_eq!(series.reduced(1)[0].pss_bytes, Some(7));
    }

    #[test]
    fn a_reduced_series_keeps_its_peak_and_its_start() {
        let mut series = Series::default();
        for at in 0..1000 {
            series.push(point(at, at % 500));
        }
        let points = series.reduced(300);
        assert!((150..=300).contains(&points.len()));
        assert_eq!(points.iter().map(|p| p.rss_bytes).max(), Some(499));
        assert_eq!(points.first().map(|p| p.at_ns), Some(0));
    }

    #[test]
    fn few_readings_are_kept_as_they_are() {
        let mut series = Series::default();
        for at in 0..10 {
            series.push(point(at, at));
        }
        let times: Vec<u64> = series.points().iter().map(|p| p.at_ns).collect();
        assert_eq!(times, (0..10).collect::<Vec<u64>>());
    }
}
