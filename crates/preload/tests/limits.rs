//! Limits: where memory, address space or stack are short, requests are refused and the program goes on.

mod harness;

use harness::{BACKENDS_AND_CHECK, contract};

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
