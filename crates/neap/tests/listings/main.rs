//! The programs that `neap lab` shows: every one in C compiles without a warning, every one in Rust compiles
//! as a part of this test and runs, in a process of its own.
//!
//! `all.rs` names those in Rust. `NEAP_BLESS=1` writes it anew from the folder. There is no harness of the
//! standard library here: a program must have the main thread and its own arguments, as malloc and the break
//! are those of the main thread. A program that shows how a call needs root may fail as another user, with a
//! message.
#![allow(unsafe_code, reason = "programs that make the calls by hand")]

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio, Termination};
use std::time::{Duration, Instant};

/// A program: its file, and whether it said that it succeeded.
type Listing = (&'static str, fn() -> bool);

macro_rules! listings {
    ($($module:ident $file:literal;)*) => {
        $(
            mod $module {
                include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/code/", $file));

                pub(super) fn run() -> impl std::process::Termination {
                    main()
                }
            }
        )*

        const ALL: &[Listing] = &[$(($file, || succeeds($module::run()))),*];
    };
}

include!("all.rs");

/// Which program this process is, when it is one.
const NAME: &str = "NEAP_TEST_LISTING";
const TIME_MAX: Duration = Duration::from_secs(60);
/// Bytes of data that a program may have, so that one that goes wrong takes no machine with it.
const DATA_MAX: u64 = 8 << 30;

/// Programs that need what not every machine gives, by how their names begin, and what that is.
const MAY_FAIL: &[(&str, &str)] = &[
    ("driver-", "a device, or a right to make one"),
    ("etxtbsy-of-a-swap-file", "a file that is swapped to"),
    ("hugetlb-", "huge pages that are reserved"),
    ("ksm-", "KSM that runs"),
    ("map-names", "a kernel with CONFIG_ANON_VMA_NAME"),
    ("pageout-to-swap", "swap"),
];

fn main() -> ExitCode {
    if let Some(name) = env::var_os(NAME) {
        let (_, run) = ALL.iter().find(|(file, _)| *file == name).unwrap();
        let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_DATA, DATA_MAX, DATA_MAX);
        return if run() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let tests: [(&str, fn()); 4] = [
        (
            "every_program_in_rust_is_a_part_of_this_test",
            every_program_in_rust_is_a_part_of_this_test,
        ),
        ("every_program_has_its_twin", every_program_has_its_twin),
        (
            "every_program_in_c_compiles_without_a_warning",
            every_program_in_c_compiles_without_a_warning,
        ),
        ("every_program_in_rust_runs", every_program_in_rust_runs),
    ];
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let chosen = tests
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part)));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in chosen {
        let word = if std::panic::catch_unwind(test).is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        println!("test {name} ... {word}");
        if word == "ok" { passed += 1 } else { failed += 1 }
    }
    let (word, code) = if failed == 0 {
        ("ok", ExitCode::SUCCESS)
    } else {
        ("FAILED", ExitCode::FAILURE)
    };
    let left_out = tests.len() - passed - failed;
    println!(
        "test result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {left_out} \
         filtered out"
    );
    code
}

fn succeeds(outcome: impl Termination) -> bool {
    outcome.report() == ExitCode::SUCCESS
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lab/code")
}

/// The files of the folder that end so, in order.
fn files(end: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(end))
        .collect();
    names.sort();
    names
}

fn skip(test: &str, reason: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {test}: {reason}\n").as_bytes());
    if let Some(list) = env::var_os("NEAP_TEST_SKIPPED") {
        let list = fs::OpenOptions::new().create(true).append(true).open(list);
        let _ = list.and_then(|mut list| list.write_all(format!("{test}: {reason}\n").as_bytes()));
    }
}

fn every_program_in_rust_is_a_part_of_this_test() {
    let wanted: String = files(".rs")
        .iter()
        .map(|file| {
            format!(
                "    {} {file:?};\n",
                file.trim_end_matches(".rs").replace('-', "_")
            )
        })
        .collect();
    let wanted = format!("listings! {{\n{wanted}}}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/listings/all.rs");
    if env::var_os("NEAP_BLESS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        wanted,
        "NEAP_BLESS=1 writes it anew"
    );
}

fn every_program_has_its_twin() {
    let stems = |end: &str| -> Vec<String> {
        files(end)
            .iter()
            .map(|file| file.trim_end_matches(end).to_owned())
            .collect()
    };
    assert_eq!(stems(".c"), stems(".rs"));
}

fn every_program_in_c_compiles_without_a_warning() {
    let test = "every_program_in_c_compiles_without_a_warning";
    if Command::new("cc").arg("--version").output().is_err() {
        assert!(
            env::var_os("NEAP_TEST_ALL").is_none_or(|all| all != "1"),
            "{test}: no C compiler"
        );
        skip(test, "no C compiler is installed");
        return;
    }
    let out = tempfile::Builder::new().prefix("neap-test-").tempdir().unwrap();
    let mut failed = Vec::new();
    for file in files(".c") {
        let output = Command::new("cc")
            .args([
                "-std=gnu99",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-O1",
                "-pthread",
                "-o",
            ])
            .arg(out.path().join("program"))
            .arg(folder().join(&file))
            .output()
            .unwrap();
        if !output.status.success() {
            failed.push(format!("{file}: {}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn every_program_in_rust_runs() {
    let mut failed = Vec::new();
    for (file, _) in ALL {
        let place = tempfile::Builder::new().prefix("neap-test-").tempdir().unwrap();
        let said = place.path().join("said");
        let status = status_of(file, place.path(), &said);
        let said = fs::read_to_string(said).unwrap_or_default();
        match needs(file) {
            _ if status.success() => {}
            Some(what) if !said.trim().is_empty() => {
                skip(
                    &format!("every_program_in_rust_runs: {file}"),
                    &format!("it needs {what}"),
                );
            }
            _ => failed.push(format!("{file}: {status}: {}", said.trim())),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What the program may lack here.
fn needs(file: &str) -> Option<&'static str> {
    let known = MAY_FAIL.iter().find(|(start, _)| file.starts_with(start));
    known
        .map(|(_, what)| *what)
        .or_else(|| (!rustix::process::geteuid().is_root()).then_some("root, it says"))
}

/// Runs one in a folder of its own. One that asks for a file gets one of eight pages.
fn status_of(file: &str, place: &Path, said: &Path) -> ExitStatus {
    let source = fs::read_to_string(folder().join(file)).unwrap();
    let said = fs::File::create(said).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    if source.contains("name a new file") || source.contains("which file? (a new one") {
        command.arg(place.join("new"));
    } else if source.contains("which file?") {
        let given = place.join("file");
        fs::write(&given, vec![b'a'; 8 * 4096]).unwrap();
        command.arg(given);
    }
    let mut child = command
        .env(NAME, file)
        .env("RUST_BACKTRACE", "0")
        .current_dir(place)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap();
    let end = Instant::now() + TIME_MAX;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
