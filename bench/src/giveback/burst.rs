//! The give-back table: every case under every allocator.
//!
//! Owns the order of events. Bursts run one at a time, and the next begins half a second after the
//! last; programs that are idle afterwards wait side by side, as many as memory allows, since they
//! do nothing. Resident memory is read from outside.

use super::case::Case;
use super::child::{Child, Programs};
use super::subject::Subject;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Seconds after the last free at which memory is read.
pub(crate) const MARKS: [f64; 6] = [0.0, 0.1, 0.5, 1.0, 5.0, 12.0];
/// The mark at which neap is judged.
pub(crate) const JUDGED: usize = 2;
/// Programs that wait side by side at most.
const WAITING: usize = 12;
const MIB: f64 = 1_048_576.0;

/// What one burst under one allocator came to. Bytes of resident memory are above the base: what the
/// program had when its books were in place and malloc had been called once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Burst {
    pub(crate) case: &'static str,
    pub(crate) subject: String,
    pub(crate) burst_mib: usize,
    /// Bytes requested, of blocks that live.
    pub(crate) live_bytes: f64,
    pub(crate) live_blocks: f64,
    /// Bytes of the pages on which a live block has a byte.
    pub(crate) floor_bytes: f64,
    /// The same if the blocks had been laid end to end in the order they came.
    pub(crate) packed_floor_bytes: f64,
    pub(crate) peak_bytes: f64,
    /// At each of [`MARKS`].
    pub(crate) resident_bytes: Vec<f64>,
    /// Of the last of them: marked with MADV_FREE, for the kernel to take when it is short of memory.
    pub(crate) lazily_free_bytes: f64,
    /// Seconds from the last free, bytes; points where little changes are left out.
    pub(crate) curve: Vec<(f64, f64)>,
}

impl Burst {
    /// Resident ÷ live at a mark; nothing if nothing lives.
    pub(crate) fn of_live(&self, mark: usize) -> Option<f64> {
        let resident = self.resident_bytes.get(mark)?;
        (self.live_bytes > 0.0).then(|| resident / self.live_bytes)
    }

    /// Resident ÷ the pages that hold a live byte.
    pub(crate) fn of_floor(&self, mark: usize) -> Option<f64> {
        let resident = self.resident_bytes.get(mark)?;
        (self.floor_bytes > 0.0).then(|| resident / self.floor_bytes)
    }

    /// Resident MiB.
    pub(crate) fn mib(&self, mark: usize) -> Option<f64> {
        self.resident_bytes.get(mark).map(|bytes| bytes / MIB)
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) mib: usize,
    /// For blocks of up to 1 KiB: there are many of them, and the ratios are the same.
    pub(crate) small_mib: usize,
    /// What all programs together may hold.
    pub(crate) budget_mib: usize,
}

impl Scale {
    fn of(self, case: &Case) -> usize {
        if case.sizes.1 <= 1024 {
            self.small_mib
        } else {
            self.mib
        }
    }
}

/// Memory that programs may hold, handed out in MiB.
struct Budget {
    left: Mutex<usize>,
    changed: Condvar,
}

impl Budget {
    fn take(&self, mib: usize) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        while *left < mib {
            left = self.changed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
        *left -= mib;
    }

    fn put(&self, mib: usize) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) += mib;
        self.changed.notify_all();
    }
}

/// A part of the budget; what is left of it goes back when it is dropped.
struct Share<'a> {
    budget: &'a Budget,
    mib: usize,
}

