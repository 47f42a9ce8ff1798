//! `cargo xtask sanitize`: the heap's and the maps' tests under AddressSanitizer, the heap's threads under
//! ThreadSanitizer.
//!
//! Owns how they are built with the stable compiler: the options are unlocked by RUSTC_BOOTSTRAP. For
//! AddressSanitizer the standard library is the ordinary one; what is watched is the heap's own code and
//! its tests. `neap-os` is left out: its tests fault on purpose and start threads that the C library does
//! not know, which is taken for errors. For ThreadSanitizer the standard library is built anew, from the
//! component rust-src, or its channels and locks would be reported as races; without the component it is
//! skipped by name. It runs the stress tests over a simulated kernel: at the places where those of the real
//! kernel put their heaps it keeps its own records. What a sanitizer sees is what happened in that run;
//! loom's models (`crates/heap/src/tests/models`) try every order of a few steps.
//!
//! Of `neap-map` AddressSanitizer watches what the maps' users and its own code do with slices, and the
//! memory beside them that it owns itself. Its handlers for SIGSEGV and SIGBUS are turned off, as the
//! faults of guarded copies are `neap-map`'s to catch; the copies themselves are assembly, which it does
//! not see. Left out are the tests named in [`WITHOUT_ROOM`], which leave no room for its own mappings or
//! count what they take.

use crate::Outcome;
use crate::artifacts::{check, root, target};
use std::process::Command;

/// Builds and runs them: both, or the one that is named.
pub(crate) fn run(words: &[&str]) -> Outcome {
    match words {
        [] => address().and_then(|()| map()).and_then(|()| thread()),
        ["address"] => address(),
        ["map"] => map(),
        ["thread"] => thread(),
        _ => Err("usage: cargo xtask sanitize [address|map|thread]".to_owned()),
    }
}

fn address() -> Outcome {
    let mut command = tests("address", "neap-heap")?;
    // Blocks of the heap under test are no blocks of the C library's: nothing of theirs leaks.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    check(&mut command)
}

/// Tests of `neap-map` that use up the map count, the addresses or the room below a stack, of which the
/// sanitizer needs some itself, or that count the pages of a mapping with which its own have merged.
const WITHOUT_ROOM: [&str; 8] = [
    "diagnosis::tests::the_limit_of_data_is_named_for_private_writable_memory_only",
    "diagnosis::tests::the_map_count_is_told_from_other_lack_of_memory",
    "growable::tests::growth_needs_no_further_mapping",
    "ring::tests::a_refused_mapping_refuses_the_ring_and_harms_nothing",
    "window::tests::a_refused_mapping_leaves_the_windows_as_they_were",
    "stack::tests::it_grows_when_touched_to_its_limit_and_goes_with_all_it_grew_by",
    "anon::tests::populating_makes_every_page_now",
    "more_records_than_there_is_memory_for_are_an_error",
];

fn map() -> Outcome {
    let mut command = tests("address", "neap-map")?;
    command.env(
        "ASAN_OPTIONS",
        "detect_leaks=0:handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1:allocator_may_return_null=1",
    );
    command.args(["--test", "soundness", "--", "--exact"]);
    WITHOUT_ROOM
        .iter()
        .for_each(|name| _ = command.args(["--skip", name]));
    check(&mut command)
}

fn thread() -> Outcome {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(rustc).args(["--print", "sysroot"]).output();
    let answer = answer.map_err(|e| format!("rustc --print sysroot: {e}"))?;
    let sysroot = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    let sources = std::path::Path::new(&sysroot).join("lib/rustlib/src/rust/library/Cargo.lock");
    if !sources.is_file() {
        println!(
            "skipped: sanitize thread: no sources of the standard library (rustup component add rust-src)"
        );
        return Ok(());
    }
    let mut command = tests("thread", "neap-heap")?;
    command.arg("-Zbuild-std");
    // Tests unwind; with a second strategy there would be two standard libraries.
    command.env("CARGO_PROFILE_DEV_PANIC", "unwind");
    let simulated = [
        "--skip",
        "a_real_heap",
        "--skip",
        "one_thread_allocates_and_two_free",
    ];
    command.args(["stress::", "--"]).args(simulated);
    check(&mut command)
}

/// `cargo test` of a package's library with one sanitizer, in a folder of its own.
fn tests(sanitizer: &str, package: &str) -> Outcome<Command> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "-p", package, "--lib", "--target", &host]);
    command.arg("--manifest-path").arg(root().join("Cargo.toml"));
    command
        .arg("--target-dir")
        .arg(target()?.join("sanitize").join(sanitizer));
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    Ok(command)
}
