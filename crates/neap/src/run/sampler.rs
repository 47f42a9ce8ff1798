//! Reads the tree and the board at intervals and keeps what the report needs.

use std::time::Duration;

use neap_proc::read::Proc;
use neap_proc::{Reading, Reason};

use super::board::{Board, Gauges};
use super::series::{Point, Series};
use super::tree::Tree;
use super::work::Ledger;

/// A reading may cost one part in this many of the time until the next: neap takes 2 % of a CPU at most.
const COST_DIVISOR: u32 = 50;
/// The first readings come quickly, for programs that live only milliseconds.
const FIRST_INTERVAL: Duration = Duration::from_millis(1);
const RAMP_READINGS: u64 = 5;
/// smaps_rollup costs milliseconds per GiB, so it is read seldom.
const PSS_INTERVAL: Duration = Duration::from_millis(500);
const FIRST_PSS_INTERVAL: Duration = Duration::from_millis(10);

/// Sums of PSS over the tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pss {
    pub(crate) peak_bytes: Reading<u64>,
    pub(crate) last_bytes: Reading<u64>,
    pub(crate) last_at_ns: Option<u64>,
    pub(crate) readings: u64,
    /// RSS when PSS was last read.
    rss_then_bytes: u64,
    /// Processes left out of the last sum because their file may not be read.
    pub(crate) denied: u64,
}

/// A limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// `None`: only the kernel's high-water mark told, at the end.
    pub(crate) at_ns: Option<u64>,
    pub(crate) rss_bytes: u64,
}

/// What was read so far.
#[derive(Debug)]
pub(crate) struct Sampler {
    proc: Proc,
    pub(crate) series: Series,
    pub(crate) readings: u64,
    pub(crate) rss_first_bytes: Reading<u64>,
    pub(crate) rss_last_bytes: Reading<u64>,
    pub(crate) rss_peak: Option<(u64, u64)>,
    pub(crate) gauges_peak: Option<Gauges>,
    pub(crate) pss: Pss,
    pub(crate) passed: Option<Passed>,
    limit_bytes: Option<u64>,
    /// `None`: nobody asked what was done between readings.
    ledger: Option<Ledger>,
    interval: Duration,
    ramp: Duration,
    pss_ramp: Duration,
    pss_due_ns: u64,
    pss_affordable_ns: u64,
}

impl Sampler {
    pub(crate) fn new(proc: Proc, interval: Duration, limit_bytes: Option<u64>) -> Sampler {
        let never = Reading::Absent(Reason::NeverRead);
        Sampler {
            proc,
            series: Series::default(),
            readings: 0,
            rss_first_bytes: never,
            rss_last_bytes: never,
            rss_peak: None,
            gauges_peak: None,
            pss: Pss {
                peak_bytes: never,
                last_bytes: never,
                last_at_ns: None,
                readings: 0,
                rss_then_bytes: 0,
                denied: 0,
            },
            passed: None,
            limit_bytes,
            ledger: None,
            interval,
            ramp: FIRST_INTERVAL,
            pss_ramp: FIRST_PSS_INTERVAL,
            pss_due_ns: 0,
            pss_affordable_ns: 0,
        }
    }

    /// Counts faults and memory calls as well, which costs a read of `/proc/PID/stat` for each process.
    pub(crate) fn with_work(self) -> Sampler {
        Sampler {
            ledger: Some(Ledger::new(self.proc.clone())),
            ..self
        }
    }

    /// Takes one reading of a tree that was just read. A tree without memory (all its processes are
    /// zombies) leaves no trace.
    pub(crate) fn read(&mut self, tree: &Tree, board: &mut Board, now_ns: u64) {
        let rss_bytes = tree.rss_bytes();
        if rss_bytes == 0 {
            return;
        }
        board.refresh();
        let owners = || tree.living().filter(|process| process.owns_memory());
        let gauges = board.gauges(owners().map(|process| process.pid_inside));
        let work = self.ledger.as_mut().map(|ledger| ledger.settle(tree, board));
        self.readings += 1;
        if self.rss_first_bytes.value().is_none() {
            self.rss_first_bytes = Reading::Value(rss_bytes);
        }
        self.rss_last_bytes = Reading::Value(rss_bytes);
        if self.rss_peak.is_none_or(|(peak, _)| rss_bytes > peak) {
            self.rss_peak = Some((rss_bytes, now_ns));
        }
        if let Some(now) = gauges {
            let peak = self.gauges_peak.unwrap_or_default();
            self.gauges_peak = Some(Gauges {
                live_bytes: now.live_bytes.max(peak.live_bytes),
                live_blocks: now.live_blocks.max(peak.live_blocks),
                held_bytes: now.held_bytes.max(peak.held_bytes),
                dirty_bytes: now.dirty_bytes.max(peak.dirty_bytes),
                meta_bytes: now.meta_bytes.max(peak.meta_bytes),
            });
        }
        if self.limit_bytes.is_some_and(|limit| rss_bytes > limit) && self.passed.is_none() {
            self.passed = Some(Passed {
                at_ns: Some(now_ns),
                rss_bytes,
            });
        }
        self.series.push(Point {
            at_ns: now_ns,
            until_ns: now_ns,
            rss_bytes,
            pss_bytes: None,
            live_bytes: gauges.and_then(|gauges| gauges.live_bytes),
            held_bytes: gauges.map(|gauges| gauges.held_bytes),
            dirty_bytes: gauges.map(|gauges| gauges.dirty_bytes),
            processes: u64::try_from(owners().count()).unwrap_or(u64::MAX),
            work,
        });
    }