impl<'a> Share<'a> {
    fn take(budget: &'a Budget, mib: usize) -> Share<'a> {
        budget.take(mib);
        Share { budget, mib }
    }

    fn shrink_to(&mut self, mib: usize) {
        let spare = self.mib.saturating_sub(mib);
        self.mib -= spare;
        self.budget.put(spare);
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.budget.put(self.mib);
    }
}

/// Runs every case under every subject. A burst that fails is a line of the second list.
pub(crate) fn run(
    programs: &Programs,
    cases: &[Case],
    subjects: &[Subject],
    scale: Scale,
    told: &(dyn Fn(&str) + Sync),
) -> (Vec<Burst>, Vec<String>) {
    let mut jobs: VecDeque<(usize, &Case, &Subject)> = VecDeque::new();
    for case in cases {
        for subject in subjects {
            jobs.push_back((jobs.len(), case, subject));
        }
    }
    let jobs = Mutex::new(jobs);
    let stage = Mutex::new(());
    let budget = Budget {
        left: Mutex::new(scale.budget_mib),
        changed: Condvar::new(),
    };
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WAITING {
            scope.spawn(|| {
                loop {
                    let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((order, case, subject)) = next else {
                        return;
                    };
                    let mib = scale.of(case);
                    // Room for the worst of headers and size classes, and for the books.
                    let room = (mib * 6 / 5 + 64).min(scale.budget_mib);
                    let mut share = Share::take(&budget, room);
                    told(&format!("{}: {}", case.title, subject.name));
                    let outcome = one(programs, case, subject, mib, &stage, &mut share);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((order, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(order, _)| *order);
    let mut bursts = Vec::new();
    let mut failures = Vec::new();
    for (_, outcome) in done {
        match outcome {
            Ok(burst) => bursts.push(burst),
            Err(failure) => failures.push(failure),
        }
    }
    (bursts, failures)
}

/// A curve under way: times from its beginning, resident bytes.
struct Curve {
    begun: Instant,
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn note(&mut self, child: &Child) {
        if let Some(bytes) = child.resident_roughly() {
            let at = self.begun.elapsed().as_secs_f64();
            self.points.push((at, bytes as f64));
        }
    }

    /// From `zero` on the time scale, above `base`, without points on level stretches.
    fn told_from(&self, zero: Instant, base: f64) -> Vec<(f64, f64)> {
        let shift = zero.duration_since(self.begun).as_secs_f64();
        let top = self.points.iter().map(|p| p.1).fold(1.0, f64::max);
        let mut kept: Vec<(f64, f64)> = Vec::new();
        let mut skipped = None;
        for &(at, bytes) in &self.points {
            let point = (round(at - shift, 1000.0), (bytes - base).max(0.0));
            let level = kept
                .last()
                .is_some_and(|last| (last.1 - point.1).abs() < top * 0.005);
            if level {
                skipped = Some(point);
            } else {
                kept.extend(skipped.take());
                kept.push(point);
            }
        }
        kept.extend(skipped);
        kept
    }
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

fn one(
    programs: &Programs,
    case: &Case,
    subject: &Subject,
    mib: usize,
    stage: &Mutex<()>,
    share: &mut Share<'_>,
) -> Result<Burst, String> {
    let mut on_stage = Some(stage.lock().unwrap_or_else(PoisonError::into_inner));
    let mut child = programs.start("burst", &case.words(mib, subject.calling), subject)?;
    let mut curve = Curve {
        begun: Instant::now(),
        points: Vec::new(),
    };
    child.expect("base", |_| {})?;
    let base = child.resident()? as f64;
    child.go_on()?;
    child.expect("full", |child| curve.note(child))?;
    let peak = child.resident()? as f64;
    curve.note(&child);
    child.go_on()?;
    let freed = child.expect("freed", |child| curve.note(child))?;

    let mut resident_bytes = Vec::new();
    let mut above = 0.0;
    for (n, mark) in MARKS.iter().enumerate() {
        follow(&child, &mut curve, freed.at, *mark);
        above = (child.resident()? as f64 - base).max(0.0);
        resident_bytes.push(above);
        if n == JUDGED {
            on_stage = None;
        }
        if n > JUDGED {
            share.shrink_to((above / MIB) as usize + 128);
        }
    }
    drop(on_stage);
    curve.note(&child);
    let lazily_free_bytes = (child.lazily_free() as f64).min(above);
    child.go_on()?;
    child.expect("kept", |_| {})?;
    child.end()?;
    Ok(Burst {
        case: case.id,
        subject: subject.name.clone(),
        burst_mib: mib,
        live_bytes: freed.number(1)?,
        live_blocks: freed.number(2)?,
        floor_bytes: freed.number(3)? * 4096.0,
        packed_floor_bytes: freed.number(4)? * 4096.0,
        peak_bytes: peak - base,
        resident_bytes,
        lazily_free_bytes,
        curve: curve.told_from(freed.at, base),
    })
}

/// Notes the curve until `mark` seconds after `zero`: often at first, then now and then.
fn follow(child: &Child, curve: &mut Curve, zero: Instant, mark: f64) {
    loop {
        let now = zero.elapsed().as_secs_f64();
        if now >= mark {
            return;
        }
        let step: f64 = if now < 1.0 { 0.02 } else { 0.2 };
        std::thread::sleep(Duration::from_secs_f64(step.min(mark - now)));
        curve.note(child);
    }
}
