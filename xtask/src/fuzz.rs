//! `cargo xtask fuzz`: searches for inputs that break a promise, by libFuzzer, with the stable compiler.
//!
//! Owns how the targets of `fuzz/` are built (coverage instrumentation by plain compiler options, so neither
//! cargo-fuzz nor a nightly compiler is needed; one program has them all) and which folders they work in:
//! they begin with `fuzz/corpus/TARGET`, parsers with the recorded files of `/proc`, too, write what is new
//! to `fuzz/found/TARGET` of the target directory, and an input that fails to `fuzz/failed` there. A target
//! is what has a folder in the corpus. `--keep` merges what was found into the corpus. `cargo xtask test`
//! replays the corpus without any of this.

use crate::Outcome;
use crate::artifacts::{check, root, target};
use std::path::{Path, PathBuf};
use std::process::Command;

const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table --cfg fuzzing";
/// The target that is not a parser.
const HEAP: &str = "heap";
/// Files of which parsers get the beginning.
const RECORDED: &str = "crates/proc/tests/fixtures";
const USAGE: &str = "usage: cargo xtask fuzz [--seconds N] [--keep] [TARGET]...";

/// Builds the targets and runs each for so many seconds.
pub(crate) fn run(words: &[&str]) -> Outcome {
    let all = targets()?;
    let (mut seconds, mut keep, mut wanted) = (60u32, false, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--seconds" => {
                let number = words.next().and_then(|n| n.parse().ok());
                seconds = number.ok_or_else(|| format!("--seconds wants a number\n{USAGE}"))?;
            }
            "--keep" => keep = true,
            name if all.iter().any(|target| target == name) => wanted.push(name.to_owned()),
            other => {
                let all = all.join(" ");
                return Err(format!("unknown word {other:?}\n{USAGE}\ntargets: {all}"));
            }
        }
    }
    if wanted.is_empty() {
        wanted = all;
    }
    let program = build()?;
    for name in wanted {
        search(&program, &name, seconds, keep)?;
    }
    Ok(())
}

/// The folders of the corpus, sorted.
fn targets() -> Outcome<Vec<String>> {
    let corpus = root().join("fuzz/corpus");
    let entries = std::fs::read_dir(&corpus).map_err(|e| format!("{}: {e}", corpus.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Returns the program that has all targets.
fn build() -> Outcome<PathBuf> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = target()?.join("fuzz");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([
        "build",
        "--release",
        "--quiet",
        "--locked",
        "--features",
        "search",
        "--bins",
    ]);
    command.arg("--manifest-path").arg(root().join("fuzz/Cargo.toml"));
    // With a target named, build scripts and procedural macros are not instrumented.
    command.args(["--target", &host]).arg("--target-dir").arg(&folder);
    command.env("RUSTFLAGS", COVERAGE);
    check(&mut command)?;
    Ok(folder.join(host).join("release/search"))
}

/// The longest input: for the heap some hundred actions, each walked after; for a parser some mappings.
fn longest(name: &str) -> &'static str {
    if name == HEAP {
        "-max_len=900"
    } else {
        "-max_len=4096"
    }
}

fn search(program: &Path, name: &str, seconds: u32, keep: bool) -> Outcome {
    let folder = target()?.join("fuzz");
    let (found, failed) = (folder.join("found").join(name), folder.join("failed"));
    let corpus = root().join("fuzz/corpus").join(name);
    for made in [&found, &failed, &corpus] {
        std::fs::create_dir_all(made).map_err(|e| format!("{}: {e}", made.display()))?;
    }
    println!("{name}: {seconds} seconds");
    let mut command = Command::new(program);
    command.env("NEAP_FUZZ_TARGET", name);
    command.args([
        longest(name),
        "-rss_limit_mb=6000",
        "-timeout=60",
        "-print_final_stats=1",
        "-verbosity=0",
    ]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/{name}-", failed.display()));
    command.arg(&found).arg(&corpus);
    if name != HEAP {
        command.arg(root().join(RECORDED));
    }
    check(&mut command).map_err(|e| {
        format!(
            "{e}\nthe input that failed: newest {name}-* in {}",
            failed.display()
        )
    })?;
    if keep {
        check(
            Command::new(program)
                .env("NEAP_FUZZ_TARGET", name)
                .args([longest(name), "-merge=1"])
                .arg(&corpus)
                .arg(&found),
        )?;
    }
    Ok(())
}
