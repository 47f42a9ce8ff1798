//! `cargo xtask sanitize`: the heap's tests under AddressSanitizer, its threads under ThreadSanitizer.
//!
//! Owns how they are built with the stable compiler: the options are unlocked by RUSTC_BOOTSTRAP. For
//! AddressSanitizer the standard library is the ordinary one; what is watched is the heap's own code and its
//! tests. `neap-os` is left out: its tests fault on purpose and start threads that the C library does not know,
//! which is taken for errors. For ThreadSanitizer the standard library is built anew, from the component
//! rust-src, or its channels and locks would be reported as races; without the component it is skipped by name.
//! It runs the stress tests over a simulated kernel: at the places where those of the real kernel put their
//! heaps it keeps its own records. What a sanitizer sees is what happened in that run; loom's models
//! (`crates/heap/src/tests/models`) try every order of a few steps.

use crate::Outcome;
use crate::artifacts::{check, root, target};
use std::process::Command;

/// Builds and runs them: both, or the one that is named.
pub(crate) fn run(words: &[&str]) -> Outcome {
    match words {
        [] => address().and_then(|()| thread()),
        ["address"] => address(),
        ["thread"] => thread(),
        _ => Err("usage: cargo xtask sanitize [address|thread]".to_owned()),
    }
}

fn address() -> Outcome {
    let mut command = tests("address")?;
    // Blocks of the heap under test are no blocks of the C library's: nothing of theirs leaks.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
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
    let mut command = tests("thread")?;
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

/// `cargo test` of the heap with one sanitizer, in a folder of its own.
fn tests(sanitizer: &str) -> Outcome<Command> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "-p", "neap-heap", "--lib", "--target", &host]);
    command.arg("--manifest-path").arg(root().join("Cargo.toml"));
    command
        .arg("--target-dir")
        .arg(target()?.join("sanitize").join(sanitizer));
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    Ok(command)
}
