//! What is asked of neap, and whether it was met: one line for each target.

use super::Findings;
use super::burst::{Burst, JUDGED, MARKS};
use super::case::{CASES, Target};
use super::latency::MACHINE;
use super::small::Small;
use super::subject::Subject;
use serde::Serialize;

/// One target.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) wanted: String,
    pub(crate) got: String,
    pub(crate) pass: bool,
}

/// Worst free, of the issue.
const WORST_FREE_NS: f64 = 1e6;
/// RSS of true(1) above the C library's.
const TRUE_KIB: f64 = 256.0;
const THREAD_KIB: f64 = 30.0;
/// Cycles with giving back on ÷ off.
const ON_TO_OFF: f64 = 1.02;

fn at_most(what: String, limit: f64, got: f64, unit: &str, digits: usize) -> Verdict {
    Verdict {
        what,
        wanted: format!("<= {limit}{unit}"),
        got: format!("{got:.digits$}{unit}"),
        pass: got <= limit,
    }
}

/// All targets that `findings` can judge.
pub(crate) fn judge(findings: &Findings, subjects: &[Subject]) -> Vec<Verdict> {
    let ours: Vec<&str> = subjects
        .iter()
        .filter(|s| s.neap)
        .map(|s| s.name.as_str())
        .collect();
    let mut all: Vec<Verdict> = findings
        .bursts
        .iter()
        .filter(|burst| ours.contains(&burst.subject.as_str()))
        .filter_map(of_burst)
        .collect();
    if let Some(price) = &findings.price {
        let what = format!(
            "50 MiB back to back, giving back on / off ({} pairs), wall",
            price.pairs
        );
        all.push(at_most(what, ON_TO_OFF, price.on_to_off_wall, "", 3));
        let what = "the same, processor time".to_owned();
        all.push(at_most(what, ON_TO_OFF, price.on_to_off_cpu, "", 3));
    }
    let machine = findings.latencies.iter().find(|l| l.subject == MACHINE);
    let machine_us = machine.map_or(0.0, |l| l.max_ns / 1e3);
    for latency in &findings.latencies {
        if ours.contains(&latency.subject.as_str()) && latency.call == "free" {
            let mut what = format!("worst free, {}, {} clock", latency.workload, latency.clock);
            if latency.clock == "wall" {
                what.push_str(&format!(" (an empty loop: {machine_us:.0} us)"));
            }
            what.push_str(&format!(": {}", latency.subject));
            all.push(at_most(what, WORST_FREE_NS / 1e3, latency.max_ns / 1e3, " us", 0));
        }
    }
    all.extend(of_small(&findings.small, &ours));
    all
}

fn of_burst(burst: &Burst) -> Option<Verdict> {
    let case = CASES.iter().find(|case| case.id == burst.case)?;
    let what = format!(
        "{}, {} MiB, {} s: {}",
        case.title, burst.burst_mib, MARKS[JUDGED], burst.subject
    );
    Some(match case.target {
        Target::OfLive(limit) => at_most(what, limit, burst.of_live(JUDGED)?, " x live", 2),
        Target::OfFloor(limit) => at_most(what, limit, burst.of_floor(JUDGED)?, " x page floor", 3),
        Target::MiB(limit) => at_most(what, limit, burst.mib(JUDGED)?, " MiB", 1),
    })
}

fn of_small(small: &[Small], ours: &[&str]) -> Vec<Verdict> {
    let Some(plain) = small.first() else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for one in small.iter().filter(|one| ours.contains(&one.subject.as_str())) {
        let more = one.true_rss_kib - plain.true_rss_kib;
        let what = format!("true(1), RSS above {}: {}", plain.subject, one.subject);
        all.push(at_most(what, TRUE_KIB, more, " KiB", 0));
        let what = format!("64 threads with 20 small blocks each: {}", one.subject);
        all.push(at_most(what, THREAD_KIB, one.thread_kib, " KiB a thread", 1));
    }
    all
}

/// One line each.
pub(crate) fn text(verdicts: &[Verdict]) -> String {
    let mut text = String::new();
    for v in verdicts {
        let word = if v.pass { "pass" } else { "MISS" };
        text.push_str(&format!("{word}  {}: {} ({})\n", v.what, v.got, v.wanted));
    }
    let missed = verdicts.iter().filter(|v| !v.pass).count();
    text.push_str(&format!("{} targets, {missed} missed\n", verdicts.len()));
    text
}
