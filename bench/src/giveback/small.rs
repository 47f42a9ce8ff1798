//! How small: a program that does nothing, and threads that keep a few blocks each.

use super::child::Programs;
use super::median;
use super::subject::Subject;
use serde::Serialize;

/// Threads of the second measurement.
pub(crate) const THREADS: u32 = 64;
const KIB: f64 = 1024.0;

/// One allocator's overhead.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Small {
    pub(crate) subject: String,
    /// RSS of true(1) in the moment before it ends, with shared pages of files.
    pub(crate) true_rss_kib: f64,
    /// Of it, what no other process shares.
    pub(crate) true_private_kib: f64,
    /// For each of 64 threads that keep 20 small blocks of 200, stack and all.
    pub(crate) thread_kib: f64,
    /// The same where threads call no malloc.
    pub(crate) bare_thread_kib: f64,
}

/// Medians of `runs` runs.
pub(crate) fn run(
    programs: &Programs,
    subjects: &[Subject],
    runs: usize,
    told: &dyn Fn(&str),
) -> Result<Vec<Small>, String> {
    told("small programs and many threads");
    subjects
        .iter()
        .map(|subject| one(programs, subject, runs))
        .collect()
}

fn one(programs: &Programs, subject: &Subject, runs: usize) -> Result<Small, String> {
    let (mut rss, mut private, mut with, mut bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Where the kernel's fault-around windows fall is chance: many runs, they take a millisecond.
    for _ in 0..4 * runs {
        let lines = programs.run("peak", &["true".to_owned()], subject)?;
        let line = lines.first().ok_or("peak said nothing")?;
        rss.push(line.number(1)?);
        private.push(line.number(2)?);
    }
    for _ in 0..runs {
        with.push(of_a_thread(programs, subject, "malloc")?);
        bare.push(of_a_thread(programs, subject, "nothing")?);
    }
    Ok(Small {
        subject: subject.name.clone(),
        true_rss_kib: median(rss),
        true_private_kib: median(private),
        thread_kib: median(with),
        bare_thread_kib: median(bare),
    })
}

fn of_a_thread(programs: &Programs, subject: &Subject, what: &str) -> Result<f64, String> {
    let words = [THREADS.to_string(), what.to_owned()];
    let mut child = programs.start("threads", &words, subject)?;
    child.expect("base", |_| {})?;
    let base = child.resident()? as f64;
    child.go_on()?;
    child.expect("alive", |_| {})?;
    let alive = child.resident()? as f64;
    child.go_on()?;
    child.end()?;
    Ok((alive - base).max(0.0) / KIB / f64::from(THREADS))
}
