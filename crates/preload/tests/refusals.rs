//! The kernel says no: one system call refused for good (by a seccomp filter), for each call and error;
//! and each single call of a script refused once (by a tracer). The heap loses no contents, and answers
//! NULL with ENOMEM only where memory cannot be had.

mod harness;

use harness::{BACKENDS, MMAP_CHECK, contract_with};

/// The filter is there before the program, before constructors, or from the middle of the run on.
fn refused(call: &str, error: &str) {
    // The dynamic linker itself does not get by without these two.
    if !["mmap", "mprotect"].contains(&call) {
        contract_with("refused_call.c", &BACKENDS, &["exec", call, error]);
    }
    contract_with("refused_call.c", &BACKENDS, &["preinit", call, error]);
    contract_with("refused_call.c", &BACKENDS, &["late", call, error]);
    contract_with("refused_call.c", &[MMAP_CHECK], &["late", call, error]);
}

/// A test for each call and error.
macro_rules! refusals {
    ($($test:ident: $call:literal $error:literal;)*) => {
        $(
            #[test]
            fn $test() {
                refused($call, $error);
            }
        )*
    };
}

refusals! {
    mmap_refused_with_enomem: "mmap" "ENOMEM";
    mmap_refused_with_eperm: "mmap" "EPERM";
    mmap_refused_with_enosys: "mmap" "ENOSYS";
    munmap_refused_with_enomem: "munmap" "ENOMEM";
    munmap_refused_with_eperm: "munmap" "EPERM";
    munmap_refused_with_enosys: "munmap" "ENOSYS";
    madvise_refused_with_enomem: "madvise" "ENOMEM";
    madvise_refused_with_eperm: "madvise" "EPERM";
    madvise_refused_with_enosys: "madvise" "ENOSYS";
    mprotect_refused_with_enomem: "mprotect" "ENOMEM";
    mprotect_refused_with_eperm: "mprotect" "EPERM";
    mprotect_refused_with_enosys: "mprotect" "ENOSYS";
    mremap_refused_with_enomem: "mremap" "ENOMEM";
    mremap_refused_with_eperm: "mremap" "EPERM";
    mremap_refused_with_enosys: "mremap" "ENOSYS";
    brk_refused_with_enomem: "brk" "ENOMEM";
    brk_refused_with_eperm: "brk" "EPERM";
    brk_refused_with_enosys: "brk" "ENOSYS";
    futex_refused_with_enomem: "futex" "ENOMEM";
    futex_refused_with_eperm: "futex" "EPERM";
    futex_refused_with_enosys: "futex" "ENOSYS";
    clone_refused_with_enomem: "clone" "ENOMEM";
    clone_refused_with_eperm: "clone" "EPERM";
    clone_refused_with_enosys: "clone" "ENOSYS";
    clone3_refused_with_enomem: "clone3" "ENOMEM";
    clone3_refused_with_eperm: "clone3" "EPERM";
    clone3_refused_with_enosys: "clone3" "ENOSYS";
    process_madvise_refused_with_enomem: "process_madvise" "ENOMEM";
    process_madvise_refused_with_eperm: "process_madvise" "EPERM";
    process_madvise_refused_with_enosys: "process_madvise" "ENOSYS";
    membarrier_refused_with_enomem: "membarrier" "ENOMEM";
    membarrier_refused_with_eperm: "membarrier" "EPERM";
    membarrier_refused_with_enosys: "membarrier" "ENOSYS";
    prctl_refused_with_enomem: "prctl" "ENOMEM";
    prctl_refused_with_eperm: "prctl" "EPERM";
    prctl_refused_with_enosys: "prctl" "ENOSYS";
    getrandom_refused_with_enomem: "getrandom" "ENOMEM";
    getrandom_refused_with_eperm: "getrandom" "EPERM";
    getrandom_refused_with_enosys: "getrandom" "ENOSYS";
    rt_sigprocmask_refused_with_enomem: "rt_sigprocmask" "ENOMEM";
    rt_sigprocmask_refused_with_eperm: "rt_sigprocmask" "EPERM";
    rt_sigprocmask_refused_with_enosys: "rt_sigprocmask" "ENOSYS";
    sched_yield_refused_with_enomem: "sched_yield" "ENOMEM";
    sched_yield_refused_with_eperm: "sched_yield" "EPERM";
    sched_yield_refused_with_enosys: "sched_yield" "ENOSYS";
}

#[test]
fn each_single_call_refused_with_enomem() {
    contract_with("refused_once.c", &BACKENDS, &["ENOMEM", "1"]);
}

#[test]
fn each_single_call_refused_with_eperm() {
    contract_with("refused_once.c", &BACKENDS, &["EPERM", "1"]);
}

/// Who asks again after a refusal is refused again.
#[test]
fn each_three_calls_in_a_row_refused() {
    contract_with("refused_once.c", &BACKENDS, &["ENOMEM", "3"]);
}

#[test]
fn each_single_call_refused_under_checking() {
    contract_with("refused_once.c", &[MMAP_CHECK], &["ENOMEM", "1"]);
}
