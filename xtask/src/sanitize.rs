//! `cargo xtask sanitize`: the heap's tests under AddressSanitizer.
//!
//! Owns how they are built with the stable compiler: the option is unlocked by RUSTC_BOOTSTRAP, and the standard
//! library is the ordinary one. So what is watched is the heap's own code and its tests. `neap-os` is left
//! out: its tests fault on purpose and start threads that the C library does not know, which
//! AddressSanitizer takes for errors. There is no ThreadSanitizer here: it needs a standard library built with
//! it (`-Zbuild-std`, a nightly compiler's sources), and reports the ordinary one's channels and locks as
//! races; loom's models stand in its place.

use crate::Outcome;
use crate::artifacts::{check, root, target};
use std::process::Command;

/// Builds and runs them.
pub(crate) fn run() -> Outcome {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--quiet", "-p", "neap-heap", "--lib", "--target", &host]);
    command.arg("--manifest-path").arg(root().join("Cargo.toml"));
    command.arg("--target-dir").arg(target()?.join("sanitize"));
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTFLAGS", "-Zsanitizer=address");
    // Blocks of the heap under test are no blocks of the C library's: nothing of theirs leaks.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    check(&mut command)
}
