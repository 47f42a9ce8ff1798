//! `cargo xtask bench ARGS`: builds what is measured, then becomes `neap-bench ARGS`.
//!
//! That is libneap.so, the workloads, and the rivals of `bench/peers`. Rivals that cannot be built (they need a C++
//! compiler and their crates) are left out with a line that says so; those built earlier stay.

use crate::Outcome;
use crate::artifacts::{build, cargo, check, root, target};
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Builds everything and hands over.
pub(crate) fn run(args: &[OsString]) -> Outcome {
    let built = build()?;
    check(cargo("build").args(["--release", "--quiet", "-p", "neap-bench"]))?;
    if let Err(message) = peers() {
        eprintln!("{message}\nrivals of bench/peers are not measured, or as they were built before");
    }
    let mut command = Command::new(target()?.join("release/neap-bench"));
    command.args(args).arg("--library").arg(&built.library);
    Err(format!("neap-bench: {}", command.exec()))
}

/// Builds the rivals and copies them to `peers` in the target directory. Their package is a workspace
/// of its own, so it has a target directory of its own.
fn peers() -> Outcome {
    let target = target()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["run", "--release", "--quiet", "--locked", "--manifest-path"]);
    command.arg(root().join("bench/peers/Cargo.toml"));
    command.arg("--target-dir").arg(target.join("peers-build"));
    command.arg("--").arg(target.join("peers"));
    check(&mut command)
}
