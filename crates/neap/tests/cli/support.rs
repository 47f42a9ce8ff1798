//! Finds libneap.so, builds small C programs, runs neap.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The real libneap.so: NEAP_LIB, else the release build of this workspace. `None` skips the test that
/// called, by name, unless NEAP_TEST_ALL=1 asks for every test.
pub(crate) fn library(test: &str) -> Option<PathBuf> {
    let named = env::var_os("NEAP_LIB")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/libneap.so");
    let beside = Path::new(env!("CARGO_BIN_EXE_neap")).join("../../release/libneap.so");
    let found = named
        .into_iter()
        .chain([workspace, beside])
        .find(|path| path.is_file());
    if found.is_none() {
        missing(test, "libneap.so is not built (run cargo xtask build)");
    }
    found
}

/// A program that the test needs is not there: a skip by name, or a failure when every test is asked for.
pub(crate) fn missing(test: &str, reason: &str) {
    assert!(
        env::var_os("NEAP_TEST_ALL").is_none_or(|all| all != "1"),
        "{test}: {reason}"
    );
    skip(test, reason);
}

/// Says that a test cannot be made here, also in the list that `cargo xtask test` prints.
pub(crate) fn skip(test: &str, reason: &str) {
    // Not eprintln!: the test runner would keep that to itself.
    let _ = std::io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes());
    if let Some(list) = env::var_os("NEAP_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| list.write_all(format!("{test}: {reason}\n").as_bytes()));
    }
}

/// Waits until `done`, generously, and fails the test if that never comes.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process is there and no zombie.
pub(crate) fn is_running(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Every path of `not_available` must lead to a null.
#[track_caller]
pub(crate) fn assert_reasons_lead_to_nulls(report: &serde_json::Value) {
    for path in report["not_available"].as_object().unwrap().keys() {
        let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
        assert!(
            report.pointer(&pointer).is_some_and(serde_json::Value::is_null),
            "{path} is not null"
        );
    }
}

/// `neap run --lib LIBRARY` with more arguments to come.
pub(crate) fn neap_run(library: &Path) -> Command {
    let mut command = neap();
    command.arg("run").arg("--lib").arg(library);
    command
}

/// `neap` in a known environment.
pub(crate) fn neap() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neap"));
    command
        .env_remove("NEAP_LIB")
        .env_remove("LD_PRELOAD")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// Builds `source` with `flags`; `None` skips the test that called when there is no C compiler or the
/// compiler cannot do that (static linking needs libc.a).
pub(crate) fn compile(
    test: &str,
    folder: &TempDir,
    name: &str,
    source: &str,
    flags: &[&str],
) -> Option<PathBuf> {
    let (from, to) = (folder.path().join(format!("{name}.c")), folder.path().join(name));
    std::fs::write(&from, source).unwrap();
    let compiled = Command::new("cc")
        .arg("-o")
        .arg(&to)
        .arg(&from)
        .args(flags)
        .output();
    if compiled.is_ok_and(|output| output.status.success()) {
        return Some(to);
    }
    skip(test, &format!("cc cannot build {name} with {flags:?}"));
    None
}

/// A folder for one test.
pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new().prefix("neap-test-").tempdir().unwrap()
}

/// The report of `neap run --json -o -`; the command's own stdout must be empty.
pub(crate) fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program that touches 64 MiB, waits, frees it, and waits again so that the ebb can be seen.
pub(crate) const BURST: &str = r#"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    enum { N = 1024 };
    static char *blocks[N];
    usleep(50000);
    for (int i = 0; i < N; i++) { blocks[i] = malloc(65536); memset(blocks[i], 1, 65536); }
    usleep(200000);
    for (int i = 0; i < N; i++) free(blocks[i]);
    usleep(1500000);
    return 0;
}
"#;
