//! The helper goes unnoticed: what a program does right after a burst, with the helper alive, and what
//! one more thread of the program's own would spoil.

mod harness;

use harness::{BACKENDS, contract_with};

/// A test for each thing that a program may do.
macro_rules! unnoticed {
    ($($test:ident: $which:literal),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                contract_with("helper_in_the_way.c", &BACKENDS, &[$which]);
            }
        )*
    };
}

unnoticed! {
    a_user_namespace_is_entered: "unshare_user",
    a_user_namespace_is_entered_by_number: "unshare_by_number",
    a_mount_namespace_is_joined: "setns",
    root_is_given_up: "setuid",
    root_is_given_up_by_number: "setresuid_by_number",
    capabilities_are_given_up: "capset",
    capabilities_are_given_up_by_number: "capset_by_number",
    forks: "fork",
    forks_of_which_no_handler_hears: "bare_fork",
    a_program_becomes_a_daemon: "daemon",
    a_filter_refuses_clone: "filter_refuses",
    a_filter_kills_for_clone: "filter_kills",
    a_filter_by_number_refuses_clone: "filter_by_number_refuses",
    a_filter_by_number_kills_for_clone: "filter_by_number_kills",
}
