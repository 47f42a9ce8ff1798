//! The middle of figures, how far they scatter, and which differences mean something.

use serde::Serialize;

/// Figures of several runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    /// Median absolute deviation from the median.
    pub(crate) deviation: f64,
    pub(crate) samples: Vec<f64>,
}

impl Summary {
    pub(crate) fn of(samples: Vec<f64>) -> Summary {
        let middle = median(&samples);
        let distances: Vec<f64> = samples.iter().map(|s| (s - middle).abs()).collect();
        Summary {
            median: middle,
            deviation: median(&distances),
            samples,
        }
    }

    /// The relative standard error of the median, estimated from the deviation as for a normal distribution.
    /// Fewer than three runs say nothing about it.
    fn error(&self) -> f64 {
        if self.samples.len() < 3 {
            return f64::INFINITY;
        }
        const SIGMA_OF_DEVIATION: f64 = 1.4826;
        const ERROR_OF_MEDIAN: f64 = 1.2533;
        let runs = self.samples.len() as f64;
        SIGMA_OF_DEVIATION * ERROR_OF_MEDIAN * self.deviation / runs.sqrt() / self.median
    }

    /// How many times `other`.
    pub(crate) fn over(&self, other: &Summary) -> Ratio {
        Ratio {
            value: self.median / other.median,
            error: self.error().hypot(other.error()),
        }
    }
}

/// One median over another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) value: f64,
    error: f64,
}

impl Ratio {
    /// Whether the two differ by less than two standard errors: no difference was measured.
    pub(crate) fn is_noise(self) -> bool {
        (self.value - 1.0).abs() < 2.0 * self.error
    }
}

/// The middle, or between the two; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// The geometric mean; none of none.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: f64 = values.iter().map(|v| v.ln()).sum();
    (!values.is_empty()).then(|| (logarithms / values.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(geometric_mean(&[]), None);
        assert!((geometric_mean(&[2.0, 8.0]).unwrap() - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_difference_within_the_scatter_is_noise_and_one_beyond_it_is_not() {
        let a = Summary::of(vec![1.0, 1.02, 0.98, 1.01, 0.99]);
        let b = Summary::of(vec![1.01, 1.03, 0.99, 1.02, 1.0]);
        let c = Summary::of(vec![1.21, 1.23, 1.19, 1.22, 1.2]);
        assert_eq!(a.deviation, 0.010000000000000009);
        assert!(b.over(&a).is_noise());
        assert!(!c.over(&a).is_noise());
        assert!(Summary::of(vec![2.0, 2.0]).over(&a).is_noise());
    }
}
