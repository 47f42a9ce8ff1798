//! neap-load: the workloads of our own, one a process, so that `LD_PRELOAD` decides who serves them.
//!
//! `neap-load list`: names and what each is like. `neap-load run NAME [ROUNDS% [THREADS]]`: does it and prints
//! operations, seconds and the bytes resident at the end. `neap-load pairs NAME N`: N operations of one kind, to count instructions.
//! `neap-load launch`: see `launch`. Every workload has a fixed seed: it allocates the same, whoever serves it.

mod block;
mod bursts;
mod large;
mod launch;
mod mixed;
mod pairs;
mod shapes;
mod small;
mod threads;
mod traffic;

use std::process::ExitCode;
use std::time::Instant;

/// How much, and with how many threads.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// 100 is what a record uses.
    percent: u64,
    pub(crate) threads: usize,
}

impl Scale {
    /// `rounds`, scaled; at least one.
    pub(crate) fn of(self, rounds: u64) -> u64 {
        (rounds * self.percent / 100).max(1)
    }
}

/// One workload.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What it does, and which programs of the literature do the like.
    pub(crate) what: &'static str,
    /// Returns how many calls of malloc, calloc, realloc it made.
    pub(crate) run: fn(Scale) -> u64,
}

fn all() -> impl Iterator<Item = &'static Workload> {
    [
        small::ALL,
        shapes::ALL,
        mixed::ALL,
        large::ALL,
        bursts::ALL,
        threads::ALL,
        traffic::ALL,
    ]
    .into_iter()
    .flatten()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| words.get(at).and_then(|w| w.parse().ok()).unwrap_or(otherwise);
    match words.first().map(String::as_str) {
        Some("launch") => launch::run(&words[1..]),
        Some("list") => {
            for workload in all() {
                println!("{}\t{}", workload.name, workload.what);
            }
            ExitCode::SUCCESS
        }
        Some("run") => {
            let scale = Scale {
                percent: number(2, 100),
                threads: usize::try_from(number(3, 2)).unwrap_or(2).max(1),
            };
            run(words.get(1).map_or("", String::as_str), scale)
        }
        Some("pairs") => pairs::run(words.get(1).map_or("", String::as_str), number(2, 1)),
        _ => {
            eprintln!("usage: neap-load list | run NAME [PERCENT [THREADS]] | pairs NAME N | launch ...");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, scale: Scale) -> ExitCode {
    let Some(workload) = all().find(|w| w.name == name) else {
        eprintln!("neap-load: no workload {name}");
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let operations = (workload.run)(scale);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{operations} operations {seconds:.6} seconds {} resident",
        resident_bytes()
    );
    ExitCode::SUCCESS
}

/// By /proc/self/statm; 0 where there is none.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}
