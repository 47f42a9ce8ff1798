//! Reads of a file that is larger than what is mapped of it at a time: mostly near the last one.

use super::input::Input;
use crate::contest::{Contender, Contest, Target, Unit};
use neap_map::Window;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt as _;
use std::rc::Rc;
use std::time::Instant;

const WINDOW: usize = 16 << 20;
const WINDOWS: usize = 4;
/// How far most reads lie apart, and one of how many goes anywhere.
const NEAR: u64 = 1 << 20;
const FAR_EVERY: u64 = 1000;

/// Offsets with locality, always the same.
fn offsets(len: u64, size: usize, count: u64) -> Rc<[u64]> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut base = 0;
    let reads = (0..count).map(|turn| {
        if turn % FAR_EVERY == 0 {
            base = random.u64(0..len / NEAR) * NEAR;
        }
        base + random.u64(0..NEAR - size as u64)
    });
    reads.collect()
}

fn pace(offsets: &[u64], mut read: impl FnMut(u64) -> Result<(), String>) -> Result<f64, String> {
    let start = Instant::now();
    offsets.iter().try_for_each(|&at| read(at))?;
    Ok(start.elapsed().as_secs_f64() * 1e9 / offsets.len() as f64)
}

pub(crate) fn contests(input: &Input) -> Result<Vec<Contest>, String> {
    [("window-64", 64), ("window-4k", 4 << 10)]
        .map(|(name, size)| contest(input, name, size))
        .into_iter()
        .collect()
}

fn contest(input: &Input, name: &'static str, size: usize) -> Result<Contest, String> {
    let offsets = offsets(input.len(), size, input.scaled(1_000_000));
    let windows = NonZeroUsize::new(WINDOWS).ok_or("no windows")?;
    let window = Window::new(&input.open()?, WINDOW, windows).map_err(|e| e.to_string())?;
    let file = input.open()?;
    let (one, two) = (Rc::clone(&offsets), Rc::clone(&offsets));
    let (mut a, mut b) = (vec![0; size], vec![0; size]);
    Ok(Contest {
        name,
        what: format!(
            "{} reads of {size} bytes of a cached file, within {} KiB but for one in {FAR_EVERY}, through {WINDOWS} \
             windows of {} MiB.",
            offsets.len(),
            NEAR >> 10,
            WINDOW >> 20
        ),
        unit: Unit::Nanoseconds,
        contenders: vec![
            Contender::new("neap, Window", move || {
                pace(&one, |at| window.read_at(at, &mut a).map_err(|e| e.to_string()))
            }),
            Contender::new("pread", move || {
                pace(&two, |at| {
                    file.read_exact_at(&mut b, at).map_err(|e| e.to_string())
                })
            }),
        ],
        targets: vec![Target {
            who: "neap, Window",
            rival: "pread",
            ratio: 1.0,
        }],
    })
}
