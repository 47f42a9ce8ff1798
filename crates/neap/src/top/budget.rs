//! What reading may cost: a share of one processor, with some credit at the start.
//!
//! Costs are CPU time of the thread that reads, so a machine that is busy with other work costs nothing here.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// One part in this many of the time may be spent: 2 % of a processor.
pub(crate) const COST_DIVISOR: u32 = 50;
/// What may be spent at once before anything was saved: the first look is worth it.
const CREDIT: Duration = Duration::from_millis(500);
/// Savings end there, so that a long pause is not followed by a burst.
const SAVED_MAX: Duration = Duration::from_millis(500);

/// Spending and savings.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What is left, in nanoseconds; below 0 after a costly reading.
    left_ns: i128,
    last_ns: Option<u64>,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            left_ns: nanos(CREDIT),
            last_ns: None,
        }
    }
}

impl Budget {
    /// Time has passed; `now_ns` is of a clock that never goes back.
    pub(crate) fn advance(&mut self, now_ns: u64) {
        if let Some(last) = self.last_ns {
            let saved = i128::from(now_ns.saturating_sub(last)) / i128::from(COST_DIVISOR);
            // The credit of the start may be more than what can be saved.
            let most = nanos(SAVED_MAX).max(self.left_ns);
            self.left_ns = (self.left_ns + saved).min(most);
        }
        self.last_ns = Some(now_ns);
    }

    /// Something did cost that much.
    pub(crate) fn spend(&mut self, cost: Duration) {
        self.left_ns -= nanos(cost);
    }

    /// Whether there is anything left to spend.
    pub(crate) fn is_left(&self) -> bool {
        self.left_ns > 0
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

/// CPU time of the calling thread.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// What `work` did cost, with its result.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = thread_time();
    let result = work();
    (result, thread_time().saturating_sub(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn two_percent_are_saved_and_a_debt_is_paid_off() {
        let mut budget = Budget::default();
        budget.advance(0);
        budget.spend(CREDIT);
        assert!(!budget.is_left());
        budget.advance(SECOND);
        assert_eq!(budget.left_ns, 20_000_000);
        budget.spend(Duration::from_millis(120));
        budget.advance(5 * SECOND);
        assert!(!budget.is_left(), "20 - 120 + 80 is below 0");
        budget.advance(7 * SECOND);
        assert!(budget.is_left());
    }

    #[test]
    fn a_long_pause_saves_no_burst() {
        let mut budget = Budget::default();
        budget.advance(0);
        budget.spend(CREDIT);
        budget.advance(3600 * SECOND);
        assert_eq!(budget.left_ns, nanos(SAVED_MAX));
    }

    #[test]
    fn work_has_a_cost_and_sleep_has_none() {
        let ((), slept) = measured(|| std::thread::sleep(Duration::from_millis(20)));
        let (sum, worked) = measured(|| (0..3_000_000_u64).map(std::hint::black_box).sum::<u64>());
        assert!(sum > 0 && worked > Duration::ZERO);
        assert!(slept < Duration::from_millis(20));
    }
}
