//! What malloc and free of a small block cost: at most 32 instructions, and exactly what the golden file says.
//!
//! callgrind counts what is executed inside malloc, free and their kin, of `neap-load pairs KIND N` with N and with
//! 2 N; the difference is what N pairs cost. The counts depend on libneap.so alone, so they are exact for one
//! version of rustc; under another one only the bound holds.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/instructions.golden");
/// What is counted: a kind of `neap-load pairs`, and how many instructions a pair may be.
const KINDS: [(&str, u64); 6] = [
    ("16", 32),
    ("48", 32),
    ("2048", 64),
    ("8192", 64),
    ("queue-64", 40),
    ("calloc-64", 128),
];
const PAIRS: u64 = 10_000;

/// The target directory: CARGO_TARGET_TMPDIR is `TARGET/tmp`.
fn library() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
    let path = std::env::var_os("NEAP_LIB").map_or_else(|| target.join("release/libneap.so"), PathBuf::from);
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build --release -p neap-preload` first",
        path.display()
    );
    path
}

/// Tells on standard error, and in the list that `cargo xtask test` prints, that a test did not run; under
/// NEAP_TEST_ALL=1 it fails.
fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("NEAP_TEST_ALL").is_none(), "{test}: {reason}");
    let line = format!("{test}: {reason}\n");
    // Not eprint!: the test runner would keep that to itself.
    let _ = std::io::stderr().write_all(format!("skipped: {line}").as_bytes());
    if let Some(list) = std::env::var_os("NEAP_TEST_SKIPPED") {
        let list = fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| list.write_all(line.as_bytes()));
    }
}

/// Instructions, loads and stores inside the functions of the allocator.
fn count(kind: &str, pairs: u64) -> [u64; 3] {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pairs-{kind}-{pairs}.callgrind"));
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--cache-sim=yes"])
        .args([
            "--toggle-collect=malloc",
            "--toggle-collect=free",
            "--toggle-collect=calloc",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .args([env!("CARGO_BIN_EXE_neap-load"), "pairs", kind, &pairs.to_string()])
        .env("LD_PRELOAD", library())
        .output()
        .expect("valgrind starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kind}: {}\n{said}", output.status);
    let text = fs::read_to_string(&out).expect("callgrind writes its file");
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let figures = totals
        .expect("callgrind's file has totals")
        .split(' ')
        .map(|w| w.parse().unwrap());
    figures.collect::<Vec<u64>>()[..3].try_into().unwrap()
}

/// `rustc VERSION` as the compiler left it in the library.
fn compiler(library: &Path) -> String {
    let bytes = fs::read(library).expect("the library can be read");
    let mark = b"rustc version ";
    let at = bytes.windows(mark.len()).position(|w| w == mark);
    let tail = at.map_or(&[][..], |at| &bytes[at + mark.len()..]);
    let end = tail
        .iter()
        .position(|b| !b.is_ascii_graphic())
        .unwrap_or(tail.len());
    format!(
        "rustc {} {}",
        String::from_utf8_lossy(&tail[..end]),
        std::env::consts::ARCH
    )
}

#[test]
fn malloc_and_free_cost_what_the_golden_says() {
    let name = "malloc_and_free_cost_what_the_golden_says";
    if Command::new("valgrind").arg("--version").output().is_err() {
        skip(name, "valgrind is not installed");
        return;
    }
    let mut found = format!("{}\n", compiler(&library()));
    for (kind, most) in KINDS {
        let (once, twice) = (count(kind, PAIRS), count(kind, 2 * PAIRS));
        let [instructions, loads, stores] = [0, 1, 2].map(|n| twice[n] - once[n]);
        assert!(
            0 < instructions && instructions <= most * PAIRS,
            "{kind}: {PAIRS} pairs are {instructions} instructions; a pair may be {most}"
        );
        let _ = writeln!(
            found,
            "{kind}: {instructions} instructions, {loads} loads, {stores} stores"
        );
    }
    if std::env::var_os("NEAP_BLESS").is_some() {
        fs::write(GOLDEN, found).expect("the golden file can be written");
        return;
    }
    let golden = fs::read_to_string(GOLDEN).expect("the golden file can be read");
    if golden.lines().next() == found.lines().next() {
        assert_eq!(
            golden, found,
            "{PAIRS} pairs cost something else than bench/tests/instructions.golden says. If that is meant: \
             NEAP_BLESS=1 cargo test -p neap-bench --test instructions, and look at the diff"
        );
    } else {
        let built = found.lines().next().unwrap_or_default();
        let told = format!("{name}: the golden is not of {built}: only the bounds were tested\n");
        let _ = std::io::stderr().write_all(told.as_bytes());
    }
}
