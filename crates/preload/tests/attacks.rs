//! Attacks on a heap that checks (`NEAP_CHECK=1`): each in many variants, each variant in a process of its
//! own, stopped by SIGABRT and one line that says what it was. `cargo xtask bench attack` compares the rates
//! with other allocators'; what cannot be seen every time is asked for in most cases here.

mod harness;

use harness::{
    BRK_CHECK, Finished, MMAP_CHECK, Outcome, Stop, compile, conclude, preloaded, run, time_limit,
};
use std::os::unix::process::ExitStatusExt as _;

const DOUBLE: &str = "double free";
const FOREIGN: &str = "free of a foreign pointer";
const INTERIOR: &str = "free of an interior pointer";
const OVERFLOW: &str = "write past the end of a block";
const LATE_WRITE: &str = "write after free";
const WRONG_SIZE: &str = "free with the wrong size or alignment";

const VARIANTS: usize = 16;
const SIGABRT: i32 = 6;

/// Whether the process was stopped by exactly one line of one of these kinds. Ending in peace is a miss;
/// anything else is an error.
fn stopped(finished: &Finished, kinds: &[&str]) -> Result<bool, &'static str> {
    if finished.status.success() {
        return match (finished.stderr.is_empty(), finished.stdout.as_str()) {
            (true, "end\n") => Ok(false),
            _ => Err("went on, but said something"),
        };
    }
    if finished.status.signal() != Some(SIGABRT) {
        return Err("ended by something other than SIGABRT");
    }
    let line = finished.stderr.strip_suffix('\n').unwrap_or_default();
    let rest = kinds
        .iter()
        .find_map(|kind| line.strip_prefix(&format!("neap: {kind} at 0x")));
    let Some((address, class)) = rest.and_then(|rest| rest.split_once(' ')) else {
        return Err("the line does not name the kind and an address");
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let sized = class
        .strip_prefix("(size class ")
        .and_then(|c| c.strip_suffix(" bytes)"));
    if !address.bytes().all(|b| b.is_ascii_hexdigit())
        || !(class == "(no size class)" || sized.is_some_and(number))
    {
        return Err("the line does not end with an address and a size class");
    }
    Ok(true)
}

/// Runs every variant in both checking modes; at least `least` of them must be stopped.
fn attack(kind: &str, kinds: &[&str], least: usize) {
    conclude(compile("attack.cpp", &[]).and_then(|program| {
        for mode in [MMAP_CHECK, BRK_CHECK] {
            let mut count = 0;
            for seed in 1..=VARIANTS {
                let seed = seed.to_string();
                let finished = run(preloaded(&program, mode).args([kind, &seed]), time_limit())?;
                let judged = stopped(&finished, kinds);
                let what = || finished.describe(&format!("attack {kind} {seed} [{}]", mode.name));
                count += usize::from(judged.map_err(|why| Stop::Fail(format!("{why}: {}", what())))?);
            }
            enough(kind, mode.name, count, least)?;
        }
        Ok(())
    }));
}

fn enough(kind: &str, mode: &str, count: usize, least: usize) -> Outcome {
    if count >= least {
        return Ok(());
    }
    let text = format!("attack {kind} [{mode}]: stopped {count} times of {VARIANTS}, wanted {least}");
    Err(Stop::Fail(text))
}

/// Stopped every time.
macro_rules! always {
    ($($kind:ident: $line:expr;)*) => {
        $(
            #[test]
            fn $kind() {
                attack(stringify!($kind), &[$line], VARIANTS);
            }
        )*
    };
}

always! {
    double_free_near: DOUBLE;
    double_free_far: DOUBLE;
    double_free_large: DOUBLE;
    double_free_extent: DOUBLE;
    double_free_thread: DOUBLE;
    free_stack: FOREIGN;
    free_static: FOREIGN;
    free_mapping: FOREIGN;
    free_break: FOREIGN;
    interior_aligned: INTERIOR;
    interior_odd: INTERIOR;
    interior_large: INTERIOR;
    write_after_free: LATE_WRITE;
    write_after_free_byte: LATE_WRITE;
    write_after_free_large: LATE_WRITE;
    write_after_free_extent: LATE_WRITE;
    write_after_free_left: LATE_WRITE;
    smashed_list: LATE_WRITE;
    overflow_one: OVERFLOW;
    overflow_word: OVERFLOW;
    overflow_many: OVERFLOW;
    overflow_page: OVERFLOW;
    realloc_freed: DOUBLE;
    usable_freed: DOUBLE;
    realloc_freed_large: DOUBLE;
    usable_freed_large: DOUBLE;
    sized_free: WRONG_SIZE;
    aligned_free_size: WRONG_SIZE;
    aligned_free_alignment: WRONG_SIZE;
    sized_delete: WRONG_SIZE;
    aligned_delete: WRONG_SIZE;
}

/// Found in the tail or the poison of the block in front, unless nothing ever lay there.
#[test]
fn underflow() {
    for kind in ["underflow_one", "underflow_word", "underflow_many"] {
        attack(kind, &[OVERFLOW, LATE_WRITE], VARIANTS / 2);
    }
}

/// By then the block may be somebody else's, whose to write it is.
#[test]
fn write_after_free_later() {
    attack("write_after_free_later", &[LATE_WRITE], VARIANTS / 2);
}

/// Jumps over the end, into the middle of whatever lies behind.
#[test]
fn overflow_next() {
    attack("overflow_next", &[OVERFLOW, LATE_WRITE], VARIANTS / 4);
}

/// The same surroundings with nothing wrong in them.
#[test]
fn no_attack_is_not_stopped() {
    conclude(compile("attack.cpp", &[]).and_then(|program| {
        for mode in [MMAP_CHECK, BRK_CHECK] {
            for seed in 1..=VARIANTS {
                let finished = run(
                    preloaded(&program, mode).args(["none", &seed.to_string()]),
                    time_limit(),
                )?;
                finished.success("no attack")?;
            }
        }
        Ok(())
    }));
}