    /// The time until the next reading when the last one took `cost` of CPU time.
    pub(crate) fn pause(&mut self, cost: Duration) -> Duration {
        let pause = self.ramp.min(self.interval);
        // The first few are worth their cost whatever it is.
        let affordable = if self.readings < RAMP_READINGS {
            Duration::ZERO
        } else {
            cost.saturating_mul(COST_DIVISOR)
        };
        self.ramp = self.ramp.saturating_mul(2).min(self.interval);
        pause.max(affordable)
    }

    /// PSS is read after 10, 30, 70 ... ms and then twice a second; sooner when RSS has moved by an eighth
    /// of its peak; later where it costs much.
    pub(crate) fn pss_is_due(&self, now_ns: u64) -> bool {
        let rss_bytes = self.rss_last_bytes.value().unwrap_or(0);
        let peak = self.rss_peak.map_or(0, |(peak, _)| peak);
        let moved = rss_bytes.abs_diff(self.pss.rss_then_bytes) > peak / 8;
        now_ns >= self.pss_due_ns || (moved && now_ns >= self.pss_affordable_ns)
    }

    /// The next reading of PSS when the last one took `cost` of CPU time.
    pub(crate) fn schedule_pss(&mut self, now_ns: u64, cost: Duration) {
        let affordable = cost.saturating_mul(COST_DIVISOR);
        let pause = self.pss_ramp.max(affordable);
        self.pss_ramp = self.pss_ramp.saturating_mul(2).min(PSS_INTERVAL);
        let after =
            |pause: Duration| now_ns.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
        (self.pss_due_ns, self.pss_affordable_ns) = (after(pause), after(affordable));
    }

    /// Sums PSS over the tree.
    pub(crate) fn read_pss(&mut self, tree: &Tree, now_ns: u64) {
        let mut sum = None;
        let mut missing = Reading::Absent(Reason::NeverRead);
        let mut denied = 0;
        for process in tree.living().filter(|process| process.owns_memory()) {
            let pss = self
                .proc
                .smaps_rollup(process.pid)
                .and_then(|sums| sums.pss_bytes.into());
            match pss {
                Reading::Value(bytes) => sum = Some(sum.unwrap_or(0_u64).saturating_add(bytes)),
                Reading::Denied => {
                    denied += 1;
                    missing = pss;
                }
                Reading::Absent(Reason::Gone | Reason::NoMemory) => {}
                Reading::Absent(_) => missing = pss,
            }
        }
        let pss = &mut self.pss;
        match sum {
            Some(bytes) => {
                self.series.note_pss(bytes);
                pss.readings += 1;
                pss.last_at_ns = Some(now_ns);
                pss.rss_then_bytes = self.rss_last_bytes.value().unwrap_or(0);
                pss.denied = denied;
                pss.last_bytes = Reading::Value(bytes);
                pss.peak_bytes = Reading::Value(pss.peak_bytes.value().unwrap_or(0).max(bytes));
            }
            None if pss.readings == 0 => (pss.peak_bytes, pss.last_bytes) = (missing, missing),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_start_fast_and_cost_at_most_two_percent() {
        let mut sampler = Sampler::new(Proc::default(), Duration::from_millis(10), None);
        let millis = |sampler: &mut Sampler, cost| sampler.pause(Duration::from_micros(cost)).as_millis();
        assert_eq!(
            [0; 6].map(|cost| millis(&mut sampler, cost)),
            [1, 2, 4, 8, 10, 10]
        );
        sampler.readings = RAMP_READINGS;
        assert_eq!(millis(&mut sampler, 1000), 50);
    }

    #[test]
    fn a_tree_is_read_and_its_limit_noticed() {
        let proc = Proc::default();
        let mut tree = Tree::new(proc.clone(), std::process::id());
        let mut board = Board::new().unwrap();
        let mut sampler = Sampler::new(proc, Duration::from_millis(10), Some(1));
        tree.read(1);
        sampler.read(&tree, &mut board, 1);
        let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
        tree.read(7);
        sampler.read(&tree, &mut board, 7);
        sampler.read_pss(&tree, 8);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(sampler.passed.is_some_and(|passed| passed.rss_bytes > 1));
        assert_eq!(sampler.gauges_peak, None, "nobody took a page of the board");
        assert!(sampler.pss.peak_bytes.value().is_some());
    }
}
