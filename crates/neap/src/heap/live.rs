//! For tests: a C program under libneap.so that has made blocks and waits.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

/// What such a program needs; `bytes` bytes of live blocks are told in the line that says it is ready.
const FRAME: &str = r#"
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static void work(void);
static void wait_for_a_line(void) {
    char c;
    while (read(0, &c, 1) == 1 && c != '\n') {}
}
static void ready(void) {
    struct mallinfo2 info = mallinfo2();
    char line[99];
    int len = snprintf(line, sizeof line, "ready %zu %zu\n", info.uordblks + info.hblkhd, info.hblks);
    if (write(1, line, len) != len) _exit(9);
    wait_for_a_line();
}
int main(void) { work(); ready(); return 0; }
"#;

/// A program that waits.
pub(super) struct Live {
    child: Child,
    stdin: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
    _folder: TempDir,
    pub(super) library: PathBuf,
    /// Bytes of blocks the program holds, by its own count, and how many are mappings of their own.
    pub(super) live_bytes: u64,
    pub(super) direct_blocks: u64,
}

impl Live {
    /// Compiles `work`, which defines `static void work(void)`, and starts it. `None`, with a word why, where that is
    /// not possible.
    pub(super) fn start(work: &str, environment: &[(&str, &str)]) -> Option<Live> {
        let library = library()?;
        let folder = tempfile::Builder::new().prefix("neap-heap-").tempdir().unwrap();
        let (from, to) = (folder.path().join("work.c"), folder.path().join("work"));
        std::fs::write(&from, format!("{FRAME}{work}")).unwrap();
        let compiled = Command::new("cc")
            .args(["-O1", "-pthread", "-o"])
            .args([&to, &from])
            .output();
        match compiled {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => return skipped("there is no C compiler"),
        }
        let mut child = Command::new(&to)
            .env("LD_PRELOAD", &library)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut live = Live {
            stdin: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            _folder: folder,
            library,
            live_bytes: 0,
            direct_blocks: 0,
        };
        live.next();
        Some(live)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the program says that it is ready.
    fn next(&mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("ready"), "{line}");
        let mut number = || words.next().unwrap().parse().unwrap();
        (self.live_bytes, self.direct_blocks) = (number(), number());
    }

    /// Lets the program go on to its next line.
    pub(super) fn go_on(&mut self) {
        self.stdin.write_all(b"\n").unwrap();
        self.next();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn skipped<T>(why: &str) -> Option<T> {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    let all = std::env::var_os("NEAP_TEST_ALL").is_some_and(|all| all == "1");
    assert!(!all, "{line}");
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(list) = std::env::var_os("NEAP_TEST_SKIPPED") {
        let list = std::fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| list.write_all(line.as_bytes()));
    }
    None
}

fn library() -> Option<PathBuf> {
    let named = std::env::var_os("NEAP_LIB").map(PathBuf::from);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/libneap.so");
    // Test programs lie in TARGET/debug/deps.
    let beside = std::env::current_exe().ok()?.join("../../../release/libneap.so");
    let found = named
        .into_iter()
        .chain([workspace, beside])
        .find(|path| path.is_file());
    match found {
        Some(path) => Some(path.canonicalize().unwrap()),
        None => skipped("libneap.so is not built (run cargo xtask build)"),
    }
}
