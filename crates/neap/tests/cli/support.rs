//! Finds libneap.so, builds small C programs, runs neap.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
        assert!(
            env::var_os("NEAP_TEST_ALL").is_none_or(|all| all != "1"),
            "{test}: libneap.so is not built"
        );
        eprintln!("skipped: {test}: libneap.so is not built (run cargo xtask build)");
    }
    found
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
    eprintln!("skipped: {test}: cc cannot build {name} with {flags:?}");
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
