//! Threads that come, go, hand blocks to each other and end in odd ways.

mod harness;

use harness::{BACKENDS_AND_CHECK, contract};

#[test]
fn a_thread_that_only_frees_is_first_class() {
    contract("thread_only_frees.c", &BACKENDS_AND_CHECK);
}

#[test]
fn memory_of_finished_threads_is_used_again() {
    contract("threads_finish_memory_reused.c", &BACKENDS_AND_CHECK);
}

#[test]
fn producers_and_consumers_do_not_grow() {
    contract("producer_consumer.c", &BACKENDS_AND_CHECK);
}

#[test]
fn ten_thousand_short_threads_leave_nothing() {
    contract("ten_thousand_short_threads.c", &BACKENDS_AND_CHECK);
}

#[test]
fn destructors_of_thread_specific_data_may_allocate() {
    contract("tls_destructor_frees.c", &BACKENDS_AND_CHECK);
}

#[test]
fn thread_local_destructors_may_allocate() {
    contract("thread_local_destructors.cpp", &BACKENDS_AND_CHECK);
}

#[test]
fn malloc_is_no_cancellation_point() {
    contract("cancellation.c", &BACKENDS_AND_CHECK);
}

#[test]
fn cancellation_comes_at_any_time() {
    contract("cancelled_at_any_time.c", &BACKENDS_AND_CHECK);
}

#[test]
fn destructors_allocate_in_every_round() {
    contract("every_destructor_round.c", &BACKENDS_AND_CHECK);
}

#[test]
fn small_stacks_are_enough() {
    contract("small_stacks.c", &BACKENDS_AND_CHECK);
}
