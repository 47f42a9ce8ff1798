//! One C or C++ program for each promise of the malloc interface, in a fresh process each, on both
//! backends, with and without checking. The promise and its source stand on top of the program.

mod harness;

use harness::{BACKENDS, BACKENDS_AND_CHECK, contract};

/// A test for each program, named as the program is.
macro_rules! contracts {
    ($($name:ident . $kind:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                contract(concat!(stringify!($name), ".", stringify!($kind)), &BACKENDS_AND_CHECK);
            }
        )*
    };
}

contracts! {
    errno_untouched_on_success.c,
    failure_sets_enomem.c,
    overflow_is_refused.c,
    alignment_is_16.c,
    malloc_zero_is_unique.c,
    realloc_zero_frees.c,
    realloc_keeps_contents.c,
    calloc_is_zero.c,
    usable_bytes_are_writable.c,
    posix_memalign_contract.c,
    aligned_alloc_contract.c,
    memalign_rounds_up.c,
    pvalloc_rounds_up.c,
    large_alignments.c,
    sized_free.c,
    malloc_trim_gives_back.c,
    mallopt_acts.c,
    mallopt_perturb_fills.c,
    mallinfo_counts.c,
    malloc_info_is_xml.c,
    malloc_stats_prints.c,
    every_export_resolves.c,
    operator_new_throws.cpp,
    new_handler_runs.cpp,
    nothrow_new.cpp,
    rlimit_as_enomem.c,
    libc_allocates.c,
    locked_memory.c,
    descriptors_untouched.c,
    mixed_random_oracle.c,
}

/// Checking fills blocks, so it is left out.
#[test]
fn calloc_leaves_fresh_pages_untouched() {
    contract("calloc_fresh_pages_untouched.c", &BACKENDS);
}

/// Checking moves a block whenever it changes its size, so it is left out.
#[test]
fn realloc_grows_without_copying() {
    contract("realloc_grows_without_copy.c", &BACKENDS);
}
