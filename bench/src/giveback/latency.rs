//! How long single calls take: histograms of every malloc and free of a burst and its end.
//!
//! A machine that does other things interrupts programs for longer than any malloc takes. So the
//! maximum that counts is the median of the runs' maxima, an empty loop is measured beside the
//! allocators, and the thread's processor time beside the wall clock.

use super::child::{Line, Programs};
use super::median;
use super::subject::Subject;
use serde::Serialize;
use std::collections::BTreeMap;

/// A workload of `latency.c`, by which clock, for how long and how often.
#[derive(Clone, Copy, Debug)]
struct Course {
    workload: &'static str,
    clock: &'static str,
    milliseconds: u32,
    runs: usize,
}

const fn course(workload: &'static str, clock: &'static str, milliseconds: u32, runs: usize) -> Course {
    Course {
        workload,
        clock,
        milliseconds,
        runs,
    }
}

const COURSES: [Course; 5] = [
    course("mixed", "wall", 600, 5),
    course("mixed", "cpu", 600, 3),
    course("extents", "wall", 300, 5),
    course("extents", "cpu", 300, 3),
    course("huge", "wall", 300, 3),
];
const NOTHING: Course = course("nothing", "wall", 600, 5);

/// Calls of one kind, of all runs together.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) subject: String,
    pub(crate) workload: &'static str,
    /// `wall`, or `cpu`: the thread's processor time, with a system call's cost in it.
    pub(crate) clock: &'static str,
    pub(crate) call: &'static str,
    pub(crate) calls: u64,
    /// Shares of calls in nanoseconds: 0.5, 0.99, 0.999, 0.9999.
    pub(crate) percentiles_ns: [f64; 4],
    /// The median over runs of each run's longest call.
    pub(crate) max_ns: f64,
    pub(crate) max_of_each_run_ns: Vec<f64>,
    /// Size of the longest call's block in each run.
    pub(crate) size_of_each_max: Vec<f64>,
    /// Lower bound in nanoseconds, calls; four buckets to an octave.
    pub(crate) histogram: Vec<(f64, u64)>,
}

/// The loop that calls nothing.
pub(crate) const MACHINE: &str = "an empty loop";

const SHARES: [f64; 4] = [0.5, 0.99, 0.999, 0.9999];

/// Runs of all courses under all subjects, interleaved; the empty loop first.
pub(crate) fn run(
    programs: &Programs,
    subjects: &[Subject],
    runs_at_most: usize,
    told: &dyn Fn(&str),
) -> Result<Vec<Latency>, String> {
    let machine = Subject::nobody(MACHINE);
    let mut all = course_of(programs, std::slice::from_ref(&machine), NOTHING, runs_at_most)?;
    all.retain(|latency| latency.call == "free");
    for course in COURSES {
        told(&format!("latency: {} by {} clock", course.workload, course.clock));
        all.extend(course_of(programs, subjects, course, runs_at_most)?);
    }
    Ok(all)
}

fn course_of(
    programs: &Programs,
    subjects: &[Subject],
    course: Course,
    runs_at_most: usize,
) -> Result<Vec<Latency>, String> {
    let words = [
        course.workload.to_owned(),
        course.clock.to_owned(),
        course.milliseconds.to_string(),
    ];
    let mut said: Vec<Vec<Vec<Line>>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..course.runs.min(runs_at_most) {
        for (subject, said) in subjects.iter().zip(&mut said) {
            said.push(programs.run("latency", &words, subject)?);
        }
    }
    let mut all = Vec::new();
    for (subject, runs) in subjects.iter().zip(&said) {
        for call in ["malloc", "free"] {
            all.push(summary(subject, course, call, runs)?);
        }
    }
    Ok(all)
}

fn summary(
    subject: &Subject,
    course: Course,
    call: &'static str,
    runs: &[Vec<Line>],
) -> Result<Latency, String> {
    let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut maxima, mut sizes) = (Vec::new(), Vec::new());
    for run in runs {
        let about = |kind: &'static str| {
            run.iter()
                .filter(move |line| line.words.first().is_some_and(|w| w == kind))
                .filter(move |line| line.words.get(1).is_some_and(|w| w == call))
        };
        let Some(worst) = about("worst").next() else {
            return Err(format!("latency {} said no worst {call}", course.workload));
        };
        maxima.push(worst.number(2)?);
        sizes.push(worst.number(3)?);
        for bucket in about("bucket") {
            // Tenths of a nanosecond, so that buckets stay apart as integers.
            *counts.entry((bucket.number(2)? * 10.0) as u64).or_default() += bucket.number(3)? as u64;
        }
    }
    let calls: u64 = counts.values().sum();
    Ok(Latency {
        subject: subject.name.clone(),
        workload: course.workload,
        clock: course.clock,
        call,
        calls,
        percentiles_ns: SHARES.map(|share| percentile(&counts, calls, share)),
        max_ns: median(maxima.iter().copied()),
        max_of_each_run_ns: maxima,
        size_of_each_max: sizes,
        histogram: coarse(&counts),
    })
}

/// The lower bound of the bucket in which `share` of the calls is reached.
fn percentile(counts: &BTreeMap<u64, u64>, calls: u64, share: f64) -> f64 {
    let wanted = (calls as f64 * share).ceil() as u64;
    let mut seen = 0;
    for (tenths, count) in counts {
        seen += count;
        if seen >= wanted {
            return *tenths as f64 / 10.0;
        }
    }
    0.0
}

/// Four buckets to an octave, for the record.
fn coarse(counts: &BTreeMap<u64, u64>) -> Vec<(f64, u64)> {
    let mut merged: BTreeMap<i64, u64> = BTreeMap::new();
    for (tenths, count) in counts {
        let ns = *tenths as f64 / 10.0;
        let bucket = if ns < 1.0 { 0 } else { (ns.log2() * 4.0) as i64 };
        *merged.entry(bucket).or_default() += count;
    }
    let bound = |bucket: i64| ((bucket as f64 / 4.0).exp2() * 10.0).round() / 10.0;
    merged
        .into_iter()
        .map(|(bucket, count)| (bound(bucket), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{coarse, percentile};
    use std::collections::BTreeMap;

    #[test]
    fn percentiles_are_bounds_of_the_buckets_that_reach_them() {
        let counts = BTreeMap::from([(50, 90), (1000, 9), (70000, 1)]);
        assert_eq!(percentile(&counts, 100, 0.5), 5.0);
        assert_eq!(percentile(&counts, 100, 0.9), 5.0);
        assert_eq!(percentile(&counts, 100, 0.99), 100.0);
        assert_eq!(percentile(&counts, 100, 0.9999), 7000.0);
        assert_eq!(percentile(&BTreeMap::new(), 0, 0.5), 0.0);
    }

    #[test]
    fn coarse_buckets_keep_every_call() {
        let counts = BTreeMap::from([(0, 1), (10, 2), (11, 3), (20, 4), (10240, 5)]);
        assert_eq!(coarse(&counts), [(1.0, 6), (2.0, 4), (1024.0, 5)]);
    }
}
