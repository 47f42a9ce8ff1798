//! Readings over time in bounded memory: when full, neighbours are merged and the resolution halves.

/// Points kept at most; a ten-hour run is then one point every nine to eighteen seconds.
const POINTS_MAX: usize = 4096;

/// One point: the maxima of the readings it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// Time of the first of them, after the start.
    pub(crate) at_ns: u64,
    pub(crate) rss_bytes: u64,
    /// `None`: no process had a page on the board.
    pub(crate) live_bytes: Option<u64>,
    pub(crate) held_bytes: Option<u64>,
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
            rss_bytes: self.rss_bytes.max(later.rss_bytes),
            live_bytes: self.live_bytes.max(later.live_bytes),
            held_bytes: self.held_bytes.max(later.held_bytes),
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
            rss_bytes,
            live_bytes: None,
            held_bytes: Some(rss_bytes / 2),
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
