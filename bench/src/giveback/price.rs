//! What giving back costs: the same 50 MiB over and over, with giving back on and off.
//!
//! Runs are interleaved, so that what else the machine does falls on everybody.

use super::child::Programs;
use super::median;
use super::subject::{NEAP, Subject};
use serde::Serialize;

/// One allocator's cycles, medians over runs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cycles {
    pub(crate) subject: String,
    pub(crate) pause_ms: u32,
    /// False: M_TRIM_THRESHOLD is -1.
    pub(crate) giving_back: bool,
    pub(crate) runs: usize,
    pub(crate) wall_ms: f64,
    /// Of all threads of the process.
    pub(crate) cpu_ms: f64,
    pub(crate) faults: f64,
}

/// What the cycles of neap say about the price.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Price {
    pub(crate) cycles: Vec<Cycles>,
    /// Back to back, on ÷ off: the median over pairs of adjacent runs.
    pub(crate) on_to_off_wall: f64,
    pub(crate) on_to_off_cpu: f64,
    pub(crate) pairs: usize,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) runs: usize,
    /// Pairs of neap's in each run.
    pub(crate) pairs: usize,
}

/// Milliseconds between bursts, and rounds; back to back first.
const PACES: [(u32, u32); 3] = [(0, 20), (30, 10), (300, 4)];

struct Sample {
    wall_ms: f64,
    cpu_ms: f64,
    faults: f64,
}

/// Measures everybody at every pace.
pub(crate) fn run(
    programs: &Programs,
    subjects: &[Subject],
    scale: Scale,
    told: &dyn Fn(&str),
) -> Result<Price, String> {
    let mut cycles = Vec::new();
    for pace in PACES {
        told(&format!("cycles of 50 MiB, {} ms apart", pace.0));
        let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::new()).collect();
        let runs = if pace.0 == 0 {
            scale.runs
        } else {
            scale.runs.div_ceil(4)
        };
        for _ in 0..runs {
            for (subject, samples) in subjects.iter().zip(&mut samples) {
                samples.push(cycle(programs, subject, pace, "on")?);
            }
        }
        for (subject, samples) in subjects.iter().zip(&samples) {
            cycles.push(summary(subject, pace.0, true, samples));
        }
        if pace.0 != 0 {
            for subject in subjects.iter().filter(|s| s.name == NEAP) {
                let off: Result<Vec<_>, _> =
                    (0..runs).map(|_| cycle(programs, subject, pace, "off")).collect();
                cycles.push(summary(subject, pace.0, false, &off?));
            }
        }
    }
    let Some(neap) = subjects.iter().find(|s| s.name == NEAP) else {
        return Err("neap is not among the allocators".to_owned());
    };
    let (mut on, mut off) = (Vec::new(), Vec::new());
    for n in 0..scale.runs * scale.pairs {
        // Whoever goes second finds a warmer machine: take turns.
        if n % 2 == 0 {
            on.push(cycle(programs, neap, PACES[0], "on")?);
            off.push(cycle(programs, neap, PACES[0], "off")?);
        } else {
            off.push(cycle(programs, neap, PACES[0], "off")?);
            on.push(cycle(programs, neap, PACES[0], "on")?);
        }
    }
    cycles.push(summary(neap, 0, false, &off));
    let ratio = |of: fn(&Sample) -> f64| median(on.iter().zip(&off).map(|(on, off)| of(on) / of(off)));
    Ok(Price {
        on_to_off_wall: ratio(|s| s.wall_ms),
        on_to_off_cpu: ratio(|s| s.cpu_ms),
        pairs: on.len(),
        cycles,
    })
}

fn cycle(programs: &Programs, subject: &Subject, pace: (u32, u32), how: &str) -> Result<Sample, String> {
    let words = [pace.1.to_string(), pace.0.to_string(), how.to_owned()];
    let lines = programs.run("cycle", &words, subject)?;
    let line = lines.first().ok_or("cycle said nothing")?;
    Ok(Sample {
        wall_ms: line.number(2)? / 1e6,
        cpu_ms: line.number(3)? / 1e6,
        faults: line.number(4)?,
    })
}

fn summary(subject: &Subject, pause_ms: u32, giving_back: bool, samples: &[Sample]) -> Cycles {
    Cycles {
        subject: subject.name.clone(),
        pause_ms,
        giving_back,
        runs: samples.len(),
        wall_ms: median(samples.iter().map(|s| s.wall_ms)),
        cpu_ms: median(samples.iter().map(|s| s.cpu_ms)),
        faults: median(samples.iter().map(|s| s.faults)),
    }
}
