//! Limits: where memory, address space or stack are short, requests are refused and the program goes on.

mod harness;

use harness::{BACKENDS, BACKENDS_AND_CHECK, Outcome, Stop, compile, conclude, contract, in_modes};
use std::fs;

#[test]
fn the_data_segment_is_limited() {
    contract("rlimit_data.c", &BACKENDS_AND_CHECK);
}

#[test]
fn not_even_the_first_record_can_be_mapped() {
    contract("tiny_limits.c", &BACKENDS_AND_CHECK);
}

#[test]
fn the_smallest_stacks_are_enough() {
    contract("small_main_stack.c", &BACKENDS_AND_CHECK);
}

const OVERCOMMIT: &str = "/proc/sys/vm/overcommit_memory";

/// The machine's setting, as it was when this is dropped.
struct Restored(String);

impl Drop for Restored {
    fn drop(&mut self) {
        let restored = fs::write(OVERCOMMIT, self.0.trim());
        assert!(
            restored.is_ok() || std::thread::panicking(),
            "{OVERCOMMIT} is as it was"
        );
    }
}

/// Changes a setting of the whole machine for a second or two, so it must be asked for.
#[test]
fn the_kernel_promises_no_more_than_there_is() {
    conclude(overcommit());
}

fn overcommit() -> Outcome {
    if std::env::var_os("NEAP_TEST_OVERCOMMIT").is_none_or(|v| v != "1") {
        let reason = "changes vm.overcommit_memory of the machine; NEAP_TEST_OVERCOMMIT=1 allows it";
        return Err(Stop::Skip(reason.to_owned()));
    }
    let program = compile("overcommit_never.c", &[])?;
    let io = |e: std::io::Error| Stop::Skip(format!("{OVERCOMMIT}: {e}"));
    let before = fs::read_to_string(OVERCOMMIT).map_err(io)?;
    fs::write(OVERCOMMIT, "2").map_err(io)?;
    let _restored = Restored(before);
    in_modes(&program, &BACKENDS, &[]).map(drop)
}
