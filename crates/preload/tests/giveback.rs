//! Giving back: what is free leaves the resident memory soon, on its own, whoever survives; and the
//! helper that does it is not noticed. Bounds are on bytes; time has a generous deadline only.

mod harness;

use harness::{BACKENDS, MMAP, Mode, WITHOUT_HELPER, compile, conclude, contract, in_modes};
use std::sync::Mutex;

/// One burst at a time: resident memory is judged while the machine is not short of processors.
static ONE: Mutex<()> = Mutex::new(());

fn falls_to_what_lives(who: &str, modes: &[Mode], how: &[&str]) {
    let _one = ONE.lock();
    let arguments: Vec<&str> = std::iter::once(who).chain(how.iter().copied()).collect();
    conclude(compile("giveback.c", &[]).and_then(|program| {
        for finished in in_modes(&program, modes, &arguments)? {
            println!("{}", finished.stdout.trim_end());
        }
        Ok(())
    }));
}

/// A test for each pattern of survivors, with a helper and the program idle.
macro_rules! patterns {
    ($($test:ident: $who:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                falls_to_what_lives($who, &BACKENDS, &[]);
            }
        )*
    };
}

patterns! {
    all_freed: "none",
    all_of_small_blocks_freed: "none_of_small",
    survivors_scattered: "scattered",
    survivors_of_tiny_blocks_scattered: "scattered_tiny",
    one_in_a_thousand_survives: "one_in_a_thousand",
    the_oldest_survive: "oldest",
    the_youngest_survive: "youngest",
    every_tenth_run_survives: "every_tenth_run",
    every_fourth_extent_survives: "every_fourth_extent",
    threads_have_ended: "threads1",
    threads_freed_and_wait: "threads2",
    threads_wait_and_another_freed: "threads3",
}

#[test]
fn without_a_helper_the_programs_own_calls_give_back() {
    for who in ["none", "scattered", "every_tenth_run", "threads1"] {
        falls_to_what_lives(who, &WITHOUT_HELPER, &["calling"]);
    }
}

#[test]
fn without_a_helper_one_call_now_and_then_is_enough() {
    for who in [
        "none",
        "scattered",
        "scattered_tiny",
        "one_in_a_thousand",
        "threads3",
    ] {
        falls_to_what_lives(who, &WITHOUT_HELPER, &["seldom"]);
    }
}

#[test]
fn a_helper_is_gone_before_anyone_asks() {
    let _one = ONE.lock();
    contract("helper_unnoticed.c", &BACKENDS);
}

#[test]
fn a_helper_takes_no_signal() {
    let _one = ONE.lock();
    contract("helper_takes_no_signal.c", &BACKENDS);
}

#[test]
fn an_idle_program_uses_no_processor_time() {
    let _one = ONE.lock();
    contract("idle_uses_no_cpu.c", &[MMAP]);
}
